/*
 * message_store.h - SQL that searches stored events and gathers those of a message
 * (docs/internals/events.md, "Messages").
 *
 * A statement here is planned anew each time with the values it gets (a filter that was not asked
 * for is no part of the plan), and given up after EVENT_FIND_MS: ERR_OVERLOADED, the caller asks
 * for a smaller piece.  Whoever calls is not in a transaction.
 */
#pragma once

#include "store/db.h"

enum {
    EVENT_FIND_MS = 1500,
};

struct event_row { /* borrowed from the arena; texts are "" for NULL */
    int64_t at_ms, received_ms, device_at_ms, batch, seq;
    int64_t size, delay_ms; /* -1: NULL */
    int n;
    const char *device_id, *device_name; /* name "": the device was deleted */
    const char *stream, *kind, *queue_id, *orig_queue_id, *next_queue_id, *sender, *recipient,
        *client, *client_name, *helo;
    const char *message_id, *subject, *relay, *dsn, *status, *reason, *text;
    const json_t *detail; /* NULL */
    bool null_sender;     /* a notice's: there is one, and it is empty */
    bool matches;         /* of message_store_legs(): the search asks for it */
};

/* For rows_read() of a SELECT of EVENT_ROW_COLUMNS and a boolean (matches), from event e and, on
 * the left, device d. */
#define EVENT_ROW_COLUMNS                                                                          \
    "e.at, e.received_at, e.device_at, e.batch, e.seq, e.size, e.delay_ms, e.n, e.device_id, "     \
    "e.stream, e.kind, e.queue_id, "                                                               \
    "e.orig_queue_id, e.next_queue_id, e.sender, e.recipient, host(e.client), e.client_name, "     \
    "e.helo, e.message_id, e.subject, "                                                            \
    "e.relay, e.dsn, e.status, e.reason, e.text, e.detail, d.name"
void event_row_read(const struct rows *r, int row, void *item);

struct event_place { /* where in the order (at, batch, n) a page ended */
    int64_t at_ms, batch;
    int n;
};

struct event_search {  /* NULL: not asked for */
    const char *kinds; /* "{message.queued,message.rejected}" */
    const char *sender, *sender_domain, *recipient, *recipient_domain; /* domain: "@example.org" */
    const char *client, *network; /* one address, or a network */
    const char *message_id;       /* without <> */
    const char *queue_id, *words; /* words: tsquery over event_words() */
    const char *parts;        /* with words: "{%a%,%b%}", each stands somewhere in the subject */
    const char *subject_hash; /* with words: or it is stored as this; words lead to it as well */
    bool words_last;          /* not by their index: for a short time with much mail */
    const char *status, *reason, *device_id;
    const char *stream, *kind_prefix;
    bool in_queue;             /* only of entries that were not removed since */
    struct event_place before; /* at_ms 0: from the newest on */
    const char *snapshot;      /* what the first page could see; NULL: this is the first page */
    int64_t snapshot_ms;
};

/* Newest first, lo <= at < hi and before the place.  In s->kinds where that is given. */
MUST_USE enum err_code message_store_find(struct db *db, const struct event_search *s,
                                          int64_t lo_ms, int64_t hi_ms, int limit, struct arena *a,
                                          struct event_row **ret, size_t *ret_n, struct err *e);
/* Queue entries among the rows that fit, looking at no more than max of these, for limit_ms.
 * *ret_rows: how many it looked at. */
MUST_USE enum err_code message_store_count(struct db *db, const struct event_search *s,
                                           int64_t lo_ms, int64_t hi_ms, int max, int limit_ms,
                                           int64_t *ret, int64_t *ret_rows, struct err *e);
/* Events of queue entries: legs = [{"d":device,"q":queue id,"lo":time,"hi":time}].  At most per_leg
 * of each: others than deliveries first, then what matches s (which may be NULL), then the newest.
 */
MUST_USE enum err_code message_store_legs(struct db *db, const json_t *legs,
                                          const struct event_search *s, int per_leg,
                                          struct arena *a, struct event_row **ret, size_t *ret_n,
                                          struct err *e);
/* Rows that ids lead to: wants = [{"i":number,"k":kind,"d":device or
 * null,"q":id,"lo":time,"hi":time}]; kind 1: the entry of queue id q, 2: entries handed back for q,
 * 3: who said "queued as q".  At most 20 of each. */
struct event_link {
    int i, kind;
    const char *device_id, *queue_id, *next_queue_id, *message_id, *row_kind;
    int64_t at_ms, batch;
    int n;
};
MUST_USE enum err_code message_store_links(struct db *db, const json_t *wants, struct arena *a,
                                           struct event_link **ret, size_t *ret_n, struct err *e);
/* The event itself: what has no queue id is found by its place. */
MUST_USE enum err_code message_store_event(struct db *db, const char *device_id,
                                           const struct event_place *p, struct arena *a,
                                           struct event_row *ret, struct err *e);

/* What devices ran from the moment lo on (and the one before): devices = ["id", ...]. */
struct ran_row {
    const char *device_id, *digest, *author, *reason;
    int64_t since_ms, pub, published_ms; /* pub 0: none of ours */
};
MUST_USE enum err_code message_store_ran(struct db *db, const json_t *devices, int64_t lo_ms,
                                         int64_t hi_ms, struct arena *a, struct ran_row **ret,
                                         size_t *ret_n, struct err *e);
/* What a statement sees now, for the pages that follow: text of a pg_snapshot, and the database's
 * time. */
MUST_USE enum err_code message_store_snapshot(struct db *db, struct arena *a, const char **ret,
                                              int64_t *ret_ms, struct err *e);
/* Id of the device of that name or id; "" when there is none. */
MUST_USE enum err_code message_store_device(struct db *db, const char *name, struct arena *a,
                                            const char **ret, struct err *e);
