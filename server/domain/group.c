#include "domain/group.h"

#include "base/clock.h"
#include "base/rand.h"
#include "domain/change.h"
#include "domain/issue.h"
#include "store/device_store.h"
#include "store/fleet_store.h"
#include "store/group_store.h"
#include "store/list_store.h"
#include "store/revision_store.h"

#include <stdio.h>
#include <string.h>

enum { GROUP_ARENA = 256 * 1024 * 1024 };

const char *const group_kind_names[] = {"set", "mx", NULL};

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

static json_t *group_to_json(const struct group_row *g)
{
    char at[CLOCK_TEXT_SIZE];

    clock_format(g->created_at_ms, at);
    return json_pack("{s:s,s:s,s:s,s:I,s:O,s:I,s:s}", "id", g->id, "name", g->name, "kind", g->kind,
                     "priority", (json_int_t)g->priority, "members", g->members, "version",
                     (json_int_t)g->version, "created_at", at);
}

enum err_code group_get(struct db *db, const char *ref, json_t **ret, int64_t *ret_version,
                        struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(GROUP_ARENA);
    struct group_row g;
    enum err_code rc = a == NULL ? no_memory(e) : group_store_get(db, ref, a, &g, e);

    if (rc != ERR_OK)
        return rc;
    *ret = group_to_json(&g);
    *ret_version = g.version;
    return *ret == NULL ? no_memory(e) : ERR_OK;
}

enum err_code group_list(struct db *db, const char *after, int limit, json_t **ret,
                         char ret_next[64], struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(GROUP_ARENA);
    AUTO(json_free) json_t *items = json_array();
    struct group_row *rows = NULL;
    size_t n = 0;
    enum err_code rc;

    if (a == NULL || items == NULL)
        return no_memory(e);
    rc = group_store_list(db, after, limit, a, &rows, &n, e);
    if (rc != ERR_OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(items, group_to_json(&rows[i])) != 0)
            return no_memory(e);
    (void)snprintf(ret_next, 64, "%s", n == (size_t)limit ? rows[n - 1].name : "");
    *ret = TAKE(items);
    return ERR_OK;
}

/* --- changing --- */

struct group_ctx {
    const char *ref, *device_ref;
    int64_t version;
    const struct group_spec *spec;
    const struct group_change *c;
    bool join;
    json_t *result;
    int64_t ret_version;
};

static enum err_code check_name(const char *name, struct err *e)
{
    size_t n = strlen(name);

    /* a name must never be taken for an id */
    if (n >= 1 && n <= 63 && !uuid_is_valid(name) &&
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n &&
        name[0] != '.' && name[0] != '-')
        return ERR_OK;
    return err_field(e, ERR_INVALID, "/name",
                     "a group's name has 1 to 63 letters, digits, '.', '_' and '-' and begins with "
                     "a letter or digit");
}

static enum err_code name_taken(const struct group_spec *spec, struct err *e)
{
    return err_field(e, ERR_CONFLICT, "/name", "there is a group \"%s\" already",
                     spec->name == NULL ? "" : spec->name);
}

static enum err_code audit_group(struct db *db, const struct group_ctx *x, const char *action,
                                 const char *id, const json_t *before, const json_t *after,
                                 struct err *e)
{
    AUTO(json_free)
    json_t *detail =
        json_pack("{s:O?,s:O?,s:s*}", "before", before, "after", after, "forced", x->c->force);
    char object[64];

    (void)snprintf(object, sizeof object, "group/%s", id);
    return detail == NULL ? no_memory(e) : audit_append(db, x->c->by, action, object, detail, e);
}

/* New bundles for the members named in an array of {"id"}. */
static enum err_code reissue(struct db *db, const struct group_ctx *x, const json_t *members,
                             struct arena *a, struct err *e)
{
    size_t n = json_array_size(members);
    const char **ids = arena_alloc(a, (n + 1) * sizeof *ids);

    if (ids == NULL)
        return no_memory(e);
    for (size_t i = 0; i < n; i++)
        ids[i] = json_str(json_array_get(members, i), "id", "");
    return n == 0 ? ERR_OK : issue_reissue(db, x->c->app, ids, n, a, e);
}

static enum err_code result_of(struct db *db, struct group_ctx *x, const char *id, struct err *e)
{
    json_decref(x->result);
    x->result = NULL;
    return group_get(db, id, &x->result, &x->ret_version, e);
}

static enum err_code create_in_tx(struct db *db, void *ctx, struct err *e)
{
    struct group_ctx *x = ctx;
    struct group_row row = {.id = x->ref,
                            .name = x->spec->name,
                            .kind = group_kind_names[x->spec->kind < 0 ? 0 : x->spec->kind],
                            .priority = x->spec->priority};
    enum err_code rc = group_store_insert(db, &row, e);

    if (rc == ERR_CONFLICT)
        return name_taken(x->spec, e);
    if (rc == ERR_OK)
        rc = result_of(db, x, x->ref, e);
    return rc == ERR_OK ? audit_group(db, x, "group.create", x->ref, NULL, x->result, e) : rc;
}

