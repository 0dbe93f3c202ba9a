#include "domain/check_private.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/strbuf.h"

#include "http/problem.h"
#include "plan/plan.h"
#include "store/group_store.h"

#include <stdio.h>
#include <string.h>

enum { MODEL_ARENA = 512 * 1024 * 1024, DEVICE_ARENA = 64 * 1024 * 1024 };

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

/* --- devices --- */

struct model {
    struct fact_row *devices;
    size_t n;
    struct bundle_member *members;
    size_t n_members;
    struct arena *a;
    json_t *share_of; /* key -> index into shares */
    struct shared *shares;
    size_t n_shares;
};

/* Devices with the same groups and no layer of their own have the same settings: merged and
 * compared once. */
struct shared {
    json_t *after, *before; /* effective; owned by the arena */
    size_t changes;
    struct judged *judged; /* what the planner said of them, by the facts of the device */
};

/* Devices with the same settings and the same facts get the same findings: a fleet made from one
 * image is planned once. (The planner knows the id too, but only names the probe's domain by it.)
 */
struct judged {
    struct judged *next;
    char facts[SHA256_HEX_SIZE];
    struct findings f;
};

struct planned {
    struct shared *share;
    const json_t *after, *before;
    size_t changes;
    struct plan_facts facts;
    const char **groups;
    size_t n_groups;
};

static enum err_code load(struct db *db, struct model *m, struct err *e)
{
    enum err_code rc = group_store_facts(db, m->a, &m->devices, &m->n, e);

    return rc == ERR_OK ? bundle_store_members(db, NULL, m->a, &m->members, &m->n_members, e) : rc;
}

