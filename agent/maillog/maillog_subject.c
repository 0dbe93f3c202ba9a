#include "maillog/maillog_subject.h"

#include "base/macros.h"
#include "maillog/maillog_head.h"

#include <ctype.h>
#include <errno.h>
#include <iconv.h>
#include <strings.h>

enum {
    COMPARED = 180 /* of the 200 bytes that Postfix writes: the last may be half a character */
};

bool maillog_subject_find(struct slice what, struct slice *ret_value, size_t *ret_at)
{
    static const char mark[] = ": " MAILLOG_SUBJECT_MARK, name[] = "subject:";
    size_t begin = ml_find(what, "header "), at = 0, here;
    struct slice head = ml_from(what, begin + 7);

    if (head.n < sizeof name - 1 || strncasecmp(head.p, name, sizeof name - 1) != 0)
        return false;
    head = ml_from(head, sizeof name - 1);
    while ((here = ml_find(ml_from(what, at), mark)) != what.n - at) {
        struct slice value = ml_from(what, at + here + sizeof mark - 1), v = slice_trim(value);
        struct slice shown = slice_trim(head);
        size_t n = v.n < COMPARED ? v.n : COMPARED;
        at += here;
        if (slice_eq(ml_first(shown, n), ml_first(v, n)) &&
            (v.n > COMPARED || slice_starts(slice_trim(ml_from(shown, n)), "from "))) {
            *ret_value = v.p == NULL ? (struct slice){"", 0} : v;
            *ret_at = at;
            return true;
        }
        at++;
    }
    return false;
}

/* --- character sets --- */

/* Only these: a sender must not choose among everything that iconv has. */
static const struct {
    const char *name, *iconv;
} sets[] = {
    {"utf-8", "UTF-8"},
    {"us-ascii", "UTF-8"},
    {"iso-2022-jp", "ISO-2022-JP"},
    {"shift_jis", "CP932"},
    {"shift-jis", "CP932"},
    {"x-sjis", "CP932"},
    {"windows-31j", "CP932"},
    {"cp932", "CP932"},
    {"euc-jp", "EUC-JP-MS"},
    {"iso-8859-1", "CP1252"},
    {"windows-1252", "CP1252"},
    {"iso-8859-2", "ISO-8859-2"},
    {"iso-8859-5", "ISO-8859-5"},
    {"iso-8859-7", "ISO-8859-7"},
    {"iso-8859-9", "ISO-8859-9"},
    {"iso-8859-15", "ISO-8859-15"},
    {"windows-1250", "CP1250"},
    {"windows-1251", "CP1251"},
    {"windows-1253", "CP1253"},
    {"windows-1254", "CP1254"},
    {"windows-1255", "CP1255"},
    {"windows-1256", "CP1256"},
    {"koi8-r", "KOI8-R"},
    {"koi8-u", "KOI8-U"},
    {"gb2312", "GBK"},
    {"gbk", "GBK"},
    {"gb18030", "GB18030"},
    {"big5", "BIG5"},
    {"euc-kr", "EUC-KR"},
    {"ks_c_5601-1987", "EUC-KR"},
};

/* Index into sets; -1. */
static int set_of(struct slice name)
{
    name = ml_until(name, '*'); /* RFC 2231: language */
    for (size_t i = 0; i < COUNT_OF(sets); i++)
        if (name.n == strlen(sets[i].name) && strncasecmp(name.p, sets[i].name, name.n) == 0)
            return (int)i;
    return -1;
}

static iconv_t converter(int set)
{
    static iconv_t open[COUNT_OF(sets)];

    if (open[set] == NULL)
        open[set] = iconv_open("UTF-8", sets[set].iconv);
    return open[set];
}

struct text {
    char *p;
    size_t n, size;
};

/* In whole characters, or not at all. */
static void add(struct text *t, struct slice s)
{
    if (s.n > 0 && s.n <= t->size - t->n) {
        memcpy(t->p + t->n, s.p, s.n);
        t->n += s.n;
    } else if (s.n > 0) {
        t->size = t->n; /* full: what follows does not fit in between */
    }
}

