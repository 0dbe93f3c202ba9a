#include "domain/revision.h"

#include "base/clock.h"
#include "domain/draft.h"
#include "domain/issue.h"
#include "store/device_store.h"
#include "store/group_store.h"
#include "store/revision_store.h"

#include <stdio.h>
#include <string.h>

enum { READ_ARENA = 256 * 1024 * 1024 };

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

static json_t *revision_to_json(const struct revision_row *r)
{
    char at[CLOCK_TEXT_SIZE];

    clock_format(r->at_ms, at);
    return json_pack("{s:I,s:s,s:s,s:s,s:o,s:s,s:s,s:I,s:O?}", "pub", (json_int_t)r->pub, "author",
                     r->author, "reason", r->reason, "kind", r->kind, "source",
                     r->source == 0 ? json_null() : json_integer(r->source), "at", at, "digest",
                     r->digest, "changes", (json_int_t)json_array_size(r->diff), "forced",
                     r->forced);
}

enum err_code revision_list(struct db *db, int64_t before, int limit, json_t **ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(READ_ARENA);
    AUTO(json_free) json_t *items = json_array();
    struct revision_row *rows = NULL;
    size_t n = 0;
    enum err_code rc;

    if (a == NULL || items == NULL)
        return no_memory(e);
    rc = revision_store_list(db, before, limit, a, &rows, &n, e);
    for (size_t i = 0; rc == ERR_OK && i < n; i++)
        if (json_array_append_new(items, revision_to_json(&rows[i])) != 0)
            return no_memory(e);
    if (rc == ERR_OK)
        *ret = TAKE(items);
    return rc;
}

enum err_code revision_get(struct db *db, int64_t pub, enum lang lang, json_t **ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(READ_ARENA);
    AUTO(json_free) json_t *j = NULL, *diff = NULL;
    struct revision_row r;
    enum err_code rc = a == NULL ? no_memory(e) : revision_store_get(db, pub, a, &r, e);

    if (rc != ERR_OK)
        return rc;
    j = revision_to_json(&r);
    diff = json_deep_copy(r.diff);
    if (j == NULL || diff == NULL)
        return no_memory(e);
    rc = leaves_describe(db, diff, lang, e);
    if (rc == ERR_OK && (json_object_set(j, "diff", diff) != 0 ||
                         json_object_set_new(j, "content", json_deep_copy(r.content)) != 0))
        rc = no_memory(e);
    if (rc == ERR_OK)
        *ret = TAKE(j);
    return rc;
}

enum err_code revision_diff(struct db *db, int64_t pub, int64_t against, enum lang lang,
                            json_t **ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(READ_ARENA);
    AUTO(json_free) json_t *items = NULL;
    struct revision_row r, other;
    enum err_code rc = a == NULL ? no_memory(e) : revision_store_get(db, pub, a, &r, e);

    if (rc == ERR_OK && against >= 0)
        rc = revision_store_get(db, against, a, &other, e);
    if (rc != ERR_OK)
        return rc;
    items = against < 0 ? json_deep_copy(r.diff) : content_diff(other.content, r.content);
    rc = items == NULL ? no_memory(e) : leaves_describe(db, items, lang, e);
    if (rc != ERR_OK)
        return rc;
    *ret =
        json_pack("{s:I,s:o,s:O}", "pub", (json_int_t)r.pub, "against",
                  against < 0 ? json_integer(r.pub - 1) : json_integer(other.pub), "items", items);
    return *ret == NULL ? no_memory(e) : ERR_OK;
}

/* --- settings --- */

static enum err_code find_layer(struct db *db, const char *layer, struct arena *a,
                                const char **ret_kind, const char **ret_id, const char **ret_name,
                                struct err *e)
{
    struct group_row g;
    struct device d;
    enum err_code rc;

    *ret_kind = "fleet";
    *ret_id = *ret_name = "";
    if (strcmp(layer, "fleet") == 0)
        return ERR_OK;
    if (strncmp(layer, "group:", 6) == 0) {
        rc = group_store_get(db, layer + 6, a, &g, e);
        if (rc == ERR_OK) {
            *ret_kind = "group";
            *ret_id = g.id;
            *ret_name = g.name;
        }
        return rc;
    }
    if (strncmp(layer, "device:", 7) == 0) {
        rc = device_store_get(db, layer + 7, a, &d, e);
        if (rc == ERR_OK) {
            *ret_kind = "device";
            *ret_id = d.id;
            *ret_name = d.name;
        }
        return rc;
    }
    return err_field(e, ERR_INVALID, "/query/layer", "layer is fleet, group:NAME or device:NAME");
}

enum err_code settings_layer(struct db *db, const char *layer, json_t **ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(READ_ARENA);
    AUTO(json_free) json_t *none = json_object();
    const char *kind, *id, *name;
    struct revision_row head;
    json_t *settings;
    enum err_code rc =
        a == NULL || none == NULL ? no_memory(e) : find_layer(db, layer, a, &kind, &id, &name, e);

    if (rc == ERR_OK)
        rc = revision_store_get(db, 0, a, &head, e);
    if (rc != ERR_OK)
        return rc;
    settings = content_layer(head.content, kind, id);
    *ret = json_pack("{s:I,s:s,s:s,s:s,s:O}", "pub", (json_int_t)head.pub, "layer", kind, "id", id,
                     "name", name, "settings", settings == NULL ? none : settings);
    return *ret == NULL ? no_memory(e) : ERR_OK;
}

