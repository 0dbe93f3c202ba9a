/* slice.h - a borrowed view of bytes, passed by value; never NUL-terminated, never owned. */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *p;
    size_t n;
};

static inline struct slice slice_of(const char *s)
{
    return (struct slice){s, s == NULL ? 0 : strlen(s)};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_is(struct slice a, const char *s)
{
    return slice_eq(a, slice_of(s));
}

/* s into buf, cut to fit, always terminated: what snprintf("%s") does, at a fraction of its cost. */
static inline void text_copy(char *buf, size_t size, const char *s)
{
    size_t n = strlen(s);

    n = n < size ? n : size - 1;
    memcpy(buf, s, n);
    buf[n] = '\0';
}

bool slice_starts(struct slice a, const char *prefix);
struct slice slice_trim(struct slice a); /* blanks and tabs, CR and LF */
/* Cut off the part before the first c: *rest becomes what follows it (empty, p NULL, when there is none). */
struct slice slice_cut(struct slice *rest, char c);
/* A decimal number of min..max, digits only, whole slice.  false leaves *ret untouched. */
MUST_USE bool parse_u64(struct slice s, uint64_t min, uint64_t max, uint64_t *ret);
MUST_USE bool parse_i64(struct slice s, int64_t min, int64_t max, int64_t *ret);
/* Printable ASCII or valid UTF-8 without control characters (C0, DEL, C1). */
bool slice_is_text(struct slice s);
bool slice_is_utf8(struct slice s);
