/* A rollout begins: inside the transaction of its publication. */
#include "domain/rollout_private.h"

#include "domain/combine.h"
#include "domain/issue.h"
#include "domain/recovery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct making {
    struct rollout_run x;
    const struct rollout_new *w;
    struct issue_change *changes;
    size_t n_changes;
    struct rollout_target *targets; /* in the same order */
    size_t n_targets;
    struct strategy_device *plan;
    size_t n_plan;
    json_t *strategy;
    const char *urgent; /* laid over what each device has, "6"; "": the whole publication */
};

static enum err_code compare(struct making *m, struct err *e)
{
    return issue_compare(m->x.db, m->x.app, m->w->content, m->urgent, m->x.a, &m->changes,
                         &m->n_changes, e);
}

/* The rows are as of the engine's last pass: whoever has fetched it since, and said so, keeps it.
 */
static size_t not_fetched(const struct rollout_run *old, const char **ids, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < old->n && kept < n; i++) {
        const struct rollout_device *d = &old->d[i];
        if (strcmp(d->state, "offered") == 0 && strcmp(rollout_device_word(d), "offered") == 0)
            ids[kept++] = d->id;
    }
    return kept;
}

/* It is over; its devices on the way stay so.  What it offered and nobody fetched is added to ids:
 * each of those devices is entitled to what it had before again. */
static enum err_code supersede(struct making *m, const char *id, json_t *ids, struct err *e)
{
    struct rollout_run old = rollout_beside(&m->x);
    const char **offered = NULL;
    size_t n = 0;
    enum err_code rc = rollout_load(&old, id, e);

    if (rc == ERR_OK)
        rc = rollout_device_store_supersede(old.db, id, old.now_ms, old.a, &offered, &n, e);
    if (rc == ERR_OK)
        n = not_fetched(&old, offered, n);
    if (rc == ERR_OK && n > 0 && m->x.s.kind != STRATEGY_ALL)
        rc = rollout_target_store_reset_pub(old.db, id, issue_id_array(offered, n, old.a), e);
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(ids, json_string(offered[i]));
    old.row.auto_revert = false;
    return rc == ERR_OK ? rollout_enter(&old, "superseded", "", e) : rc;
}

/* Unless everybody gets the new one at once anyway. */
static enum err_code take_back(struct making *m, const json_t *list, struct err *e)
{
    size_t n = json_array_size(list);
    const char **ids = arena_alloc(m->x.a, (n + 1) * sizeof *ids);
    enum err_code rc;

    if (ids == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++)
        ids[i] = json_string_value(json_array_get(list, i));
    if (n == 0 || m->x.s.kind == STRATEGY_ALL)
        return ERR_OK;
    rc = issue_reissue(m->x.db, m->x.app, ids, n, m->x.a, e);
    if (rc == ERR_OK) /* a halt of the new one goes back to this, not to what was never taken */
        rc = rollout_target_store_list(m->x.db, m->x.a, &m->targets, &m->n_targets, e);
    return rc == ERR_OK ? compare(m, e) : rc;
}

/* An expedited one on its way is let through; what comes after it holds its change too. */
static bool goes_first(const struct rollout_row *r)
{
    static const char *const moving[] = {"shadow", "running", "baking", NULL};

    if (r->urgent[0] == '\0')
        return false;
    for (int i = 0; moving[i] != NULL; i++) {
        if (strcmp(r->state, moving[i]) == 0)
            return true;
    }
    return r->waits[0] != '\0' && strcmp(r->waits, ROLLOUT_ABSENT) != 0;
}

/* It brings one change and nothing else along: what is on its way stands aside and goes on
 * afterwards. */
static enum err_code let_stand_aside(struct making *m, struct err *e)
{
    struct rollout_row *v = NULL;
    size_t n = 0;
    enum err_code rc = rollout_store_unended(m->x.db, m->x.a, &v, &n, e);

    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        struct rollout_run other = rollout_beside(&m->x);
        if (strcmp(v[i].id, m->w->id) == 0)
            continue;
        rc = rollout_load(&other, v[i].id, e);
        if (rc == ERR_OK)
            rc = rollout_standing(&other, e);
    }
    return rc;
}

static enum err_code supersede_all(struct making *m, struct err *e)
{
    AUTO(json_free) json_t *ids = json_array();
    struct rollout_row *v = NULL;
    size_t n = 0;
    enum err_code rc = ids == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                   : rollout_store_unended(m->x.db, m->x.a, &v, &n, e);

    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        if (strcmp(v[i].id, m->w->reverts) != 0 && !goes_first(&v[i]))
            rc = supersede(m, v[i].id, ids, e);
    }
    return rc == ERR_OK ? take_back(m, ids, e) : rc;
}

