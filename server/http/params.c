#include "http/params.h"

#include <ctype.h>
#include <strings.h>

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL: bad escape, not text, or no memory. */
static char *decode(struct slice raw, bool plus_is_blank, struct arena *a)
{
    char *out = arena_alloc(a, raw.n + 1);
    size_t n = 0;

    if (out == NULL)
        return NULL;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];
        if (c == '%') {
            if (raw.n - i < 3 || hex(raw.p[i + 1]) < 0 || hex(raw.p[i + 2]) < 0)
                return NULL;
            c = (char)(hex(raw.p[i + 1]) * 16 + hex(raw.p[i + 2]));
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return slice_is_text((struct slice){out, n}) ? out : NULL;
}

char *params_segment(struct slice raw, size_t max, struct arena *a)
{
    char *s = raw.n == 0 || raw.n > 3 * max ? NULL : decode(raw, false, a);

    return s != NULL && strlen(s) <= max ? s : NULL;
}

const char *params_get(const struct param_list *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->v[i].name, name) == 0)
            return p->v[i].value;
    return NULL;
}

enum err_code params_parse(struct slice text, struct arena *a, struct param_list *ret,
                           struct err *e)
{
    *ret = (struct param_list){0};
    if (text.n == 0)
        return ERR_OK;
    ret->v = arena_alloc(a, PARAMS_MAX * sizeof *ret->v);
    if (ret->v == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    while (text.n > 0) {
        struct slice value = slice_cut(&text, '&'), name;
        struct param p;
        if (value.n == 0)
            continue;
        name = slice_cut(&value, '=');
        if (ret->n == PARAMS_MAX)
            return err_set(e, ERR_MALFORMED, "more than %d parameters", PARAMS_MAX);
        p = (struct param){decode(name, true, a), decode(value, true, a)};
        if (p.name == NULL || p.value == NULL)
            return err_set(e, ERR_MALFORMED, "parameter %zu is not encoded text", ret->n + 1);
        if (params_get(ret, p.name) != NULL)
            return err_set(e, ERR_MALFORMED, "parameter \"%.60s\" stands twice", p.name);
        ret->v[ret->n++] = p;
    }
    return ERR_OK;
}

bool cookie_find(struct slice header, const char *name, char *buf, size_t size)
{
    bool found = false;

    for (int i = 0; header.n > 0; i++) {
        struct slice value = slice_trim(slice_cut(&header, ';')), key;
        if (i == COOKIES_MAX)
            return false;
        key = slice_cut(&value, '=');
        if (!slice_is(key, name))
            continue;
        if (found || value.n == 0 || value.n >= size)
            return false;
        for (size_t k = 0; k < value.n; k++)
            if (value.p[k] <= ' ' || value.p[k] == 0x7f || strchr("\",\\", value.p[k]) != NULL)
                return false;
        memcpy(buf, value.p, value.n);
        buf[value.n] = '\0';
        found = true;
    }
    return found;
}

/* ";q=0.85" in thousandths; 1000 without one, 0 when it cannot be read. */
static int quality(struct slice parameters)
{
    int q = 0, place = 1000;

    parameters = slice_trim(parameters);
    if (parameters.n == 0)
        return 1000;
    if (parameters.n < 3 || strncasecmp(parameters.p, "q=", 2) != 0 || parameters.n > 7)
        return 0;
    for (size_t i = 2; i < parameters.n; i++) {
        char c = parameters.p[i];
        if (c == '.' && i == 3)
            continue;
        if (!isdigit((unsigned char)c))
            return 0;
        q += (c - '0') * place;
        place /= 10;
    }
    return q > 1000 ? 0 : q;
}

bool accept_language(struct slice header, enum lang *ret)
{
    int best = 0;

    for (int i = 0; header.n > 0 && i < 20; i++) {
        struct slice parameters = slice_cut(&header, ','), tag, primary;
        int q;
        tag = slice_trim(slice_cut(&parameters, ';'));
        primary = slice_cut(&tag, '-');
        q = quality(parameters);
        if (q <= best || primary.n != 2)
            continue;
        if (strncasecmp(primary.p, "en", 2) == 0) {
            *ret = LANG_EN;
            best = q;
        } else if (strncasecmp(primary.p, "ja", 2) == 0) {
            *ret = LANG_JA;
            best = q;
        }
    }
    return best > 0;
}

bool etag_listed(struct slice header, const char *etag, bool weak)
{
    for (int i = 0; header.n > 0 && i < 50; i++) {
        struct slice one = slice_trim(slice_cut(&header, ','));
        bool is_weak = one.n >= 2 && one.p[0] == 'W' && one.p[1] == '/';
        if (slice_is(one, "*"))
            return true;
        if (is_weak)
            one.p += 2, one.n -= 2;
        if (one.n >= 2 && one.p[0] == '"' && one.p[one.n - 1] == '"' && (weak || !is_weak) &&
            slice_is((struct slice){one.p + 1, one.n - 2}, etag))
            return true;
    }
    return false;
}

bool media_type_is(struct slice header, const char *type)
{
    struct slice t = slice_trim(slice_cut(&header, ';'));

    return t.n == strlen(type) && strncasecmp(t.p, type, t.n) == 0;
}
