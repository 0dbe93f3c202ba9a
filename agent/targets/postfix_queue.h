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
/* Which queue each message is in, {id: "deferred", ...}, new reference. */
MUST_USE enum err_code queue_places(const struct postfix *p, const char *queue, const char *scratch, json_t **ret,
                                    struct err *e);
/* What to do with messages. */
enum queue_change { QUEUE_FLUSH, QUEUE_HOLD, QUEUE_RELEASE, QUEUE_DELETE };
/* Do it to these ids (array of strings of letters and digits; they go to postsuper's standard input, never to its
 * command line); words: what the programs said.  Doing it again does it to what is left. */
MUST_USE enum err_code queue_change(const struct postfix *p, enum queue_change what, const json_t *ids,
                                    struct strbuf *words, struct err *e);
/* Try to deliver everything now. */
MUST_USE enum err_code queue_flush_all(const struct postfix *p, struct strbuf *words, struct err *e);

typedef enum err_code queue_message_fn(void *ctx, const json_t *message, struct err *e);
/* Every message of the named queue ("all": of every queue), as postqueue -j has it.  scratch: path of a file that is
 * made and removed.  ERR_UNAVAILABLE: postqueue failed. */
MUST_USE enum err_code queue_each(const struct postfix *p, const char *queue, const char *scratch,
                                  queue_message_fn *fn, void *ctx, struct queue_listing *ret, struct err *e);