static enum err_code read_strategy(struct making *m, struct err *e)
{
    const json_t *policy = NULL;
    int64_t version = 0;
    enum err_code rc = rollout_store_policy(m->x.db, m->x.a, &policy, &version, e);

    if (rc == ERR_OK)
        /* What is taken back goes the way it came, and waits for nobody's approval. */
        rc = strategy_merge(m->w->reverts[0] == '\0' ? policy : NULL, m->w->asked, "/rollout",
                            &m->strategy, e);
    if (rc == ERR_OK)
        rc = strategy_read(m->strategy, "/rollout", &m->x.s, e);
    if (rc != ERR_OK)
        return rc;
    return arena_defer(m->x.a, (void (*)(void *))json_decref, m->strategy)
               ? ERR_OK
               : err_set(e, ERR_NO_MEMORY, "out of memory");
}

/* What one that takes back an expedited one lays over a device is both: they cancel each other. */
static enum err_code choose_urgent(struct making *m, struct err *e)
{
    struct rollout_row old = {.urgent = ""};
    char own[24];
    int64_t most = 0;
    enum err_code rc = ERR_OK;

    m->urgent = "";
    if (!m->x.s.expedite)
        return ERR_OK;
    if (m->w->reverts[0] != '\0')
        rc = rollout_store_get(m->x.db, m->w->reverts, m->x.a, &old, e);
    if (rc == ERR_OK)
        rc = rollout_target_store_most_urgent(m->x.db, &most, e);
    if (rc == ERR_OK && most + 2 > COMBINE_MAX)
        rc = err_field(e, ERR_CONFLICT, "/rollout/expedite",
                       "a device has %lld expedited changes on top of its revision, which is the "
                       "limit: publish one that is not expedited first",
                       (long long)most);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(own, sizeof own, "%lld", (long long)m->w->pub);
    m->urgent = combine_lists(m->x.a, old.urgent, own, 0);
    return m->urgent == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}

/* Before anything is superseded: a dry run and the publication after it count the same. */
static struct rollout_reach reach_of(const struct making *m)
{
    struct rollout_reach r = {0};

    for (size_t i = 0; i < m->n_changes; i++) {
        bool managed = strcmp(m->targets[i].mode, "manage") == 0;
        r.of += managed;
        r.devices += managed && m->changes[i].changed;
    }
    /* What is taken back waits for nobody's counting either. */
    r.confirm = m->w->reverts[0] == '\0' && strategy_wants_number(&m->x.s, r.devices, r.of);
    return r;
}

/* A slip of the layer is seen in the number; a number that is said binds also where none is asked
 * for. */
static enum err_code check_number(const struct making *m, struct err *e)
{
    const struct rollout_reach r = *m->w->ret_reach;

    if (m->w->confirm == ROLLOUT_NOT_SAID)
        return !r.confirm || m->w->dry_run
                   ? ERR_OK
                   : err_field(e, ERR_CONFIRMATION_NEEDED, "/confirm",
                               "%zu of %zu managed devices would change, which is more than %lld "
                               "%%: say the number of devices that change",
                               r.devices, r.of, (long long)m->x.s.confirm_above);
    return m->w->confirm == (int64_t)r.devices
               ? ERR_OK
               : err_field(e, ERR_CONFIRMATION_NEEDED, "/confirm",
                           "%lld was said, but %zu of %zu managed devices would change",
                           (long long)m->w->confirm, r.devices, r.of);
}

static void settle_strategy(struct making *m)
{
    strategy_settle(&m->x.s, m->w->ret_reach->devices);
    (void)json_object_del(m->strategy, "confirm_above"); /* what takes it back asks for it again */
    (void)json_object_del(m->strategy, "confirm_min");
    (void)json_object_set_new(m->strategy, "strategy",
                              json_string(strategy_kind_names[m->x.s.kind]));
}

static enum err_code plan(struct making *m, struct err *e)
{
    struct strategy_device *v = arena_alloc(m->x.a, (m->n_changes + 1) * sizeof *v);
    int64_t online = m->x.now_ms - m->x.s.offline_after_s * 1000;

    if (v == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < m->n_changes; i++) {
        const struct rollout_target *t = &m->targets[i];
        if (m->changes[i].changed)
            v[m->n_plan++] = (struct strategy_device){
                .id = t->id,
                .group = t->group,
                .can_lead = strcmp(t->mode, "manage") == 0 && strcmp(t->state, "managed") == 0 &&
                            rollout_seen_ms(m->x.app, t->id, t->seen_ms) > online};
    }
    m->plan = v;
    m->x.row.n_waves = strategy_plan(&m->x.s, m->w->id, v, m->n_plan);
    return ERR_OK;
}

