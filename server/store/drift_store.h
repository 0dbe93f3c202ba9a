/* drift_store.h - SQL of what the parent did by itself about drift whose policy is adopt. */
#pragma once

#include "store/db.h"

extern const struct stmt *const drift_store_stmts[];

struct drift_adoption { /* borrowed from the arena */
    const char *item, *found, *since; /* since: when the device saw it first; another time, another case */
    const char *draft_id;             /* "": published, deleted or refused */
    const char *problem;              /* "" none */
    int64_t at_ms;
};
MUST_USE enum err_code drift_store_list(struct db *db, const char *device_id, struct arena *a, struct drift_adoption **ret,
                                        size_t *ret_n, struct err *e);
/* In place of what is there about that item. */
MUST_USE enum err_code drift_store_put(struct db *db, const char *device_id, const struct drift_adoption *row, struct err *e);
/* The account of an author as revisions name it ("admin", "token:ci"), if it is not disabled; else the oldest administrator
 * that is not; "" there is none. */
MUST_USE enum err_code drift_store_owner(struct db *db, const char *author, struct arena *a, const char **ret, struct err *e);
