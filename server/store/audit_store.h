/* audit_store.h - SQL of the audit log. */
#pragma once

#include "store/db.h"

struct audit_row { /* borrowed from the arena */
    int64_t seq, at_ms;
    const char *actor_kind, *actor, *address, *action, *object;
    const json_t *detail;
    struct slice prev, hash;
};

/* Locks the head until the transaction ends. */
MUST_USE enum err_code audit_store_lock_head(struct db *db, struct arena *a, int64_t *ret_seq,
                                             struct slice *ret_hash, struct err *e);
MUST_USE enum err_code audit_store_head(struct db *db, struct arena *a, int64_t *ret_seq,
                                        struct slice *ret_hash, struct err *e);
MUST_USE enum err_code audit_store_insert(struct db *db, const struct audit_row *row,
                                          struct err *e);
/* Oldest first, seq > after, at most 1000. */
MUST_USE enum err_code audit_store_page(struct db *db, int64_t after, struct arena *a,
                                        struct audit_row **ret, size_t *ret_n, struct err *e);
/* Newest first, seq < before (0: no limit).  action_prefix: action starts with it. */
MUST_USE enum err_code audit_store_list(struct db *db, int64_t before, int64_t since_ms,
                                        const char *action, const char *action_prefix,
                                        const char *actor, const char *object, int limit, struct arena *a,
                                        struct audit_row **ret, size_t *ret_n, struct err *e);
