/*
 * message.h - one logical message: its events over all devices and hops (message_web.h), what
 * became of it, and searches for messages (docs/internals/events.md, "Messages").  Threads: any.
 */
#pragma once

#include "http/request.h"
#include "store/message_store.h"

enum {
    MESSAGE_WINDOW_MS = 24 * 3600 * 1000, /* a search without "since" */
    MESSAGE_WINDOW_DAYS_MAX = 92,         /* the longest one */
    MESSAGE_COUNT_MAX = 1000,             /* counted so far, then "more than" */
    MESSAGE_SCAN_MS = 2500,               /* then what was found is answered, with a cursor */
    MESSAGE_LIST_MAX = 500,
    EVENT_LIST_MAX = 5000,
};

/* Where a message stands; message_states[] has the words of the API. */
enum message_state {
    MS_DELIVERED,
    MS_DEFERRED,
    MS_BOUNCED,
    MS_EXPIRED,
    MS_REJECTED,
    MS_HELD,
    MS_QUEUED,
    MS_DISCARDED,
    MESSAGE_STATES
};
extern const char *const message_states[MESSAGE_STATES + 1];

struct message_query {
    struct event_search s;      /* kinds, before, snapshot: not the caller's */
    int64_t since_ms, until_ms; /* 0: the default */
    int state;                  /* enum message_state, -1: any */
    int limit;
    const char *cursor; /* "" : the first page */
};
/* {"items","next","count","partial","since","until"}: newest first, each message once. ERR_INVALID:
 * a cursor that is none. */
MUST_USE enum err_code message_list(struct db *db, struct message_query *q, struct arena *a,
                                    json_t **ret, struct err *e);
/* The message that id is an event of.  ERR_NOT_FOUND. */
MUST_USE enum err_code message_get(struct db *db, const char *id, enum lang lang, struct arena *a,
                                   json_t **ret, struct err *e);
/* {"items","next","partial","since","until"}: events, newest first. */
MUST_USE enum err_code event_list(struct db *db, struct message_query *q, struct arena *a,
                                  json_t **ret, struct err *e);

/* Id of the device that has this name or id, or had the id: events of a deleted one stay.  "":
 * there is none. */
MUST_USE enum err_code message_device(struct db *db, const char *text, struct arena *a,
                                      const char **ret, struct err *e);

/* The members of an event that are there.  New reference. */
json_t *event_json(const struct event_row *r);
/* One plain sentence about an event, in the arena. */
const char *message_sentence(const struct event_row *r, enum lang lang, struct arena *a);
