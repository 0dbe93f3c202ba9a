#include "domain/content.h"

#include <string.h>

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

bool content_marker(const json_t *value, const char *marker)
{
    return json_object_size(value) == 1 && json_is_true(json_object_get(value, marker));
}

static bool any_marker(const json_t *value)
{
    return content_marker(value, "$unset") || content_marker(value, "$remove") ||
           content_marker(value, "$inherit");
}

json_t *content_new(void)
{
    return json_pack("{s:{},s:{},s:{}}", "fleet", "groups", "devices");
}

static const char *part_of(const char *layer)
{
    return strcmp(layer, "group") == 0 ? "groups" : "devices";
}

json_t *content_layer(const json_t *content, const char *layer, const char *id)
{
    if (strcmp(layer, "fleet") == 0)
        return json_object_get(content, "fleet");
    return json_object_get(json_object_get(content, part_of(layer)), id);
}

/* Is it a list whose rows are leaves? */
static bool has_rows(const char *key, const json_t *value)
{
    const struct setting *s = catalog_find(key);

    return s != NULL && s->value.type == SET_LIST && json_is_object(value) &&
           !content_marker(value, "$unset");
}

json_t *content_get(const json_t *content, const char *layer, const char *id, const char *key,
                    const char *row)
{
    json_t *value = json_object_get(content_layer(content, layer, id), key);

    if (row[0] == '\0')
        return has_rows(key, value) ? NULL : value;
    return has_rows(key, value) ? json_object_get(value, row) : NULL;
}

/* The layer object to write to, made when it is not there. */
static json_t *layer_to_write(json_t *content, const char *layer, const char *id)
{
    json_t *parts, *x;

    if (strcmp(layer, "fleet") == 0)
        return json_object_get(content, "fleet");
    parts = json_object_get(content, part_of(layer));
    x = json_object_get(parts, id);
    if (x == NULL && json_object_set_new(parts, id, json_object()) == 0)
        x = json_object_get(parts, id);
    return x;
}

static void drop_empty_layer(json_t *content, const char *layer, const char *id)
{
    if (strcmp(layer, "fleet") != 0 && json_object_size(content_layer(content, layer, id)) == 0)
        (void)json_object_del(json_object_get(content, part_of(layer)), id);
}

static void remove_leaf(json_t *content, const char *layer, const char *id, const char *key,
                        const char *row)
{
    json_t *to = content_layer(content, layer, id);
    json_t *value = json_object_get(to, key);

    if (row[0] == '\0') {
        if (!has_rows(key, value))
            (void)json_object_del(to, key);
    } else if (has_rows(key, value)) {
        (void)json_object_del(value, row);
        if (json_object_size(value) == 0)
            (void)json_object_del(to, key);
    }
    drop_empty_layer(content, layer, id);
}

bool content_set(json_t *content, const char *layer, const char *id, const char *key,
                 const char *row, const json_t *value)
{
    json_t *to, *rows;

    if (value == NULL || json_is_null(value)) {
        remove_leaf(content, layer, id, key, row);
        return true;
    }
    to = layer_to_write(content, layer, id);
    if (to == NULL)
        return false;
    if (row[0] == '\0')
        return json_object_set_new(to, key, json_deep_copy(value)) == 0;
    rows = json_object_get(to, key);
    if (!has_rows(key, rows)) {
        if (json_object_set_new(to, key, json_object()) != 0)
            return false;
        rows = json_object_get(to, key);
    }
    return json_object_set_new(rows, row, json_deep_copy(value)) == 0;
}

/* --- diff --- */

static bool add_leaf(json_t *diff, const char *layer, const char *id, const char *key,
                     const char *row, const json_t *before, const json_t *after)
{
    json_t *leaf;

    if (before == after || (before != NULL && after != NULL && json_equal(before, after)))
        return true;
    leaf = json_pack("{s:s,s:s,s:s,s:s}", "layer", layer, "id", id, "key", key, "row", row);
    if (leaf == NULL ||
        json_object_set_new(leaf, "old", before == NULL ? json_null() : json_deep_copy(before)) !=
            0 ||
        json_object_set_new(leaf, "new", after == NULL ? json_null() : json_deep_copy(after)) !=
            0) {
        json_decref(leaf);
        return false;
    }
    return json_array_append_new(diff, leaf) == 0;
}

