#include "catalog/catalog_private.h"

#include <string.h>

size_t catalog_count(void)
{
    return catalog_n_rows;
}

const struct setting *catalog_at(size_t i)
{
    return i < catalog_n_rows ? &catalog_rows[i] : NULL;
}

const struct setting *catalog_find(const char *key)
{
    size_t lo = 0, hi = catalog_n_rows;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int d = strcmp(key, catalog_rows[mid].key);
        if (d == 0)
            return &catalog_rows[mid];
        if (d < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

static json_t *default_of(const char *text)
{
    return json_in_own(text); /* our own text, never foreign bytes */
}

json_t *catalog_defaults(void)
{
    json_t *all = json_object();

    for (size_t i = 0; i < catalog_n_rows; i++) {
        if (json_object_set_new(all, catalog_rows[i].key,
                                default_of(catalog_rows[i].default_json)) != 0) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

static const char *type_word(enum setting_type t)
{
    static const char *const words[] = {
        [SET_BOOL] = "bool",         [SET_INT] = "int",         [SET_BYTES] = "bytes",
        [SET_DURATION] = "duration", [SET_PORT] = "port",       [SET_ENUM] = "enum",
        [SET_TEXT] = "text",         [SET_ADDRESS] = "address", [SET_CIDR] = "cidr",
        [SET_HOST] = "host",         [SET_DOMAIN] = "domain",   [SET_HOSTPORT] = "hostport",
        [SET_PATH] = "path",         [SET_MAIL] = "mail",       [SET_LIST] = "list",
        [SET_SECRET] = "secret",
    };
    return words[t];
}

/* What a form needs to know of a value or a column. */
static void field_json(json_t *o, const struct setting_field *fd, enum lang lang)
{
    (void)json_object_set_new(o, "type", json_string(type_word(fd->type)));
    if (fd->type == SET_INT || fd->type == SET_BYTES || fd->type == SET_DURATION ||
        fd->type == SET_PORT || fd->type == SET_TEXT || fd->type == SET_SECRET) {
        (void)json_object_set_new(o, "min", json_integer(fd->min));
        (void)json_object_set_new(o, "max", json_integer(fd->max));
    }
    if (fd->type == SET_HOSTPORT)
        (void)json_object_set_new(o, "max", json_integer(fd->max));
    if (fd->optional_empty)
        (void)json_object_set_new(o, "optional_empty", json_true());
    if (fd->names != NULL) {
        json_t *values = json_array();
        for (size_t i = 0; fd->names[i] != NULL; i++)
            (void)json_array_append_new(values, json_pack("{s:s,s:s}", "value", fd->names[i],
                                                          "label", fd->name_labels[lang][i]));
        (void)json_object_set_new(o, "enum", values);
    }
}

static json_t *column_json(const struct setting_field *fd, enum lang lang)
{
    json_t *o = json_pack("{s:s,s:s,s:b}", "name", fd->name, "label", fd->label[lang], "required",
                          fd->required);

    field_json(o, fd, lang);
    if (fd->default_json != NULL)
        (void)json_object_set_new(o, "default", default_of(fd->default_json));
    return o;
}

static json_t *scope_json(unsigned scope)
{
    json_t *a = json_array();

    if ((scope & LAYER_FLEET) != 0)
        (void)json_array_append_new(a, json_string("fleet"));
    if ((scope & LAYER_GROUP) != 0)
        (void)json_array_append_new(a, json_string("group"));
    if ((scope & LAYER_DEVICE) != 0)
        (void)json_array_append_new(a, json_string("device"));
    return a;
}

static json_t *setting_json(const struct setting *s, enum lang lang)
{
    json_t *o =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b}", "key", s->key, "area", s->area,
                  "area_label", s->area_label[lang], "label", s->label[lang], "help", s->help[lang],
                  "apply", s->apply == APPLY_RELOAD ? "reload" : "restart", "daemon", s->daemon,
                  "param", s->param, "needs", s->needs, "facts", s->facts, "advanced", s->advanced);

    field_json(o, &s->value, lang);
    (void)json_object_set_new(o, "default", default_of(s->default_json));
    (void)json_object_set_new(o, "scope", scope_json(s->scope));
    if (s->value.type == SET_LIST) {
        json_t *fields = json_array();
        for (size_t i = 0; i < s->n_fields; i++)
            (void)json_array_append_new(fields, column_json(&s->fields[i], lang));
        (void)json_object_set_new(o, "row_key", column_json(&s->key_field, lang));
        (void)json_object_set_new(o, "fields", fields);
        (void)json_object_set_new(o, "max_rows", json_integer((json_int_t)s->max_rows));
    }
    return o;
}

json_t *catalog_json(enum lang lang)
{
    json_t *a = json_array();

    for (size_t i = 0; i < catalog_n_rows; i++)
        (void)json_array_append_new(a, setting_json(&catalog_rows[i], lang));
    return a;
}
