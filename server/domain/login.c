#include "domain/login.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/rand.h"
#include "domain/app.h"
#include "domain/password.h"
#include "domain/role.h"
#include "store/account_store.h"
#include "store/session_store.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum {
    FORGET_MS = 60 * 60 * 1000 /* quiet for so long: counted from none again */,
    SUBJECT_SIZE = 80
};

/* --- counters --- */

/* What an attacker has many of for nothing is one: IPv6 counts per /64, mapped IPv4 as IPv4. */
static void address_subject(const char *address, char out[SUBJECT_SIZE])
{
    struct in6_addr v6;
    char text[INET6_ADDRSTRLEN];

    (void)snprintf(out, SUBJECT_SIZE, "%s", address);
    if (inet_pton(AF_INET6, address, &v6) != 1)
        return;
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
        if (inet_ntop(AF_INET, v6.s6_addr + 12, text, sizeof text) != NULL)
            (void)snprintf(out, SUBJECT_SIZE, "%s", text);
        return;
    }
    memset(v6.s6_addr + 8, 0, 8);
    if (inet_ntop(AF_INET6, &v6, text, sizeof text) != NULL)
        (void)snprintf(out, SUBJECT_SIZE, "%s/64", text);
}

struct attempt {
    const char *user;
    char address[SUBJECT_SIZE], account[SUBJECT_SIZE];
    int64_t now_ms, wait_ms;
};

static int64_t address_delay_ms(int64_t failures)
{
    int64_t s = failures <= LOGIN_FREE       ? 0
                : failures - LOGIN_FREE > 10 ? LOGIN_DELAY_MAX_S
                                             : 1 << (failures - LOGIN_FREE - 1);

    return (s > LOGIN_DELAY_MAX_S ? LOGIN_DELAY_MAX_S : s) * 1000;
}

struct counter {
    int64_t failures, wait_ms; /* as they are now; a quiet hour forgets */
};

static enum err_code counter_lock(struct db *db, const char *kind, const char *subject,
                                  int64_t now_ms, struct counter *ret, struct err *e)
{
    int64_t until = 0;
    enum err_code rc = login_store_lock(db, kind, subject, now_ms, &ret->failures, &until, e);

    if (rc != ERR_OK)
        return rc;
    ret->wait_ms = until - now_ms;
    /* a clock that was set back does not lock anybody out for days */
    if (ret->wait_ms < 0 || ret->wait_ms > LOGIN_DELAY_MAX_S * 1000LL)
        ret->wait_ms = 0;
    if (now_ms - until > FORGET_MS)
        ret->failures = 0;
    return ERR_OK;
}

/* Counts the attempt in both, or in none when it must wait. */
static enum err_code count_attempt(struct db *db, void *ctx, struct err *e)
{
    struct attempt *t = ctx;
    struct counter address = {0, 0}, account = {0, 0};
    enum err_code rc = counter_lock(db, "address", t->address, t->now_ms, &address, e);

    if (rc == ERR_OK)
        rc = counter_lock(db, "account", t->account, t->now_ms, &account, e);
    if (rc != ERR_OK)
        return rc;
    t->wait_ms = address.wait_ms;
    /* An address without failures of its own passes: else whoever guesses all the time keeps the
     * owner out. */
    if (address.failures > 0 && account.wait_ms > t->wait_ms)
        t->wait_ms = account.wait_ms;
    if (t->wait_ms > 0)
        return err_set(e, ERR_SLOW_DOWN, "too many failed attempts: wait and try again");
    address.failures++;
    account.failures++;
    rc = login_store_set(db, "address", t->address, address.failures,
                         t->now_ms + address_delay_ms(address.failures), e);
    if (rc != ERR_OK)
        return rc;
    return login_store_set(
        db, "account", t->account, account.failures,
        t->now_ms + (account.failures > LOGIN_MANY ? LOGIN_ACCOUNT_DELAY_S * 1000 : 0), e);
}

static enum err_code clear_counters(struct db *db, void *ctx, struct err *e)
{
    const struct attempt *t = ctx;
    enum err_code rc = login_store_clear(db, "account", t->account, e);

    if (rc == ERR_OK)
        rc = login_store_clear(db, "address", t->address, e);
    if (rc == ERR_OK)
        rc = login_store_purge(db, t->now_ms - 24 * 60 * 60 * 1000LL, e);
    return rc;
}

/* --- refusals --- */

