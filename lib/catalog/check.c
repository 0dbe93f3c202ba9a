#include "catalog/catalog_private.h"

#include "base/rand.h"

#include <stdio.h>

bool catalog_is_marker(const json_t *v, const char *word)
{
    return json_is_object(v) && json_object_size(v) == 1 && json_is_true(json_object_get(v, word));
}

static void bad_type(const struct setting_field *fd, const char *name, const char *pointer,
                     struct findings *f)
{
    static const char *const words[] = {
        [SET_BOOL] = "true / false",
        [SET_INT] = "integer",
        [SET_BYTES] = "integer (bytes)",
        [SET_DURATION] = "integer (seconds)",
        [SET_PORT] = "integer (port)",
        [SET_ENUM] = "string",
        [SET_TEXT] = "string",
        [SET_ADDRESS] = "string (IP address)",
        [SET_CIDR] = "string (CIDR)",
        [SET_HOST] = "string (host name)",
        [SET_DOMAIN] = "string (domain)",
        [SET_HOSTPORT] = "string ([host]:port)",
        [SET_PATH] = "string (path)",
        [SET_MAIL] = "string (mail address)",
        [SET_SECRET] = "string (a secret)",
        [SET_LIST] = "object {key: row}",
    };
    (void)finding_add(f, F_V_TYPE, pointer, name, words[fd->type], NULL, NULL);
}

static void check_number(const struct setting_field *fd, const json_t *v, const char *name,
                         const char *pointer, struct findings *f)
{
    json_int_t n = json_integer_value(v);

    if (n < fd->min || n > fd->max) {
        char is[24], lo[24], hi[24];
        (void)snprintf(is, sizeof is, "%lld", (long long)n);
        (void)snprintf(lo, sizeof lo, "%lld", (long long)fd->min);
        (void)snprintf(hi, sizeof hi, "%lld", (long long)fd->max);
        (void)finding_add(f, F_V_RANGE, pointer, name, is, lo, hi);
    }
}

/* One value that is no list; texts are replaced by their normal form. */
static void check_scalar(const struct setting_field *fd, json_t *v, const char *name,
                         const char *pointer, struct findings *f)
{
    char out[CATALOG_TEXT_MAX];
    struct slice in = {json_string_value(v), json_string_length(v)};

    if (fd->type == SET_BOOL) {
        if (!json_is_boolean(v))
            bad_type(fd, name, pointer, f);
    } else if (fd->type == SET_INT || fd->type == SET_BYTES || fd->type == SET_DURATION ||
               fd->type == SET_PORT) {
        if (!json_is_integer(v))
            bad_type(fd, name, pointer, f);
        else
            check_number(fd, v, name, pointer, f);
    } else if (!json_is_string(v)) {
        bad_type(fd, name, pointer, f);
    } else if (fd->type == SET_SECRET) {
        /* whoever takes settings from people seals first: a text that comes here is nobody's */
        if (in.n > 0 && !catalog_is_sealed(in.p))
            bad_type(fd, name, pointer, f);
    } else if (catalog_text(fd, in, name, pointer, out, f) && strcmp(out, in.p) != 0) {
        (void)json_string_set(v, out);
    }
}

bool catalog_is_sealed(const char *text)
{
    return strlen(text) == CATALOG_SEALED_SIZE - 1 &&
           strncmp(text, CATALOG_SEALED, strlen(CATALOG_SEALED)) == 0 &&
           text[strspn(text, CATALOG_SEALED "0123456789abcdef-")] == '\0' &&
           uuid_is_valid(text + strlen(CATALOG_SEALED));
}

bool catalog_secret_ok(const struct setting *s, struct slice text, const char *pointer,
                       struct findings *f)
{
    const struct setting_field *fd = &s->value;
    char is[24], lo[24], hi[24];

    if ((int64_t)text.n < fd->min || (int64_t)text.n > fd->max) {
        (void)snprintf(is, sizeof is, "%zu", text.n);
        (void)snprintf(lo, sizeof lo, "%lld", (long long)fd->min);
        (void)snprintf(hi, sizeof hi, "%lld", (long long)fd->max);
        (void)finding_add(f, F_V_LENGTH, pointer, s->key, is, lo, hi);
        return false;
    }
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c >= ' ' && c < 0x7f)
            continue;
        (void)finding_add(f, c < 0x80 ? F_V_CONTROL : F_V_ASCII, pointer, s->key, NULL, NULL, NULL);
        return false;
    }
    if (text.p[0] == ' ' || text.p[text.n - 1] == ' ') {
        (void)finding_add(f, F_V_BLANKS, pointer, s->key, NULL, NULL, NULL);
        return false;
    }
    return true;
}

static const struct setting_field *field_of(const struct setting *s, const char *name)
{
    for (size_t i = 0; i < s->n_fields; i++) {
        if (strcmp(s->fields[i].name, name) == 0)
            return &s->fields[i];
    }
    return NULL;
}

static void check_row(const struct setting *s, json_t *row, const char *key, const char *pointer,
                      struct findings *f)
{
    const char *member;
    json_t *v;

