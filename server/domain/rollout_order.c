/* What people order of a rollout, and the fleet's policy. */
#include "domain/rollout_private.h"

#include "base/clock.h"
#include "base/rand.h"
#include "domain/change.h"
#include "domain/issue.h"
#include "store/dry_run_store.h"

#include <stdio.h>
#include <string.h>

const char *const rollout_verb_names[] = {"pause",   "resume",  "halt", "cancel",
                                          "approve", "promote", NULL};

/* Rows: verbs; a state that is not named refuses. */
static const char *const possible[][8] = {
    [ROLLOUT_PAUSE] = {"shadow", "running", "baking", "awaiting-approval", NULL},
    [ROLLOUT_RESUME] = {"paused", "halted", NULL},
    [ROLLOUT_HALT] = {"shadow", "running", "baking", "paused", "awaiting-approval", NULL},
    [ROLLOUT_CANCEL] = {"shadow", "running", "baking", "paused", "halted", "awaiting-approval",
                        NULL},
    [ROLLOUT_APPROVE] = {"awaiting-approval", NULL},
    /* halted: by a refusal alone; paused: by itself, to ask just that */
    [ROLLOUT_PROMOTE] = {"shadow", "baking", "halted", "paused", NULL},
};
static const char *const revertible[] = {"shadow", "running", "baking", "paused", "halted", NULL};

static bool listed(const char *state, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strcmp(state, *words) == 0)
            return true;
    }
    return false;
}

bool rollout_verb_possible(enum rollout_verb verb, const char *state)
{
    return listed(state, possible[verb]);
}

bool rollout_revert_possible(const char *state)
{
    return listed(state, revertible);
}

struct ordering {
    struct app *app;
    const struct rollout_order *o;
    const char *id;
    struct arena *a;
    json_t *json;
    int64_t version;
    bool changed;
};

static enum err_code audit(struct db *db, const struct ordering *x, const char *from,
                           const struct rollout_row *r, struct err *e)
{
    AUTO(json_free)
    json_t *detail =
        json_pack("{s:I,s:i,s:s,s:s,s:s}", "pub", (json_int_t)r->pub, "wave", r->wave, "from", from,
                  "to", r->state, "reason", x->o->reason == NULL ? "" : x->o->reason);
    char action[40], object[64];

    (void)snprintf(action, sizeof action, "rollout.%s", rollout_verb_names[x->o->verb]);
    (void)snprintf(object, sizeof object, "rollout/%s", r->id);
    return audit_append(db, x->o->by, action, object, detail, e);
}

/* Its devices would not have it. */
static bool was_refused(const struct rollout_run *x)
{
    return strcmp(x->row.state, "halted") == 0 && strcmp(x->row.reason, ROLLOUT_REFUSED) == 0;
}

/* It asks a person because none of its devices could try it. */
static bool was_not_tried(const struct rollout_run *x)
{
    return strcmp(x->row.state, "paused") == 0 && strcmp(x->row.reason, ROLLOUT_UNTRIED) == 0 &&
           strcmp(x->row.paused_from, "shadow") == 0;
}

/* It asks a person because its guards have too little to judge by. */
static bool was_not_judged(const struct rollout_run *x)
{
    return strcmp(x->row.state, "paused") == 0 &&
           strcmp(x->row.reason, ROLLOUT_INCONCLUSIVE) == 0 &&
           strcmp(x->row.paused_from, "baking") == 0;
}

static bool may_promote(const struct rollout_run *x)
{
    if (strcmp(x->row.state, "halted") == 0)
        return was_refused(x);
    return strcmp(x->row.state, "paused") != 0 || was_not_tried(x) || was_not_judged(x) ||
           rollout_waits_for_anybody(x);
}

/* It stands aside by itself, and a person does not want it to: it goes on where it stood. */
static enum err_code resume_against(struct rollout_run *x, struct err *e)
{
    const char *to = x->row.paused_from;
    enum err_code rc = rollout_overrule(x, e);

    if (rc != ERR_OK)
        return rc;
    if (rollout_waits_for_anybody(x))
        return rollout_begin_again(x, e);
    x->row.paused_from = "";
    rc = rollout_enter(x, to, "", e);
    x->row.state_ms = x->now_ms - x->row.stood_ms;
    return rc == ERR_OK ? rollout_store_save(x->db, &x->row, 0, e) : rc;
}

