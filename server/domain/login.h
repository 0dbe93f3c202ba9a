/*
 * login.h - signing in with name and password: the console's sessions, and the agent's admin_login
 * enrolment.
 *
 * Guessing is slowed down per address and per account; the counters live in the database and
 * survive a restart.  An attempt is counted before the password is looked at, so that attempts side
 * by side do not slip through, and the counters are cleared when it was right.  An address has FREE
 * attempts, then waits 1, 2, 4 ... 900 s.  An account waits at most 10 s, only after MANY failures,
 * and not from an address without failures of its own: nobody can lock an administrator out from
 * outside. Towards the peer all failures are one; the cause is in the audit log.
 */
#pragma once

#include "domain/audit.h"
#include "http/request.h"

enum { LOGIN_FREE = 5, LOGIN_MANY = 100, LOGIN_DELAY_MAX_S = 900, LOGIN_ACCOUNT_DELAY_S = 10 };

/* *ret: the account, as auth_session() fills it.  ERR_TOKEN_INVALID: not accepted.  ERR_SLOW_DOWN:
 * *ret_retry_after_s. */
MUST_USE enum err_code login_check(struct db *db, struct app *app, const char *user,
                                   const char *password, const char *address, int64_t now_ms,
                                   struct who *ret, int64_t *ret_retry_after_s, struct err *e);

enum { SESSION_COOKIE_SIZE = 48 };
/* After login_check(): a new session; the cookie's value comes back once. */
MUST_USE enum err_code session_start(struct db *db, const struct who *who, const char *address,
                                     int64_t now_ms, char cookie[SESSION_COOKIE_SIZE],
                                     int64_t *ret_expires_at_ms, struct err *e);
MUST_USE enum err_code session_end(struct db *db, const char *cookie, const struct actor *by,
                                   struct err *e);
MUST_USE enum err_code session_expiry(struct db *db, const char *cookie, int64_t *ret_expires_at_ms,
                                      struct err *e);
/* All sessions of the account end; the caller gets a new one.  Failures of the old password count
 * like a sign-in. */
MUST_USE enum err_code password_change(struct db *db, struct app *app, const struct who *who,
                                       const char *old_password, const char *new_password,
                                       const struct actor *by, int64_t now_ms,
                                       char cookie[SESSION_COOKIE_SIZE], int64_t *ret_expires_at_ms,
                                       int64_t *ret_retry_after_s, struct err *e);
