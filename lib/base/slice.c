#include "base/slice.h"

bool slice_starts(struct slice a, const char *prefix)
{
    size_t n = strlen(prefix);

    return a.n >= n && memcmp(a.p, prefix, n) == 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice slice_trim(struct slice a)
{
    while (a.n > 0 && is_blank(a.p[0])) {
        a.p++;
        a.n--;
    }
    while (a.n > 0 && is_blank(a.p[a.n - 1]))
        a.n--;
    return a;
}

struct slice slice_cut(struct slice *rest, char c)
{
    struct slice all = *rest;
    const char *hit = all.n == 0 ? NULL : memchr(all.p, c, all.n);

    if (hit == NULL) {
        *rest = (struct slice){NULL, 0};
        return all;
    }
    *rest = (struct slice){hit + 1, all.n - (size_t)(hit - all.p) - 1};
    return (struct slice){all.p, (size_t)(hit - all.p)};
}

bool parse_u64(struct slice s, uint64_t min, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;

    if (s.n == 0 || s.n > 20)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        uint64_t digit = (uint64_t)(unsigned char)s.p[i] - '0';
        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    if (v < min || v > max)
        return false;
    *ret = v;
    return true;
}

bool parse_i64(struct slice s, int64_t min, int64_t max, int64_t *ret)
{
    bool minus = s.n > 0 && s.p[0] == '-';
    uint64_t v;
    int64_t r;

    if (minus) {
        s.p++;
        s.n--;
    }
    if (!parse_u64(s, 0, minus ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX, &v))
        return false;
    r = minus ? (int64_t)(0 - v) : (int64_t)v;
    if (r < min || r > max)
        return false;
    *ret = r;
    return true;
}

/* One UTF-8 character at s[i..]: its length and code point, or 0 (RFC 3629: no overlong forms, surrogates). */
static size_t utf8_char(struct slice s, size_t i, uint32_t *ret)
{
    unsigned char c = (unsigned char)s.p[i];
    size_t len = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    uint32_t v = len == 1 ? c : len == 2 ? c & 0x1fu : len == 3 ? c & 0x0fu : c & 0x07u;

    if (len == 0 || s.n - i < len)
        return 0;
    for (size_t k = 1; k < len; k++) {
        unsigned char d = (unsigned char)s.p[i + k];
        if ((d & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (d & 0x3fu);
    }
    if ((len == 3 && (v < 0x800 || (v >= 0xd800 && v < 0xe000))) || (len == 4 && (v < 0x10000 || v > 0x10ffff)))
        return 0;
    *ret = v;
    return len;
}

bool slice_is_utf8(struct slice s)
{
    uint32_t v;

    for (size_t i = 0, len; i < s.n; i += len)
        if ((len = utf8_char(s, i, &v)) == 0)
            return false;
    return true;
}

bool slice_is_text(struct slice s)
{
    uint32_t v;

    for (size_t i = 0, len; i < s.n; i += len) {
        if ((len = utf8_char(s, i, &v)) == 0)
            return false;
        if (v < 0x20 || (v >= 0x7f && v < 0xa0) || v == 0x2028 || v == 0x2029)
            return false;
    }
    return true;
}