static enum err_code resume(struct rollout_run *x, struct err *e)
{
    const char *to = strcmp(x->row.state, "paused") == 0 ? x->row.paused_from : "running";
    bool halted = strcmp(x->row.state, "halted") == 0, untried = was_not_tried(x);
    enum err_code rc = halted ? rollout_device_store_forgive(x->db, x->row.id, e) : ERR_OK;

    if (rc == ERR_OK && x->row.waits[0] != '\0')
        return resume_against(x, e);
    if (rc == ERR_OK && halted) /* stopped by a person while they tried it, they have not */
        rc = rollout_untried(x, &untried, e);
    if (rc == ERR_OK && (was_refused(x) || untried)) {
        x->row.auto_revert = false;
        x->row.paused_from = "";
        return rollout_ask_again(x, e);
    }
    if (strcmp(to, "running") == 0 && x->s.approval && x->row.approver[0] == '\0')
        to = "awaiting-approval"; /* halted before anybody approved it */
    x->row.auto_revert = false;
    x->row.paused_from = "";
    return rc == ERR_OK ? rollout_enter(x, to, "", e) : rc;
}

static enum err_code approve(struct rollout_run *x, const struct rollout_order *o, struct err *e)
{
    if (strcmp(o->by->account, x->row.author_id) == 0)
        return err_set(e, ERR_FORBIDDEN, "\"%s\" published this: another account must approve it",
                       x->row.author);
    x->row.approver = o->by->name;
    return rollout_enter(x, "running", "", e);
}

/* The engine takes the next step within a second. */
static enum err_code promote(struct rollout_run *x, struct err *e)
{
    enum err_code rc = ERR_OK;

    if (was_refused(x) || was_not_tried(x)) { /* in spite of it */
        x->row.auto_revert = false;
        x->row.paused_from = "";
        return rollout_tried(x, e);
    }
    if (rollout_waits_for_anybody(x)) { /* without a canary: each gets it as it comes back */
        x->row.paused_from = "";
        return rollout_complete(x, e);
    }
    if (was_not_judged(x)) {
        x->row.paused_from = "";
        rc = rollout_enter(x, "baking", "", e);
    } else if (strcmp(x->row.state, "shadow") == 0)
        rc = dry_run_store_hurry(x->db, x->row.id, x->now_ms, e);
    if (rc != ERR_OK)
        return rc;
    x->row.state_ms = 1; /* before it was made: baked enough, and judged (rollout_engine.c) */
    x->changed = true;
    return rollout_store_save(x->db, &x->row, 0, e);
}

static enum err_code obey(struct rollout_run *x, const struct rollout_order *o, struct err *e)
{
    const char *reason = o->reason == NULL ? "" : o->reason;
    enum err_code rc;

    switch (o->verb) {
    case ROLLOUT_PAUSE:
        if (x->row.waits[0] == '\0')
            x->row.paused_from = x->row.state;
        x->row.waits = ""; /* from now on it waits for a person */
        return rollout_enter(x, "paused", reason, e);
    case ROLLOUT_RESUME:
        return resume(x, e);
    case ROLLOUT_HALT:
        return rollout_halt(x, reason, e);
    case ROLLOUT_CANCEL:
        rc = rollout_device_store_drop_queued(x->db, x->row.id, "skipped", "cancelled", x->now_ms,
                                              e);
        if (rc == ERR_OK)
            rc = rollout_tell_reverted(x, "halted", e);
        return rc == ERR_OK ? rollout_enter(x, "cancelled", reason, e) : rc;
    case ROLLOUT_APPROVE:
        return approve(x, o, e);
    case ROLLOUT_PROMOTE:
        return promote(x, e);
    }
    return err_set(e, ERR_INTERNAL, "no such order");
}

static enum err_code order_tx(struct db *db, void *ctx, struct err *e)
{
    struct ordering *o = ctx;
    struct rollout_run x;
    enum err_code rc = rollout_begin(&x, db, o->app, o->a, 0, e);
    const char *from;