static void convert(struct text *t, int set, struct slice in)
{
    iconv_t cd = converter(set);
    char *from = (char *)(uintptr_t)in.p;
    size_t left = in.n;

    if (cd == (iconv_t)-1) {
        add(t, slice_of("\xef\xbf\xbd"));
        return;
    }
    (void)iconv(cd, NULL, NULL, NULL, NULL);
    while (left > 0 && t->n < t->size) {
        char *to = t->p + t->n;
        size_t room = t->size - t->n, rc = iconv(cd, &from, &left, &to, &room);
        t->n = t->size - room;
        if (rc != (size_t)-1)
            break;
        if (errno == E2BIG) {
            t->size = t->n;
            break;
        }
        add(t, slice_of("\xef\xbf\xbd"));
        from++;
        left--;
    }
}

/* --- encoded words --- */

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

static void unquote(struct text *t, struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i] == '_' ? ' ' : s.p[i];
        if (c == '=' && i + 2 < s.n && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0) {
            c = (char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2]));
            i += 2;
        }
        add(t, (struct slice){&c, 1});
    }
}

static void unbase64(struct text *t, struct slice s)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    int n = 0;

    for (size_t i = 0; i < s.n && s.p[i] != '='; i++) {
        const char *at = s.p[i] == '\0' ? NULL : strchr(alphabet, s.p[i]);
        if (at == NULL)
            continue;
        bits = (bits << 6) | (uint32_t)(at - alphabet);
        n += 6;
        if (n >= 8) {
            char c = (char)(bits >> (n - 8) & 0xff);
            n -= 8;
            add(t, (struct slice){&c, 1});
        }
    }
}

/* "=?set?B?text?=" at the start of s: its bytes behind those of *t; how long it is, 0: none. */
static size_t word(struct slice s, int *ret_set, struct text *t)
{
    struct slice rest = s, set, text;
    char kind;
    size_t end;

    if (!ml_skip(&rest, "=?"))
        return 0;
    set = ml_until(rest, '?');
    if (set.n + 3 > rest.n || rest.p[set.n + 2] != '?')
        return 0;
    kind = (char)toupper((unsigned char)rest.p[set.n + 1]);
    rest = ml_from(rest, set.n + 3);
    end = ml_find(rest, "?=");
    text = ml_first(rest, end);
    if (end == rest.n || ml_has(text, "?") || (kind != 'B' && kind != 'Q') ||
        (*ret_set = set_of(set)) < 0)
        return 0;
    if (t != NULL && kind == 'B')
        unbase64(t, text);
    else if (t != NULL)
        unquote(t, text);
    return (size_t)(text.p - s.p) + end + 2;
}

/* Blanks, and the line ends that the log shows as '?', up to the next encoded word; 0: none. */
static size_t gap(struct slice s)
{
    size_t n = 0;
    int set;

    while (n < s.n && (s.p[n] == ' ' || s.p[n] == '\t' || s.p[n] == '?'))
        n++;
    return word(ml_from(s, n), &set, NULL) > 0 ? n : 0;
}

size_t maillog_subject_decode(struct slice value, char *out, size_t size)
{
    static char bytes[8 * KIB];
    struct text t = {out, 0, size};

    while (value.n > 0 && t.n < t.size) {
        struct text b = {bytes, 0, sizeof bytes};
        int set = -1, next = -1;
        size_t n = word(value, &set, &b);
        if (n == 0) {
            n = 1;
            while (n < value.n && ((unsigned char)value.p[n] & 0xc0) == 0x80)
                n++;
            add(&t, ml_first(value, n));
            value = ml_from(value, n);
            continue;
        }
        value = ml_from(value, n);
        /* Some cut a character in two between words: those of one set are read together. */
        while ((n = gap(value)) > 0 || slice_starts(value, "=?")) {
            if (word(ml_from(value, n), &next, NULL) == 0 || next != set)
                break;
            value = ml_from(value, n);
            value = ml_from(value, word(value, &next, &b));
        }
        convert(&t, set, (struct slice){bytes, b.n});
        value = ml_from(value, gap(value));
    }
    return t.n;
}
