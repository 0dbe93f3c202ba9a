/*
 * trust.h - which keys children believe: the newest trust document, and its successor when a key is replaced
 * (protocol.md 6.1, 6.14.4; docs/internals/wire.md).  Only the fleet's root key signs one.
 */
#pragma once

#include "domain/app.h"
#include "domain/audit.h"
#include "jose/jose.h"

struct trust_order { /* all borrowed */
    const char *reason;
    bool receipt; /* the receipt key too, not only the bundle key */
    bool stolen;  /* the key before counts for nothing from now on; else for TRUST_OVERLAP_DAYS */
};
enum { TRUST_OVERLAP_DAYS = 30 };
struct trust_result {
    int64_t trust, devices;
    char kid[JOSE_KID_SIZE]; /* of the bundle key now */
};
/* In one transaction: new keys, the trust document that lists them, a bundle signed anew under a fresh revision for every
 * device (its content is the same: nobody applies anything), the audit entry.  The keys of app->keys are the new ones
 * afterwards; after an error the caller ends.  ERR_FENCED: decide first; ERR_REFUSED: too many documents or keys;
 * ERR_CONFLICT: another was faster. */
MUST_USE enum err_code trust_rotate(struct db *db, struct app *app, const struct jose_key *root, const struct actor *by,
                                    const struct trust_order *o, struct trust_result *ret, struct err *e);
/* In one transaction: the trust document that names heir as the fleet's root key, signed by it and handed down by root, and
 * the audit entry.  Nothing is issued: bundles are signed by the bundle key.  Errors as above. */
MUST_USE enum err_code trust_replace_root(struct db *db, struct app *app, const struct jose_key *root,
                                          const struct jose_key *heir, const struct actor *by, const char *reason,
                                          int64_t *ret_n, struct err *e);
/* {"n","fleet","epoch","issuer","root","keys":[{"kid","use","not_after","in_force"}],"tls_pins","addresses"}; new
 * reference. */
MUST_USE enum err_code trust_describe(const struct app *app, json_t **ret, struct err *e);
