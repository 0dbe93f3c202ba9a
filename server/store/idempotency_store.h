/* idempotency_store.h - SQL of remembered answers (Idempotency-Key). */
#pragma once

#include "store/db.h"

struct remembered { /* borrowed from the arena */
    const char *request, *body;
    int64_t status; /* 0: not finished */
};
/* *ret_new: the key was not there, and is now, unfinished. */
MUST_USE enum err_code idempotency_store_take(struct db *db, const char *actor, const char *key,
                                              const char *request, struct arena *a, bool *ret_new,
                                              struct remembered *ret, struct err *e);
MUST_USE enum err_code idempotency_store_finish(struct db *db, const char *actor, const char *key,
                                                int64_t status, const char *body, struct err *e);
MUST_USE enum err_code idempotency_store_drop(struct db *db, const char *actor, const char *key,
                                              struct err *e);
