/* status_store.h - SQL of what devices report: status documents and proposals. */
#pragma once

#include "store/db.h"

extern const struct stmt *const status_store_stmts[];

/* The document, and its inventory (when it has one) in the device row, for the planner and the lists; what the device
 * runs by it, when that is new, in device_ran.  One statement: all or none.  *ret_stored: false when the stored document has
 * a higher seq, or is this one (it stays). */
MUST_USE enum err_code status_store_put(struct db *db, const char *device_id, int64_t seq, const char *digest,
                                        const json_t *doc, struct slice jws, struct arena *a, bool *ret_stored,
                                        struct err *e);
/* The stored digest, "" without one. */
MUST_USE enum err_code status_store_digest(struct db *db, const char *device_id, struct arena *a, const char **ret,
                                           struct err *e);
/* ERR_NOT_FOUND.  Borrowed from a. */
MUST_USE enum err_code status_store_get(struct db *db, const char *device_id, struct arena *a, json_t **ret_doc,
                                        const char **ret_jws, int64_t *ret_received_ms, struct err *e);
MUST_USE enum err_code status_store_propose(struct db *db, const char *device_id, const json_t *doc, struct err *e);
MUST_USE enum err_code status_store_proposal(struct db *db, const char *device_id, struct arena *a, json_t **ret_doc,
                                             int64_t *ret_received_ms, struct err *e);
