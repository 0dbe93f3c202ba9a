/*
 * params.h - query strings, form bodies, cookies and the few list-valued headers we read.
 * Everything is bounded and foreign; fuzzed by tests/fuzz/fuzz_http_gate.c.  Results live in the given arena.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"

enum { PARAMS_MAX = 64, COOKIES_MAX = 32 };

struct param {
    const char *name, *value; /* decoded, NUL-terminated, text without control characters */
};
struct param_list {
    struct param *v;
    size_t n;
};

/* application/x-www-form-urlencoded (WHATWG URL 5.1).  ERR_MALFORMED: more than PARAMS_MAX fields, a bad escape, an
 * encoded control byte, not UTF-8, or a name that stands twice (which of them would be meant?). */
MUST_USE enum err_code params_parse(struct slice text, struct arena *a, struct param_list *ret, struct err *e);
const char *params_get(const struct param_list *p, const char *name); /* NULL: absent */

/* Percent-decode one path segment: 1..max bytes of text.  NULL when it is not. */
MUST_USE char *params_segment(struct slice raw, size_t max, struct arena *a);

/* The value of one cookie into buf.  false: absent, too long, or more than one of that name (a second one can be
 * planted by a sibling host). */
MUST_USE bool cookie_find(struct slice header, const char *name, char *buf, size_t size);
/* The better of English and Japanese in an Accept-Language header; false when it names neither. */
bool accept_language(struct slice header, enum lang *ret);
/* Does an If-Match / If-None-Match list name etag (without quotes)?  "*" does.  Weak comparison when weak. */
MUST_USE bool etag_listed(struct slice header, const char *etag, bool weak);
/* "application/json" of "application/json; charset=utf-8"? (any case) */
MUST_USE bool media_type_is(struct slice header, const char *type);
