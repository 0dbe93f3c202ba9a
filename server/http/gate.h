/*
 * gate.h - what must hold of a request line and its headers before anything else looks at them.
 * libmicrohttpd 0.9.75 alone accepts two Host headers, Content-Length beside Transfer-Encoding, any method token and
 * control bytes (docs/internals/http.md); this closes what an application can see.
 * Source:  RFC 9110 5.5, 9112 3.2, 6.1, 6.3.  Pure: no I/O, no allocation; fuzzed by tests/fuzz/fuzz_http_gate.c.
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"

enum {
    GATE_FIELDS_MAX = 64,   /* headers a request may have: browsers send about 20, children 15 */
    GATE_TARGET_MAX = 4096, /* path and query; half of the connection's memory */
    GATE_HOST_MAX = 254,    /* longest host name and a NUL */
};

struct gate_field {
    struct slice name, value; /* both NUL-terminated behind the slice */
};

struct gate_request {
    struct slice method, version; /* "GET", "HTTP/1.1" */
    struct slice target;          /* as received, nothing decoded: "/a%20b?c=d" */
    const struct gate_field *fields;
    size_t n_fields;
};

struct gate_result {
    bool has_body;         /* Content-Length above 0, or chunked */
    bool chunked;
    bool zstd;             /* Content-Encoding: zstd; the route must take it (R_CODED) */
    uint64_t length;       /* Content-Length; 0 when absent */
    struct slice path;     /* view of target, without the query */
    struct slice query;    /* behind '?'; empty without one */
    char host[GATE_HOST_MAX]; /* lower case, without port, brackets or trailing dot */
};

/* ERR_OK and *ret, or the problem to answer with the connection's close: ERR_MALFORMED, ERR_METHOD_NOT_ALLOWED,
 * ERR_UNSUPPORTED_MEDIA_TYPE (content codings). */
MUST_USE enum err_code gate_check(const struct gate_request *rq, struct gate_result *ret, struct err *e);
/* Host part of "host[:port]" in the form of gate_result.host; false when it is not one. */
MUST_USE bool gate_host(struct slice text, char ret[GATE_HOST_MAX]);
/* Header by name (any case); NULL: absent. */
const struct gate_field *gate_field(const struct gate_field *fields, size_t n, const char *name);
