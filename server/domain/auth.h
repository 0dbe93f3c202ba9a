/*
 * auth.h - who a caller of the admin API is: console sessions and scoped API tokens.
 * Called by server/http on a worker thread before the handler, for routes that need a permission.
 * Secrets: neither cookie nor token is logged or put into an error; both are looked up by their
 * SHA-256. Towards the peer every failure is the same ERR_UNAUTHENTICATED or ERR_TOKEN_INVALID; the
 * cause is only logged.
 */
#pragma once

#include "http/request.h"

#define AUTH_COOKIE "__Host-inari" /* name of the session cookie */
#define AUTH_TOKEN_PREFIX                                                                          \
    "inari_" /* what an API token begins with; other bearers are device tokens */

/* The session of a cookie value (borrowed, at most 200 printable bytes).  Moves its idle deadline
 * (at most once a minute).  *ret: kind, id, name, account, perms (PERM_SESSION included),
 * must_change_password, lang. ERR_UNAUTHENTICATED: no such session, idle or too old, account
 * disabled.  ERR_OVERLOADED: database away. */
MUST_USE enum err_code auth_session(struct db *db, struct app *app, const char *cookie,
                                    int64_t now_ms, struct arena *a, struct who *ret,
                                    struct err *e);
/* The API token in "Authorization: Bearer inari_...": perms are its scopes cut to what its account
 * may do now. ERR_TOKEN_INVALID: unknown, revoked, expired, account disabled. */
MUST_USE enum err_code auth_api_token(struct db *db, struct app *app, const char *token,
                                      int64_t now_ms, struct arena *a, struct who *ret,
                                      struct err *e);