static int64_t pub_of(const struct making *m, const char *id)
{
    for (size_t lo = 0, hi = m->n_targets; lo < hi;) {
        size_t mid = (lo + hi) / 2;
        int c = strcmp(m->targets[mid].id, id);
        if (c == 0)
            return m->targets[mid].pub;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return 0;
}

static enum err_code store(struct making *m, struct err *e)
{
    AUTO(json_free) json_t *rows = json_array();
    struct rollout_row *r = &m->x.row;
    enum err_code rc;

    for (size_t i = 0; i < m->n_plan; i++)
        (void)json_array_append_new(
            rows, json_pack("{s:s,s:i,s:i,s:s,s:s,s:I}", "device_id", m->plan[i].id, "wave",
                            m->plan[i].wave, "place", m->plan[i].place, "state", "queued", "reason",
                            "", "from_pub", (json_int_t)pub_of(m, m->plan[i].id)));
    if (json_array_size(rows) != m->n_plan)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    r->id = m->w->id;
    r->pub = m->w->pub;
    r->author = m->w->author;
    r->author_id = m->w->author_id;
    r->reverts = m->w->reverts;
    r->strategy = m->strategy;
    r->reason = r->paused_from = r->approver = r->waits = "";
    r->urgent = m->urgent;
    r->created_ms = r->state_ms = m->x.now_ms;
    r->state = m->n_plan == 0                   ? "completed"
               : m->x.s.shadow == SHADOW_ALWAYS ? "shadow"
               : m->x.s.approval                ? "awaiting-approval"
                                                : "running";
    r->ended_ms = m->n_plan == 0 ? m->x.now_ms : 0;
    rc = rollout_store_insert(m->x.db, r, e);
    return rc == ERR_OK ? rollout_device_store_add(m->x.db, r->id, rows, e) : rc;
}

/* Who is not touched by it has it already; with "all" nobody waits for a wave. */
static enum err_code advance_others(struct making *m, struct err *e)
{
    const char **ids = arena_alloc(m->x.a, (m->n_changes + 1) * sizeof *ids);
    struct issue_of of;
    size_t n = 0;

    if (ids == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < m->n_changes; i++) {
        if (!m->changes[i].changed)
            ids[n++] = m->changes[i].id;
    }
    if (n == 0 || (m->n_plan > 0 && m->x.s.kind != STRATEGY_ALL))
        return ERR_OK; /* when it is over: rollout_catch_up() */
    if (m->n_plan > 0 && strcmp(m->x.row.state, "running") != 0)
        return ERR_OK; /* it waits for somebody: another group must not bring it to them before */
    of = rollout_gives(&m->x);
    return issue_entitle(m->x.db, &of, ids, n, m->x.a, e);
}

/* In the order of ids; x.d is in the order of places. */
static json_t *answer(struct making *m)
{
    json_t *list = json_array(), *by_id = json_object();

    for (size_t i = 0; i < m->x.n; i++)
        (void)json_object_set_new(
            by_id, m->x.d[i].id,
            json_pack("{s:s,s:I}", "state", m->x.d[i].state, "rev", (json_int_t)m->x.d[i].rev));
    for (size_t i = 0; i < m->n_changes; i++) {
        const struct issue_change *c = &m->changes[i];
        const json_t *one = json_object_get(by_id, c->id);
        int64_t rev = json_int(one, "rev", 0);
        (void)json_array_append_new(
            list, json_pack("{s:s,s:s,s:I,s:b,s:s}", "id", c->id, "name", c->name, "rev",
                            (json_int_t)(rev > 0 ? rev : c->rev), "changed", c->changed, "state",
                            json_str(one, "state", "unchanged")));
    }
    json_decref(by_id);
    return list;
}

/* The rollout that this one takes back releases nothing any more. */
static enum err_code stop_reverted(struct making *m, struct err *e)
{
    struct rollout_run old = rollout_beside(&m->x);
    enum err_code rc;

    if (m->w->reverts[0] == '\0')
        return ERR_OK;
    rc = rollout_load(&old, m->w->reverts, e);
    if (rc == ERR_OK && !rollout_revert_possible(old.row.state))
        return err_set(e, ERR_CONFLICT, "a rollout that is \"%s\" does not take the order \"%s\"",
                       old.row.state, "revert");
    if (rc == ERR_OK && m->w->owed && !old.row.auto_revert) /* a person was faster */
        return err_set(e, ERR_CONFLICT, "the rollout asks for no revert any more");
    if (rc == ERR_OK)
        rc = rollout_device_store_drop_queued(old.db, old.row.id, "skipped", "cancelled",
                                              old.now_ms, e);
    old.row.auto_revert = false;
    return rc == ERR_OK ? rollout_enter(&old, "reverting", "", e) : rc;
}

/* Nobody's settings change. */
static enum err_code done_at_once(struct making *m, struct err *e)
{
    char object[64];
    enum err_code rc = rollout_tell_reverted(&m->x, "reverted", e);

    (void)snprintf(object, sizeof object, "rollout/%s", m->w->id);
    return rc == ERR_OK ? rollout_note(&m->x, "rollout.completed", object,
                                       json_pack("{s:I,s:i,s:s,s:s,s:s}", "pub",
                                                 (json_int_t)m->w->pub, "wave", 0, "from", "", "to",
                                                 "completed", "reason", "nothing-changes"),
                                       e)
                        : rc;
}

static enum err_code begin(struct making *m, struct err *e)
{
    enum err_code rc = recovery_lock(m->x.db, m->x.app, e);

    if (rc == ERR_OK)
        rc = read_strategy(m, e);
    if (rc == ERR_OK)
        rc = choose_urgent(m, e);
    if (rc == ERR_OK)
        rc = compare(m, e);
    if (rc == ERR_OK)
        rc = rollout_target_store_list(m->x.db, m->x.a, &m->targets, &m->n_targets, e);
    if (rc == ERR_OK && m->n_targets != m->n_changes) /* both hold the issuer's lock */
        rc = err_set(e, ERR_CONFLICT, "the devices changed meanwhile");
    if (rc == ERR_OK)
        rc = stop_reverted(m, e);
    if (rc != ERR_OK)
        return rc;
    *m->w->ret_reach = reach_of(m);
    rc = check_number(m, e);
    if (rc != ERR_OK)
        return rc;
    settle_strategy(m);
    if (m->urgent[0] == '\0')
        rc = supersede_all(m, e);
    if (rc == ERR_OK)
        rc = plan(m, e);
    if (rc == ERR_OK)
        rc = store(m, e);
    if (rc == ERR_OK && m->n_plan == 0) /* the engine never looks at it */
        rc = done_at_once(m, e);
    if (rc == ERR_OK && strcmp(m->x.row.state, "shadow") == 0)
        rc = rollout_ask(&m->x, m->changes, m->targets, m->n_changes, e);
    return rc == ERR_OK ? advance_others(m, e) : rc;
}

enum err_code rollout_make(struct db *db, struct app *app, const struct rollout_new *w,
                           struct arena *a, json_t **ret_devices, json_t **ret_rollout,
                           struct err *e)
{
    struct making m = {.w = w};
    enum err_code rc = rollout_begin(&m.x, db, app, a, 0, e);

    m.x.lean = true;
    if (rc == ERR_OK)
        rc = begin(&m, e);
    if (rc == ERR_OK)
        rc = rollout_reload(&m.x, e);
    if (rc == ERR_OK)
        rc = rollout_store_waits(db, &m.x.row, a, &m.x.urgent_first, &m.x.silent, e);
    if (rc == ERR_OK)
        rc = rollout_standing(&m.x, e);
    if (rc == ERR_OK && m.urgent[0] != '\0')
        rc = let_stand_aside(&m, e);
    if (rc == ERR_OK && strcmp(m.x.row.state, "running") == 0)
        rc = rollout_release(&m.x, e);
    if (rc == ERR_OK)
        rc = rollout_write_notes(&m.x, e);
    if (rc != ERR_OK)
        return rc;
    *ret_devices = answer(&m);
    *ret_rollout = json_pack("{s:s,s:s,s:i}", "state", m.x.row.state, "strategy",
                             strategy_kind_names[m.x.s.kind], "waves", m.x.row.n_waves);
    return *ret_devices == NULL || *ret_rollout == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                                        : ERR_OK;
}

enum err_code rollout_is_expedited(struct db *db, const json_t *asked, struct arena *a, bool *ret,
                                   struct err *e)
{
    const json_t *policy = NULL;
    int64_t version = 0;
    enum err_code rc = rollout_store_policy(db, a, &policy, &version, e);

    *ret = json_is_true(json_object_get(asked, "expedite")) ||
           (json_object_get(asked, "expedite") == NULL &&
            json_is_true(json_object_get(policy, "expedite")));
    return rc;
}
