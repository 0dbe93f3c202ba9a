#include "apply/scrub.h"

#include <ctype.h>
#include <strings.h>

#define REMOVED "[removed]"

struct scrubbing {
    struct strbuf *out;
    bool in_key;    /* inside a PEM private key */
    bool in_secret; /* the value before went on: continuation lines of a parameter that was removed
                     */
};

static bool has(struct slice s, const char *word)
{
    size_t n = strlen(word);

    for (size_t i = 0; i + n <= s.n; i++) {
        if (strncasecmp(s.p + i, word, n) == 0)
            return true;
    }
    return false;
}

/* Names that only point to where a secret is kept are no secrets. */
static bool is_secret_name(struct slice name)
{
    static const char *const words[] = {
        "passw",  "passwd", "secret",        "token",         "credential",  "_pw",    "api_key",
        "apikey", "bearer", "authorization", "sasl_password", "private_key", "bind_pw"};
    static const char *const fine[] = {"_maps", "_file", "_path", "_dir"};

    for (size_t i = 0; i < COUNT_OF(fine); i++) {
        size_t n = strlen(fine[i]);
        if (name.n >= n && strncasecmp(name.p + name.n - n, fine[i], n) == 0)
            return false;
    }
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (has(name, words[i]))
            return true;
    }
    return false;
}

static bool name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

/* The name that ends right before position i: "name", name, with blanks between. */
static struct slice name_before(struct slice s, size_t i)
{
    size_t end, begin;

    while (i > 0 &&
           (s.p[i - 1] == ' ' || s.p[i - 1] == '\t' || s.p[i - 1] == '"' || s.p[i - 1] == '\''))
        i--;
    end = i;
    for (begin = end; begin > 0 && name_char(s.p[begin - 1]); begin--)
        ;
    return (struct slice){s.p + begin, end - begin};
}

/* Where the value that begins at i ends: a quoted one at its quote, else at what ends a word; a
 * whole line with to_end. */
static size_t value_end(struct slice s, size_t i, bool to_end)
{
    char quote = i < s.n && (s.p[i] == '"' || s.p[i] == '\'') ? s.p[i] : '\0';

    if (quote == '\0' && to_end)
        return s.n;
    for (size_t k = i + (quote != '\0'); k < s.n; k++) {
        if (quote != '\0' ? s.p[k] == quote && s.p[k - 1] != '\\'
                          : s.p[k] == ' ' || s.p[k] == ',' || s.p[k] == ';' || s.p[k] == '}')
            return quote != '\0' ? k + 1 : k;
    }
    return s.n;
}

/* A token of ours or a JWT begins at i; how long it is. */
static size_t token_at(struct slice s, size_t i)
{
    static const char *const begins[] = {"inari_", "ij_", "inari1.", "eyJ"};
    size_t n;

    if (i > 0 && name_char(s.p[i - 1]))
        return 0;
    for (size_t k = 0; k < COUNT_OF(begins); k++) {
        size_t w = strlen(begins[k]);
        if (s.n - i < w || memcmp(s.p + i, begins[k], w) != 0)
            continue;
        for (n = w; i + n < s.n && name_char(s.p[i + n]); n++)
            ;
        if (n >= 20)
            return n;
    }
    return 0;
}

static bool word_at(struct slice s, size_t i, const char *word)
{
    size_t n = strlen(word);

    return s.n - i >= n && strncasecmp(s.p + i, word, n) == 0;
}

/* "://user:password@" from the colons on; 0: it is not one. */
static size_t userinfo_at(struct slice s, size_t i)
{
    size_t n = 3;

    while (i + n < s.n && s.p[i + n] > ' ' && strchr("@/\"'", s.p[i + n]) == NULL)
        n++;
    return i + n < s.n && s.p[i + n] == '@' && memchr(s.p + i + 3, ':', n - 3) != NULL ? n : 0;
}

/* One piece that must go begins at i: put what stands for it, return how far to go on; 0: none. */
static size_t piece(struct scrubbing *x, struct slice s, size_t i)
{
    size_t n, scheme, v = i + 1;
    bool assigns = s.p[i] == '=' || s.p[i] == ':', whole;

    if (word_at(s, i, "://") && (n = userinfo_at(s, i)) > 0) {
        strbuf_puts(x->out, "://" REMOVED);
        return n;
    }
    if ((word_at(s, i, "inline:") || word_at(s, i, "static:")) &&
        has((struct slice){s.p, i}, "passw")) {
        strbuf_add(x->out, (struct slice){s.p + i, 7});
        strbuf_puts(x->out, REMOVED);
        return s.n - i;
    }
    if ((n = token_at(s, i)) > 0) {
        strbuf_puts(x->out, REMOVED);
        return n;
    }
    if (word_at(s, i, "bearer "))
        v = i + 7;
    else if (!assigns || !is_secret_name(name_before(s, i)))
        return 0;
    while (v < s.n && (s.p[v] == ' ' || s.p[v] == '\t'))
        v++;
    whole = s.p[i] == '=' && name_before(s, i).p == s.p;
    if (v >= s.n) { /* the value begins on the next line */
        x->in_secret = whole;
        return 0;
    }
    scheme = word_at(s, v, "bearer ") ? 7 : word_at(s, v, "basic ") ? 6 : 0;
    n = value_end(s, v + scheme, whole);
    x->in_secret = n == s.n && whole;
    strbuf_add(x->out, (struct slice){s.p + i, v - i});
    strbuf_puts(x->out, REMOVED);
    return n - i;
}

static void line(struct scrubbing *x, struct slice s)
{
    if (x->in_key) {
        x->in_key = !has(s, "-----END");
        return;
    }
    if (has(s, "-----BEGIN") && has(s, "PRIVATE KEY")) {
        x->in_key = !has(s, "-----END");
        strbuf_puts(x->out, REMOVED "\n");
        return;
    }
    if (x->in_secret && s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        strbuf_puts(x->out, "  " REMOVED "\n");
        return;
    }
    x->in_secret = false;
    for (size_t i = 0; i < s.n;) {
        size_t n = piece(x, s, i);
        if (n == 0)
            strbuf_putc(x->out, s.p[i]);
        i += n == 0 ? 1 : n;
    }
    strbuf_putc(x->out, '\n');
}

void scrub(struct slice text, struct strbuf *out)
{
    struct scrubbing x = {.out = out};

    while (text.n > 0)
        line(&x, slice_cut(&text, '\n'));
}
