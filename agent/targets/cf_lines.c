#include "targets/cf_lines.h"

bool cf_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

static enum cf_line_kind kind_of(struct slice s)
{
    size_t i = 0;

    while (i < s.n && cf_is_blank(s.p[i]))
        i++;
    if (i == s.n || s.p[i] == '#')
        return CF_SKIP;
    return i == 0 ? CF_START : CF_MORE;
}

enum err_code cf_lines_split(struct slice text, struct arena *a, struct cf_lines *ret,
                             struct err *e)
{
    size_t n = 0, start = CF_NONE;

    if (text.n > CF_FILE_MAX)
        return err_set(e, ERR_TOO_LARGE, "configuration file of %zu bytes; at most %d are handled",
                       text.n, CF_FILE_MAX);
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == '\n' || i + 1 == text.n;
    if (n > CF_LINES_MAX)
        return err_set(e, ERR_TOO_LARGE, "configuration file of %zu lines; at most %d are handled",
                       n, CF_LINES_MAX);
    *ret = (struct cf_lines){arena_alloc(a, (n + 1) * sizeof *ret->v), n};
    if (ret->v == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const char *nl = memchr(text.p, '\n', text.n);
        size_t len = nl == NULL ? text.n : (size_t)(nl - text.p) + 1;
        struct cf_line *l = &ret->v[i];
        l->text = (struct slice){text.p, len};
        l->kind = kind_of(l->text);
        if (l->kind == CF_START)
            start = i;
        l->start = l->kind == CF_SKIP ? CF_NONE : start;
        text.p += len;
        text.n -= len;
    }
    return ERR_OK;
}

static size_t next_of(const struct cf_lines *l, size_t start, size_t i)
{
    for (i++; i < l->n && l->v[i].kind != CF_START; i++)
        if (l->v[i].start == start)
            return i;
    return CF_NONE;
}

char *cf_logical(const struct cf_lines *l, size_t i, struct arena *a)
{
    size_t size = 1, n = 0, start = i;
    char *buf;

    for (size_t j = i; j != CF_NONE; j = next_of(l, start, j))
        size += l->v[j].text.n + 1;
    buf = arena_alloc(a, size);
    if (buf == NULL)
        return NULL;
    for (; i != CF_NONE; i = next_of(l, start, i)) {
        for (size_t j = 0; j < l->v[i].text.n; j++) {
            char c = l->v[i].text.p[j];
            if (!cf_is_blank(c))
                buf[n++] = c == '\0' ? '?' : c;
            else if (n > 0 && buf[n - 1] != ' ')
                buf[n++] = ' ';
        }
    }
    if (n > 0 && buf[n - 1] == ' ')
        n--;
    buf[n] = '\0';
    return buf;
}

void cf_replace(struct cf_lines *l, size_t i, const char *instead)
{
    l->v[i].instead = instead;
    for (size_t j = i, next; j != CF_NONE; j = next) {
        next = next_of(l, i, j);
        l->v[j].drop = true;
    }
}

bool cf_may_insert(const struct cf_lines *l, size_t i)
{
    while (i < l->n && l->v[i].kind == CF_SKIP)
        i++;
    return i >= l->n || l->v[i].kind == CF_START;
}

static void write_text(struct strbuf *out, const char *s)
{
    if (s == NULL || *s == '\0')
        return;
    if (out->n > 0 && out->p[out->n - 1] != '\n')
        strbuf_putc(out, '\n');
    strbuf_puts(out, s);
}

void cf_lines_write(const struct cf_lines *l, size_t at, const char *insert, struct strbuf *out)
{
    for (size_t i = 0; i < l->n; i++) {
        if (i == at)
            write_text(out, insert);
        write_text(out, l->v[i].instead);
        if (!l->v[i].drop)
            strbuf_add(out, l->v[i].text);
    }
    if (at >= l->n)
        write_text(out, insert);
}

enum err_code cf_written(const struct strbuf *a, const struct strbuf *b, const char *file,
                         struct err *e)
{
    if (a->no_memory || b->no_memory)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return strbuf_ok(a) && strbuf_ok(b)
               ? ERR_OK
               : err_set(e, ERR_TOO_LARGE, "%s would become too large", file);
}

bool cf_value_ok(const char *s)
{
    struct slice v = slice_of(s);

    if (v.n == 0)
        return true;
    return slice_is_text(v) && !cf_is_blank(v.p[0]) && !cf_is_blank(v.p[v.n - 1]);
}
