#include "domain/draft.h"

#include "base/clock.h"
#include "base/rand.h"
#include "domain/change.h"
#include "http/problem.h"
#include "store/group_store.h"

#include <stdio.h>
#include <string.h>

enum { DRAFT_ARENA = 256 * 1024 * 1024, AUDIT_PATCH_MAX = 64 * 1024 };

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

static json_t *draft_to_json(const struct draft_row *d)
{
    char created[CLOCK_TEXT_SIZE], updated[CLOCK_TEXT_SIZE];

    clock_format(d->created_at_ms, created);
    clock_format(d->updated_at_ms, updated);
    return json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:s,s:s,s:O}", "id", d->id, "owner", d->owner,
                     "owner_name", d->owner_name, "title", d->title, "base_pub",
                     (json_int_t)d->base_pub, "version", (json_int_t)d->version, "created_at",
                     created, "updated_at", updated, "changes", d->changes);
}

enum err_code draft_may_change(const struct draft_row *draft, const struct actor *by,
                               bool any_owner, struct err *e)
{
    if (any_owner || strcmp(draft->owner, by->account) == 0)
        return ERR_OK;
    return err_set(e, ERR_FORBIDDEN, "this draft belongs to %s", draft->owner_name);
}

void leaf_pointer(const json_t *leaf, char *buf, size_t size)
{
    const char *layer = json_str(leaf, "layer", ""), *row = json_str(leaf, "row", "");
    char at[192], key[192];

    if (strcmp(layer, "fleet") == 0)
        (void)snprintf(at, sizeof at, "/changes/fleet");
    else
        json_pointer_add(at, sizeof at,
                         strcmp(layer, "group") == 0 ? "/changes/groups" : "/changes/devices",
                         json_str(leaf, "id", ""));
    json_pointer_add(key, sizeof key, at, json_str(leaf, "key", ""));
    if (row[0] == '\0')
        (void)snprintf(buf, size, "%s", key);
    else
        json_pointer_add(buf, size, key, row);
}

enum err_code leaves_describe(struct db *db, json_t *leaves, enum lang lang, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
    json_t *names = NULL, *leaf;
    size_t i;
    enum err_code rc = a == NULL ? no_memory(e) : group_store_names(db, a, &names, e);

    if (rc != ERR_OK)
        return rc;
    json_array_foreach(leaves, i, leaf)
    {
        const char *layer = json_str(leaf, "layer", ""), *id = json_str(leaf, "id", "");
        const struct setting *s = catalog_find(json_str(leaf, "key", ""));
        const json_t *of =
            json_object_get(names, strcmp(layer, "group") == 0 ? "groups" : "devices");

        if (json_object_set_new(leaf, "name", json_string(json_str(of, id, ""))) != 0 ||
            json_object_set_new(leaf, "label", json_string(s == NULL ? "" : s->label[lang])) != 0)
            return no_memory(e);
    }
    return ERR_OK;
}

/* --- groups and devices by name --- */

static const char *id_of(const json_t *names, const char *ref)
{
    const char *id;
    json_t *name;

    if (json_object_get(names, ref) != NULL)
        return ref;
    json_object_foreach((json_t *)(uintptr_t)names, id,
                        name) if (strcmp(json_string_value(name), ref) == 0) return id;
    return NULL;
}

/* One part ("groups" or "devices") of an edit with ids instead of names. */
static enum err_code resolve_part(const json_t *names, const char *part, const json_t *in,
                                  json_t *out, struct err *e)
{
    json_t *resolved = json_object(), *v;
    const char *ref;

    if (json_object_set_new(out, part, resolved) != 0)
        return no_memory(e);
    json_object_foreach((json_t *)(uintptr_t)in, ref, v)
    {
        const char *id = id_of(json_object_get(names, part), ref);
        char at[192], pointer[192];

        (void)snprintf(at, sizeof at, "/changes/%s", part);
        json_pointer_add(pointer, sizeof pointer, at, ref);
        if (id == NULL)
            return strcmp(part, "groups") == 0
                       ? err_field(e, ERR_INVALID, pointer, "there is no group \"%s\"", ref)
                       : err_field(e, ERR_INVALID, pointer, "there is no device \"%s\"", ref);
        if (!json_is_object(v) && !json_is_null(v))
            return err_field(e, ERR_INVALID, pointer, "settings must be an object");
        if (json_object_get(resolved, id) != NULL)
            return err_field(e, ERR_INVALID, pointer, "this one is named twice");
        if (json_object_set(resolved, id, v) != 0)
            return no_memory(e);
    }
    return ERR_OK;
}

