#include "value.h"

#include <strings.h>

bool parse_bytes(const char *text, int64_t *ret)
{
    static const char units[] = "KMGT";
    struct slice s = slice_of(text);
    int64_t each = 1;
    uint64_t v;

    if (s.n > 2 && strcasecmp(s.p + s.n - 2, "iB") == 0)
        s.n -= 2;
    else if (s.n > 2 && (s.p[s.n - 1] == 'B' || s.p[s.n - 1] == 'b'))
        s.n--;
    for (size_t i = 0; s.n > 1 && i < sizeof(units) - 1; i++) {
        if ((s.p[s.n - 1] & ~0x20) == units[i]) {
            each = (int64_t)1 << (10 * (i + 1));
            s.n--;
            break;
        }
    }
    if (!parse_u64(s, 0, (uint64_t)(INT64_MAX / each), &v))
        return false;
    *ret = (int64_t)v * each;
    return true;
}

static bool parse_bool(const char *text, json_t **ret)
{
    if (is_one_of(text, "yes|true|on"))
        *ret = json_true();
    else if (is_one_of(text, "no|false|off"))
        *ret = json_false();
    else
        return false;
    return true;
}

static bool enum_has(const struct setting_field *f, const char *text, struct strbuf *all)
{
    bool found = false;

    for (size_t i = 0; f->names != NULL && f->names[i] != NULL; i++) {
        strbuf_printf(all, "%s%s", i == 0 ? "" : ", ", f->names[i]);
        found |= strcmp(f->names[i], text) == 0;
    }
    return found;
}

static enum cli_exit refuse(const struct cli *c, const char *key, const char *text, enum text kind)
{
    complain(c, T_BAD_VALUE, key, text, tx(c, kind));
    return EXIT_REFUSED;
}

static enum cli_exit number(const struct cli *c, const char *key, const char *text, bool ok,
                            const int64_t *v, enum text kind, json_t **ret)
{
    if (!ok)
        return refuse(c, key, text, kind);
    *ret = json_integer(*v);
    return EXIT_OK_;
}

enum cli_exit value_parse(const struct cli *c, const char *key, const struct setting_field *f,
                          const char *text, json_t **ret)
{
    AUTO_STRBUF struct strbuf words = STRBUF_INIT(8 * KIB);
    struct slice s = slice_of(text);
    int64_t v = 0;

    if (f->type == SET_BOOL)
        return parse_bool(text, ret) ? EXIT_OK_ : refuse(c, key, text, T_KIND_BOOL);
    if (f->type == SET_INT)
        return number(c, key, text, parse_i64(s, INT64_MIN, INT64_MAX, &v), &v, T_KIND_INT, ret);
    if (f->type == SET_BYTES)
        return number(c, key, text, parse_bytes(text, &v), &v, T_KIND_BYTES, ret);
    if (f->type == SET_DURATION)
        return number(c, key, text, parse_seconds(text, &v), &v, T_KIND_DURATION, ret);
    if (f->type == SET_PORT)
        return number(c, key, text, parse_i64(s, 1, 65535, &v), &v, T_KIND_PORT, ret);
    if (f->type == SET_ENUM && !enum_has(f, text, &words)) {
        complain(c, T_BAD_ENUM, key, text, strbuf_str(&words));
        return EXIT_REFUSED;
    }
    *ret = json_string(text);
    return *ret != NULL ? EXIT_OK_ : refuse(c, key, "?", T_KIND_TEXT);
}
