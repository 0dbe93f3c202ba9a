#include "domain/account.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/rand.h"
#include "domain/app.h"
#include "domain/change.h"
#include "domain/password.h"
#include "domain/publish.h"
#include "store/account_store.h"
#include "store/session_store.h"

#include <stdio.h>
#include <string.h>

const char *const role_names[] = {"viewer", "operator", "admin", NULL};
const char *const lang_names[] = {"en", "ja", NULL};
static const char ADMIN[] = "admin";

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

static json_t *account_to_json(const struct account_row *r)
{
    char at[CLOCK_TEXT_SIZE];

    clock_format(r->created_at_ms, at);
    return json_pack("{s:s,s:s,s:s,s:s,s:b,s:b,s:s,s:I}", "id", r->id, "name", r->name, "role",
                     r->role, "lang", r->lang, "disabled", r->disabled, "must_change_password",
                     r->must_change, "created_at", at, "version", (json_int_t)r->version);
}

/* --- first start and the way back in --- */

struct admin_ctx {
    const char *encoded;
    bool made, must_change;
};

static enum err_code insert_admin(struct db *db, const struct admin_ctx *x, struct err *e)
{
    char id[UUID_TEXT_SIZE];
    struct account_row row = {.id = id,
                              .name = ADMIN,
                              .role = "admin",
                              .password = x->encoded,
                              .lang = "en",
                              .must_change = true};

    uuid7(id);
    return account_store_insert(db, &row, e);
}

static enum err_code bootstrap_in_tx(struct db *db, void *ctx, struct err *e)
{
    const struct actor by = ACTOR_SYSTEM;
    struct admin_ctx *x = ctx;
    int64_t n = 0;
    enum err_code rc = account_store_count(db, &n, e);

    x->made = false;
    if (rc != ERR_OK || n > 0)
        return rc;
    rc = insert_admin(db, x, e);
    if (rc == ERR_OK)
        rc = publish_bootstrap(db, e);
    if (rc == ERR_OK)
        rc = audit_append(db, &by, "account.create", "account/admin", NULL, e);
    x->made = rc == ERR_OK;
    return rc;
}

enum err_code account_bootstrap(struct db *db, struct app *app,
                                char ret_password[BOOTSTRAP_PASSWORD_SIZE], struct err *e)
{
    char password[PASSWORD_GENERATED_SIZE], encoded[PASSWORD_ENCODED_SIZE];
    struct admin_ctx x = {.encoded = encoded};
    enum err_code rc;

    (void)app; /* must_change is stored in the lab too; it is only not asked for there */
    password_generate(password);
    rc = password_hash(password, encoded, e);
    if (rc == ERR_OK)
        rc = tx_run(db, "account_bootstrap", bootstrap_in_tx, &x, e);
    if (rc == ERR_CONFLICT) { /* another parent started at the same moment */
        x.made = false;
        rc = ERR_OK;
    }
    if (rc == ERR_OK)
        (void)snprintf(ret_password, BOOTSTRAP_PASSWORD_SIZE, "%s", x.made ? password : "");
    secret_wipe(password, sizeof password);
    return rc;
}

static enum err_code reset_in_tx(struct db *db, void *ctx, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    const struct actor by = ACTOR_SYSTEM;
    const struct admin_ctx *x = ctx;
    struct account_row row;
    enum err_code rc;

    if (a == NULL)
        return no_memory(e);
    rc = account_store_by_name(db, ADMIN, a, &row, e);
    if (rc == ERR_NOT_FOUND) {
        rc = insert_admin(db, x, e);
    } else if (rc == ERR_OK) {
        row.role = "admin";
        row.password = x->encoded;
        row.must_change = true;
        row.disabled = false;
        rc = account_store_update(db, &row, e);
        if (rc == ERR_OK)
            rc = session_store_delete_account(db, row.id, e);
        if (rc == ERR_OK)
            rc = login_store_clear(db, "account", ADMIN, e);
    }
    return rc == ERR_OK ? audit_append(db, &by, "account.reset", "account/admin", NULL, e) : rc;
}

enum err_code account_reset_admin(struct db *db, char ret_password[BOOTSTRAP_PASSWORD_SIZE],
                                  struct err *e)
{
    char password[PASSWORD_GENERATED_SIZE], encoded[PASSWORD_ENCODED_SIZE];
    struct admin_ctx x = {.encoded = encoded};
    enum err_code rc;