static enum err_code run(struct db *db, const char *name, tx_fn fn, struct group_ctx *x,
                         json_t **ret, struct err *e)
{
    enum err_code rc = change_run(db, name, x->c->dry_run, fn, x, e);
    struct err later;

    if (rc == ERR_OK && !x->c->dry_run)
        (void)issue_committed(db, x->c->app,
                              &later); /* the job thread follows the hint of the commit */
    if (rc == ERR_OK && ret != NULL)
        *ret = TAKE(x->result);
    json_decref(x->result);
    return rc;
}

enum err_code group_create(struct db *db, const struct group_spec *spec,
                           const struct group_change *c, json_t **ret, struct err *e)
{
    char id[UUID_TEXT_SIZE];
    struct group_ctx x = {.ref = id, .spec = spec, .c = c};
    enum err_code rc = check_name(spec->name, e);

    uuid7(id);
    return rc == ERR_OK ? run(db, "group_create", create_in_tx, &x, ret, e) : rc;
}

static enum err_code lock_group(struct db *db, const struct group_ctx *x, struct arena *a,
                                struct group_row *g, struct err *e)
{
    enum err_code rc;

    if (a == NULL)
        return no_memory(e);
    rc = revision_store_lock(db, e); /* before every other lock: a publication reads the groups */
    if (rc == ERR_OK)
        rc = group_store_lock(db, x->ref, a, g, e);
    if (rc == ERR_OK && x->version != 0 && g->version != x->version)
        return err_set(e, ERR_STALE_EDIT, "the present version is \"%lld\"", (long long)g->version);
    return rc;
}

static enum err_code effective_of(struct db *db, const json_t *content, const char *device_id,
                                  struct arena *a, json_t **ret, struct err *e)
{
    struct catalog_layer *layers = NULL;
    size_t n = 0;
    enum err_code rc = issue_layers(db, content, device_id, a, &layers, &n, e);

    return rc == ERR_OK ? catalog_merge(layers, n, ret, e) : rc;
}

/* What the members (array of {"id"}) have now, for judge_groups() after the change. */
static enum err_code remember(struct db *db, const json_t *members, struct arena *a,
                              const json_t **ret_content, json_t **ret_befores, struct err *e)
{
    AUTO(json_free) json_t *befores = json_object();
    struct revision_row head;
    json_t *m;
    size_t i;
    enum err_code rc = befores == NULL ? no_memory(e) : revision_store_get(db, 0, a, &head, e);

    json_array_foreach(members, i, m)
    {
        json_t *effective = NULL;

        if (rc == ERR_OK)
            rc = effective_of(db, head.content, json_str(m, "id", ""), a, &effective, e);
        if (rc == ERR_OK && json_object_set_new(befores, json_str(m, "id", ""), effective) != 0)
            rc = no_memory(e);
    }
    if (rc != ERR_OK)
        return rc;
    *ret_content = head.content;
    *ret_befores = TAKE(befores);
    return ERR_OK;
}

/* Would every member still get settings that can be applied? */
static enum err_code judge_groups(struct db *db, const struct group_ctx *x, const json_t *content,
                                  const json_t *befores, struct err *e)
{
    AUTO(json_free) json_t *none = json_array();
    struct check c = {.before = content,
                      .after = content,
                      .leaves = none,
                      .lang = x->c->lang,
                      .befores = befores,
                      .joins = x->join};
    enum err_code rc;

    findings_clear(x->c->f);
    rc = check_devices(db, &c, x->c->f, NULL, e);
    if (rc == ERR_OK && check_hard(x->c->f) > 0)
        return err_set(e, ERR_INVALID, "a device would get settings that cannot be applied");
    if (rc == ERR_OK && check_forceable(x->c->f) > 0 && x->c->force == NULL)
        return err_field(e, ERR_INVALID, "/query/force",
                         "a device would get settings that need a reason: give it with ?force=");
    return rc;
}

static enum err_code update_in_tx(struct db *db, void *ctx, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(GROUP_ARENA);
    AUTO(json_free) json_t *before = NULL, *befores = NULL;
    const json_t *content = NULL;
    struct group_ctx *x = ctx;
    struct group_row g;
    enum err_code rc = lock_group(db, x, a, &g, e);
    bool reorder;

    if (rc != ERR_OK)
        return rc;
    before = group_to_json(&g);
    reorder = x->spec->priority != 0 && x->spec->priority != g.priority;
    if (x->spec->name != NULL)
        g.name = x->spec->name;
    if (x->spec->kind >= 0)
        g.kind = group_kind_names[x->spec->kind];
    if (x->spec->priority != 0)
        g.priority = x->spec->priority;
    rc = remember(db, g.members, a, &content, &befores, e);
    if (rc == ERR_OK)
        rc = group_store_update(db, &g, e);
    if (rc == ERR_CONFLICT)
        return name_taken(x->spec, e);
    if (rc == ERR_OK && reorder)
        rc = judge_groups(db, x, content, befores, e);
    if (rc == ERR_OK && reorder)
        rc = reissue(db, x, g.members, a, e);
    if (rc == ERR_OK)
        rc = result_of(db, x, g.id, e);
    return rc == ERR_OK ? audit_group(db, x, "group.update", g.id, before, x->result, e) : rc;
}

