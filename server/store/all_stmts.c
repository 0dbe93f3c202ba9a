#include "store/all_stmts.h"

/* One line a *_store.c, in order. */
#define STORES(X) X(migrate_store_stmts) X(audit_store_stmts) X(key_store_stmts) X(fleet_store_stmts) \
    X(device_store_stmts) X(bundle_store_stmts) X(rollout_store_stmts) X(status_store_stmts) X(enrol_store_stmts)

#define DECLARE(name) extern const struct stmt *const name[];
STORES(DECLARE)

#define ENTRY(name) name,
const struct stmt *const *const all_stmts[] = {STORES(ENTRY) NULL};
