/* account_store.h - SQL of accounts and of failed sign-ins. */
#pragma once

#include "store/db.h"

struct account_row { /* strings borrowed from the arena, or from the caller on a change */
    const char *id, *name, *role, *password, *lang;
    bool must_change, disabled;
    int64_t version, created_at_ms;
};

MUST_USE enum err_code account_store_by_id(struct db *db, const char *id, struct arena *a,
                                           struct account_row *ret, struct err *e);
/* Locks the row until the transaction ends. */
MUST_USE enum err_code account_store_lock(struct db *db, const char *id, struct arena *a,
                                          struct account_row *ret, struct err *e);
MUST_USE enum err_code account_store_by_name(struct db *db, const char *name, struct arena *a,
                                             struct account_row *ret, struct err *e);
/* By name; names greater than after, at most limit. */
MUST_USE enum err_code account_store_list(struct db *db, const char *after, int limit,
                                          struct arena *a, struct account_row **ret, size_t *ret_n,
                                          struct err *e);
MUST_USE enum err_code account_store_insert(struct db *db, const struct account_row *row,
                                            struct err *e);
/* Everything but id, name and created_at; the version grows. */
MUST_USE enum err_code account_store_update(struct db *db, const struct account_row *row,
                                            struct err *e);
MUST_USE enum err_code account_store_delete(struct db *db, const char *id, struct err *e);
/* Enabled administrators other than this one; locks them, so that two of them cannot remove each
 * other at once. */
MUST_USE enum err_code account_store_other_admins(struct db *db, const char *id, int64_t *ret_n,
                                                  struct err *e);
/* What was chosen for the console, a JSON object; locked until the transaction ends when lock. */
MUST_USE enum err_code account_store_preferences(struct db *db, const char *id, bool lock,
                                                 struct arena *a, const char **ret, struct err *e);
MUST_USE enum err_code account_store_preferences_save(struct db *db, const char *id,
                                                      const char *json, struct err *e);
MUST_USE enum err_code account_store_count(struct db *db, int64_t *ret_n, struct err *e);

/* kind: "account" or "address".  The row is made when there is none, and locked until the
 * transaction ends. */
MUST_USE enum err_code login_store_lock(struct db *db, const char *kind, const char *subject,
                                        int64_t now_ms, int64_t *ret_failures,
                                        int64_t *ret_until_ms, struct err *e);
MUST_USE enum err_code login_store_set(struct db *db, const char *kind, const char *subject,
                                       int64_t failures, int64_t until_ms, struct err *e);
MUST_USE enum err_code login_store_clear(struct db *db, const char *kind, const char *subject,
                                         struct err *e);
MUST_USE enum err_code login_store_purge(struct db *db, int64_t before_ms, struct err *e);
