/*
 * event_read.h - the body of a batch: a head, then lines, into rows for COPY.  Pure but for memory.
 *
 * Head:   {"spool":uuid,"first":seq,"n":lines,"dropped":{"total":n},"begins":seq,"until":ms}; others are ignored.  begins:
 *         the first number there ever was in this spool (1).  until: everything up to this moment is in this batch or was in
 *         one before it (0: not said).
 * Limits: 1 MiB packed (the route), 8 MiB unpacked, 5000 lines, EVENT_LINE_MAX a line.
 */
#pragma once

#include "domain/event_line.h"

enum { EVENT_LINES_MAX = 5000, EVENT_BODY_MAX = 8 * 1024 * 1024, EVENT_HEAD_MAX = 4096 };

struct event_read {
    char spool[37];
    int64_t first, n, dropped, begins, until_ms; /* as the head says */
    struct strbuf rows;
    struct event_row *row; /* n of them, in the order of their sequence */
    size_t n_rows;
};
/* rules: also written (days).  *ret: event_read_clear() in any case.  ERR_MALFORMED, ERR_INVALID (names the member of the head),
 * ERR_TOO_LARGE, ERR_NO_MEMORY. */
MUST_USE enum err_code event_read_body(struct slice body, bool zstd, struct event_rules *rules, struct event_read *ret,
                                       struct err *e);
void event_read_clear(struct event_read *r);
