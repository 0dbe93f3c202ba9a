/*
 * strbuf.h - an owned string that grows up to a maximum given at init.  After a failed append the later ones do
 * nothing: test strbuf_ok() once at the end.  Always NUL-terminated once something was appended.
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"

struct strbuf {
    char *p; /* heap; NULL while empty */
    size_t n;
    size_t size;
    size_t max;
    bool failed;    /* over the maximum, or out of memory */
    bool no_memory; /* failed, and it was that */
};

#define STRBUF_INIT(maximum) ((struct strbuf){.max = (maximum)})
void strbuf_clear(struct strbuf *b); /* frees; keeps the maximum */
void strbuf_clear_p(struct strbuf *b);
/* AUTO_STRBUF struct strbuf b = STRBUF_INIT(64 * KIB); */
#define AUTO_STRBUF __attribute__((cleanup(strbuf_clear_p)))

void strbuf_add(struct strbuf *b, struct slice s);
void strbuf_puts(struct strbuf *b, const char *s);
void strbuf_putc(struct strbuf *b, char c);
void strbuf_printf(struct strbuf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
static inline bool strbuf_ok(const struct strbuf *b)
{
    return !b->failed;
}
static inline struct slice strbuf_slice(const struct strbuf *b)
{
    return (struct slice){b->p, b->n};
}
/* "" when empty; borrowed until the next append. */
const char *strbuf_str(const struct strbuf *b);
/* Hand the heap string out (never NULL unless failed); b is empty afterwards. */
char *strbuf_take(struct strbuf *b);
/* ERR_OK, or ERR_NO_MEMORY / ERR_TOO_LARGE when an append had failed. */
MUST_USE enum err_code strbuf_check(const struct strbuf *b, struct err *e);
