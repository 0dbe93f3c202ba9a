/* session_store.h - SQL of console sessions and API tokens. */
#pragma once

#include "store/db.h"

struct session_row { /* with its account; strings borrowed from the arena */
    const char *account_id, *account_name, *role, *lang;
    bool must_change, disabled;
    int64_t created_at_ms, seen_at_ms, expires_at_ms;
};
MUST_USE enum err_code session_store_find(struct db *db, struct slice id_hash, struct arena *a,
                                          struct session_row *ret, struct err *e);
MUST_USE enum err_code session_store_insert(struct db *db, struct slice id_hash,
                                            const char *account_id, int64_t now_ms,
                                            int64_t expires_at_ms, const char *address,
                                            struct err *e);
MUST_USE enum err_code session_store_seen(struct db *db, struct slice id_hash, int64_t now_ms,
                                          struct err *e);
MUST_USE enum err_code session_store_delete(struct db *db, struct slice id_hash, struct err *e);
MUST_USE enum err_code session_store_delete_account(struct db *db, const char *account_id,
                                                    struct err *e);
/* Those that are over, or were not seen since idle_before_ms. */
MUST_USE enum err_code session_store_purge(struct db *db, int64_t now_ms, int64_t idle_before_ms,
                                           struct err *e);

struct api_token_row {
    const char *id, *name, *account_id, *account_name, *role, *lang;
    const json_t *scopes;                                            /* array of words */
    bool disabled;                                                   /* the account */
    int64_t created_at_ms, expires_at_ms, used_at_ms, revoked_at_ms; /* 0: never */
};
MUST_USE enum err_code api_token_store_find(struct db *db, struct slice hash, struct arena *a,
                                            struct api_token_row *ret, struct err *e);
MUST_USE enum err_code api_token_store_by_id(struct db *db, const char *id, struct arena *a,
                                             struct api_token_row *ret, struct err *e);
/* Not revoked; of one account, or of all when account_id is NULL; ids greater than after ("": from
 * the first). */
MUST_USE enum err_code api_token_store_list(struct db *db, const char *account_id,
                                            const char *after, int limit, struct arena *a,
                                            struct api_token_row **ret, size_t *ret_n,
                                            struct err *e);
MUST_USE enum err_code api_token_store_insert(struct db *db, const struct api_token_row *row,
                                              struct slice hash, struct err *e);
MUST_USE enum err_code api_token_store_used(struct db *db, const char *id, int64_t now_ms,
                                            struct err *e);
MUST_USE enum err_code api_token_store_revoke(struct db *db, const char *id, int64_t now_ms,
                                              struct err *e);