    if (catalog_is_marker(row, "$remove"))
        return;
    if (!json_is_object(row)) {
        (void)finding_add(f, F_V_TYPE, pointer, key, "object", NULL, NULL);
        return;
    }
    json_object_foreach(row, member, v)
    {
        const struct setting_field *fd = field_of(s, member);
        char at[192];
        json_pointer_add(at, sizeof at, pointer, member);
        if (fd == NULL)
            (void)finding_add(f, member[0] == '$' ? F_V_MARKER : F_V_UNKNOWN_MEMBER, at, member,
                              s->key, NULL, NULL);
        else
            check_scalar(fd, v, member, at, f);
    }
    for (size_t i = 0; i < s->n_fields; i++) {
        if (s->fields[i].required && json_object_get(row, s->fields[i].name) == NULL)
            (void)finding_add(f, F_V_MISSING, pointer, key, s->fields[i].name, NULL, NULL);
    }
}

/* The keys in their normal form: collected first, the object is changed after the walk. */
static void rename_rows(json_t *list, const json_t *renames, const char *at, struct findings *f)
{
    const char *from;
    json_t *to;

    json_object_foreach((json_t *)(uintptr_t)renames, from, to)
    {
        const char *key = json_string_value(to);
        if (json_object_get(list, key) != NULL) {
            char pointer[192];
            json_pointer_add(pointer, sizeof pointer, at, from);
            (void)finding_add(f, F_V_DUPLICATE, pointer, from, key, NULL, NULL);
            continue;
        }
        (void)json_object_set(list, key, json_object_get(list, from));
        (void)json_object_del(list, from);
    }
}

static void check_list(const struct setting *s, json_t *list, const char *at, struct findings *f)
{
    AUTO(json_free) json_t *renames = json_object();
    const char *key;
    json_t *row;

    if (!json_is_object(list)) {
        bad_type(&s->value, s->key, at, f);
        return;
    }
    if (json_object_size(list) > s->max_rows) {
        char n[24], max[24];
        (void)snprintf(n, sizeof n, "%zu", json_object_size(list));
        (void)snprintf(max, sizeof max, "%zu", s->max_rows);
        (void)finding_add(f, F_V_TOO_MANY_ROWS, at, s->key, n, max, NULL);
        return;
    }
    json_object_foreach(list, key, row)
    {
        char out[CATALOG_TEXT_MAX], pointer[192];
        json_pointer_add(pointer, sizeof pointer, at, key);
        if (key[0] == '$') {
            (void)finding_add(f, F_V_MARKER, pointer, key, s->key, NULL, NULL);
            continue;
        }
        if (catalog_text(&s->key_field, slice_of(key), key, pointer, out, f) &&
            strcmp(out, key) != 0)
            (void)json_object_set_new(renames, key, json_string(out));
        check_row(s, row, key, pointer, f);
    }
    rename_rows(list, renames, at, f);
}

void catalog_check_value(const struct setting *s, json_t *value, const char *at, struct findings *f)
{
    char pointer[192];

    json_pointer_add(pointer, sizeof pointer, at, s->key);
    if (catalog_is_marker(value, "$unset"))
        return;
    if (s->value.type == SET_LIST)
        check_list(s, value, pointer, f);
    else
        check_scalar(&s->value, value, s->key, pointer, f);
}

static void bad_scope(const struct setting *s, enum layer_kind kind, const char *at,
                      struct findings *f)
{
    char pointer[192], allowed[64] = "";
    static const struct {
        unsigned bit;
        const char *word;
    } layers[] = {{LAYER_FLEET, "fleet"}, {LAYER_GROUP, "group"}, {LAYER_DEVICE, "device"}};
    const char *is = "";

    for (size_t i = 0; i < COUNT_OF(layers); i++) {
        size_t n = strlen(allowed);
        if ((s->scope & layers[i].bit) != 0)
            (void)snprintf(allowed + n, sizeof allowed - n, "%s%s", n == 0 ? "" : ", ",
                           layers[i].word);
        if ((unsigned)kind == layers[i].bit)
            is = layers[i].word;
    }
    json_pointer_add(pointer, sizeof pointer, at, s->key);
    (void)finding_add(f, F_V_SCOPE, pointer, s->key, is, allowed, NULL);
}

void catalog_check_layer(json_t *layer, enum layer_kind kind, const char *at, struct findings *f)
{
    const char *key;
    json_t *v;

    if (!json_is_object(layer)) {
        (void)finding_add(f, F_V_TYPE, at, "layer", "object", NULL, NULL);
        return;
    }
    json_object_foreach(layer, key, v)
    {
        const struct setting *s = catalog_find(key);
        if (s == NULL) {
            char pointer[192];
            json_pointer_add(pointer, sizeof pointer, at, key);
            (void)finding_add(f, F_V_UNKNOWN_KEY, pointer, key, NULL, NULL, NULL);
            continue;
        }
        if ((s->scope & (unsigned)kind) == 0)
            bad_scope(s, kind, at, f);
        catalog_check_value(s, v, at, f);
    }
}
