#include "base/settings.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>


static bool is_string(enum settings_kind kind)
{
    return kind == S_STR || kind == S_PATH || kind == S_LIST;
}

void settings_clear(const struct settings_row *rows, size_t n, void *target)
{
    for (size_t i = 0; i < n; i++) {
        if (is_string(rows[i].kind)) {
            char **p = (char **)(void *)((char *)target + rows[i].offset);
            if (*p != NULL && (rows[i].flags & SF_SECRET) != 0)
                explicit_bzero(*p, strlen(*p));
            free(*p);
            *p = NULL;
        }
    }
}

struct unit {
    const char *suffix;
    int64_t factor;
};

static bool parse_units(struct slice s, const struct unit *units, size_t n, int64_t *ret)
{
    size_t digits = 0;
    uint64_t v;

    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    if (!parse_u64((struct slice){s.p, digits}, 0, INT64_MAX, &v))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (slice_is((struct slice){s.p + digits, s.n - digits}, units[i].suffix)) {
            if ((int64_t)v > INT64_MAX / units[i].factor)
                return false;
            *ret = (int64_t)v * units[i].factor;
            return true;
        }
    }
    return false;
}

static bool parse_number(const struct settings_row *r, struct slice s, int64_t *ret)
{
    static const struct unit sizes[] = {{"", 1}, {"k", 1024}, {"K", 1024}, {"M", 1048576}, {"G", 1073741824}};
    static const struct unit times[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

    if (r->kind == S_SIZE)
        return parse_units(s, sizes, COUNT_OF(sizes), ret);
    if (r->kind == S_MSEC)
        return parse_units(s, times, COUNT_OF(times), ret);
    return parse_i64(s, INT64_MIN + 1, INT64_MAX, ret);
}

static enum err_code set_value(const struct settings_row *r, struct slice s, void *target, struct err *e)
{
    char *at = (char *)target + r->offset;
    int64_t num;

    if (!slice_is_text(s))
        return err_field(e, ERR_INVALID, r->key, "%s: control characters are not allowed", r->key);
    if (is_string(r->kind)) {
        char **p = (char **)(void *)at;
        if (r->kind == S_PATH && (s.n == 0 || s.p[0] != '/'))
            return err_field(e, ERR_INVALID, r->key, "%s: must be an absolute path", r->key);
        free(*p);
        *p = strndup(s.n == 0 ? "" : s.p, s.n);
        return *p == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
    }
    if (r->kind == S_BOOL) {
        bool yes = slice_is(s, "yes") || slice_is(s, "true") || slice_is(s, "on");
        if (!yes && !slice_is(s, "no") && !slice_is(s, "false") && !slice_is(s, "off"))
            return err_field(e, ERR_INVALID, r->key, "%s: must be yes or no", r->key);
        *(bool *)(void *)at = yes;
        return ERR_OK;
    }
    if (!parse_number(r, s, &num))
        return err_field(e, ERR_INVALID, r->key, "%s: \"%.*s\" is not %s", r->key, (int)s.n, s.p,
                         r->kind == S_SIZE   ? "a size (8k, 4M)"
                         : r->kind == S_MSEC ? "a time (100ms, 5s, 2m)"
                                             : "a number");
    if ((r->min != 0 || r->max != 0) && (num < r->min || num > r->max))
        return err_field(e, ERR_INVALID, r->key, "%s: %lld is not between %lld and %lld", r->key, (long long)num,
                         (long long)r->min, (long long)r->max);
    *(int64_t *)(void *)at = num;
    return ERR_OK;
}

static enum err_code one_line(const struct settings_row *rows, size_t n, struct slice line, bool *seen, void *target,
                              struct err *e)
{
    struct slice rest = slice_trim(line), key;

    if (rest.n == 0 || rest.p[0] == '#')
        return ERR_OK;
    key = slice_trim(slice_cut(&rest, '='));
    if (rest.p == NULL)
        return err_set(e, ERR_INVALID, "\"%.*s\": expected key = value", (int)key.n, key.p);
    for (size_t i = 0; i < n; i++) {
        if (!slice_is(key, rows[i].key))
            continue;
        if (seen[i])
            return err_field(e, ERR_INVALID, rows[i].key, "%s: given twice", rows[i].key);
        seen[i] = true;
        return set_value(&rows[i], slice_trim(rest), target, e);
    }
    return err_set(e, ERR_INVALID, "unknown key \"%.*s\"", (int)key.n, key.p);
}

static enum err_code load(const struct settings_row *rows, size_t n, const char *path, bool *seen, void *target,
                          struct err *e)
{
    AUTO_STR char *text = NULL;
    struct slice rest;
    enum err_code rc = ERR_OK;
    size_t len;
    int line = 0;

    for (size_t i = 0; i < n; i++)
        if (rows[i].def != NULL && (rc = set_value(&rows[i], slice_of(rows[i].def), target, e)) != ERR_OK)
            return rc;
    if (path != NULL) {
        rc = file_read(path, MIB, &text, &len, e);
        if (rc != ERR_OK)
            return rc;
        rest = (struct slice){text, len};
        while (rest.p != NULL) {
            line++;
            rc = one_line(rows, n, slice_cut(&rest, '\n'), seen, target, e);
            if (rc != ERR_OK)
                return err_wrap(e, "%s:%d", path, line);
        }
    }
    for (size_t i = 0; i < n; i++)
        if ((rows[i].flags & SF_REQUIRED) != 0 && !seen[i])
            return err_field(e, ERR_INVALID, rows[i].key, "%s: \"%s\" must be set", path == NULL ? "defaults" : path,
                             rows[i].key);
    return ERR_OK;
}

enum err_code settings_load(const struct settings_row *rows, size_t n, const char *path, void *target, struct err *e)
{
    bool *seen = calloc(n + 1, sizeof *seen);
    enum err_code rc;

    if (seen == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = load(rows, n, path, seen, target, e);
    free(seen);
    if (rc != ERR_OK)
        settings_clear(rows, n, target);
    return rc;
}

void settings_show(const struct settings_row *rows, size_t n, const void *target, struct strbuf *out)
{
    for (size_t i = 0; i < n; i++) {
        const struct settings_row *r = &rows[i];
        const char *at = (const char *)target + r->offset;
        strbuf_printf(out, "%s = ", r->key);
        if ((r->flags & SF_SECRET) != 0)
            strbuf_puts(out, "***");
        else if (is_string(r->kind))
            strbuf_puts(out, *(char *const *)(const void *)at == NULL ? "" : *(char *const *)(const void *)at);
        else if (r->kind == S_BOOL)
            strbuf_puts(out, *(const bool *)(const void *)at ? "yes" : "no");
        else
            strbuf_printf(out, "%lld%s", (long long)*(const int64_t *)(const void *)at, r->kind == S_MSEC ? "ms" : "");
        strbuf_putc(out, '\n');
    }
}

void settings_sample(const struct settings_row *rows, size_t n, struct strbuf *out)
{
    for (size_t i = 0; i < n; i++)
        strbuf_printf(out, "# %s%s\n#%s = %s\n\n", rows[i].doc, (rows[i].flags & SF_REQUIRED) != 0 ? " (required)" : "",
                      rows[i].key, rows[i].def == NULL ? "" : rows[i].def);
}