/* Members are in order of their device. */
static const struct bundle_member *members_of(const struct model *m, const char *device_id,
                                              size_t *ret_n)
{
    size_t lo = 0, hi = m->n_members, end;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (strcmp(m->members[mid].device_id, device_id) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (end = lo; end < m->n_members && strcmp(m->members[end].device_id, device_id) == 0; end++)
        continue;
    *ret_n = end - lo;
    return m->members + lo;
}

/* device_id NULL: the fleet's layer alone. */
static enum err_code merge_for(const struct model *m, const json_t *content, const char *device_id,
                               json_t **ret, struct err *e)
{
    size_t n = 0, n_members = 0;
    const struct bundle_member *members =
        device_id == NULL ? NULL : members_of(m, device_id, &n_members);
    struct catalog_layer *layers = arena_alloc(m->a, (n_members + 2) * sizeof *layers);

    if (layers == NULL)
        return no_memory(e);
    layers[n++] =
        (struct catalog_layer){LAYER_FLEET, "", "", content_layer(content, "fleet", ""), 0};
    for (size_t i = 0; i < n_members; i++)
        layers[n++] = (struct catalog_layer){
            LAYER_GROUP, members[i].group_id, members[i].group_name,
            content_layer(content, "group", members[i].group_id), members[i].priority};
    if (device_id != NULL)
        layers[n++] = (struct catalog_layer){LAYER_DEVICE, device_id, "",
                                             content_layer(content, "device", device_id), 0};
    return catalog_merge(layers, n, ret, e);
}

static void drop_json(void *p)
{
    json_decref(p);
}

/* What devices that share settings have in common; its own id for one that shares with nobody. */
static void sharing_key(const struct model *m, const struct check *c, const char *device_id,
                        struct strbuf *key)
{
    size_t n = 0;
    const struct bundle_member *members = members_of(m, device_id, &n);

    if (content_layer(c->before, "device", device_id) != NULL ||
        content_layer(c->after, "device", device_id) != NULL ||
        json_object_get(c->befores, device_id) != NULL) {
        strbuf_puts(key, device_id);
        return;
    }
    for (size_t i = 0; i < n; i++)
        strbuf_printf(key, "%s,", members[i].group_id);
    strbuf_puts(key, "-");
}

static enum err_code make_share(const struct model *m, const struct check *c, const char *device_id,
                                struct shared *x, struct err *e)
{
    enum err_code rc = merge_for(m, c->after, device_id, &x->after, e);

    if (rc != ERR_OK)
        return rc;
    if (!arena_defer(m->a, drop_json, x->after))
        return no_memory(e);
    if (json_object_get(c->befores, device_id) != NULL)
        x->before = json_deep_copy(json_object_get(c->befores, device_id));
    else
        rc = merge_for(m, c->before, device_id, &x->before, e);
    if (rc != ERR_OK)
        return rc;
    if (x->before == NULL || !arena_defer(m->a, drop_json, x->before))
        return no_memory(e);
    x->changes = check_count_changes(x->before, x->after);
    return ERR_OK;
}

static enum err_code share_for(struct model *m, const struct check *c, const char *device_id,
                               struct planned *p, struct err *e)
{
    AUTO_STRBUF struct strbuf key = STRBUF_INIT(MIB);
    struct shared *x;
    json_t *index;

    sharing_key(m, c, device_id, &key);
    if (!strbuf_ok(&key))
        return strbuf_check(&key, e);
    index = json_object_get(m->share_of, strbuf_str(&key));
    if (index == NULL) {
        enum err_code rc = make_share(m, c, device_id, &m->shares[m->n_shares], e);

        if (rc != ERR_OK)
            return rc;
        index = json_integer((json_int_t)m->n_shares++);
        if (json_object_set_new(m->share_of, strbuf_str(&key), index) != 0)
            return no_memory(e);
    }
    x = &m->shares[json_integer_value(index)];
    p->share = x;
    p->after = x->after;
    p->before = x->before;
    p->changes = x->changes;
    return ERR_OK;
}

static enum err_code prepare(struct model *m, const struct check *c, const struct fact_row *d,
                             struct planned *p, struct err *e)
{
    AUTO(json_free) json_t *none = json_object();
    const struct bundle_member *members;
    enum err_code rc = share_for(m, c, d->id, p, e);

    if (rc != ERR_OK)
        return rc;
    rc = plan_facts_from_json(d->facts == NULL ? none : d->facts, m->a, &p->facts, e);
    if (rc != ERR_OK)
        return rc;
    p->facts.device_id = d->id;
    p->facts.placement = d->placement;
    p->facts.now_ms = clock_wall_ms();
    members = members_of(m, d->id, &p->n_groups);
    p->groups = arena_alloc(m->a, (p->n_groups + 1) * sizeof *p->groups);
    if (p->groups == NULL)
        return no_memory(e);
    for (size_t i = 0; i < p->n_groups; i++)
        p->groups[i] = members[i].group_name;
    return ERR_OK;
}

static enum err_code plan_one(const struct check *c, const struct planned *p, const char *device_id,
                              struct findings *f, json_t **ret_plan, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(DEVICE_ARENA);
    struct plan *plan = NULL;
    enum err_code rc;

    if (a == NULL)
        return no_memory(e);
    rc = plan_make(p->after, &p->facts, "", a, &plan, f, e);
    if (rc == ERR_OK && f->errors > 0) {
        struct findings known = {0};

        rc = plan_make(p->before, &p->facts, "", a, &plan, &known, e);
        check_soften_known(f, &known);
        findings_clear(&known);
        plan = NULL; /* of the state before */
    }
    if (rc == ERR_OK && c->plans && plan != NULL && ret_plan != NULL)
        *ret_plan = plan_to_json(plan);
    for (size_t i = 0; rc == ERR_OK && c->at_changes && i < f->n; i++)
        check_repoint(&f->v[i], c->leaves, device_id);
    return rc;
}

static void drop_judged(void *p)
{
    findings_clear(&((struct judged *)p)->f);
}

/* What the planner says of a device, or said of one just like it; lives as long as the model. */
static enum err_code judge(const struct model *m, const struct check *c, const struct fact_row *d,
                           const struct planned *p, json_t **ret_plan, const struct findings **ret,
                           struct err *e)
{
    struct judged *j = arena_alloc(m->a, sizeof *j);
    AUTO(json_free)
    json_t *facts = json_pack("{s:s,s:O?}", "placement", d->placement, "facts", d->facts);

    if (j == NULL || facts == NULL || !arena_defer(m->a, drop_judged, j) ||
        !json_digest(facts, j->facts))
        return no_memory(e);
    for (const struct judged *x = p->share->judged; x != NULL && !c->plans; x = x->next) {
        if (strcmp(x->facts, j->facts) == 0) {
            *ret = &x->f;
            return ERR_OK;
        }
    }
    j->next = p->share->judged;
    p->share->judged = j;
    *ret = &j->f;
    return plan_one(c, p, d->id, &j->f, ret_plan, e);
}

static enum err_code report(const struct model *m, const struct check *c, const struct fact_row *d,
                            const struct planned *p, json_t *devices, struct findings *total,
                            struct err *e)
{
    const struct findings *f = NULL;
    json_t *plan = NULL, *entry;
    enum err_code rc = judge(m, c, d, p, &plan, &f, e);

    if (rc == ERR_OK) {
        check_take_over(total, f);
        entry = json_pack("{s:s,s:s,s:I,s:o}", "id", d->id, "name", d->name, "changes",
                          (json_int_t)p->changes, "findings", problem_findings(f, c->lang));
        if (plan != NULL && entry != NULL)
            (void)json_object_set(entry, "plan", plan);
        if (json_array_append_new(devices, entry) != 0)
            rc = no_memory(e);
    }
    json_decref(plan);
    return rc;
}

/* The rules that no single device shows; what was broken before is only said. */
static enum err_code fleet_rules(const struct model *m, const struct check *c,
                                 struct planned *planned, struct findings *total, struct err *e)
{
    struct plan_member *members = arena_alloc(m->a, (m->n + 1) * sizeof *members);
    struct findings f = {0}, known = {0};

    if (members == NULL)
        return no_memory(e);
    for (size_t i = 0; i < m->n; i++)
        members[i] =
            (struct plan_member){m->devices[i].id,  m->devices[i].name, planned[i].after,
                                 &planned[i].facts, planned[i].groups,  planned[i].n_groups};
    plan_check_fleet(members, m->n, &f);
    if (f.errors > 0 && !c->joins) {
        for (size_t i = 0; i < m->n; i++)
            members[i].settings = planned[i].before;
        plan_check_fleet(members, m->n, &known);
        check_soften_known(&f, &known);
    }
    for (size_t i = 0; c->at_changes && i < f.n; i++)
        check_repoint(&f.v[i], c->leaves, "");
    check_take_over(total, &f);
    findings_clear(&f);
    findings_clear(&known);
    return ERR_OK;
}

/* Groups of equal priority that disagree about a device (protocol 6.15).  Known only when the same
 * groups disagreed before: a change of groups makes them meet. */
static void group_rules(const struct model *m, const struct check *c, struct findings *total)
{
    for (size_t i = 0; i < m->n; i++) {
        const char *id = m->devices[i].id;
        struct findings f = {0}, known = {0};
        size_t n = 0;
        const struct bundle_member *members = members_of(m, id, &n);

        check_group_conflicts(members, n, c->after, &f);
        if (f.n > 0 && json_object_get(c->befores, id) == NULL)
            check_group_conflicts(members, n, c->before, &known);
        check_soften_known(&f, &known);
        for (size_t k = 0; c->at_changes && k < f.n; k++)
            check_repoint(&f.v[k], c->leaves, "");
        check_take_over(total, &f);
        findings_clear(&f);
        findings_clear(&known);
    }
}

/* Nobody has joined yet: still no setting may be stored that would open a relay on the first one.
 */
static enum err_code plan_fleet_layer(const struct model *m, const struct check *c,
                                      struct findings *total, struct err *e)
{
    struct planned p = {0};
    struct findings f = {0};
    json_t *after = NULL, *before = NULL;
    enum err_code rc = merge_for(m, c->after, NULL, &after, e);

    if (rc == ERR_OK)
        rc = merge_for(m, c->before, NULL, &before, e);
    p.after = after;
    p.before = before;
    if (rc == ERR_OK)
        rc = plan_one(c, &p, "", &f, NULL, e);
    check_take_over(total, &f);
    findings_clear(&f);
    json_decref(after);
    json_decref(before);
    return rc;
}

enum err_code check_devices(struct db *db, const struct check *c, struct findings *f,
                            json_t **ret_devices, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(MODEL_ARENA);
    AUTO(json_free) json_t *devices = json_array();
    struct model m = {.a = a};
    struct planned *planned;
    enum err_code rc;

    if (a == NULL || devices == NULL)
        return no_memory(e);
    rc = load(db, &m, e);
    if (rc != ERR_OK)
        return rc;
    planned = arena_alloc(a, (m.n + 1) * sizeof *planned);
    m.shares = arena_alloc(a, (m.n + 1) * sizeof *m.shares);
    m.share_of = json_object();
    if (planned == NULL || m.shares == NULL || m.share_of == NULL ||
        !arena_defer(a, drop_json, m.share_of))
        return no_memory(e);
    for (size_t i = 0; rc == ERR_OK && i < m.n; i++) {
        rc = prepare(&m, c, &m.devices[i], &planned[i], e);
        if (rc == ERR_OK && planned[i].changes > 0)
            rc = report(&m, c, &m.devices[i], &planned[i], devices, f, e);
    }
    if (rc == ERR_OK)
        rc = m.n > 0 ? fleet_rules(&m, c, planned, f, e) : plan_fleet_layer(&m, c, f, e);
    if (rc == ERR_OK)
        group_rules(&m, c, f);
    if (rc == ERR_OK && ret_devices != NULL)
        *ret_devices = TAKE(devices);
    return rc;
}