    password_generate(password);
    rc = password_hash(password, encoded, e);
    if (rc == ERR_OK)
        rc = tx_run(db, "account_reset", reset_in_tx, &x, e);
    if (rc == ERR_OK)
        (void)snprintf(ret_password, BOOTSTRAP_PASSWORD_SIZE, "%s", password);
    secret_wipe(password, sizeof password);
    return rc;
}

/* --- reading --- */

enum err_code account_get(struct db *db, const char *id, json_t **ret, int64_t *ret_version,
                          struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct account_row row;
    enum err_code rc;
    json_t *j;

    if (a == NULL)
        return no_memory(e);
    if (!uuid_is_valid(id))
        return err_set(e, ERR_NOT_FOUND, "there is no account \"%s\"", id);
    rc = account_store_by_id(db, id, a, &row, e);
    if (rc != ERR_OK)
        return rc;
    j = account_to_json(&row);
    if (j == NULL)
        return no_memory(e);
    *ret = j;
    *ret_version = row.version;
    return ERR_OK;
}

enum err_code account_list(struct db *db, const char *after, int limit, json_t **ret,
                           char ret_next[64], struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(4 * MIB);
    AUTO(json_free) json_t *items = json_array();
    struct account_row *rows = NULL;
    size_t n = 0;
    enum err_code rc;

    if (a == NULL || items == NULL)
        return no_memory(e);
    rc = account_store_list(db, after, limit, a, &rows, &n, e);
    if (rc != ERR_OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(items, account_to_json(&rows[i])) != 0)
            return no_memory(e);
    (void)snprintf(ret_next, 64, "%s", n == (size_t)limit ? rows[n - 1].name : "");
    *ret = TAKE(items);
    return ERR_OK;
}

/* --- changing --- */

struct account_ctx {
    const char *id;
    int64_t version;
    const struct account_spec *spec;
    const struct actor *by;
    const char *encoded; /* NULL: the password stays */
    json_t *result;
};

static enum err_code name_check(const char *name, struct err *e)
{
    size_t n = strlen(name);

    if (n > 0 && n <= 63 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == n &&
        name[0] != '.' && name[0] != '_' && name[0] != '-')
        return ERR_OK;
    return err_field(
        e, ERR_INVALID, "/name",
        "a name has 1 to 63 of a-z, 0-9, '.', '_', '-' and begins with a letter or digit");
}

static enum err_code finish(struct db *db, const char *id, const char *action, const char *name,
                            const struct account_ctx *x, json_t **ret, struct err *e)
{
    char object[64];
    int64_t version;
    AUTO(json_free)
    json_t *detail = json_pack("{s:s,s:b}", "name", name, "password", x->encoded != NULL);

    if (x->spec != NULL && x->spec->role >= 0)
        (void)json_object_set_new(detail, "role", json_string(role_names[x->spec->role]));
    if (x->spec != NULL && x->spec->disabled_given)
        (void)json_object_set_new(detail, "disabled", json_boolean(x->spec->disabled));
    (void)snprintf(object, sizeof object, "account/%s", id);
    if (ret != NULL) {
        json_decref(*ret);
        *ret = NULL;
        if (account_get(db, id, ret, &version, e) != ERR_OK)
            return e->code;
    }
    return audit_append(db, x->by, action, object, detail, e);
}

static enum err_code create_in_tx(struct db *db, void *ctx, struct err *e)
{
    struct account_ctx *x = ctx;
    struct account_row row = {.id = x->id,
                              .name = x->spec->name,
                              .role = role_names[x->spec->role],
                              .password = x->encoded,
                              .lang = lang_names[x->spec->lang < 0 ? 0 : x->spec->lang],
                              .must_change = true,
                              .disabled = x->spec->disabled};
    enum err_code rc = account_store_insert(db, &row, e);

    if (rc == ERR_CONFLICT)
        return err_field(e, ERR_CONFLICT, "/name", "there is an account \"%s\" already", row.name);
    return rc == ERR_OK ? finish(db, x->id, "account.create", row.name, x, &x->result, e) : rc;
}

enum err_code account_create(struct db *db, const struct account_spec *spec, const struct actor *by,
                             bool dry_run, json_t **ret, struct err *e)
{
    char id[UUID_TEXT_SIZE], encoded[PASSWORD_ENCODED_SIZE];
    struct account_ctx x = {.id = id, .spec = spec, .by = by, .encoded = encoded};
    enum err_code rc = name_check(spec->name, e);

    uuid7(id);
    if (rc == ERR_OK)
        rc = password_check_rules(spec->password, spec->name, "/password", e);
    if (rc == ERR_OK)
        rc = password_hash(spec->password, encoded, e);
    if (rc == ERR_OK)
        rc = change_run(db, "account_create", dry_run, create_in_tx, &x, e);
    if (rc == ERR_OK)
        *ret = TAKE(x.result);
    json_decref(x.result);
    return rc;
}

