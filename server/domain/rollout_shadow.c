/* Its devices try a rollout before anybody gets it: asking them, and what follows from what they
 * said. */
#include "domain/dry_run.h"
#include "domain/rollout_private.h"

#include "base/rand.h"
#include "store/dry_run_store.h"
#include "store/revision_store.h"

#include <string.h>

enum err_code rollout_ask(struct rollout_run *x, const struct issue_change *changes,
                          const struct rollout_target *targets, size_t n, struct err *e)
{
    char id[UUID_TEXT_SIZE];
    struct dry_run_new w = {.wait_s = x->s.shadow_s,
                            .offline_after_s = x->s.offline_after_s,
                            .changes = changes,
                            .targets = targets,
                            .n = n};

    uuid7(id);
    w.row = (struct dry_run_row){.id = id,
                                 .rollout_id = x->row.id,
                                 .draft_id = "",
                                 .pub = x->row.pub,
                                 .author = x->row.author};
    return dry_run_make(x->db, x->app, &w, x->a, e);
}

enum err_code rollout_ask_again(struct rollout_run *x, struct err *e)
{
    struct rollout_target *targets = NULL;
    struct issue_change *changes = NULL;
    struct revision_row r = {0};
    size_t n = 0, n_targets = 0;
    enum err_code rc = revision_store_get(x->db, x->row.pub, x->a, &r, e);

    if (rc == ERR_OK)
        rc = issue_compare(x->db, x->app, r.content, x->row.urgent, x->a, &changes, &n, e);
    if (rc == ERR_OK)
        rc = rollout_target_store_list(x->db, x->a, &targets, &n_targets, e);
    if (rc == ERR_OK && n_targets != n)
        rc = err_set(e, ERR_CONFLICT, "the devices changed meanwhile");
    if (rc == ERR_OK)
        rc = rollout_ask(x, changes, targets, n, e);
    x->changed = true;
    return rc == ERR_OK ? rollout_enter(x, "shadow", "", e) : rc;
}

enum err_code rollout_tried(struct rollout_run *x, struct err *e)
{
    bool waits = x->s.approval && x->row.approver[0] == '\0';

    return rollout_enter(x, waits ? "awaiting-approval" : "running", "", e);
}

enum err_code rollout_untried(struct rollout_run *x, bool *ret, struct err *e)
{
    struct dry_run_row r = {.state = ""};
    enum err_code rc;

    *ret = false;
    if (x->s.shadow != SHADOW_ALWAYS)
        return ERR_OK;
    for (size_t i = 0; i < x->n; i++) {
        if (x->d[i].released_ms != 0)
            return ERR_OK;
    }
    rc = dry_run_store_of_rollout(x->db, x->row.id, x->a, &r, e);
    *ret = rc == ERR_OK && strcmp(r.state, "passed") != 0 && strcmp(r.state, "inconclusive") != 0;
    return rc == ERR_NOT_FOUND ? ERR_OK : rc;
}

/* Nobody could say.  Whoever asked for their word is asked what to do; where nobody did the canary
 * decides, and so it does where time counts: an urgent change, one that takes another back. */
static bool asks_person(const struct rollout_run *x, const struct dry_run_row *r)
{
    return strcmp(r->state, "inconclusive") == 0 && json_object_size(r->counts) > 0 &&
           strcmp(json_str(x->row.strategy, "shadow", ""), "always") == 0 && !x->s.expedite &&
           x->row.reverts[0] == '\0';
}

enum err_code rollout_shadow(struct rollout_run *x, struct err *e)
{
    struct dry_run_row r = {0};
    enum err_code rc = dry_run_store_of_rollout(x->db, x->row.id, x->a, &r, e);

    if (rc == ERR_OK)
        rc = dry_run_step(x->db, r.id, false, x->now_ms, x->a, &r, e);
    if (rc != ERR_OK || strcmp(r.state, "running") == 0)
        return rc;
    if (strcmp(r.state, "refused") == 0)
        return rollout_halt(x, ROLLOUT_REFUSED, e);
    if (!asks_person(x, &r))
        return rollout_tried(x, e);
    x->row.paused_from = "shadow";
    return rollout_enter(x, "paused", ROLLOUT_UNTRIED, e);
}
