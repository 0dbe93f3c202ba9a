/* Accounts, sign-in, sessions and API tokens against a real PostgreSQL.  Time is an argument. */
#include "domain/account.h"
#include "domain/app.h"
#include "domain/auth.h"
#include "domain/login.h"
#include "domain/password.h"
#include "store/migrate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct db *db;
static struct app app;
static char admin_password[BOOTSTRAP_PASSWORD_SIZE];
static const struct actor actor = {"account", "admin", "", "", "198.18.0.9"};
static int64_t now = 1800000000000;

static int setup(void **state)
{
    struct err e = {0};

    (void)state;
    db = db_open(getenv("INARI_TEST_DB"), "test");
    return db != NULL && migrate_run(db, &e) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    db_close(db);
    return 0;
}

static enum err_code login(const char *user, const char *password, const char *address,
                           struct who *who)
{
    struct err e = {0};
    int64_t wait = 0;
    enum err_code rc = login_check(db, &app, user, password, address, now, who, &wait, &e);

    assert_true(rc != ERR_SLOW_DOWN || (wait >= 1 && wait <= LOGIN_DELAY_MAX_S));
    return rc;
}

static void first_admin_once(void **state)
{
    char again[BOOTSTRAP_PASSWORD_SIZE];
    struct err e = {0};
    struct who who;

    (void)state;
    assert_int_equal(account_bootstrap(db, &app, admin_password, &e), ERR_OK);
    assert_int_equal(strlen(admin_password), 24);
    assert_int_equal(account_bootstrap(db, &app, again, &e), ERR_OK);
    assert_string_equal(again, "");
    assert_int_equal(login("admin", admin_password, "198.18.0.1", &who), ERR_OK);
    assert_true(who.must_change_password);
    assert_int_equal(who.perms & PERM_ADMIN, PERM_ADMIN);
    app.lab = true;
    assert_int_equal(login("admin", admin_password, "198.18.0.1", &who), ERR_OK);
    assert_false(who.must_change_password);
    app.lab = false;
}

static void guessing_is_slowed_down_not_locked_out(void **state)
{
    int reached = 0;
    struct who who;

    (void)state;
    now += 1000;
    for (int i = 0; i < 400; i++) {
        now += 50; /* 20 seconds of guessing */
        if (login("admin", "wrong password", "198.18.0.66", &who) == ERR_TOKEN_INVALID)
            reached++;
    }
    assert_in_range(reached, 5, 20);
    /* another address is not concerned; the guesser's own right password is */
    assert_int_equal(login("admin", admin_password, "198.18.0.66", &who), ERR_SLOW_DOWN);
    assert_int_equal(login("admin", admin_password, "198.18.0.1", &who), ERR_OK);
    /* a restart forgets nothing: the counters are in the database */
    db_close(db);
    db = db_open(getenv("INARI_TEST_DB"), "test");
    assert_int_equal(login("admin", admin_password, "198.18.0.66", &who), ERR_SLOW_DOWN);
    now += LOGIN_DELAY_MAX_S * 1000LL;
    assert_int_equal(login("admin", admin_password, "198.18.0.66", &who), ERR_OK);
}

static void many_addresses_cannot_lock_an_account(void **state)
{
    struct who who;
    char address[64];

    (void)state;
    for (int i = 0; i < 60; i++) {
        (void)snprintf(address, sizeof address, "2001:db8:%x::%x", i, i);
        for (int k = 0; k < 4; k++)
            (void)login("admin", "wrong password", address, &who);
    }
    assert_int_equal(login("admin", "wrong password", "2001:db8:1::beef", &who),
                     ERR_SLOW_DOWN); /* same /64 */
    assert_int_equal(login("admin", admin_password, "198.18.0.1", &who), ERR_OK);
}

static void unknown_and_known_names_look_alike(void **state)
{
    struct who who;
    struct err known = {0}, unknown = {0};
    int64_t wait = 0;

    (void)state;
    now += 3600 * 1000LL * 2;
    assert_int_equal(login_check(db, &app, "admin", "x", "198.18.0.2", now, &who, &wait, &known),
                     ERR_TOKEN_INVALID);
    assert_int_equal(
        login_check(db, &app, "nobody-here", "x", "198.18.0.2", now, &who, &wait, &unknown),
        ERR_TOKEN_INVALID);
    assert_string_equal(known.msg, unknown.msg);
    assert_int_equal(
        login_check(db, &app, "bad\xff\n", "x", "198.18.0.2", now, &who, &wait, &unknown),
        ERR_TOKEN_INVALID);
}

