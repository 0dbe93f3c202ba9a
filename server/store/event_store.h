/*
 * event_store.h - what happens on devices: storing batches, the days they are kept in, the policy of that
 * (docs/internals/events.md, "The store").  Days are numbered since 1970-01-01, in UTC.
 */
#pragma once

#include "store/db.h"

enum { EVENT_COPY_LIMIT_MS = 35 * 1000 /* the server gives up after 30 s */ };

struct event_policy {
    int64_t keep_days, size_budget_bytes;
    const char *subject; /* "keep" "hash" "omit" */
    int64_t floor_day;   /* days before it were dropped and are not made again */
    int64_t version;
};
MUST_USE enum err_code event_store_policy(struct db *db, struct arena *a, struct event_policy *ret, struct err *e);
MUST_USE enum err_code event_store_policy_lock(struct db *db, struct arena *a, struct event_policy *ret, struct err *e);
MUST_USE enum err_code event_store_policy_save(struct db *db, const struct event_policy *p, struct err *e);

/* The day's partition, made when it is not there; *ret_made may be NULL.  A statement of its own each. */
MUST_USE enum err_code event_store_make_day(struct db *db, int64_t day, bool *ret_made, struct err *e);
struct event_day {
    int64_t day, bytes; /* with indexes */
};
/* Oldest first, in the arena. */
MUST_USE enum err_code event_store_days(struct db *db, struct arena *a, struct event_day **ret, size_t *ret_n, struct err *e);
/* Drop a day, with floor_day behind it, in a transaction of its own.  ERR_OVERLOADED: somebody reads it now; within half a second
 * nothing was waiting for us any more. */
MUST_USE enum err_code event_store_drop_day(struct db *db, int64_t day, struct err *e);
/* Batches of before (ms since the epoch), and spools nobody heard of since stream_ms where a newer one of the same stream is
 * known; bounded. */
MUST_USE enum err_code event_store_trim(struct db *db, int64_t batch_ms, int64_t stream_ms, struct err *e);

/* --- inside the transaction of a batch --- */

struct event_spool {
    const char *device_id, *stream, *spool;
};
struct event_known {
    int64_t acknowledged; /* 0: a new one */
    int64_t policy_version, floor_day;
};
/* Locks the spool until the end of the transaction, whose statements may then take 30 s.  ERR_INVALID: a device has at most
 * 9 streams. */
MUST_USE enum err_code event_store_lock(struct db *db, const struct event_spool *s, struct arena *a, struct event_known *ret,
                                        struct err *e);
MUST_USE enum err_code event_store_batch(struct db *db, const struct event_spool *s, int64_t received_ms, int64_t first,
                                         int64_t last, int64_t n, struct arena *a, int64_t *ret_id, struct err *e);
/* Everything the device's stream had to say up to until_ms is stored with this transaction; never moves back.  Before the
 * figures, so that all take these rows in one order. */
MUST_USE enum err_code event_store_until(struct db *db, const char *device_id, const char *stream, int64_t until_ms,
                                         struct err *e);
/* Acknowledged up to last; dropped: the device's own count; gap: events that never came, more than before.  Tells every parent
 * of the batch, once it is committed. */
MUST_USE enum err_code event_store_advance(struct db *db, const struct event_spool *s, int64_t last, int64_t dropped,
                                           int64_t gap, int64_t batch, struct err *e);
