#include "json/json_in.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/rand.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * jansson 2.14 does not look whether memory ends while it collects a token, or the parts of a text:
 * the token is cut short, and one without its closing quote is read past its end.  So a parse has a
 * reserve that is larger than what one token can still need, and gets no further byte once an
 * allocation has failed; its result is thrown away.  A dump is safe, but not whole.  How many
 * allocations failed is counted, and compared after every parse and every dump.
 */
static _Thread_local uint64_t failures;
static _Thread_local char *reserve; /* of the parse that is under way in this thread */
static _Thread_local size_t reserve_n, reserve_used;

static void *noted_malloc(size_t n)
{
    void *p = malloc(n);
    size_t room = (n + 15) / 16 * 16;

    if (p != NULL)
        return p;
    failures++;
    if (reserve == NULL || room > reserve_n - reserve_used)
        return NULL;
    p = reserve + reserve_used;
    reserve_used += room;
    return p;
}

static void noted_free(void *p)
{
    if (reserve == NULL || (char *)p < reserve || (char *)p >= reserve + reserve_n)
        free(p);
}

__attribute__((constructor)) static void note_allocations(void)
{
    json_set_alloc_funcs(noted_malloc, noted_free);
}

uint64_t json_failures(void)
{
    return failures;
}

struct input {
    struct slice text;
    uint64_t before;
};

/* Byte by byte: none comes after a failure. */
static size_t next_byte(void *buffer, size_t size, void *ctx)
{
    struct input *in = ctx;

    if (size == 0 || in->text.n == 0 || failures != in->before)
        return 0;
    *(char *)buffer = *in->text.p;
    in->text.p++;
    in->text.n--;
    return 1;
}

/* longest: no token is longer.  NULL with je->line 0: out of memory. */
static json_t *load(struct slice text, size_t longest, size_t flags, json_error_t *je)
{
    struct input in = {text, failures};
    json_t *j = NULL;

    reserve_n = 4 * longest + KIB;
    reserve_used = 0;
    reserve = malloc(reserve_n);
    if (reserve == NULL)
        failures++;
    else
        j = json_load_callback(next_byte, &in, flags, je);
    if (failures != in.before) {
        json_decref(j);
        je->line = 0;
        j = NULL;
    }
    free(reserve);
    reserve = NULL;
    return j;
}

/* jansson recurses; count the depth first so that hostile input never gets there.  *ret_longest: of
 * any token. */
static bool too_deep(struct slice t, size_t *ret_longest)
{
    size_t longest = 0, begin = 0;
    bool in_string = false;
    int depth = 0;

    for (size_t i = 0; i < t.n; i++) {
        char c = t.p[i];
        if (in_string && c == '\\') {
            i++;
            continue;
        }
        if (c == '"')
            in_string = !in_string;
        if (in_string || strchr(",:[]{} \t\r\n", c) == NULL)
            continue;
        if (i - begin > longest) /* also after a closing quote: strings end before one of these */
            longest = i - begin;
        begin = i;
        if ((c == '{' || c == '[') && ++depth > JSON_IN_DEPTH_MAX)
            return true;
        depth -= c == '}' || c == ']';
    }
    *ret_longest = t.n - begin > longest ? t.n - begin : longest;
    return false;
}

enum err_code json_in_parse(struct slice text, size_t max, json_t **ret, struct err *e)
{
    size_t longest = 0;
    json_error_t je;
    json_t *j;

    if (text.n > max)
        return err_set(e, ERR_TOO_LARGE, "JSON text of %zu bytes; at most %zu are accepted", text.n,
                       max);
    if (too_deep(text, &longest))
        return err_set(e, ERR_MALFORMED, "JSON nested deeper than %d levels", JSON_IN_DEPTH_MAX);
    j = load(text, longest, JSON_REJECT_DUPLICATES, &je);
    if (j == NULL && je.line == 0)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (j == NULL)
        return err_set(e, ERR_MALFORMED, "not valid JSON at line %d column %d: %s", je.line,
                       je.column, je.text);
    *ret = j;
    return ERR_OK;
}