static enum err_code session(const char *cookie, struct who *who)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct err e = {0};

    return auth_session(db, &app, cookie, now, a, who, &e);
}

static void sessions_end(void **state)
{
    char first[SESSION_COOKIE_SIZE], second[SESSION_COOKIE_SIZE], third[SESSION_COOKIE_SIZE];
    int64_t expires = 0, wait = 0;
    struct err e = {0};
    struct who who, seen;

    (void)state;
    now += 3600 * 1000LL;
    assert_int_equal(login("admin", admin_password, "198.18.0.1", &who), ERR_OK);
    assert_int_equal(session_start(db, &who, "198.18.0.1", now, first, &expires, &e), ERR_OK);
    assert_int_equal(session_start(db, &who, "198.18.0.1", now, second, &expires, &e), ERR_OK);
    assert_string_not_equal(first, second);
    assert_int_equal(strlen(first), 43);
    assert_int_equal(session(first, &seen), ERR_OK);
    assert_string_equal(seen.name, "admin");
    assert_int_equal(seen.perms & PERM_SESSION, PERM_SESSION);
    assert_int_equal(session("guess", &seen), ERR_UNAUTHENTICATED);
    /* sliding: 14 minutes, used, 14 minutes more */
    now += 14 * 60 * 1000;
    assert_int_equal(session(first, &seen), ERR_OK);
    now += 14 * 60 * 1000;
    assert_int_equal(session(first, &seen), ERR_OK);
    assert_int_equal(session(second, &seen), ERR_UNAUTHENTICATED);
    /* a changed password ends them all and gives a new one */
    assert_int_equal(password_change(db, &app, &who, admin_password, "short", &actor, now, third,
                                     &expires, &wait, &e),
                     ERR_INVALID);
    assert_int_equal(password_change(db, &app, &who, "not the old one", "a new pass phrase", &actor,
                                     now, third, &expires, &wait, &e),
                     ERR_TOKEN_INVALID);
    assert_int_equal(password_change(db, &app, &who, admin_password, "a new pass phrase", &actor,
                                     now, third, &expires, &wait, &e),
                     ERR_OK);
    (void)snprintf(admin_password, sizeof admin_password, "a new pass phrase");
    assert_int_equal(session(first, &seen), ERR_UNAUTHENTICATED);
    assert_int_equal(session(third, &seen), ERR_OK);
    assert_false(seen.must_change_password);
    /* used all day long: over after twelve hours */
    for (int i = 0; i < 71; i++) {
        now += 10 * 60 * 1000;
        assert_int_equal(session(third, &seen), ERR_OK);
    }
    now += 11 * 60 * 1000;
    assert_int_equal(session(third, &seen), ERR_UNAUTHENTICATED);
}

static void the_last_admin_stays(void **state)
{
    AUTO(json_free) json_t *items = NULL, *changed = NULL, *other = NULL;
    struct account_spec less = {.role = 0, .lang = -1},
                        off = {.role = -1, .lang = -1, .disabled = true, .disabled_given = true};
    struct account_spec second = {
        .name = "second", .password = "correct horse battery", .role = 2, .lang = 1};
    struct err e = {0};
    char next[64];
    const char *id;
    int64_t version;

    (void)state;
    assert_int_equal(account_list(db, "", 50, &items, next, &e), ERR_OK);
    assert_int_equal(json_array_size(items), 1);
    id = json_str(json_array_get(items, 0), "id", "");
    version = json_int(json_array_get(items, 0), "version", 0);
    assert_null(json_object_get(json_array_get(items, 0), "password"));
    assert_int_equal(account_update(db, id, version, &less, &actor, false, &changed, &e),
                     ERR_CONFLICT);
    assert_int_equal(account_update(db, id, version, &off, &actor, false, &changed, &e),
                     ERR_CONFLICT);
    assert_int_equal(account_delete(db, id, version, &actor, false, &e), ERR_CONFLICT);
    assert_int_equal(account_create(db, &second, &actor, true, &other, &e), ERR_OK); /* dry */
    json_decref(TAKE(other));
    assert_int_equal(account_create(db, &second, &actor, false, &other, &e), ERR_OK);
    assert_int_equal(account_create(db, &second, &actor, false, &changed, &e), ERR_CONFLICT);
    assert_int_equal(account_update(db, id, version + 1, &less, &actor, false, &changed, &e),
                     ERR_STALE_EDIT);
    assert_int_equal(account_delete(db, json_str(other, "id", ""), 1, &actor, true, &e), ERR_OK);
    assert_int_equal(account_delete(db, json_str(other, "id", ""), 1, &actor, false, &e), ERR_OK);
    assert_int_equal(account_delete(db, json_str(other, "id", ""), 1, &actor, false, &e),
                     ERR_NOT_FOUND);
}

