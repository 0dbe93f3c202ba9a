#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void strbuf_clear(struct strbuf *b)
{
    free(b->p);
    *b = STRBUF_INIT(b->max);
}

void strbuf_clear_p(struct strbuf *b)
{
    strbuf_clear(b);
}

static bool reserve(struct strbuf *b, size_t more)
{
    size_t want;
    char *p;

    if (b->failed)
        return false;
    if (more > b->max || b->n > b->max - more) {
        b->failed = true;
        return false;
    }
    want = b->n + more + 1;
    if (want <= b->size)
        return true;
    if (want < b->size * 2)
        want = b->size * 2;
    if (want < 64)
        want = 64;
    p = realloc(b->p, want);
    if (p == NULL) {
        b->failed = b->no_memory = true;
        return false;
    }
    b->p = p;
    b->size = want;
    return true;
}

void strbuf_add(struct strbuf *b, struct slice s)
{
    if (!reserve(b, s.n))
        return;
    if (s.n > 0)
        memcpy(b->p + b->n, s.p, s.n);
    b->n += s.n;
    b->p[b->n] = '\0';
}

void strbuf_puts(struct strbuf *b, const char *s)
{
    strbuf_add(b, slice_of(s));
}

void strbuf_putc(struct strbuf *b, char c)
{
    strbuf_add(b, (struct slice){&c, 1});
}

void strbuf_printf(struct strbuf *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !reserve(b, (size_t)n)) {
        b->failed = true;
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
}

const char *strbuf_str(const struct strbuf *b)
{
    return b->p == NULL ? "" : b->p;
}

char *strbuf_take(struct strbuf *b)
{
    char *p;

    if (b->p == NULL && reserve(b, 0))
        b->p[0] = '\0';
    if (b->failed) {
        strbuf_clear(b);
        return NULL;
    }
    p = b->p;
    *b = STRBUF_INIT(b->max);
    return p;
}

enum err_code strbuf_check(const struct strbuf *b, struct err *e)
{
    if (b->no_memory)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return b->failed ? err_set(e, ERR_TOO_LARGE, "text longer than %zu bytes", b->max) : ERR_OK;
}
