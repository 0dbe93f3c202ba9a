/*
 * feed_store.h - SQL that reads events in the order they were stored in.
 *
 * The order is (event_batch.tx, event_batch.id, event.n).  What a transaction stored is read when no older one is still under
 * way: from then on nothing comes before it any more, on no parent.  Ids alone are no order: they are given before the commit.
 */
#pragma once

#include "store/message_store.h"

extern const struct stmt *const feed_store_stmts[];

struct feed_place { /* up to and with this event; n INT32_MAX: the whole batch */
    int64_t tx, batch;
    int32_t n;
};

/* Before anything is stored by this process: a database that was restored elsewhere counts transactions anew, so what it has of
 * "later" ones becomes older than all. */
MUST_USE enum err_code feed_store_settle(struct db *db, struct err *e);
/* The last batch that is settled; zeros: there is none. */
MUST_USE enum err_code feed_store_head(struct db *db, struct feed_place *ret, struct err *e);
/* The oldest batch there still is (zeros: none), whether any was ever deleted before it, and the next transaction. */
struct feed_span {
    struct feed_place oldest;
    bool trimmed;
    int64_t next_tx;
};
MUST_USE enum err_code feed_store_span(struct db *db, struct feed_span *ret, struct err *e);

struct feed_batch {
    struct feed_place place; /* n: how many events it has */
    int64_t received_ms;
};
/* Settled batches behind the place. */
MUST_USE enum err_code feed_store_batches(struct db *db, const struct feed_place *after, int limit, struct arena *a,
                                          struct feed_batch **ret, size_t *ret_n, struct err *e);

/* In order, n greater than after_n. */
MUST_USE enum err_code feed_store_events(struct db *db, int64_t batch, int32_t after_n, int limit, struct arena *a,
                                         struct event_row **ret, size_t *ret_n, struct err *e);
/* Which of these credentials still hold: asked = {"session":[SHA-256 in hexadecimal],"token":[id]}; *ret: the array of those that
 * do, borrowed from the arena. */
MUST_USE enum err_code feed_store_holding(struct db *db, const json_t *asked, int64_t now_ms, int64_t idle_before_ms, struct arena *a,
                                          const json_t **ret, struct err *e);
