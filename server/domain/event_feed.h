/*
 * event_feed.h - following what is stored as it is stored (docs/internals/events.md, "The stream").
 *
 * One thread a parent reads the settled batches (feed_store.h) and gives each event to all who follow; it has a database
 * connection, and runs statements, only while somebody does.  A follower is a stream (http/stream.h) with a filter and a place:
 * it gets exactly the events behind its place, in order, each once; its place goes to the client as the id of each event and with
 * each sign of life, so that it goes on from there, also at another parent.
 *
 * Ends by itself: the client is gone; it reads too slowly (event "overflow"); its session or token holds no more, looked at every
 * FEED_CHECK_MS (event "end"); the parent stops (event "end").  A place that is older than what is kept, or of another history of
 * the database, is answered with the event "gap" first.
 */
#pragma once

#include "base/strbuf.h"
#include "domain/app.h"
#include "domain/feed_filter.h"
#include "http/request.h"

enum {
    FEED_FOLLOWERS_MAX = 512,  /* of a parent */
    FEED_ACCOUNT_MAX = 32,     /* of one account, its tokens' included */
    FEED_BUFFER_MAX = 256 * 1024, /* of one follower: about 500 events */
    FEED_ALIVE_MS = 15 * 1000, /* between two signs of life */
    FEED_RETRY_MS = 2000,      /* what a client is told to wait before it comes back */
    FEED_LOOK_MS = 1000,       /* between two looks at the database when no hint comes */
    FEED_CHECK_MS = 2000,
    FEED_SLOW_MS = 15 * 1000   /* a reader that takes less than half a buffer in this time while more waits is let go */
};

struct feed;

/* conninfo is borrowed for the call. */
MUST_USE enum err_code feed_start(struct app *app, const char *conninfo, struct feed **ret, struct err *e);
void feed_stop(struct feed *f); /* after http_stop(); NULL does nothing */

struct feed_ask {
    struct feed_filter filter;
    bool resume; /* from the place on */
    int64_t epoch;
    struct feed_place place;
    const struct who *who;
    char credential[65]; /* SHA-256 of the session's cookie in hexadecimal, or the token's id */
};
/* *ret: the answer's reference, for reply.stream.  ERR_TOO_MANY_STREAMS: of the account; ERR_OVERLOADED: of the parent, or it
 * is stopping. */
MUST_USE enum err_code feed_follow(struct feed *f, const struct feed_ask *ask, struct stream **ret, struct err *e);
/* Prometheus text; no SQL. */
void feed_figures(struct strbuf *out);