static bool diff_value(json_t *diff, const char *layer, const char *id, const char *key,
                       const json_t *a, const json_t *b)
{
    const json_t *rows_a = has_rows(key, a) ? a : NULL, *rows_b = has_rows(key, b) ? b : NULL;
    const char *row;
    json_t *v;

    /* the plain value, or the marker of a list, comes before its rows: so it is applied first */
    if (!add_leaf(diff, layer, id, key, "", rows_a != NULL ? NULL : a, rows_b != NULL ? NULL : b))
        return false;
    json_object_foreach(
        (json_t *)(uintptr_t)rows_a, row,
        v) if (!add_leaf(diff, layer, id, key, row, v, json_object_get(rows_b, row))) return false;
    json_object_foreach((json_t *)(uintptr_t)rows_b, row,
                        v) if (json_object_get(rows_a, row) == NULL &&
                               !add_leaf(diff, layer, id, key, row, NULL, v)) return false;
    return true;
}

static bool diff_layer(json_t *diff, const char *layer, const char *id, const json_t *a,
                       const json_t *b)
{
    const char *key;
    json_t *v;

    json_object_foreach(
        (json_t *)(uintptr_t)a, key,
        v) if (!diff_value(diff, layer, id, key, v, json_object_get(b, key))) return false;
    json_object_foreach((json_t *)(uintptr_t)b, key,
                        v) if (json_object_get(a, key) == NULL &&
                               !diff_value(diff, layer, id, key, NULL, v)) return false;
    return true;
}

static bool diff_part(json_t *diff, const char *layer, const json_t *a, const json_t *b)
{
    const char *id;
    json_t *v;

    json_object_foreach(
        (json_t *)(uintptr_t)a, id,
        v) if (!diff_layer(diff, layer, id, v, json_object_get(b, id))) return false;
    json_object_foreach((json_t *)(uintptr_t)b, id,
                        v) if (json_object_get(a, id) == NULL &&
                               !diff_layer(diff, layer, id, NULL, v)) return false;
    return true;
}

json_t *content_diff(const json_t *a, const json_t *b)
{
    json_t *diff = json_array();

    if (diff == NULL)
        return NULL;
    if (diff_layer(diff, "fleet", "", json_object_get(a, "fleet"), json_object_get(b, "fleet")) &&
        diff_part(diff, "group", json_object_get(a, "groups"), json_object_get(b, "groups")) &&
        diff_part(diff, "device", json_object_get(a, "devices"), json_object_get(b, "devices")))
        return diff;
    json_decref(diff);
    return NULL;
}

