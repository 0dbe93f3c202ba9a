/* kept_store.h - SQL of the bundles that devices hold and this database does not. */
#pragma once

#include "store/db.h"

extern const struct stmt *const kept_store_stmts[];

struct kept_row { /* borrowed from the arena */
    const char *id, *name;
    int64_t epoch, rev, pub;
    const json_t *settings;
};
/* A newer one replaces an older one; an older one changes nothing. */
MUST_USE enum err_code kept_store_put(struct db *db, const struct kept_row *row, struct err *e);
/* Of devices in service that are ahead of what they are meant to have here, by name, at most 1000.
 */
MUST_USE enum err_code kept_store_list(struct db *db, struct arena *a, struct kept_row **ret,
                                       size_t *ret_n, struct err *e);
/* Devices in service. */
MUST_USE enum err_code kept_store_in_service(struct db *db, int64_t *ret, struct err *e);
