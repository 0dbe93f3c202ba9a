/*
 * sse.h - server-sent events as they come in (WHATWG HTML 9.2.6), from pieces that end anywhere.  Pure.
 * Limits: a message has at most max bytes; more is ERR_TOO_LARGE, and the reader is of no use then.
 */
#pragma once

#include "base/strbuf.h"

struct sse_message { /* borrowed for the call */
    const char *name; /* "" : a message without a name */
    const char *data; /* lines joined by \n */
    const char *id;   /* the last id there was, also of an earlier message; "" none yet */
};
/* false: enough. */
typedef bool (*sse_fn)(void *ctx, const struct sse_message *m);

struct sse {
    struct strbuf line, data, name;
    char id[128], next_id[128]; /* id: of the last message that came whole */
    bool has_data, cr;
    int retry_ms; /* -1: the server has not said */
    sse_fn fn;
    void *ctx;
    size_t max;
};
/* last_id: where an earlier answer ended; "" none. */
void sse_init(struct sse *s, size_t max, const char *last_id, sse_fn fn, void *ctx);
void sse_clear(struct sse *s);
/* *ret_stopped: fn said enough; nothing behind that was read.  ERR_TOO_LARGE, ERR_NO_MEMORY. */
MUST_USE enum err_code sse_feed(struct sse *s, struct slice piece, bool *ret_stopped, struct err *e);