json_t *content_inverse(const json_t *diff)
{
    json_t *out = json_array(), *leaf;
    size_t i;

    json_array_foreach(diff, i, leaf)
    {
        json_t *back = json_copy(leaf);

        if (back == NULL || json_object_set(back, "old", json_object_get(leaf, "new")) != 0 ||
            json_object_set(back, "new", json_object_get(leaf, "old")) != 0 ||
            json_array_append_new(out, back) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static bool same(const json_t *stored, const json_t *in_diff)
{
    if (stored == NULL || json_is_null(in_diff))
        return stored == NULL && json_is_null(in_diff);
    return json_equal(stored, in_diff);
}

enum err_code content_apply(json_t *content, const json_t *diff, bool force, json_t **ret_conflicts,
                            struct err *e)
{
    AUTO(json_free) json_t *conflicts = json_array();
    json_t *leaf;
    size_t i;

    if (conflicts == NULL)
        return no_memory(e);
    json_array_foreach(diff, i, leaf)
    {
        const char *layer = json_str(leaf, "layer", ""), *id = json_str(leaf, "id", "");
        const char *key = json_str(leaf, "key", ""), *row = json_str(leaf, "row", "");
        const json_t *now = content_get(content, layer, id, key, row);
        json_t *want = json_object_get(leaf, "new");

        if (same(now, want))
            continue;
        if (!same(now, json_object_get(leaf, "old"))) {
            json_t *c = json_copy(leaf);

            if (c == NULL ||
                json_object_set_new(c, "now", now == NULL ? json_null() : json_deep_copy(now)) !=
                    0 ||
                json_array_append_new(conflicts, c) != 0)
                return no_memory(e);
            if (!force)
                continue;
        }
        if (!content_set(content, layer, id, key, row, want))
            return no_memory(e);
    }
    *ret_conflicts = TAKE(conflicts);
    return ERR_OK;
}

/* --- changes of a draft --- */

/* An object member merged into another: markers replace and are replaced.  depth: settings, then
 * rows. */
static bool merge_member(json_t *into, const char *name, json_t *v, int depth)
{
    json_t *have = json_object_get(into, name);
    const char *member;
    json_t *x;

    if (json_is_null(v)) {
        (void)json_object_del(into, name);
        return true;
    }
    if (!json_is_object(v) || any_marker(v) || !json_is_object(have) || any_marker(have)) {
        /* a plain copy, but without nulls: they mean "not here" */
        if (!json_is_object(v) || any_marker(v))
            return json_object_set_new(into, name, json_deep_copy(v)) == 0;
        if (json_object_set_new(into, name, json_object()) != 0)
            return false;
        have = json_object_get(into, name);
    }
    json_object_foreach(v, member,
                        x) if (depth > 8 || !merge_member(have, member, x, depth + 1)) return false;
    return true;
}

enum err_code changes_merge(json_t *changes, const json_t *patch, struct err *e)
{
    const char *part;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)patch, part,
                        v) if (!merge_member(changes, part, v, 0)) return no_memory(e);
    return ERR_OK;
}

static bool apply_row(json_t *content, const char *layer, const char *id, const char *key,
                      const char *row, const json_t *v)
{
    AUTO(json_free) json_t *merged = NULL;
    const json_t *have = content_get(content, layer, id, key, row);

    if (content_marker(v, "$inherit"))
        return content_set(content, layer, id, key, row, NULL);
    if (!json_is_object(v) || any_marker(v) || have == NULL || any_marker(have))
        return content_set(content, layer, id, key, row, v);
    merged = json_deep_copy(have);
    return merged != NULL && json_object_update(merged, (json_t *)(uintptr_t)v) == 0 &&
           content_set(content, layer, id, key, row, merged);
}

static bool apply_setting(json_t *content, const char *layer, const char *id, const char *key,
                          const json_t *v)
{
    json_t *to = content_layer(content, layer, id), *x;
    const char *row;

    if (content_marker(v, "$inherit")) {
        (void)json_object_del(to, key);
        drop_empty_layer(content, layer, id);
        return true;
    }
    if (!has_rows(key, v))
        return content_set(content, layer, id, key, "", v);
    json_object_foreach((json_t *)(uintptr_t)v, row,
                        x) if (!apply_row(content, layer, id, key, row, x)) return false;
    return true;
}

static bool apply_layer(json_t *content, const char *layer, const char *id, const json_t *settings)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)settings, key,
                        v) if (!apply_setting(content, layer, id, key, v)) return false;
    return true;
}

enum err_code changes_apply(json_t *content, const json_t *changes, struct err *e)
{
    bool ok = apply_layer(content, "fleet", "", json_object_get(changes, "fleet"));
    const char *id;
    json_t *v;

    json_object_foreach(json_object_get(changes, "groups"), id, v) ok =
        ok && apply_layer(content, "group", id, v);
    json_object_foreach(json_object_get(changes, "devices"), id, v) ok =
        ok && apply_layer(content, "device", id, v);
    return ok ? ERR_OK : no_memory(e);
}
