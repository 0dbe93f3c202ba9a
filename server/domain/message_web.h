/*
 * message_web.h - queue entries that ids join into messages.  An entry ("leg") is what one queue id
 * of one device stood for from one moment to another: short queue ids are used again, so a removal
 * ends it.
 *
 * Joined are: a hand-back by a content filter (orig_queue_id), the next device ("queued as" is its
 * queue id, within ten minutes, and the Message-IDs do not contradict), and a notice of
 * non-delivery (message.bounce).  Never by Message-ID alone. Threads: one at a time.  Limits:
 * below; a message that has more is shown as far as it was looked at, and says so.
 */
#pragma once

#include "store/message_store.h"

enum {
    WEB_LEGS_LIST = 1200,
    WEB_LEGS_ONE = 64,
    WEB_ROWS_LIST = 200,
    WEB_ROWS_ONE = 2000,
    WEB_ROUNDS = 8
};

struct leg {
    const char *device_id, *device_name, *queue_id;
    int64_t anchor_ms; /* a moment of it */
    int64_t first_ms, last_ms;
    struct event_row **row; /* oldest first */
    size_t n;
    const struct event_row *queued; /* the first one, or NULL: it was before what is kept */
    const char *message_id;
    int group;    /* legs of one message have one group: the index of a leg */
    int next_leg; /* list of the legs of a group, when all is gathered; -1: end */
    int same; /* an earlier leg is this entry, by another moment of it: this one has no rows; -1 */
    bool notice, after_another, removed, held, seen;
};
struct leg_edge { /* leg "from" led to leg "to" */
    int from, to;
    const char *next_queue_id; /* of the rows of "from" that say so; "" where the other side named
                                  us (orig_queue_id) */
};
struct web {
    struct arena *a;
    struct leg *leg;
    size_t n_legs, max_legs;
    struct leg_edge *edge;
    size_t n_edges, max_edges;
    int per_leg;
    bool one; /* a single message: everything its ids ever said is looked at */
    bool cut; /* there was more than the limits let us look at */
};

/* ERR_NO_MEMORY.  one: a single message, looked at more closely. */
MUST_USE enum err_code web_init(struct web *w, struct arena *a, bool one, struct err *e);
/* The entry that queue_id of the device was at that moment; its index, or -1 when there are too
 * many. */
int web_add(struct web *w, const char *device_id, const char *queue_id, int64_t at_ms);
/* An entry of one row without a queue id. */
int web_add_row(struct web *w, struct event_row *row);
/* Read them and all that they lead to.  s: whose matches the rows are marked with; may be NULL. */
MUST_USE enum err_code web_gather(struct web *w, struct db *db, const struct event_search *s,
                                  struct err *e);
/* The leg of an entry after all is gathered: two that turned out to be one are. */
int web_leg_of(const struct web *w, const struct event_row *row);
/* The first leg of the group: where the message came in. */
int web_root(const struct web *w, int group);
/* The leg that a row of a leg led to; -1: none that is known. */
int web_next(const struct web *w, int leg, const struct event_row *row);
/* Order of events: time, then as they were stored. */
int event_row_compare(const struct event_row *a, const struct event_row *b);
