/* Making, editing and deleting drafts (draft.h). */
#include "domain/draft_private.h"

#include "base/rand.h"
#include "domain/change.h"
#include "http/problem.h"
#include "store/group_store.h"
#include "store/secret_store.h"

#include <stdio.h>
#include <string.h>

enum { AUDIT_PATCH_MAX = 64 * 1024 };

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
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
    if (rc == ERR_OK)
        rc = secret_store_trim(db, true, e);
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
    rc = draft_preview(db, &row, a, x->dry_run, x->lang, x->f, &p, e);
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
    draft_preview_clear(&p);
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
