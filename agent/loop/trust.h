/*
 * trust.h - the trust documents: which keys may sign bundles and receipts, which TLS keys the
 * parent may show. Source:   docs/internals/wire.md.  The root key found in the first document is
 * pinned at enrolment; document n+1 counts only when that same root key signed it and its number is
 * exactly one higher, or when it names another root key that signed it and "root_change" in it is
 * the word of the one before for this very document.  Threads: immutable once made.
 */
#pragma once

#include "proto/proto.h"

struct trust;

void trust_free(struct trust *t); /* NULL does nothing */
DEFINE_CLEANUP(struct trust, trust_free);

/* Read the first document of a chain.  fleet: what it must be for, or NULL when nothing is known
 * yet. ERR_SIGNATURE: not signed by the root key it names, or for another fleet.  ERR_MALFORMED,
 * ERR_INVALID. */
MUST_USE enum err_code trust_first(struct slice text, const char *fleet, struct trust **ret,
                                   struct err *e);
/* Read the successor of t.  t stays as it is. */
MUST_USE enum err_code trust_next(const struct trust *t, struct slice text, struct trust **ret,
                                  struct err *e);

int64_t trust_number(const struct trust *t);
/* The newest epoch the root key has allowed; revisions of a later one count for nothing. */
int64_t trust_epoch(const struct trust *t);
const char *trust_fleet(const struct trust *t);
const char *trust_issuer(const struct trust *t);
const json_t *trust_pins(const struct trust *t);      /* borrowed array of strings */
const json_t *trust_addresses(const struct trust *t); /* borrowed array of strings */
/* Is that an enrolment receipt of this fleet for that device and key?  ERR_SIGNATURE, ERR_MALFORMED. */
MUST_USE enum err_code trust_receipt(const struct trust *t, const char *receipt, const char *device,
                                     const char *kid, int64_t now_ms, struct err *e);
/* The key of that use ("bundle", "receipt") and thumbprint that is still good at now_ms; NULL when
 * there is none. */
const struct jose_key *trust_key(const struct trust *t, const char *use, const char *kid,
                                 int64_t now_ms);