static enum err_code resolve(struct db *db, const json_t *patch, struct arena *a, json_t **ret,
                             struct err *e)
{
    AUTO(json_free) json_t *out = json_object();
    json_t *names = NULL, *v;
    const char *part;
    enum err_code rc = out == NULL ? no_memory(e) : group_store_names(db, a, &names, e);

    if (rc != ERR_OK)
        return rc;
    json_object_foreach((json_t *)(uintptr_t)patch, part, v)
    {
        bool fleet = strcmp(part, "fleet") == 0;
        char pointer[192];

        json_pointer_add(pointer, sizeof pointer, "/changes", part);
        if (!fleet && strcmp(part, "groups") != 0 && strcmp(part, "devices") != 0)
            return err_field(e, ERR_INVALID, pointer,
                             "changes have the parts fleet, groups and devices");
        if (!json_is_object(v) && !json_is_null(v))
            return err_field(e, ERR_INVALID, pointer, "this must be an object");
        if (fleet || json_is_null(v))
            rc = json_object_set(out, part, v) == 0 ? ERR_OK : no_memory(e);
        else
            rc = resolve_part(names, part, v, out, e);
        if (rc != ERR_OK)
            return rc;
    }
    *ret = TAKE(out);
    return ERR_OK;
}

/* --- what a draft changes --- */

enum err_code draft_leaves(struct db *db, const struct draft_row *draft, struct arena *a,
                           struct findings *f, json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *target = NULL, *raw = NULL;
    struct revision_row base;
    enum err_code rc = revision_store_get(db, draft->base_pub, a, &base, e);

    if (rc != ERR_OK)
        return rc;
    target = json_deep_copy(base.content);
    if (target == NULL)
        return no_memory(e);
    rc = changes_apply(target, draft->changes, e);
    if (rc != ERR_OK)
        return rc;
    raw = content_diff(base.content, target);
    if (raw == NULL)
        return no_memory(e);
    rc = check_values(target, raw, true, f, e); /* also brings values into their normal form */
    if (rc != ERR_OK)
        return rc;
    *ret = content_diff(base.content, target);
    return *ret == NULL ? no_memory(e) : ERR_OK;
}

struct preview {
    json_t *leaves, *after, *conflicts, *devices; /* owned */
    const json_t *before;                         /* borrowed from the arena */
};

static void preview_clear(struct preview *p)
{
    json_decref(p->leaves);
    json_decref(p->after);
    json_decref(p->conflicts);
    json_decref(p->devices);
}

/* What publishing the draft now would do; its values win over colleagues' here, the publication
 * decides. */
static enum err_code preview(struct db *db, const struct draft_row *draft, struct arena *a,
                             bool plans, enum lang lang, struct findings *f, struct preview *p,
                             struct err *e)
{
    struct revision_row head;
    struct check c = {.at_changes = true, .plans = plans, .lang = lang};
    enum err_code rc = revision_store_get(db, 0, a, &head, e);

    if (rc == ERR_OK)
        rc = draft_leaves(db, draft, a, f, &p->leaves, e);
    if (rc != ERR_OK || f->errors > 0)
        return rc;
    p->before = head.content;
    p->after = json_deep_copy(head.content);
    if (p->after == NULL)
        return no_memory(e);
    rc = content_apply(p->after, p->leaves, true, &p->conflicts, e);
    c.before = head.content;
    c.after = p->after;
    c.leaves = p->leaves;
    return rc == ERR_OK ? check_devices(db, &c, f, &p->devices, e) : rc;
}

/* --- reading --- */

static enum err_code read_draft(struct db *db, const char *id, struct arena *a,
                                struct draft_row *ret, struct err *e)
{
    if (a == NULL)
        return no_memory(e);
    if (!uuid_is_valid(id))
        return err_set(e, ERR_NOT_FOUND, "there is no draft \"%s\"", id);
    return draft_store_get(db, id, a, ret, e);
}

enum err_code draft_get(struct db *db, const char *id, json_t **ret, int64_t *ret_version,
                        struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(DRAFT_ARENA);
    struct draft_row row;
    enum err_code rc = read_draft(db, id, a, &row, e);

    if (rc != ERR_OK)
        return rc;
    *ret = draft_to_json(&row);
    *ret_version = row.version;
    return *ret == NULL ? no_memory(e) : ERR_OK;
}