enum err_code group_update(struct db *db, const char *ref, int64_t version,
                           const struct group_spec *spec, const struct group_change *c,
                           json_t **ret, struct err *e)
{
    struct group_ctx x = {.ref = ref, .version = version, .spec = spec, .c = c};
    enum err_code rc = spec->name == NULL ? ERR_OK : check_name(spec->name, e);

    return rc == ERR_OK ? run(db, "group_update", update_in_tx, &x, ret, e) : rc;
}

static enum err_code delete_in_tx(struct db *db, void *ctx, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(GROUP_ARENA);
    AUTO(json_free) json_t *before = NULL;
    struct group_ctx *x = ctx;
    struct revision_row head;
    struct group_row g;
    bool listed = false;
    enum err_code rc = lock_group(db, x, a, &g, e);

    if (rc == ERR_OK)
        rc = revision_store_get(db, 0, a, &head, e);
    if (rc != ERR_OK)
        return rc;
    /* else its values would come back with a restore, or stay behind unseen */
    if (json_object_size(content_layer(head.content, "group", g.id)) > 0)
        return err_set(e, ERR_CONFLICT, "group \"%s\" has published settings: take them back first",
                       g.name);
    rc = list_store_uses(db, g.id, &listed, e);
    if (rc == ERR_OK && listed)
        return err_set(e, ERR_CONFLICT,
                       "group \"%s\" has rows in the lists of addresses: remove them first",
                       g.name);
    if (rc != ERR_OK)
        return rc;
    before = group_to_json(&g);
    rc = group_store_delete(db, g.id, e);
    if (rc == ERR_OK)
        rc = reissue(db, x, g.members, a, e);
    return rc == ERR_OK ? audit_group(db, x, "group.delete", g.id, before, NULL, e) : rc;
}

enum err_code group_delete(struct db *db, const char *ref, int64_t version,
                           const struct group_change *c, struct err *e)
{
    struct group_ctx x = {.ref = ref, .version = version, .c = c};

    return run(db, "group_delete", delete_in_tx, &x, NULL, e);
}

/* --- members --- */

static enum err_code member_in_tx(struct db *db, void *ctx, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(GROUP_ARENA);
    AUTO(json_free) json_t *one = NULL, *befores = NULL, *detail = NULL;
    const json_t *content = NULL;
    struct group_ctx *x = ctx;
    struct device d = {0};
    struct group_row g;
    char object[64];
    int64_t n = 0;
    enum err_code rc = lock_group(db, x, a, &g, e);

    if (rc == ERR_OK)
        rc = device_store_get(db, x->device_ref, a, &d, e);
    if (rc == ERR_OK && (one = json_pack("[{s:s}]", "id", d.id)) == NULL)
        rc = no_memory(e);
    if (rc == ERR_OK)
        rc = remember(db, one, a, &content, &befores, e);
    if (rc == ERR_OK)
        rc = x->join ? group_store_add(db, g.id, d.id, &n, e)
                     : group_store_remove(db, g.id, d.id, &n, e);
    x->ret_version = g.version;
    if (rc != ERR_OK || n == 0)
        return rc; /* it is so already */
    rc = judge_groups(db, x, content, befores, e);
    if (rc == ERR_OK)
        rc = group_store_touch(db, g.id, e);
    if (rc == ERR_OK) /* the group's rows of lists are this device's now, or no longer */
        rc = fleet_store_note(db, "lists", g.id, e);
    if (rc == ERR_OK)
        rc = issue_reissue(db, x->c->app, (const char *const[]){d.id}, 1, a, e);
    if (rc != ERR_OK)
        return rc;
    x->ret_version = g.version + 1;
    detail = json_pack("{s:s,s:s,s:s,s:s*}", "group", g.name, "device", d.id, "name", d.name,
                       "forced", x->c->force);
    (void)snprintf(object, sizeof object, "group/%s", g.id);
    return detail == NULL ? no_memory(e)
                          : audit_append(db, x->c->by, x->join ? "group.join" : "group.leave",
                                         object, detail, e);
}

enum err_code group_add(struct db *db, const char *ref, const char *device_ref, int64_t version,
                        const struct group_change *c, int64_t *ret_version, struct err *e)
{
    struct group_ctx x = {
        .ref = ref, .device_ref = device_ref, .version = version, .c = c, .join = true};
    enum err_code rc = run(db, "group_add", member_in_tx, &x, NULL, e);

    *ret_version = x.ret_version;
    return rc;
}

enum err_code group_remove(struct db *db, const char *ref, const char *device_ref, int64_t version,
                           const struct group_change *c, int64_t *ret_version, struct err *e)
{
    struct group_ctx x = {.ref = ref, .device_ref = device_ref, .version = version, .c = c};
    enum err_code rc = run(db, "group_remove", member_in_tx, &x, NULL, e);

    *ret_version = x.ret_version;
    return rc;
}
