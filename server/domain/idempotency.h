/*
 * idempotency.h - a POST that is sent again with the same Idempotency-Key is done once (security.md
 * C14). The key is taken before the request is done and finished with its answer; kept for a day.
 * A request that failed frees its key.  A parent that was killed in between leaves the key taken:
 * the repeat is told that the outcome is unknown, rather than done twice.  An answer that shows a
 * secret is not kept.
 */
#pragma once

#include "store/db.h"

enum { IDEMPOTENCY_KEY_MAX = 200 };

struct idempotency {
    bool replay; /* answer with status and body */
    int status;
    const char *body; /* borrowed from the arena */
};
/* request: what must be the same (method, path and body).  ERR_IDEMPOTENCY_MISMATCH: the key was
 * used for something else. ERR_CONFLICT: its first request is not finished, or what it answered is
 * not kept. */
MUST_USE enum err_code idempotency_begin(struct db *db, const char *actor, const char *key,
                                         struct slice request, struct arena *a,
                                         struct idempotency *ret, struct err *e);
/* body NULL: was a secret.  Failure is logged, not told: the request itself is done. */
void idempotency_end(struct db *db, const char *actor, const char *key, int status,
                     const char *body);
/* The request failed and changed nothing. */
void idempotency_free(struct db *db, const char *actor, const char *key);