static void tokens_have_their_scopes_only(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    AUTO(json_free) json_t *scopes = json_pack("[s,s]", "settings:read", "publish");
    AUTO(json_free) json_t *much = json_pack("[s]", "admin");
    AUTO(json_free) json_t *made = NULL, *none = NULL;
    struct api_token_spec spec = {.name = "ci", .scopes = scopes, .expires_at_ms = now + 60000};
    struct api_token_spec wide = {.name = "ci", .scopes = much};
    struct err e = {0};
    struct who who, seen, viewer;

    (void)state;
    assert_int_equal(login("admin", admin_password, "198.18.0.1", &who), ERR_OK);
    viewer = who;
    viewer.perms = PERM_SETTINGS_READ;
    assert_int_equal(api_token_create(db, &viewer, &wide, &actor, now, false, &none, &e),
                     ERR_FORBIDDEN);
    assert_string_equal(e.pointer, "/scopes/0");
    assert_int_equal(api_token_create(db, &who, &spec, &actor, now, false, &made, &e), ERR_OK);
    const char *token = json_str(made, "token", "");
    assert_int_equal(strlen(token), 49);
    assert_int_equal(auth_api_token(db, &app, token, now, a, &seen, &e), ERR_OK);
    assert_int_equal(seen.perms, PERM_SETTINGS_READ | PERM_PUBLISH | PERM_KNOWN);
    assert_string_equal(seen.name, "token:ci");
    assert_int_equal(auth_api_token(db, &app, token, now + 60000, a, &seen, &e), ERR_TOKEN_INVALID);
    assert_int_equal(api_token_revoke(db, json_str(made, "id", ""),
                                      "00000000-0000-7000-8000-000000000000", &actor, now, false,
                                      &e),
                     ERR_NOT_FOUND);
    assert_int_equal(
        api_token_revoke(db, json_str(made, "id", ""), who.account, &actor, now, false, &e),
        ERR_OK);
    assert_int_equal(auth_api_token(db, &app, token, now, a, &seen, &e), ERR_TOKEN_INVALID);
}

static void reset_admin_lets_in_again(void **state)
{
    char password[BOOTSTRAP_PASSWORD_SIZE];
    struct audit_check check = {0};
    struct err e = {0};
    struct who who;

    (void)state;
    assert_int_equal(account_reset_admin(db, password, &e), ERR_OK);
    assert_int_equal(login("admin", admin_password, "198.18.0.3", &who), ERR_TOKEN_INVALID);
    assert_int_equal(login("admin", password, "198.18.0.3", &who), ERR_OK);
    assert_true(who.must_change_password);
    assert_int_equal(audit_verify(db, &check, &e), ERR_OK);
    assert_int_equal(check.first_bad, 0);
    assert_true(check.entries > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_admin_once),
        cmocka_unit_test(guessing_is_slowed_down_not_locked_out),
        cmocka_unit_test(many_addresses_cannot_lock_an_account),
        cmocka_unit_test(unknown_and_known_names_look_alike),
        cmocka_unit_test(sessions_end),
        cmocka_unit_test(the_last_admin_stays),
        cmocka_unit_test(tokens_have_their_scopes_only),
        cmocka_unit_test(reset_admin_lets_in_again),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