enum err_code draft_list(struct db *db, const char *owner, const char *before, int limit,
                         json_t **ret, char ret_next[64], struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(DRAFT_ARENA);
    AUTO(json_free) json_t *items = json_array();
    struct draft_row *rows = NULL;
    size_t n = 0;
    enum err_code rc;

    if (a == NULL || items == NULL)
        return no_memory(e);
    if (before[0] != '\0' && !uuid_is_valid(before))
        return err_field(e, ERR_INVALID, "/query/cursor", "this is not a cursor of this list");
    rc = draft_store_list(db, owner, before, limit, a, &rows, &n, e);
    if (rc != ERR_OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(items, draft_to_json(&rows[i])) != 0)
            return no_memory(e);
    (void)snprintf(ret_next, 64, "%s", n == (size_t)limit ? rows[n - 1].id : "");
    *ret = TAKE(items);
    return ERR_OK;
}

enum err_code draft_diff(struct db *db, const char *id, enum lang lang, json_t **ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(DRAFT_ARENA);
    AUTO(json_free) json_t *items = NULL;
    struct findings f = {0};
    struct preview p = {0};
    struct draft_row row;
    json_t *d;
    size_t i;
    enum err_code rc = read_draft(db, id, a, &row, e);

    if (rc == ERR_OK)
        rc = preview(db, &row, a, false, lang, &f, &p, e);
    if (rc == ERR_OK) {
        items = p.after == NULL ? json_incref(p.leaves) : content_diff(p.before, p.after);
        rc = items == NULL ? no_memory(e) : leaves_describe(db, items, lang, e);
    }
    json_array_foreach(p.devices, i, d)
    {
        (void)json_object_del(d, "findings");
    }
    if (rc == ERR_OK) {
        if (p.devices == NULL)
            p.devices = json_array();
        *ret = json_pack("{s:O,s:O}", "items", items, "devices", p.devices);
        rc = *ret == NULL ? no_memory(e) : ERR_OK;
    }
    preview_clear(&p);
    findings_clear(&f);
    return rc;
}

enum err_code draft_check(struct db *db, const char *id, enum lang lang, json_t **ret,
                          struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(DRAFT_ARENA);
    struct findings f = {0};
    struct preview p = {0};
    struct draft_row row;
    enum err_code rc = read_draft(db, id, a, &row, e);

    if (rc == ERR_OK)
        rc = preview(db, &row, a, true, lang, &f, &p, e);
    if (rc == ERR_OK) {
        if (p.devices == NULL)
            p.devices = json_array();
        if (p.conflicts == NULL)
            p.conflicts = json_array();
        *ret = json_pack("{s:o,s:O,s:O}", "findings", problem_findings(&f, lang), "devices",
                         p.devices, "conflicts", p.conflicts);
        rc = *ret == NULL ? no_memory(e) : ERR_OK;
    }
    preview_clear(&p);
    findings_clear(&f);
    return rc;
}

/* --- changing --- */

struct draft_ctx {
    const char *id, *title;
    int64_t version;
    const json_t *patch;
    const struct actor *by;
    enum lang lang;
    bool any_owner, dry_run;
    struct findings *f;
    json_t *result;
};

static enum err_code audit_draft(struct db *db, const struct draft_ctx *x, const char *action,
                                 const json_t *patch, struct err *e)
{
    AUTO_STR char *text = patch == NULL ? NULL : json_canonical(patch);
    AUTO(json_free) json_t *detail = json_object();
    char object[64], digest[65];

    if (detail == NULL || (patch != NULL && text == NULL))
        return no_memory(e);
    if (text != NULL && strlen(text) <= AUDIT_PATCH_MAX)
        (void)json_object_set_new(detail, "patch", json_deep_copy(patch));
    else if (text != NULL && json_digest(patch, digest))
        (void)json_object_set_new(detail, "patch_digest", json_string(digest));
    (void)snprintf(object, sizeof object, "draft/%s", x->id);
    return audit_append(db, x->by, action, object, detail, e);
}

static enum err_code result_of(struct db *db, struct draft_ctx *x, struct err *e)
{
    int64_t version;

    json_decref(x->result);
    x->result = NULL;
    return draft_get(db, x->id, &x->result, &version, e);
}

static enum err_code create_in_tx(struct db *db, void *ctx, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(DRAFT_ARENA);
    AUTO(json_free) json_t *changes = content_new();
    struct draft_ctx *x = ctx;
    struct draft_row row = {
        .id = x->id, .owner = x->by->account, .title = x->title, .changes = changes};
    struct revision_row head;
    int64_t n = 0;
    enum err_code rc;

    if (a == NULL || changes == NULL)
        return no_memory(e);
    rc = draft_store_count(db, x->by->account, &n, e);
    if (rc == ERR_OK && n >= DRAFTS_MAX)
        return err_set(e, ERR_CONFLICT, "you have %d open drafts: publish or delete some",
                       DRAFTS_MAX);
    if (rc == ERR_OK)
        rc = revision_store_get(db, 0, a, &head, e);
    if (rc != ERR_OK)
        return rc;
    row.base_pub = head.pub;
    rc = draft_store_insert(db, &row, e);
    if (rc == ERR_OK)
        rc = result_of(db, x, e);
    return rc == ERR_OK ? audit_draft(db, x, "draft.create", NULL, e) : rc;
}

