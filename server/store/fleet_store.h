/* fleet_store.h - SQL behind fleet_cache: what it follows, loads and flushes. */
#pragma once

#include "store/db.h"

extern const struct stmt *const fleet_store_stmts[];

/* Note a change inside the caller's transaction: the caches of all parents follow.  Takes a lock until the commit, so
 * that numbers become visible in order; call it last.  kind: "device" or "trust". */
MUST_USE enum err_code fleet_store_note(struct db *db, const char *kind, const char *id, struct err *e);
/* The same for many devices; ids: PostgreSQL array text "{a,b}". */
MUST_USE enum err_code fleet_store_note_devices(struct db *db, const char *ids, struct err *e);

MUST_USE enum err_code fleet_store_last_change(struct db *db, int64_t *ret, struct err *e);
struct fleet_change {
    int64_t seq;
    const char *kind, *id;
};
/* At most 5000, lowest first. */
MUST_USE enum err_code fleet_store_changes(struct db *db, int64_t after, struct arena *a, struct fleet_change **ret,
                                           size_t *ret_n, struct err *e);
struct fleet_row {
    const char *id, *state;
    int64_t gen, epoch, rev;
    const char *etag, *status_digest;
    int64_t commands; /* not taken yet */
    int64_t status_seq; /* of the stored status; 0 none */
    const char *fingerprint, *keep_machine, *keep_boot; /* keep_...: of a fork */
    bool forked;
};
/* ids: array text; NULL: every device. */
MUST_USE enum err_code fleet_store_rows(struct db *db, const char *ids, struct arena *a, struct fleet_row **ret,
                                        size_t *ret_n, struct err *e);
MUST_USE enum err_code fleet_store_digests(struct db *db, struct arena *a, struct fleet_row **ret, size_t *ret_n,
                                           struct err *e);
struct fleet_bundle {
    const char *device_id; /* fleet_store_bundles() */
    int64_t epoch, rev, pub;
    const char *etag, *content_digest, *jws;
};
MUST_USE enum err_code fleet_store_bundle(struct db *db, const char *device_id, int64_t epoch, int64_t rev,
                                          struct arena *a, struct fleet_bundle *ret, struct err *e);
/* What is offered to these devices now. */
MUST_USE enum err_code fleet_store_bundles(struct db *db, const char *ids, struct arena *a, struct fleet_bundle **ret,
                                           size_t *ret_n, struct err *e);
MUST_USE enum err_code fleet_store_analyze(struct db *db, struct err *e); /* new statistics for what grows with the fleet */
MUST_USE enum err_code fleet_store_trim(struct db *db, struct err *e); /* old change, jti and idempotency rows */
