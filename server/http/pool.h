/*
 * pool.h - the workers: a bounded queue and N threads, each with its own database connection.  What may block (the
 * database, Argon2, files) happens here and never on an I/O thread.
 */
#pragma once

#include "http/http.h"

struct call;
struct pool;

/* run: called on a worker with its connection (NULL when it could not be made).  max: requests waiting. */
MUST_USE struct pool *pool_start(const struct http_config *cfg, void (*run)(struct call *c, struct db *db));
/* A place in the queue for the caller; false: full.  Each true needs one pool_submit(). */
MUST_USE bool pool_reserve(struct pool *p);
void pool_submit(struct pool *p, struct call *c); /* first in, first out */
unsigned pool_waiting(struct pool *p);
/* Ends the threads once the queue is empty. */
void pool_stop(struct pool *p);