enum err_code draft_create(struct db *db, const char *title, const struct actor *by, bool dry_run,
                           json_t **ret, struct err *e)
{
    char id[UUID_TEXT_SIZE];
    struct draft_ctx x = {.id = id, .title = title, .by = by};
    enum err_code rc;

    uuid7(id);
    rc = change_run(db, "draft_create", dry_run, create_in_tx, &x, e);
    if (rc == ERR_OK)
        *ret = TAKE(x.result);
    json_decref(x.result);
    return rc;
}

static enum err_code lock_mine(struct db *db, const struct draft_ctx *x, struct arena *a,
                               struct draft_row *row, struct err *e)
{
    enum err_code rc = draft_store_lock(db, x->id, a, row, e);

    if (rc == ERR_OK)
        rc = draft_may_change(row, x->by, x->any_owner, e);
    if (rc == ERR_OK && row->version != x->version)
        return err_set(e, ERR_STALE_EDIT, "the present version is \"%lld\"",
                       (long long)row->version);
    return rc;
}

static enum err_code delete_in_tx(struct db *db, void *ctx, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(DRAFT_ARENA);
    const struct draft_ctx *x = ctx;
    struct draft_row row;
    enum err_code rc = a == NULL ? no_memory(e) : lock_mine(db, x, a, &row, e);

    if (rc == ERR_OK)
        rc = draft_store_delete(db, x->id, e);
    return rc == ERR_OK ? audit_draft(db, x, "draft.delete", row.changes, e) : rc;
}

enum err_code draft_delete(struct db *db, const char *id, int64_t version, const struct actor *by,
                           bool any_owner, bool dry_run, struct err *e)
{
    struct draft_ctx x = {.id = id, .version = version, .by = by, .any_owner = any_owner};

    return change_run(db, "draft_delete", dry_run, delete_in_tx, &x, e);
}

static enum err_code edit_in_tx(struct db *db, void *ctx, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(DRAFT_ARENA);
    AUTO(json_free) json_t *patch = NULL, *changes = NULL;
    struct draft_ctx *x = ctx;
    struct preview p = {0};
    struct draft_row row;
    enum err_code rc = a == NULL ? no_memory(e) : lock_mine(db, x, a, &row, e);

    findings_clear(x->f);
    if (rc == ERR_OK)
        rc = resolve(db, x->patch, a, &patch, e);
    if (rc != ERR_OK)
        return rc;
    changes = json_deep_copy(row.changes);
    rc = changes == NULL ? no_memory(e) : changes_merge(changes, patch, e);
    if (rc != ERR_OK)
        return rc;
    row.changes = changes;
    rc = preview(db, &row, a, x->dry_run, x->lang, x->f, &p, e);
    if (rc == ERR_OK && check_hard(x->f) > 0)
        rc = err_set(e, ERR_INVALID, "%zu of the values cannot be accepted", check_hard(x->f));
    if (rc == ERR_OK)
        rc = draft_store_update(db, x->id, row.title, changes, e);
    if (rc == ERR_OK)
        rc = result_of(db, x, e);
    if (rc == ERR_OK) {
        (void)json_object_set_new(x->result, "findings", problem_findings(x->f, x->lang));
        if (p.devices != NULL)
            (void)json_object_set(x->result, "devices", p.devices);
    }
    preview_clear(&p);
    return rc == ERR_OK ? audit_draft(db, x, "draft.edit", patch, e) : rc;
}

enum err_code draft_edit(struct db *db, const char *id, int64_t version, const json_t *patch,
                         const struct actor *by, bool any_owner, enum lang lang, bool dry_run,
                         struct findings *f, json_t **ret, struct err *e)
{
    struct draft_ctx x = {.id = id,
                          .version = version,
                          .patch = patch,
                          .by = by,
                          .any_owner = any_owner,
                          .lang = lang,
                          .dry_run = dry_run,
                          .f = f};
    enum err_code rc = change_run(db, "draft_edit", dry_run, edit_in_tx, &x, e);

    if (rc == ERR_OK)
        *ret = TAKE(x.result);
    json_decref(x.result);
    return rc;
}
