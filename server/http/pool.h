/*
 * pool.h - the workers: two bounded queues and N threads, each with its own database connection.  What may block (the
 * database, Argon2, files) happens here and never on an I/O thread.
 * What children ask and what people ask wait in lanes of their own: thousands of reports after a publication fill the
 * children's, and people are served in turn with them; of two or more workers one is always kept free of each lane.
 * Events have a lane that is short and narrow: two at a time and never the last worker but one, the rest is told to come again.
 */
#pragma once

#include "http/http.h"

struct call;
struct pool;

enum pool_lane { POOL_PEOPLE, POOL_CHILDREN, POOL_EVENTS, POOL_LANES };

/* run: called on a worker with its connection (NULL when it could not be made). */
MUST_USE struct pool *pool_start(const struct http_config *cfg, void (*run)(struct call *c, struct db *db));
/* A place in the lane, of cfg->queue_max (events: 16), for the caller; false: full.  Each true needs one pool_submit(). */
MUST_USE bool pool_reserve(struct pool *p, enum pool_lane lane);
void pool_submit(struct pool *p, enum pool_lane lane, struct call *c); /* first in, first out */
unsigned pool_waiting(struct pool *p, enum pool_lane lane);
/* Ends the threads once the lanes are empty. */
void pool_stop(struct pool *p);
