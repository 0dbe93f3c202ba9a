/*
 * postfix_requeue.h - mail that was accepted while a configuration ran that was taken back: what it
 * recorded in the queue files outlives it.  A message that carries a content filter nobody has any
 * more would wait until it bounces, so it goes through Postfix once more ("postsuper -r"), which
 * asks the filter of today; one that was only deferred is tried at once ("postqueue -i").
 * Source:  Postfix's rec_type.h, record.c: type, length in 7-bit groups, data; 'C' sizes, 'T'
 *          arrival, 'L' filter, 'M' start of the content.
 * Twice:   a message that some delivery agent may be holding is never taken: the transport of its
 *          filter does not exist, or it waits in "deferred" for a time to come.
 * Limits:  REQUEUE_LOOK_MAX queue entries looked at, REQUEUE_MAX messages a call; the caller asks
 *          again, since sessions that began meanwhile may end later.
 */
#pragma once

#include "targets/postfix.h"

enum { REQUEUE_LOOK_MAX = 200000, REQUEUE_MAX = 5000, REQUEUE_FILTER_SIZE = 256 };

struct requeue_request {
    int64_t since_ms; /* the wrong configuration was live from here */
    int64_t until_ms; /* until here; only for deferred mail that has nothing wrong recorded */
    bool flush;       /* try the deferred ones of that time at once */
    /* Filters that configuration recorded and the one in force does not; "" is none. */
    char filters[2][REQUEUE_FILTER_SIZE];
};

/* Look once.  ERR_OK also when nothing was to do; else a command failed or the queue is not
 * readable, and nothing is lost: the messages are where they were. */
MUST_USE enum err_code postfix_requeue(const struct postfix *p, const struct requeue_request *rq,
                                       size_t *ret_requeued, size_t *ret_flushed, struct err *e);
