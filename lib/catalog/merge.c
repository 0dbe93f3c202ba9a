#include "catalog/catalog_private.h"

#include <stdio.h>

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory while merging settings");
}

/* Rows of an upper layer onto what is there: members of one row merge too (a leaf is a row's
 * member). */
static bool merge_list(json_t *into, const json_t *rows)
{
    const char *key;
    json_t *row;

    json_object_foreach((json_t *)(uintptr_t)rows, key, row)
    {
        json_t *have = json_object_get(into, key);
        if (catalog_is_marker(row, "$remove")) {
            (void)json_object_del(into, key);
        } else if (!json_is_object(row)) {
            continue;
        } else if (have != NULL) {
            if (json_object_update(have, row) != 0)
                return false;
        } else if (json_object_set_new(into, key, json_deep_copy(row)) != 0) {
            return false;
        }
    }
    return true;
}

static bool merge_layer(json_t *into, const json_t *layer, const json_t *defaults)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)layer, key, v)
    {
        const struct setting *s = catalog_find(key);
        bool ok = true;
        if (s == NULL)
            continue;
        if (catalog_is_marker(v, "$unset"))
            ok =
                json_object_set_new(into, key, json_deep_copy(json_object_get(defaults, key))) == 0;
        else if (s->value.type == SET_LIST)
            ok = !json_is_object(v) || merge_list(json_object_get(into, key), v);
        else if (!json_is_object(v))
            ok = json_object_set_new(into, key, json_deep_copy(v)) == 0;
        if (!ok)
            return false;
    }
    return true;
}

enum err_code catalog_merge(const struct catalog_layer *layers, size_t n, json_t **ret,
                            struct err *e)
{
    AUTO(json_free) json_t *defaults = catalog_defaults();
    AUTO(json_free) json_t *all = json_deep_copy(defaults);

    if (defaults == NULL || all == NULL)
        return no_memory(e);
    for (size_t i = 0; i < n; i++) {
        if (layers[i].settings != NULL && !merge_layer(all, layers[i].settings, defaults))
            return no_memory(e);
    }
    *ret = TAKE(all);
    return ERR_OK;
}

static const char *kind_word(enum layer_kind k)
{
    return k == LAYER_FLEET ? "fleet" : k == LAYER_GROUP ? "group" : "device";
}

static json_t *entry(const char *layer, const char *id, const char *name, json_t *value)
{
    return json_pack("{s:s,s:s,s:s,s:O,s:b}", "layer", layer, "id", id, "name", name, "value",
                     value, "wins", 0);
}

static void set_wins(json_t *entry, bool wins)
{
    (void)json_object_set_new(entry, "wins", json_boolean(wins));
}

/* For a list: "rows" of each entry say per row whether this layer's word is the last. */
static void explain_rows(json_t *entries)
{
    AUTO(json_free) json_t *seen = json_object();
    size_t i = json_array_size(entries);

    while (i-- > 0) {
        json_t *en = json_array_get(entries, i);
        json_t *value = json_object_get(en, "value");
        json_t *rows = json_object(), *row;
        bool all = json_object_get(seen, "$unset") != NULL, any = false;
        const char *key;

        json_object_foreach(value, key, row)
        {
            bool wins = !all && json_object_get(seen, key) == NULL;
            any = any || wins;
            if (key[0] != '$')
                (void)json_object_set_new(rows, key,
                                          json_pack("{s:O,s:b}", "value", row, "wins", wins));
            (void)json_object_set_new(seen, key, json_true());
        }
        set_wins(en,
                 any || (!all && json_object_size(value) == 0 && json_array_size(entries) == 1));
        (void)json_object_set_new(en, "rows", rows);
    }
}

json_t *catalog_explain(const struct setting *s, const struct catalog_layer *layers, size_t n)
{
    uint64_t failed = json_failures();
    json_t *out = json_array();
    AUTO(json_free) json_t *builtin = json_in_own(s->default_json);

    (void)json_array_append_new(out, entry("builtin", "", "", builtin));
    for (size_t i = 0; i < n; i++) {
        json_t *v = json_object_get(layers[i].settings, s->key), *one;
        if (v == NULL)
            continue;
        one = entry(kind_word(layers[i].kind), layers[i].id == NULL ? "" : layers[i].id,
                    layers[i].name == NULL ? "" : layers[i].name, v);
        if (layers[i].kind == LAYER_GROUP)
            (void)json_object_set_new(one, "priority", json_integer(layers[i].priority));
        (void)json_array_append_new(out, one);
    }
    if (s->value.type == SET_LIST)
        explain_rows(out);
    else
        set_wins(json_array_get(out, json_array_size(out) - 1), true);
    if (json_failures() == failed)
        return out;
    json_decref(out);
    return NULL;
}

static void conflict(const struct catalog_layer *a, const struct catalog_layer *b, const char *at,
                     const char *member, const char *what, struct findings *f)
{
    char pointer[192];

    json_pointer_add(pointer, sizeof pointer, at, member);
    (void)finding_add(f, F_V_GROUP_CONFLICT, pointer, what, a->name, b->name, NULL);
}

static void list_conflicts(const struct catalog_layer *a, const struct catalog_layer *b,
                           const char *key, struct findings *f)
{
    const json_t *va = json_object_get(a->settings, key), *vb = json_object_get(b->settings, key);
    char at[192];
    const char *row;
    json_t *ra;

    json_pointer_add(at, sizeof at, "/settings", key);
    json_object_foreach((json_t *)(uintptr_t)va, row, ra)
    {
        json_t *rb = json_object_get(vb, row), *ma;
        bool gone = catalog_is_marker(ra, "$remove") || catalog_is_marker(rb, "$remove");
        const char *member;
        bool differ = false;
        if (rb == NULL || json_equal(ra, rb))
            continue;
        json_object_foreach(ra, member, ma)
        {
            json_t *mb = json_object_get(rb, member);
            differ = differ || (mb != NULL && !json_equal(ma, mb));
        }
        if (gone || differ)
            conflict(a, b, at, row, row, f);
    }
}

void catalog_group_conflicts(const struct catalog_layer *a, const struct catalog_layer *b,
                             struct findings *f)
{
    const char *key;
    json_t *va;

    json_object_foreach((json_t *)(uintptr_t)a->settings, key, va)
    {
        const struct setting *s = catalog_find(key);
        json_t *vb = json_object_get(b->settings, key);
        if (s == NULL || vb == NULL || json_equal(va, vb))
            continue;
        if (s->value.type == SET_LIST && !catalog_is_marker(va, "$unset") &&
            !catalog_is_marker(vb, "$unset"))
            list_conflicts(a, b, key, f);
        else
            conflict(a, b, "/settings", key, key, f);
    }
}
