/* key_store.h - SQL of the parent's own facts: meta, signing_key, trust_document. */
#pragma once

#include "store/db.h"

extern const struct stmt *const key_store_stmts[];

struct stored_key {
    const char *kid, *use;
    struct slice sealed; /* p NULL: kept elsewhere */
    int64_t created_ms;
};

/* Value of a meta row, borrowed from a; ERR_NOT_FOUND. */
MUST_USE enum err_code key_store_meta(struct db *db, const char *key, struct arena *a, json_t **ret, struct err *e);
/* *ret_made: false when the row was there already (it stays). */
MUST_USE enum err_code key_store_meta_make(struct db *db, const char *key, const json_t *value, bool *ret_made,
                                           struct err *e);
/* Newest first. */
MUST_USE enum err_code key_store_list(struct db *db, struct arena *a, struct stored_key **ret, size_t *ret_n,
                                      struct err *e);
/* sealed and jwk may be empty / NULL. */
MUST_USE enum err_code key_store_add(struct db *db, const char *kid, const char *use, struct slice sealed,
                                     const json_t *jwk, struct err *e);
/* Is there a token key younger than age_s, by the database's clock (a parent's that jumps must not
 * rotate away every token)? */
MUST_USE enum err_code key_store_token_fresh(struct db *db, int64_t age_s, bool *ret, struct err *e);
/* Forget token keys but the newest keep. */
MUST_USE enum err_code key_store_trim_tokens(struct db *db, int keep, struct err *e);
MUST_USE enum err_code key_store_trust_add(struct db *db, int64_t n, const char *jws, struct err *e);
struct stored_trust {
    int64_t n;
    const char *jws;
};
/* Lowest first. */
MUST_USE enum err_code key_store_trust_list(struct db *db, struct arena *a, struct stored_trust **ret, size_t *ret_n,
                                            struct err *e);