static enum err_code lock_version(struct db *db, const struct account_ctx *x, struct arena *a,
                                  struct account_row *row, struct err *e)
{
    enum err_code rc = account_store_lock(db, x->id, a, row, e);

    if (rc == ERR_OK && row->version != x->version)
        return err_set(e, ERR_STALE_EDIT, "the present version is \"%lld\"",
                       (long long)row->version);
    return rc;
}

static enum err_code keep_an_admin(struct db *db, const struct account_row *before, bool stays,
                                   struct err *e)
{
    int64_t others = 0;
    enum err_code rc;

    if (stays || before->disabled || strcmp(before->role, "admin") != 0)
        return ERR_OK;
    rc = account_store_other_admins(db, before->id, &others, e);
    if (rc == ERR_OK && others == 0)
        return err_set(e, ERR_CONFLICT, "\"%s\" is the last enabled administrator", before->name);
    return rc;
}

static enum err_code update_in_tx(struct db *db, void *ctx, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct account_ctx *x = ctx;
    struct account_row row, before;
    enum err_code rc;

    if (a == NULL)
        return no_memory(e);
    rc = lock_version(db, x, a, &row, e);
    if (rc != ERR_OK)
        return rc;
    before = row;
    if (x->spec->role >= 0)
        row.role = role_names[x->spec->role];
    if (x->spec->lang >= 0)
        row.lang = lang_names[x->spec->lang];
    if (x->spec->disabled_given)
        row.disabled = x->spec->disabled;
    if (x->encoded != NULL) {
        row.password = x->encoded;
        row.must_change = true; /* whoever set it knows it */
    }
    rc = keep_an_admin(db, &before, strcmp(row.role, "admin") == 0 && !row.disabled, e);
    if (rc == ERR_OK)
        rc = account_store_update(db, &row, e);
    if (rc == ERR_OK && (x->encoded != NULL || row.disabled || strcmp(row.role, before.role) != 0))
        rc = session_store_delete_account(db, row.id, e);
    return rc == ERR_OK ? finish(db, row.id, "account.update", row.name, x, &x->result, e) : rc;
}

static enum err_code name_of(struct db *db, const char *id, char name[64], struct err *e)
{
    AUTO(json_free) json_t *j = NULL;
    int64_t version;
    enum err_code rc = account_get(db, id, &j, &version, e);

    if (rc == ERR_OK)
        (void)snprintf(name, 64, "%s", json_str(j, "name", ""));
    return rc;
}

enum err_code account_update(struct db *db, const char *id, int64_t version,
                             const struct account_spec *spec, const struct actor *by, bool dry_run,
                             json_t **ret, struct err *e)
{
    char encoded[PASSWORD_ENCODED_SIZE], name[64];
    struct account_ctx x = {.id = id, .version = version, .spec = spec, .by = by};
    enum err_code rc = name_of(db, id, name, e);

    if (rc == ERR_OK && spec->password != NULL) {
        rc = password_check_rules(spec->password, name, "/password", e);
        if (rc == ERR_OK)
            rc = password_hash(spec->password, encoded, e);
        x.encoded = encoded;
    }
    if (rc == ERR_OK)
        rc = change_run(db, "account_update", dry_run, update_in_tx, &x, e);
    if (rc == ERR_OK)
        *ret = TAKE(x.result);
    json_decref(x.result);
    return rc;
}

static enum err_code delete_in_tx(struct db *db, void *ctx, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct account_ctx *x = ctx;
    struct account_row row;
    enum err_code rc;

    if (a == NULL)
        return no_memory(e);
    rc = lock_version(db, x, a, &row, e);
    if (rc == ERR_OK)
        rc = keep_an_admin(db, &row, false, e);
    if (rc == ERR_OK)
        rc = account_store_delete(db, row.id, e);
    return rc == ERR_OK ? finish(db, row.id, "account.delete", row.name, x, NULL, e) : rc;
}

enum err_code account_delete(struct db *db, const char *id, int64_t version, const struct actor *by,
                             bool dry_run, struct err *e)
{
    struct account_ctx x = {.id = id, .version = version, .by = by};

    if (!uuid_is_valid(id))
        return err_set(e, ERR_NOT_FOUND, "there is no account \"%s\"", id);
    return change_run(db, "account_delete", dry_run, delete_in_tx, &x, e);
}