    x.told = true;
    if (rc == ERR_OK)
        rc = rollout_load(&x, o->id, e);
    if (rc != ERR_OK)
        return rc;
    from = x.row.state;
    if (o->o->version != 0 && o->o->version != x.row.version)
        return err_set(e, ERR_STALE_EDIT, "the present version is \"%lld\"",
                       (long long)x.row.version);
    if (!(rollout_verb_possible(o->o->verb, from) ||
          (o->o->verb == ROLLOUT_PAUSE && x.row.waits[0] != '\0')) ||
        (o->o->verb == ROLLOUT_PROMOTE && !may_promote(&x)))
        return err_set(e, ERR_CONFLICT, "a rollout that is \"%s\" does not take the order \"%s\"",
                       from, rollout_verb_names[o->o->verb]);
    rc = obey(&x, o->o, e);
    if (rc == ERR_OK)
        rc = rollout_standing(&x, e);
    if (rc == ERR_OK && strcmp(x.row.state, "running") == 0)
        rc = rollout_release(&x, e);
    json_decref(o->json);
    o->json = NULL;
    o->changed = x.changed;
    if (rc == ERR_OK)
        rc = rollout_get(db, o->id, o->a, &o->json, &o->version, e);
    if (rc == ERR_OK)
        rc = audit(db, o, from, &x.row, e);
    return rc == ERR_OK ? rollout_write_notes(&x, e) : rc;
}

enum err_code rollout_order_run(struct db *db, struct app *app, const char *id,
                                const struct rollout_order *order, struct arena *a, json_t **ret,
                                int64_t *ret_version, struct err *e)
{
    struct ordering o = {.app = app, .o = order, .id = id, .a = a};
    enum err_code rc = uuid_is_valid(id)
                           ? change_run(db, "rollout.order", order->dry_run, order_tx, &o, e)
                           : err_set(e, ERR_NOT_FOUND, "there is no rollout \"%s\"", id);

    if (rc != ERR_OK) {
        json_decref(o.json);
        return rc;
    }
    if (!order->dry_run && o.changed)
        (void)issue_committed(db, app, NULL);
    *ret = o.json;
    *ret_version = o.version;
    return ERR_OK;
}

/* --- the policy --- */

static enum err_code policy_json(const json_t *doc, int64_t version, json_t **ret, struct err *e)
{
    json_t *effective = NULL;
    enum err_code rc = strategy_merge(doc, NULL, "", &effective, e);

    if (rc != ERR_OK)
        return rc;
    *ret = json_pack("{s:O,s:o,s:I}", "policy", doc, "effective", effective, "version",
                     (json_int_t)version);
    return *ret == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}

enum err_code rollout_policy_get(struct db *db, struct arena *a, json_t **ret, int64_t *ret_version,
                                 struct err *e)
{
    const json_t *doc = NULL;
    enum err_code rc = rollout_store_policy(db, a, &doc, ret_version, e);

    return rc == ERR_OK ? policy_json(doc, *ret_version, ret, e) : rc;
}

struct patching {
    const json_t *patch;
    const struct actor *by;
    int64_t version;
    json_t *json;
};

static enum err_code patch_tx(struct db *db, void *ctx, struct err *e)
{
    struct patching *p = ctx;
    AUTO(arena_free) struct arena *a = arena_new(1 * MIB);
    AUTO(json_free) json_t *doc = NULL, *detail = NULL;
    const json_t *before = NULL;
    const char *key;
    json_t *v;
    int64_t version = 0;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                 : rollout_store_policy_lock(db, a, &before, &version, e);

    if (rc != ERR_OK)
        return rc;
    if (version != p->version)
        return err_set(e, ERR_STALE_EDIT, "the present version is \"%lld\"", (long long)version);
    doc = json_copy((json_t *)(uintptr_t)before);
    json_object_foreach((json_t *)(uintptr_t)p->patch, key, v)
    {
        if (json_is_null(v))
            (void)json_object_del(doc, key);
        else
            (void)json_object_set(doc, key, v);
    }
    json_decref(p->json);
    p->json = NULL;
    rc = policy_json(doc, version + 1, &p->json, e);
    if (rc == ERR_OK)
        rc = rollout_store_policy_save(db, doc, e);
    detail = json_pack("{s:O,s:O}", "before", before, "after", doc);
    return rc == ERR_OK ? audit_append(db, p->by, "rollout.policy", "rollout-policy", detail, e)
                        : rc;
}

enum err_code rollout_policy_patch(struct db *db, const json_t *patch, int64_t version,
                                   bool dry_run, const struct actor *by, struct arena *a,
                                   json_t **ret, int64_t *ret_version, struct err *e)
{
    struct patching p = {.patch = patch, .by = by, .version = version};
    enum err_code rc = change_run(db, "rollout.policy", dry_run, patch_tx, &p, e);

    (void)a;
    if (rc != ERR_OK) {
        json_decref(p.json);
        return rc;
    }
    *ret = p.json;
    *ret_version = version + 1;
    return ERR_OK;
}
