/*
 * account.h - accounts of people and their API tokens.
 * The last enabled administrator cannot be removed, disabled or made less.  A change of role,
 * password or of being disabled ends the account's sessions.
 */
#pragma once

#include "domain/audit.h"
#include "http/request.h"

extern const char *const role_names[]; /* NULL-terminated */
extern const char *const lang_names[];

/* At the first start: makes account "admin" with a generated password, which comes back once (""
 * when there are accounts already); it must be changed at the first sign-in unless app->lab.  Also
 * the first revision (settings.h). */
enum { BOOTSTRAP_PASSWORD_SIZE = 32 };
MUST_USE enum err_code account_bootstrap(struct db *db, struct app *app,
                                         char ret_password[BOOTSTRAP_PASSWORD_SIZE], struct err *e);
/* inarid reset-admin: a new generated password for "admin", enabled, administrator, made again when
 * it is gone; its sessions end. */
MUST_USE enum err_code
account_reset_admin(struct db *db, char ret_password[BOOTSTRAP_PASSWORD_SIZE], struct err *e);

struct account_spec { /* NULL and -1: not given */
    const char *name, *password;
    int role, lang;
    bool disabled, disabled_given;
};
/* json: the account without its password; new reference.  *ret_version for the ETag. */
MUST_USE enum err_code account_get(struct db *db, const char *id, json_t **ret,
                                   int64_t *ret_version, struct err *e);
/* Names after `after`; *ret_next: name to go on with, "" at the end. */
MUST_USE enum err_code account_list(struct db *db, const char *after, int limit, json_t **ret,
                                    char ret_next[64], struct err *e);
MUST_USE enum err_code account_create(struct db *db, const struct account_spec *spec,
                                      const struct actor *by, bool dry_run, json_t **ret,
                                      struct err *e);
/* Only when the account still has this version: else ERR_STALE_EDIT. */
MUST_USE enum err_code account_update(struct db *db, const char *id, int64_t version,
                                      const struct account_spec *spec, const struct actor *by,
                                      bool dry_run, json_t **ret, struct err *e);
MUST_USE enum err_code account_delete(struct db *db, const char *id, int64_t version,
                                      const struct actor *by, bool dry_run, struct err *e);

/* --- API tokens --- */
struct api_token_spec {
    const char *name;
    const json_t *scopes;  /* array of words, each within owner->perms */
    int64_t expires_at_ms; /* 0: never */
};
/* *ret: with "token", which nobody can read again. */
MUST_USE enum err_code api_token_create(struct db *db, const struct who *owner,
                                        const struct api_token_spec *spec, const struct actor *by,
                                        int64_t now_ms, bool dry_run, json_t **ret, struct err *e);
/* account_id NULL: of everybody. */
MUST_USE enum err_code api_token_list(struct db *db, const char *account_id, const char *after,
                                      int limit, json_t **ret, char ret_next[64], struct err *e);
/* account_id NULL: whoever it belongs to. */
MUST_USE enum err_code api_token_revoke(struct db *db, const char *id, const char *account_id,
                                        const struct actor *by, int64_t now_ms, bool dry_run,
                                        struct err *e);
