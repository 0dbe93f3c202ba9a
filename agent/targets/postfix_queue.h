/*
 * postfix_queue.h - the queue of the managed Postfix as commands see it: listed through postqueue, changed through
 * postsuper and postqueue, message by message.
 */
#pragma once

#include "targets/postfix.h"

#include "json/json_in.h"

struct queue_listing {
    int64_t messages, bytes; /* of the queues asked for */
    int64_t listed;          /* lines written */
    int64_t by_queue[4];     /* incoming active deferred hold */
    struct strbuf words;     /* what postqueue said beside its list; clear it */
};
typedef enum err_code queue_message_fn(void *ctx, const json_t *message, struct err *e);
/* Every message of the named queue ("all": of every queue), as postqueue -j has it.  scratch: path of a file that is
 * made and removed.  ERR_UNAVAILABLE: postqueue failed. */
MUST_USE enum err_code queue_each(const struct postfix *p, const char *queue, const char *scratch,
                                  queue_message_fn *fn, void *ctx, struct queue_listing *ret, struct err *e);