json_t *json_in_own(const char *text)
{
    size_t longest = 0;
    json_error_t je;

    return too_deep(slice_of(text), &longest) ? NULL
                                              : load(slice_of(text), longest, JSON_DECODE_ANY, &je);
}

void json_pointer_add(char *buf, size_t size, const char *at, const char *member)
{
    size_t n = (size_t)snprintf(buf, size, "%s/", at);

    for (; *member != '\0' && n + 3 < size; member++) {
        if (*member == '~' || *member == '/') {
            buf[n++] = '~';
            buf[n++] = *member == '~' ? '0' : '1';
        } else {
            buf[n++] = *member;
        }
    }
    if (n < size)
        buf[n] = '\0';
}

static enum err_code decode(const struct jdec_field *f, json_t *v, const char *at, void *target,
                            struct err *e)
{
    char ptr[192];
    char *to = (char *)target + f->offset;

    json_pointer_add(ptr, sizeof ptr, at, f->name);
    switch (f->kind) {
    case JD_KIND_STR:
    case JD_KIND_UUID: {
        struct slice s = {json_string_value(v), json_string_length(v)};
        if (!json_is_string(v))
            return err_field(e, ERR_INVALID, ptr, "\"%s\" must be a string", f->name);
        if (f->kind == JD_KIND_UUID && (s.n != 36 || !uuid_is_valid(s.p)))
            return err_field(e, ERR_INVALID, ptr, "\"%s\" must be a UUID in lower case", f->name);
        if (f->kind == JD_KIND_STR && ((int64_t)s.n < f->min || (int64_t)s.n > f->max))
            return err_field(e, ERR_INVALID, ptr, "\"%s\" must be %lld to %lld bytes long", f->name,
                             (long long)f->min, (long long)f->max);
        if (!slice_is_text(s))
            return err_field(e, ERR_INVALID, ptr, "\"%s\" must not contain control characters",
                             f->name);
        *(const char **)(void *)to = s.p;
        return ERR_OK;
    }
    case JD_KIND_INT:
        if (!json_is_integer(v))
            return err_field(e, ERR_INVALID, ptr, "\"%s\" must be a whole number", f->name);
        if (json_integer_value(v) < f->min || json_integer_value(v) > f->max)
            return err_field(e, ERR_INVALID, ptr, "\"%s\" must be between %lld and %lld", f->name,
                             (long long)f->min, (long long)f->max);
        *(int64_t *)(void *)to = json_integer_value(v);
        return ERR_OK;
    case JD_KIND_BOOL:
        if (!json_is_boolean(v))
            return err_field(e, ERR_INVALID, ptr, "\"%s\" must be true or false", f->name);
        *(bool *)(void *)to = json_is_true(v);
        return ERR_OK;
    case JD_KIND_OBJECT:
        if (!json_is_object(v))
            return err_field(e, ERR_INVALID, ptr, "\"%s\" must be an object", f->name);
        *(json_t **)(void *)to = v;
        return ERR_OK;
    case JD_KIND_ARRAY:
        if (!json_is_array(v))
            return err_field(e, ERR_INVALID, ptr, "\"%s\" must be an array", f->name);
        if ((int64_t)json_array_size(v) > f->max)
            return err_field(e, ERR_INVALID, ptr, "\"%s\" has more than %lld entries", f->name,
                             (long long)f->max);
        *(json_t **)(void *)to = v;
        return ERR_OK;
    case JD_KIND_TIME:
        if (!json_is_string(v) ||
            !clock_parse((struct slice){json_string_value(v), json_string_length(v)},
                         (int64_t *)(void *)to))
            return err_field(e, ERR_INVALID, ptr, "\"%s\" must be a time in RFC 3339 form",
                             f->name);
        return ERR_OK;
    case JD_KIND_ENUM:
        for (int i = 0; json_is_string(v) && f->names[i] != NULL; i++) {
            if (strcmp(f->names[i], json_string_value(v)) == 0) {
                *(int *)(void *)to = i;
                return ERR_OK;
            }
        }
        return err_field(e, ERR_INVALID, ptr, "\"%s\" is not one of the allowed words", f->name);
    case JD_KIND_ANY:
        break;
    }
    *(json_t **)(void *)to = v;
    return ERR_OK;
}

