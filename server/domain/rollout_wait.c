/* A rollout that stands aside by itself, for an expedited one or while nobody is heard, and goes on
 * where it stood; and one that nobody was there for, which begins again with whoever comes back. */
#include "domain/rollout_private.h"

#include <stdlib.h>
#include <string.h>

enum {
    BACK_SOON_MS =
        10 * 60 * 1000 /* one that was seen so lately is waited for, a poll of the others tells */
};

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

/* --- nobody was there --- */

bool rollout_waits_for_anybody(const struct rollout_run *x)
{
    return is_state(x, "paused") && strcmp(x->row.waits, ROLLOUT_ABSENT) == 0;
}

/* Passed over, and in service still. */
static bool to_come(const struct rollout_run *x, const struct rollout_device *d)
{
    const char *why = rollout_skip_reason(x, d, true);

    return strcmp(d->state, "skipped") == 0 && (why == NULL || strcmp(why, "gone") != 0);
}

/* The lenient time that a parent's start gives is for those that had their turn. */
static bool is_there(const struct rollout_run *x, const struct rollout_device *d)
{
    return rollout_skip_reason(x, d, true) == NULL &&
           d->seen_ms > x->now_ms - x->s.offline_after_s * 1000;
}

bool rollout_nobody_was_there(const struct rollout_run *x)
{
    bool any = false;

    for (size_t i = 0; i < x->n; i++) {
        const char *state = x->d[i].state;
        if (strcmp(state, "confirmed") == 0 || strcmp(state, "observed") == 0)
            return false;
        any = any || to_come(x, &x->d[i]);
    }
    return any && x->s.kind == STRATEGY_WAVES;
}

enum err_code rollout_wait_for_anybody(struct rollout_run *x, struct err *e)
{
    x->row.paused_from = "running";
    x->row.stood_ms = 0;
    x->row.waits = ROLLOUT_ABSENT;
    return rollout_enter(x, "paused", "nobody-there", e);
}

bool rollout_somebody_soon(const struct rollout_run *x)
{
    for (size_t i = 0; i < x->n; i++) {
        if (to_come(x, &x->d[i]) && x->d[i].seen_ms > x->now_ms - BACK_SOON_MS &&
            strcmp(x->d[i].device_state, "held") != 0 &&
            strcmp(x->d[i].device_state, "quarantined") != 0)
            return true;
    }
    return false;
}

static int by_id(const void *key, const void *item)
{
    return strcmp(key, ((const struct rollout_target *)item)->id);
}

static const char *group_of(const struct rollout_target *v, size_t n, const char *id)
{
    const struct rollout_target *t = bsearch(id, v, n, sizeof *v, by_id);

    return t == NULL ? "" : t->group;
}

/* New waves of those that were passed over, whoever is there first: the canary is one of them. */
static enum err_code plan_again(struct rollout_run *x, json_t *rows, struct err *e)
{
    struct strategy_device *v = arena_alloc(x->a, (x->n + 1) * sizeof *v);
    struct rollout_target *t = NULL;
    size_t n = 0, n_t = 0;
    int last = 0;
    enum err_code rc = rollout_target_store_list(x->db, x->a, &t, &n_t, e);

    if (rc == ERR_OK && v == NULL)
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    if (rc != ERR_OK)
        return rc;
    for (size_t i = 0; i < x->n; i++) {
        const struct rollout_device *d = &x->d[i];
        last = d->place > last ? d->place : last;
        if (to_come(x, d))
            v[n++] = (struct strategy_device){.id = d->id,
                                              .group = group_of(t, n_t, d->id),
                                              .can_lead =
                                                  strcmp(d->mode, "manage") == 0 && is_there(x, d)};
    }
    x->row.n_waves = strategy_plan(&x->s, x->row.id, v, n);
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(rows, json_pack("{s:s,s:i,s:i}", "device_id", v[i].id, "wave",
                                                    v[i].wave, "place", last + 1 + v[i].place));
    return json_array_size(rows) == n ? ERR_OK : err_set(e, ERR_NO_MEMORY, "out of memory");
}

enum err_code rollout_begin_again(struct rollout_run *x, struct err *e)
{
    AUTO(json_free) json_t *rows = json_array();
    enum err_code rc = plan_again(x, rows, e);

    if (rc == ERR_OK)
        rc = rollout_device_store_begin_again(x->db, x->row.id, rows, x->row.n_waves, e);
    x->row.paused_from = "";
    x->row.wave = 0;
    if (rc == ERR_OK)
        rc = rollout_enter(x, "running", "", e);
    return rc == ERR_OK ? rollout_reload(x, e) : rc;
}

static bool anybody_is_there(const struct rollout_run *x)
{
    for (size_t i = 0; i < x->n; i++) {
        if (to_come(x, &x->d[i]) && is_there(x, &x->d[i]))
            return true;
    }
    return false;
}

enum err_code rollout_standing(struct rollout_run *x, struct err *e)
{
    const char *why = in_the_way(x);
    bool waits = is_state(x, "paused") && x->row.waits[0] != '\0';

    if (rollout_waits_for_anybody(x) && !rollout_nobody_was_there(x)) /* nor will be: they left */
        return rollout_complete(x, e);
    if (rollout_waits_for_anybody(x))
        return why[0] == '\0' && anybody_is_there(x) ? rollout_begin_again(x, e) : ERR_OK;

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