struct refusal {
    struct actor by;
    const char *user, *cause;
};

static enum err_code audit_refusal(struct db *db, void *ctx, struct err *e)
{
    const struct refusal *r = ctx;
    AUTO(json_free) json_t *detail = json_pack("{s:s,s:s}", "user", r->user, "cause", r->cause);

    return audit_append(db, &r->by, "session.refuse", "account", detail, e);
}

static void refused(struct db *db, const char *user, const char *address, const char *cause)
{
    char shown[64];
    struct refusal r = {{"nobody", "", "", "", address}, shown, cause};
    struct err e;

    (void)snprintf(shown, sizeof shown, "%s",
                   slice_is_utf8(slice_of(user)) && strlen(user) < sizeof shown ? user : "?");
    if (tx_run(db, "login_refused", audit_refusal, &r, &e) != ERR_OK)
        log_event(LOG_LEVEL_WARN, "audit.failed", KV_STR("action", "session.refuse"),
                  KV_STR("text", e.msg));
}

/* --- checking --- */

static enum err_code find_account(struct db *db, const char *user, struct arena *a,
                                  struct account_row *ret, const char **ret_cause, struct err *e)
{
    enum err_code rc = account_store_by_name(db, user, a, ret, e);

    *ret_cause = NULL;
    if (rc == ERR_NOT_FOUND || rc == ERR_INVALID) {
        *ret = (struct account_row){0};
        *ret_cause = "unknown account";
        return ERR_OK;
    }
    if (rc == ERR_OK && ret->disabled)
        *ret_cause = "account disabled";
    return rc;
}

enum err_code login_check(struct db *db, struct app *app, const char *user, const char *password,
                          const char *address, int64_t now_ms, struct who *ret,
                          int64_t *ret_retry_after_s, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct attempt t = {.user = user, .now_ms = now_ms};
    struct account_row row = {0};
    const char *cause = NULL;
    enum err_code rc;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    address_subject(address, t.address);
    (void)snprintf(t.account, sizeof t.account, "%s",
                   slice_is_utf8(slice_of(user)) && strlen(user) < 64 ? user : "?");
    rc = tx_run(db, "login", count_attempt, &t, e);
    if (rc == ERR_SLOW_DOWN)
        *ret_retry_after_s = (t.wait_ms + 999) / 1000;
    if (rc == ERR_OK)
        rc = find_account(db, user, a, &row, &cause, e);
    if (rc != ERR_OK)
        return rc;
    /* always one hash, so that time tells nothing about the account */
    if (!password_matches(row.password, password) && cause == NULL)
        cause = "wrong password";
    if (cause != NULL) {
        refused(db, user, address, cause);
        return err_set(e, ERR_TOKEN_INVALID, "name or password are not right");
    }
    rc = tx_run(db, "login_clear", clear_counters, &t, e);
    if (rc != ERR_OK)
        return rc;
    *ret = (struct who){.kind = WHO_ACCOUNT,
                        .perms = role_perms(row.role) | PERM_SESSION | PERM_KNOWN,
                        .must_change_password = row.must_change && !app->lab,
                        .lang = strcmp(row.lang, "ja") == 0 ? LANG_JA : LANG_EN};
    (void)snprintf(ret->id, sizeof ret->id, "%s", row.id);
    (void)snprintf(ret->account, sizeof ret->account, "%s", row.id);
    (void)snprintf(ret->name, sizeof ret->name, "%s", row.name);
    return ERR_OK;
}

/* --- sessions --- */

struct new_session {
    const struct who *who;
    struct actor by;
    int64_t now_ms;
    char cookie[SESSION_COOKIE_SIZE];
    const char *encoded; /* a new password; NULL: sign-in */
};

static enum err_code insert_session(struct db *db, struct new_session *s, struct err *e)
{
    unsigned char random[32], hash[SHA256_SIZE];
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(SESSION_COOKIE_SIZE);

    rand_bytes(random, sizeof random);
    b64u_add(&b, (struct slice){(const char *)random, sizeof random});
    secret_wipe(random, sizeof random);
    if (!strbuf_ok(&b))
        return strbuf_check(&b, e);
    (void)snprintf(s->cookie, sizeof s->cookie, "%s", strbuf_str(&b));
    secret_wipe(b.p, b.n);
    sha256(slice_of(s->cookie), hash);
    return session_store_insert(db, (struct slice){(const char *)hash, sizeof hash}, s->who->id,
                                s->now_ms, s->now_ms + SESSION_MAX_MS, s->by.address, e);
}