enum err_code jdec_object(const json_t *object, const struct jdec_field *fields,
                          enum jdec_unknown unknown, const char *at, void *target, struct err *e)
{
    char ptr[192];
    size_t known = 0;

    if (!json_is_object(object))
        return err_field(e, ERR_INVALID, at, "expected an object");
    for (const struct jdec_field *f = fields; f->name != NULL; f++) {
        json_t *v = json_object_get(object, f->name);
        enum err_code rc;
        if (v != NULL)
            known++;
        if (v == NULL || (json_is_null(v) && (f->flags & JD_NULL_OK) != 0)) {
            if (v == NULL && (f->flags & JD_REQUIRED) != 0) {
                json_pointer_add(ptr, sizeof ptr, at, f->name);
                return err_field(e, ERR_INVALID, ptr, "\"%s\" is required", f->name);
            }
            continue;
        }
        rc = decode(f, v, at, target, e);
        if (rc != ERR_OK)
            return rc;
    }
    if (unknown == JD_REFUSE_UNKNOWN && known != json_object_size(object)) {
        const char *key;
        json_t *v;
        json_object_foreach((json_t *)(uintptr_t)object, key, v)
        {
            const struct jdec_field *f = fields;
            while (f->name != NULL && strcmp(f->name, key) != 0)
                f++;
            if (f->name == NULL) {
                json_pointer_add(ptr, sizeof ptr, at, key);
                return err_field(e, ERR_INVALID, ptr, "unknown member \"%.60s\"", key);
            }
        }
    }
    return ERR_OK;
}

const char *json_str(const json_t *object, const char *name, const char *fallback)
{
    const json_t *v = json_object_get(object, name);

    return json_is_string(v) ? json_string_value(v) : fallback;
}

int64_t json_int(const json_t *object, const char *name, int64_t fallback)
{
    const json_t *v = json_object_get(object, name);

    return json_is_integer(v) ? json_integer_value(v) : fallback;
}

bool json_bool(const json_t *object, const char *name, bool fallback)
{
    const json_t *v = json_object_get(object, name);

    return json_is_boolean(v) ? json_is_true(v) : fallback;
}

char *json_text(const json_t *j, size_t flags)
{
    uint64_t before = failures;
    char *text = json_dumps(j, flags);

    if (failures == before)
        return text;
    noted_free(text);
    return NULL;
}

char *json_canonical(const json_t *j)
{
    return json_text(j, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
}

bool json_digest(const json_t *j, char out[65])
{
    AUTO_STR char *text = json_canonical(j);

    if (text == NULL)
        return false;
    sha256_hex(slice_of(text), out);
    return true;
}

static json_t *patched(json_t *target, const json_t *patch)
{
    json_t *result, *v;
    const char *key;

    if (!json_is_object(patch))
        return json_deep_copy(patch);
    result = json_is_object(target) ? json_copy(target) : json_object();
    if (result == NULL)
        return NULL;
    json_object_foreach((json_t *)(uintptr_t)patch, key, v)
    {
        int failed = 0;
        if (json_is_null(v)) {
            (void)json_object_del(result, key);
        } else {
            json_t *sub = patched(json_object_get(result, key), v);
            failed = sub == NULL || json_object_set_new(result, key, sub) != 0;
        }
        if (failed) {
            json_decref(result);
            return NULL;
        }
    }
    return result;
}

enum err_code json_merge_patch(json_t **target, const json_t *patch, struct err *e)
{
    json_t *result = patched(*target, patch);

    if (result == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    json_decref(*target);
    *target = result;
    return ERR_OK;
}
