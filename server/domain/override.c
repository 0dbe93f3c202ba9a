#include "domain/override.h"

#include "base/clock.h"
#include "base/strbuf.h"
#include "domain/draft.h"
#include "domain/issue.h"
#include "store/device_store.h"
#include "store/revision_store.h"

#include <string.h>

enum { OVERRIDE_ARENA = 256 * 1024 * 1024 };

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

static enum err_code fleet_effective(const json_t *content, json_t **ret, struct err *e)
{
    const struct catalog_layer fleet = {
        .kind = LAYER_FLEET, .id = "", .name = "", .settings = content_layer(content, "fleet", "")};

    return catalog_merge(&fleet, 1, ret, e);
}

/* --- who set it --- */

static void leaf_name(struct strbuf *b, const char *layer, const char *id, const char *key,
                      const char *row)
{
    b->n = 0;
    strbuf_printf(b, "%s %s %s %s", layer, id, key, row);
}

/* Each item with the revision that set its leaf. */
static enum err_code add_origins(struct db *db, json_t *items, struct arena *a, struct err *e)
{
    AUTO(json_free) json_t *index = json_object();
    AUTO_STRBUF struct strbuf name = STRBUF_INIT(4096);
    struct origin_row *v = NULL;
    json_t *item;
    size_t n = 0, i;
    enum err_code rc = index == NULL ? no_memory(e) : revision_store_overrides(db, a, &v, &n, e);

    for (i = 0; rc == ERR_OK && i < n; i++) {
        leaf_name(&name, v[i].layer, v[i].id, v[i].key, v[i].row);
        if (json_object_set_new(index, strbuf_str(&name), json_integer((json_int_t)i)) != 0)
            rc = no_memory(e);
    }
    if (rc != ERR_OK)
        return rc;
    json_array_foreach(items, i, item)
    {
        const json_t *at;
        const struct origin_row *o;
        char text[CLOCK_TEXT_SIZE];

        leaf_name(&name, json_str(item, "layer", ""), json_str(item, "id", ""),
                  json_str(item, "key", ""), json_str(item, "row", ""));
        at = json_object_get(index, strbuf_str(&name));
        if (at == NULL)
            continue;
        o = &v[json_integer_value(at)];
        clock_format(o->at_ms, text);
        if (json_object_set_new(item, "pub", json_integer(o->pub)) != 0 ||
            json_object_set_new(item, "author", json_string(o->author)) != 0 ||
            json_object_set_new(item, "reason", json_string(o->reason)) != 0 ||
            json_object_set_new(item, "at", json_string(text)) != 0)
            return no_memory(e);
    }
    return ERR_OK;
}

/* --- all of them --- */

/* The fleet's word on a leaf: a plain value, a row, or null. */
static json_t *fleet_value(const json_t *fleet, const json_t *leaf)
{
    const char *row = json_str(leaf, "row", "");
    const json_t *v = json_object_get(fleet, json_str(leaf, "key", ""));

    if (row[0] != '\0')
        v = json_object_get(v, row);
    return v == NULL ? json_null() : json_deep_copy(v);
}

static json_t *to_item(const json_t *fleet, const json_t *leaf)
{
    return json_pack("{s:O,s:O,s:O,s:O,s:O,s:o}", "layer", json_object_get(leaf, "layer"), "id",
                     json_object_get(leaf, "id"), "key", json_object_get(leaf, "key"), "row",
                     json_object_get(leaf, "row"), "value", json_object_get(leaf, "new"), "fleet",
                     fleet_value(fleet, leaf));
}

