/* A rollout that stands aside by itself, for an expedited one or while nobody is heard, and goes on
 * where it stood. */
#include "domain/rollout_private.h"

#include <string.h>

/* "" when nothing is in its way. */
static const char *in_the_way(const struct rollout_run *x)
{
    if (x->silent && !x->row.overruled)
        return "silence";
    return x->urgent_first ? "urgent" : "";
}

static bool is_state(const struct rollout_run *x, const char *state)
{
    return strcmp(x->row.state, state) == 0;
}

static const char *reason_of(const char *waits)
{
    return strcmp(waits, "silence") == 0 ? "fleet-silent" : "urgent-first";
}

static enum err_code stand_aside(struct rollout_run *x, const char *why, struct err *e)
{
    if (x->row.waits[0] == '\0') { /* else it does so already, for another reason */
        x->row.paused_from = x->row.state;
        x->row.stood_ms = x->now_ms - x->row.state_ms;
    }
    x->row.waits = why;
    return rollout_enter(x, "paused", reason_of(why), e);
}

/* What it had baked counts. */
static enum err_code go_on(struct rollout_run *x, struct err *e)
{
    const char *to = x->row.paused_from;
    enum err_code rc;

    x->row.paused_from = "";
    rc = rollout_enter(x, to, "", e);
    x->row.state_ms = x->now_ms - x->row.stood_ms;
    return rc == ERR_OK ? rollout_store_save(x->db, &x->row, x->term, e) : rc;
}

enum err_code rollout_standing(struct rollout_run *x, struct err *e)
{
    const char *why = in_the_way(x);
    bool waits = is_state(x, "paused") && x->row.waits[0] != '\0';

    if (why[0] != '\0' && (is_state(x, "running") || is_state(x, "baking")))
        return stand_aside(x, why, e);
    if (!waits)
        return ERR_OK;
    if (rollout_failed(x)) /* devices that were on their way */
        return rollout_halt(x, "failures", e);
    if (why[0] == '\0')
        return go_on(x, e);
    return strcmp(why, x->row.waits) == 0 ? ERR_OK : stand_aside(x, why, e);
}

enum err_code rollout_overrule(struct rollout_run *x, struct err *e)
{
    bool moves = false, silent = false;
    struct rollout_row fresh = x->row;
    enum err_code rc;

    fresh.waits = ""; /* one that a person looks at, or that was halted, does not hold this one
                         against a person's word */
    rc = rollout_store_waits(x->db, &fresh, x->a, &moves, &silent, e);
    if (rc == ERR_OK && moves)
        return err_set(
            e, ERR_CONFLICT,
            "an expedited rollout goes first: this one goes on by itself when that is over");
    if (rc != ERR_OK)
        return rc;
    x->row.overruled = x->row.overruled || silent;
    x->urgent_first = false;
    return ERR_OK;
}
