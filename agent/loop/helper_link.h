/*
 * helper_link.h - the loop's connection to the root helper, made again when it broke
 * (docs/internals/helper.md). Threads: one loop.  A call blocks for at most its timeout.
 */
#pragma once

#include "common/frame.h"

struct helper_link {
    const char *path; /* borrowed */
    int fd;           /* -1: not connected */
};

/* The helper's own time limits lie below these. */
enum { HELPER_QUICK_MS = 20 * 1000, HELPER_SLOW_MS = 90 * 1000 };

void helper_link_close(struct helper_link *h);
/* Ask verb with members (a reference is taken over; NULL: none).  *ret_answer, new reference, also
 * when the helper said no (then *e holds its word and message).  ERR_UNAVAILABLE, ERR_TIMEOUT:
 * nobody knows what was done; verb "tx" tells. A connection that turned out to be dead before
 * anything was sent is made again once. */
MUST_USE enum err_code helper_ask(struct helper_link *h, const char *verb, json_t *members,
                                  int timeout_ms, json_t **ret_answer, struct err *e);