enum err_code override_list(struct db *db, enum lang lang, json_t **ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(OVERRIDE_ARENA);
    AUTO(json_free) json_t *fleet = NULL, *only = NULL, *leaves = NULL, *items = json_array();
    struct revision_row head;
    json_t *leaf;
    size_t i;
    enum err_code rc =
        a == NULL || items == NULL ? no_memory(e) : revision_store_get(db, 0, a, &head, e);

    if (rc == ERR_OK)
        rc = fleet_effective(head.content, &fleet, e);
    if (rc != ERR_OK)
        return rc;
    only = json_pack("{s:O?}", "fleet", json_object_get(head.content, "fleet"));
    leaves = only == NULL ? NULL : content_diff(only, head.content);
    json_array_foreach(leaves, i, leaf)
    {
        if (json_array_append_new(items, to_item(fleet, leaf)) != 0)
            return no_memory(e);
    }
    rc = leaves == NULL ? no_memory(e) : leaves_describe(db, items, lang, e);
    if (rc == ERR_OK)
        rc = add_origins(db, items, a, e);
    if (rc != ERR_OK)
        return rc;
    *ret = json_pack("{s:I,s:O}", "pub", (json_int_t)head.pub, "items", items);
    return *ret == NULL ? no_memory(e) : ERR_OK;
}

/* --- of one device --- */

/* The highest layer that says something about the leaf: below the fleet's there is none. */
static const struct catalog_layer *speaker(const struct catalog_layer *layers, size_t n,
                                           const char *key, const char *row)
{
    for (size_t i = n; i-- > 0;) {
        const json_t *v = json_object_get(layers[i].settings, key);

        if (v != NULL &&
            (row[0] == '\0' || json_object_get(v, row) != NULL || content_marker(v, "$unset")))
            return &layers[i];
    }
    return NULL;
}

static enum err_code differences(const struct catalog_layer *layers, size_t n, const json_t *fleet,
                                 const json_t *own, json_t *items, struct err *e)
{
    /* effective settings are a layer without markers */
    AUTO(json_free)
    json_t *a = json_pack("{s:O}", "fleet", fleet), *b = json_pack("{s:O}", "fleet", own);
    AUTO(json_free) json_t *diff = a == NULL || b == NULL ? NULL : content_diff(a, b);
    json_t *d;
    size_t i;

    if (diff == NULL)
        return no_memory(e);
    json_array_foreach(diff, i, d)
    {
        const char *key = json_str(d, "key", ""), *row = json_str(d, "row", "");
        const struct catalog_layer *by = speaker(layers, n, key, row);
        json_t *item;

        if (by == NULL)
            continue;
        item = json_pack("{s:s,s:s,s:s,s:s,s:O,s:O}", "layer",
                         by->kind == LAYER_GROUP    ? "group"
                         : by->kind == LAYER_DEVICE ? "device"
                                                    : "fleet",
                         "id", by->id, "key", key, "row", row, "value", json_object_get(d, "new"),
                         "fleet", json_object_get(d, "old"));
        if (json_array_append_new(items, item) != 0)
            return no_memory(e);
    }
    return ERR_OK;
}

enum err_code override_of_device(struct db *db, const char *ref, enum lang lang, json_t **ret,
                                 struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(OVERRIDE_ARENA);
    AUTO(json_free) json_t *fleet = NULL, *own = NULL, *items = json_array();
    struct catalog_layer *layers = NULL;
    struct revision_row head;
    struct device d = {0};
    size_t n = 0;
    enum err_code rc =
        a == NULL || items == NULL ? no_memory(e) : device_store_get(db, ref, a, &d, e);

    if (rc == ERR_OK)
        rc = revision_store_get(db, 0, a, &head, e);
    if (rc == ERR_OK)
        rc = issue_layers(db, head.content, d.id, a, &layers, &n, e);
    if (rc == ERR_OK)
        rc = fleet_effective(head.content, &fleet, e);
    if (rc == ERR_OK)
        rc = catalog_merge(layers, n, &own, e);
    if (rc == ERR_OK)
        rc = differences(layers, n, fleet, own, items, e);
    if (rc == ERR_OK)
        rc = leaves_describe(db, items, lang, e);
    if (rc == ERR_OK)
        rc = add_origins(db, items, a, e);
    if (rc != ERR_OK)
        return rc;
    *ret = json_pack("{s:I,s:s,s:s,s:O}", "pub", (json_int_t)head.pub, "device", d.id, "name",
                     d.name, "items", items);
    return *ret == NULL ? no_memory(e) : ERR_OK;
}