static enum err_code start_in_tx(struct db *db, void *ctx, struct err *e)
{
    struct new_session *s = ctx;
    enum err_code rc = session_store_purge(db, s->now_ms, s->now_ms - SESSION_IDLE_MS, e);

    if (rc == ERR_OK)
        rc = insert_session(db, s, e);
    return rc == ERR_OK ? audit_append(db, &s->by, "session.start", "session", NULL, e) : rc;
}

enum err_code session_start(struct db *db, const struct who *who, const char *address,
                            int64_t now_ms, char cookie[SESSION_COOKIE_SIZE],
                            int64_t *ret_expires_at_ms, struct err *e)
{
    struct new_session s = {
        .who = who, .by = {"account", who->name, who->id, who->account, address}, .now_ms = now_ms};
    enum err_code rc = tx_run(db, "session_start", start_in_tx, &s, e);

    if (rc == ERR_OK) {
        memcpy(cookie, s.cookie, sizeof s.cookie);
        *ret_expires_at_ms = now_ms + SESSION_MAX_MS;
    }
    secret_wipe(s.cookie, sizeof s.cookie);
    return rc;
}

enum err_code session_expiry(struct db *db, const char *cookie, int64_t *ret_expires_at_ms,
                             struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    unsigned char hash[SHA256_SIZE];
    struct session_row row;
    enum err_code rc;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    sha256(slice_of(cookie), hash);
    rc = session_store_find(db, (struct slice){(const char *)hash, sizeof hash}, a, &row, e);
    if (rc == ERR_OK)
        *ret_expires_at_ms = row.expires_at_ms;
    return rc;
}

struct ending {
    struct slice hash;
    const struct actor *by;
};

static enum err_code end_in_tx(struct db *db, void *ctx, struct err *e)
{
    const struct ending *x = ctx;
    enum err_code rc = session_store_delete(db, x->hash, e);

    return rc == ERR_OK ? audit_append(db, x->by, "session.end", "session", NULL, e) : rc;
}

enum err_code session_end(struct db *db, const char *cookie, const struct actor *by, struct err *e)
{
    unsigned char hash[SHA256_SIZE];
    struct ending x = {{(const char *)hash, sizeof hash}, by};

    sha256(slice_of(cookie), hash);
    return tx_run(db, "session_end", end_in_tx, &x, e);
}

static enum err_code change_in_tx(struct db *db, void *ctx, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct new_session *s = ctx;
    struct account_row row;
    enum err_code rc;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = account_store_lock(db, s->who->id, a, &row, e);
    if (rc != ERR_OK)
        return rc;
    row.password = s->encoded;
    row.must_change = false;
    rc = account_store_update(db, &row, e);
    if (rc == ERR_OK)
        rc = session_store_delete_account(db, row.id, e);
    if (rc == ERR_OK)
        rc = insert_session(db, s, e);
    return rc == ERR_OK ? audit_append(db, &s->by, "account.password", "account", NULL, e) : rc;
}

enum err_code password_change(struct db *db, struct app *app, const struct who *who,
                              const char *old_password, const char *new_password,
                              const struct actor *by, int64_t now_ms,
                              char cookie[SESSION_COOKIE_SIZE], int64_t *ret_expires_at_ms,
                              int64_t *ret_retry_after_s, struct err *e)
{
    char encoded[PASSWORD_ENCODED_SIZE];
    struct new_session s = {.who = who, .by = *by, .now_ms = now_ms, .encoded = encoded};
    struct who proven;
    enum err_code rc = password_check_rules(new_password, who->name, "/new", e);

    if (rc == ERR_OK && strcmp(old_password, new_password) == 0)
        return err_field(e, ERR_INVALID, "/new", "the new password must be another one");
    if (rc == ERR_OK)
        rc = login_check(db, app, who->name, old_password, by->address, now_ms, &proven,
                         ret_retry_after_s, e);
    if (rc == ERR_OK)
        rc = password_hash(new_password, encoded, e);
    if (rc == ERR_OK)
        rc = tx_run(db, "password_change", change_in_tx, &s, e);
    if (rc == ERR_OK) {
        memcpy(cookie, s.cookie, sizeof s.cookie);
        *ret_expires_at_ms = now_ms + SESSION_MAX_MS;
    }
    secret_wipe(s.cookie, sizeof s.cookie);
    return rc;
}
