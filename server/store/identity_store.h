/* identity_store.h - SQL of what makes a device that device: its keys, and what was seen of its instances. */
#pragma once

#include "store/device_store.h"

extern const struct stmt *const identity_store_stmts[];

struct key_candidate { /* borrowed */
    const char *kid, *receipt;
    const json_t *jwk, *enc_jwk;
};
/* Is that thumbprint another device's, as its key in force or as its candidate? */
MUST_USE enum err_code identity_store_kid_taken(struct db *db, const char *device_id, const char *kid, bool *ret,
                                                struct err *e);
/* A candidate takes the place of an earlier one. */
MUST_USE enum err_code identity_store_offer(struct db *db, const char *device_id, const struct key_candidate *k,
                                            struct err *e);
/* ERR_NOT_FOUND: the device has no candidate of that thumbprint. */
MUST_USE enum err_code identity_store_candidate(struct db *db, const char *device_id, const char *kid, struct arena *a,
                                                struct key_candidate *ret, struct err *e);
/* The candidate comes into force and the key before is forgotten; tokens of the generation before end.
 * ERR_NOT_FOUND as above. */
MUST_USE enum err_code identity_store_promote(struct db *db, const char *device_id, const char *kid, struct err *e);

/* --- instances --- */
/* fork NULL: there is one again.  With a fork in which somebody goes on a key that was offered is not any more: whichever
 * of the two it was. */
MUST_USE enum err_code identity_store_fork(struct db *db, const char *device_id, const json_t *fork, const char *state,
                                           struct err *e);
/* An older snapshot came back: its reports, whose numbers are lower, count again. */
MUST_USE enum err_code identity_store_reverted(struct db *db, const char *device_id, struct err *e);
/* From now on it belongs to that machine. */
MUST_USE enum err_code identity_store_machine(struct db *db, const char *device_id, const char *fingerprint, struct err *e);

/* --- another machine in a device's place --- */
/* The device a machine that wants that name seems to have been: it has the name, is not rejected or retired, and is on
 * the same hardware (NULL: the machine does not say) or has not been seen for three minutes.  *ret: its id, "" none. */
MUST_USE enum err_code identity_store_replaced(struct db *db, const char *name, const char *hardware, struct arena *a,
                                               const char **ret, struct err *e);
/* It is a machine of its own. */
MUST_USE enum err_code identity_store_is_new(struct db *db, const char *device_id, struct err *e);
/* Device into has the key and the machine of device from, which becomes a tombstone that leads to it; tokens of the key
 * before end, what was reported with it does not count any more.  ERR_CONFLICT: another was faster. */
struct identity_heir {
    const char *from, *kid, *receipt, *approver, *state, *mode;
};
MUST_USE enum err_code identity_store_inherit(struct db *db, const char *into, const struct identity_heir *h,
                                              struct err *e);
