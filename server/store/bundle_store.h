/* bundle_store.h - SQL of issuing: what a bundle is made of, and the bundles. */
#pragma once

#include "store/db.h"

extern const struct stmt *const bundle_store_stmts[];

/* One issuer at a time, until the end of the transaction.  ERR_FENCED: nothing may be given out (recovery_store.h). */
MUST_USE enum err_code bundle_store_lock(struct db *db, struct err *e);
struct bundle_target { /* a device that gets configuration, with its newest bundle */
    const char *id, *name, *mode, *placement, *drift;
    bool held;
    const char *digest, *etag, *made_for; /* "" no bundle yet; made_for: "mode,placement,drift[,items][,key]" */
    int64_t rev, pub;   /* pub: the publication it is entitled to */
    const char *urgent; /* and those on top of it, "6,8"; "" none (combine.h) */
    const char *kid, *enc_jwk; /* of its key in force: what secrets are sealed to, as JSON text */
};
/* In order of id; ids: array text, NULL: all. */
MUST_USE enum err_code bundle_store_targets(struct db *db, const char *ids, struct arena *a, struct bundle_target **ret,
                                            size_t *ret_n, struct err *e);
struct bundle_member {
    const char *device_id, *group_id, *group_name;
    int64_t priority;
};
/* In order of device id, then priority (lowest first), then group id. */
MUST_USE enum err_code bundle_store_members(struct db *db, const char *ids, struct arena *a, struct bundle_member **ret,
                                            size_t *ret_n, struct err *e);
/* n fresh revisions, ascending, into a. */
MUST_USE enum err_code bundle_store_revs(struct db *db, size_t n, struct arena *a, int64_t **ret, struct err *e);

struct bundle_new {
    const char *device_id, *digest, *etag, *made_for, *rollout_id /* NULL none */, *jws;
    int64_t epoch, rev, pub;
    bool offer; /* offered at once (not held) */
};
/* Stores n of them, all of one epoch, publication and rollout, and moves each device's desired_rev (and offered_rev), by
 * one statement. */
MUST_USE enum err_code bundle_store_put(struct db *db, const struct bundle_new *v, size_t n, struct err *e);
/* Forget the signed bytes that no device may still fetch: all but the newest keep of each device.  The rows stay: rollouts
 * are read from them. */
MUST_USE enum err_code bundle_store_trim(struct db *db, int keep, struct err *e);
