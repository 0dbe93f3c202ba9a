/* enrol_store.h - SQL of enrolment tokens and of the assertions seen. */
#pragma once

#include "store/db.h"

extern const struct stmt *const enrol_store_stmts[];

struct enrol_token {
    const char *id, *name, *group_id /* "" none */, *name_pattern, *placement, *created_by, *networks /* "{a,b}" */;
    int64_t uses, uses_max, created_ms, expires_ms, revoked_ms;
    bool approval;
    bool network_ok; /* enrol_store_token_lock() only: the caller's address is in networks */
};
struct enrol_token_new {
    const char *id, *name, *networks /* "{}" anywhere */, *group_id /* NULL */, *name_pattern, *placement, *created_by;
    const unsigned char *hash; /* 32 bytes */
    int64_t uses_max, expires_ms;
    bool approval;
};
MUST_USE enum err_code enrol_store_token_add(struct db *db, const struct enrol_token_new *t, struct err *e);
/* By the SHA-256 of its text, locked; ERR_NOT_FOUND. */
MUST_USE enum err_code enrol_store_token_lock(struct db *db, const unsigned char *hash, const char *address,
                                              struct arena *a, struct enrol_token *ret, struct err *e);
MUST_USE enum err_code enrol_store_token_use(struct db *db, const char *id, struct err *e);
/* Without the login tokens (5 minutes, made by oauth2/token); newest first, before the cursor id. */
MUST_USE enum err_code enrol_store_token_list(struct db *db, const char *before, int64_t limit, struct arena *a,
                                              struct enrol_token **ret, size_t *ret_n, struct err *e);
MUST_USE enum err_code enrol_store_token_revoke(struct db *db, const char *id, int64_t *ret_n, struct err *e);
/* *ret_fresh: false when this jti was seen before. */
MUST_USE enum err_code enrol_store_jti(struct db *db, const char *jti, int64_t expires_ms, bool *ret_fresh, struct err *e);
/* Id of a group by id or name; ERR_NOT_FOUND. */
MUST_USE enum err_code enrol_store_group(struct db *db, const char *ref, struct arena *a, const char **ret, struct err *e);
