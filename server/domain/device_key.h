/*
 * device_key.h - renewal of a device's own key (protocol.md 6.14.4; docs/internals/wire.md, "Renewing the key").
 *
 * Two phases, so that whatever is lost or killed there is a key both sides accept: the device offers a new key, proven
 * with both keys, and goes on with the old one; the new one comes into force, and the old one out of it, in the
 * transaction of the first token that is asked for with the new one.
 * Threads: any.
 */
#pragma once

#include "domain/app.h"
#include "domain/enrol.h"
#include "store/device_store.h"

/* jws: typ inari-key+jws by the new key; proof: compact, by the key in force, act "rotate-key:<new thumbprint>" (NULL:
 * none was sent).  *ret: {"kid","state":"offered","receipt"}, new reference.  The same offer again changes nothing.
 * ERR_TOKEN_INVALID and ERR_CLOCK_SKEW (the proof), ERR_SIGNATURE (the new key), ERR_INVALID names the field,
 * ERR_CONFLICT: the key in force already, or another device's. */
MUST_USE enum err_code device_key_offer(struct db *db, struct app *app, const char *device_id, struct slice jws,
                                        const char *proof, const char *address, struct arena *a, json_t **ret,
                                        struct err *e);

/* The key of that thumbprint: in force (*ret_candidate false) or offered.  *ret: release with jose_key_free().
 * ERR_TOKEN_INVALID: neither. */
MUST_USE enum err_code device_key_named(struct db *db, const struct device *d, const char *kid, struct arena *a,
                                        struct jose_key **ret, bool *ret_candidate, struct err *e);
/* An assertion by the candidate was good: it comes into force.  d is read again.  ERR_TOKEN_INVALID: another parent or
 * another offer was faster. */
MUST_USE enum err_code device_key_promote(struct db *db, struct app *app, const char *kid, const char *address,
                                          struct arena *a, struct device *d, struct err *e);
