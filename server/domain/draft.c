#include "domain/draft_private.h"

#include "base/clock.h"
#include "base/rand.h"
#include "http/problem.h"
#include "store/group_store.h"

#include <stdio.h>
#include <string.h>

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

static json_t *draft_to_json(const struct draft_row *d)
{
    char created[CLOCK_TEXT_SIZE], updated[CLOCK_TEXT_SIZE];

    clock_format(d->created_at_ms, created);
    clock_format(d->updated_at_ms, updated);
    return json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:s,s:s,s:O*}", "id", d->id, "owner", d->owner,
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

void draft_preview_clear(struct preview *p)
{
    json_decref(p->leaves);
    json_decref(p->after);
    json_decref(p->conflicts);
    json_decref(p->devices);
}

enum err_code draft_preview(struct db *db, const struct draft_row *draft, struct arena *a,
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
        rc = draft_preview(db, &row, a, false, lang, &f, &p, e);
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
    draft_preview_clear(&p);
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
        rc = draft_preview(db, &row, a, true, lang, &f, &p, e);
    if (rc == ERR_OK) {
        if (p.devices == NULL)
            p.devices = json_array();
        if (p.conflicts == NULL)
            p.conflicts = json_array();
        *ret = json_pack("{s:o,s:O,s:O}", "findings", problem_findings(&f, lang), "devices",
                         p.devices, "conflicts", p.conflicts);
        rc = *ret == NULL ? no_memory(e) : ERR_OK;
    }
    draft_preview_clear(&p);
    findings_clear(&f);
    return rc;
}