struct of_device {
    struct device device;
    struct revision_row head;
    struct catalog_layer *layers;
    size_t n;
};

static enum err_code load_device(struct db *db, const char *ref, struct arena *a,
                                 struct of_device *x, struct err *e)
{
    enum err_code rc = a == NULL ? no_memory(e) : device_store_get(db, ref, a, &x->device, e);

    if (rc == ERR_OK)
        rc = revision_store_get(db, 0, a, &x->head, e);
    if (rc == ERR_OK)
        rc = issue_layers(db, x->head.content, x->device.id, a, &x->layers, &x->n, e);
    for (size_t i = 0; rc == ERR_OK && i < x->n; i++)
        if (x->layers[i].kind == LAYER_DEVICE)
            x->layers[i].name = x->device.name;
    return rc;
}

enum err_code settings_effective(struct db *db, const char *device_ref, json_t **ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(READ_ARENA);
    AUTO(json_free) json_t *merged = NULL;
    struct of_device x = {0};
    enum err_code rc = load_device(db, device_ref, a, &x, e);

    if (rc == ERR_OK)
        rc = catalog_merge(x.layers, x.n, &merged, e);
    if (rc != ERR_OK)
        return rc;
    *ret = json_pack("{s:I,s:s,s:s,s:O}", "pub", (json_int_t)x.head.pub, "device", x.device.id,
                     "name", x.device.name, "settings", merged);
    return *ret == NULL ? no_memory(e) : ERR_OK;
}

/* --- explain --- */

static bool add_origin(json_t *to, const struct origin_row *o)
{
    char at[CLOCK_TEXT_SIZE];

    clock_format(o->at_ms, at);
    return json_object_set_new(to, "pub", json_integer(o->pub)) == 0 &&
           json_object_set_new(to, "author", json_string(o->author)) == 0 &&
           json_object_set_new(to, "reason", json_string(o->reason)) == 0 &&
           json_object_set_new(to, "at", json_string(at)) == 0;
}

/* Each entry of catalog_explain(), and each row of a list, with the revision that set it. */
static enum err_code add_origins(json_t *entries, const struct origin_row *origins, size_t n,
                                 struct err *e)
{
    json_t *entry;
    size_t i;

    json_array_foreach(entries, i, entry)
    {
        const struct origin_row *newest = NULL;

        for (size_t k = 0; k < n; k++) {
            const struct origin_row *o = &origins[k];
            json_t *row = json_object_get(json_object_get(entry, "rows"), o->row);

            if (strcmp(o->layer, json_str(entry, "layer", "")) != 0 ||
                strcmp(o->id, json_str(entry, "id", "")) != 0)
                continue;
            if (newest == NULL || o->pub > newest->pub)
                newest = o;
            if (o->row[0] != '\0' && row != NULL && !add_origin(row, o))
                return no_memory(e);
        }
        if (newest != NULL && !add_origin(entry, newest))
            return no_memory(e);
    }
    return ERR_OK;
}

/* What the device itself reports: the digest it runs against the one it should. */
static json_t *runs_it(const struct device *d)
{
    const char *running =
        json_str(json_object_get(json_object_get(d->status, "running"), "postfix"), "digest", "");

    if (d->status == NULL || d->digest == NULL || d->digest[0] == '\0' || running[0] == '\0')
        return json_null();
    return json_boolean(strcmp(running, d->digest) == 0);
}

enum err_code settings_explain(struct db *db, const char *device_ref, const char *key,
                               enum lang lang, json_t **ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(READ_ARENA);
    AUTO(json_free) json_t *entries = NULL, *merged = NULL;
    const struct setting *s = catalog_find(key);
    struct origin_row *origins = NULL;
    struct of_device x = {0};
    size_t n = 0;
    enum err_code rc;

    if (s == NULL)
        return err_field(e, ERR_NOT_FOUND, "/query/path", "there is no setting \"%s\"", key);
    rc = load_device(db, device_ref, a, &x, e);
    if (rc == ERR_OK)
        rc = catalog_merge(x.layers, x.n, &merged, e);
    if (rc == ERR_OK)
        rc = revision_store_origins(db, key, a, &origins, &n, e);
    if (rc != ERR_OK)
        return rc;
    entries = catalog_explain(s, x.layers, x.n);
    rc = entries == NULL ? no_memory(e) : add_origins(entries, origins, n, e);
    if (rc != ERR_OK)
        return rc;
    *ret = json_pack("{s:s,s:s,s:O,s:O,s:o,s:I}", "key", key, "label", s->label[lang], "value",
                     json_object_get(merged, key), "layers", entries, "running", runs_it(&x.device),
                     "pub", (json_int_t)x.head.pub);
    return *ret == NULL ? no_memory(e) : ERR_OK;
}
