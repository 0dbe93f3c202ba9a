/* feed_filter.h - which events a follower wants, and where it is in their order.  Pure. */
#pragma once

#include "store/feed_store.h"

enum { FEED_VALUE_MAX = 320, FEED_PLACE_SIZE = 80 };

struct feed_filter { /* "" : any */
    char device[37];                /* id */
    char kind[64];                  /* "message.delivery", or all that begin with "message." */
    char stream[17];
    char queue_id[64];
    char sender[FEED_VALUE_MAX + 1], recipient[FEED_VALUE_MAX + 1]; /* an address, or "@domain" */
};
bool feed_filter_takes(const struct feed_filter *f, const struct event_row *v);

/* "<epoch>.<transaction>.<batch>.<n>": what a client gives back in Last-Event-ID. */
void feed_place_text(int64_t epoch, const struct feed_place *p, char buf[FEED_PLACE_SIZE]);
/* false: this is no such text. */
MUST_USE bool feed_place_parse(const char *text, int64_t *ret_epoch, struct feed_place *ret);
/* Negative, 0, positive: a before, at, behind b. */
int feed_place_compare(const struct feed_place *a, const struct feed_place *b);
