#include "store/account_store.h"

#define COLUMNS "id, name, role, password, lang, must_change, disabled, version, created_at"

static const struct stmt BY_ID = {"account_by_id", 1,
                                  "SELECT " COLUMNS " FROM account WHERE id = $1::uuid"};
static const struct stmt LOCK = {"account_lock", 1,
                                 "SELECT " COLUMNS " FROM account WHERE id = $1::uuid FOR UPDATE"};
static const struct stmt BY_NAME = {"account_by_name", 1,
                                    "SELECT " COLUMNS " FROM account WHERE name = $1::text"};
static const struct stmt LIST = {"account_list", 2,
                                 "SELECT " COLUMNS
                                 " FROM account WHERE name > $1::text ORDER BY name LIMIT $2::int"};
static const struct stmt INSERT = {
    "account_insert", 7,
    "INSERT INTO account (id, name, role, password, lang, must_change, disabled) VALUES "
    "($1::uuid, $2::text, $3::text, $4::text, $5::text, $6::boolean, $7::boolean)"};
static const struct stmt UPDATE = {
    "account_update", 6,
    "UPDATE account SET role = $2::text, password = $3::text, lang = $4::text, must_change = "
    "$5::boolean, "
    "disabled = $6::boolean, version = version + 1 WHERE id = $1::uuid"};
static const struct stmt DELETE = {"account_delete", 1, "DELETE FROM account WHERE id = $1::uuid"};
static const struct stmt OTHER_ADMINS = {"account_other_admins", 1,
                                         "SELECT count(*) FROM (SELECT 1 FROM account WHERE role = "
                                         "'admin' AND NOT disabled AND id <> $1::uuid "
                                         "ORDER BY id FOR UPDATE) x"};
static const struct stmt PREFERENCES = {
    "account_preferences", 1, "SELECT preferences::text FROM account WHERE id = $1::uuid"};
static const struct stmt PREFERENCES_LOCK = {
    "account_preferences_lock", 1,
    "SELECT preferences::text FROM account WHERE id = $1::uuid FOR UPDATE"};
static const struct stmt PREFERENCES_SAVE = {
    "account_preferences_save", 2,
    "UPDATE account SET preferences = $2::jsonb WHERE id = $1::uuid"};
static const struct stmt COUNT = {"account_count", 0, "SELECT count(*) FROM account"};
static const struct stmt LOGIN_LOCK = {"login_lock", 3,
                                       "INSERT INTO login_failure (kind, subject, failures, until) "
                                       "VALUES ($1::text, $2::text, 0, $3::timestamptz) "
                                       "ON CONFLICT (kind, subject) DO UPDATE SET failures = "
                                       "login_failure.failures RETURNING failures, until"};
static const struct stmt LOGIN_SET = {
    "login_set", 4,
    "UPDATE login_failure SET failures = $3::int, until = $4::timestamptz WHERE kind = $1::text "
    "AND subject = $2::text"};
static const struct stmt LOGIN_CLEAR = {
    "login_clear", 2, "DELETE FROM login_failure WHERE kind = $1::text AND subject = $2::text"};
static const struct stmt LOGIN_PURGE = {"login_purge", 1,
                                        "DELETE FROM login_failure WHERE until < $1::timestamptz"};

const struct stmt *const account_store_stmts[] = {
    &BY_ID,       &LOCK,        &BY_NAME,          &LIST,
    &INSERT,      &UPDATE,      &DELETE,           &OTHER_ADMINS,
    &COUNT,       &LOGIN_LOCK,  &LOGIN_SET,        &LOGIN_CLEAR,
    &LOGIN_PURGE, &PREFERENCES, &PREFERENCES_LOCK, &PREFERENCES_SAVE,
    NULL};

static struct account_row row_of(const struct rows *r, int i)
{
    return (struct account_row){.id = rows_text(r, i, 0),
                                .name = rows_text(r, i, 1),
                                .role = rows_text(r, i, 2),
                                .password = rows_text(r, i, 3),
                                .lang = rows_text(r, i, 4),
                                .must_change = rows_bool(r, i, 5),
                                .disabled = rows_bool(r, i, 6),
                                .version = rows_int(r, i, 7),
                                .created_at_ms = rows_time_ms(r, i, 8)};
}

static enum err_code one(struct db *db, const struct stmt *stmt, const char *key, struct arena *a,
                         struct account_row *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, stmt, (struct db_param[]){P_TEXT(key)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = row_of(r, 0);
    return rc;
}

enum err_code account_store_by_id(struct db *db, const char *id, struct arena *a,
                                  struct account_row *ret, struct err *e)
{
    return one(db, &BY_ID, id, a, ret, e);
}

enum err_code account_store_lock(struct db *db, const char *id, struct arena *a,
                                 struct account_row *ret, struct err *e)
{
    return one(db, &LOCK, id, a, ret, e);
}

enum err_code account_store_by_name(struct db *db, const char *name, struct arena *a,
                                    struct account_row *ret, struct err *e)
{
    return one(db, &BY_NAME, name, a, ret, e);
}

static void read_list(const struct rows *r, int i, void *item)
{
    *(struct account_row *)item = row_of(r, i);
}

enum err_code account_store_list(struct db *db, const char *after, int limit, struct arena *a,
                                 struct account_row **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, &LIST, (struct db_param[]){P_TEXT(after), P_INT(limit)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_list, ret, ret_n, e) : rc;
}

enum err_code account_store_insert(struct db *db, const struct account_row *row, struct err *e)
{
    return db_run(db, &INSERT,
                  (struct db_param[]){P_TEXT(row->id), P_TEXT(row->name), P_TEXT(row->role),
                                      P_TEXT(row->password), P_TEXT(row->lang),
                                      P_BOOL(row->must_change), P_BOOL(row->disabled)},
                  NULL, NULL, e);
}

enum err_code account_store_update(struct db *db, const struct account_row *row, struct err *e)
{
    return db_run(db, &UPDATE,
                  (struct db_param[]){P_TEXT(row->id), P_TEXT(row->role), P_TEXT(row->password),
                                      P_TEXT(row->lang), P_BOOL(row->must_change),
                                      P_BOOL(row->disabled)},
                  NULL, NULL, e);
}

enum err_code account_store_preferences(struct db *db, const char *id, bool lock, struct arena *a,
                                        const char **ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, lock ? &PREFERENCES_LOCK : &PREFERENCES,
                              (struct db_param[]){P_TEXT(id)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_text(r, 0, 0);
    return rc;
}

enum err_code account_store_preferences_save(struct db *db, const char *id, const char *json,
                                             struct err *e)
{
    return db_run(db, &PREFERENCES_SAVE, (struct db_param[]){P_TEXT(id), P_TEXT(json)}, NULL, NULL,
                  e);
}

enum err_code account_store_delete(struct db *db, const char *id, struct err *e)
{
    return db_run(db, &DELETE, (struct db_param[]){P_TEXT(id)}, NULL, NULL, e);
}

static enum err_code number(struct db *db, const struct stmt *stmt, const struct db_param *params,
                            int64_t *ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(16 * KIB);
    struct rows *r = NULL;
    enum err_code rc;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = db_one(db, stmt, params, a, &r, e);
    if (rc == ERR_OK)
        *ret = rows_int(r, 0, 0);
    return rc;
}

enum err_code account_store_other_admins(struct db *db, const char *id, int64_t *ret_n,
                                         struct err *e)
{
    return number(db, &OTHER_ADMINS, (struct db_param[]){P_TEXT(id)}, ret_n, e);
}

enum err_code account_store_count(struct db *db, int64_t *ret_n, struct err *e)
{
    return number(db, &COUNT, NULL, ret_n, e);
}

enum err_code login_store_lock(struct db *db, const char *kind, const char *subject, int64_t now_ms,
                               int64_t *ret_failures, int64_t *ret_until_ms, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(16 * KIB);
    struct rows *r = NULL;
    enum err_code rc;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = db_one(db, &LOGIN_LOCK, (struct db_param[]){P_TEXT(kind), P_TEXT(subject), P_TIME(now_ms)},
                a, &r, e);
    if (rc != ERR_OK)
        return rc;
    *ret_failures = rows_int(r, 0, 0);
    *ret_until_ms = rows_time_ms(r, 0, 1);
    return ERR_OK;
}

enum err_code login_store_set(struct db *db, const char *kind, const char *subject,
                              int64_t failures, int64_t until_ms, struct err *e)
{
    return db_run(
        db, &LOGIN_SET,
        (struct db_param[]){P_TEXT(kind), P_TEXT(subject), P_INT(failures), P_TIME(until_ms)}, NULL,
        NULL, e);
}

enum err_code login_store_clear(struct db *db, const char *kind, const char *subject, struct err *e)
{
    return db_run(db, &LOGIN_CLEAR, (struct db_param[]){P_TEXT(kind), P_TEXT(subject)}, NULL, NULL,
                  e);
}

enum err_code login_store_purge(struct db *db, int64_t before_ms, struct err *e)
{
    return db_run(db, &LOGIN_PURGE, (struct db_param[]){P_TIME(before_ms)}, NULL, NULL, e);
}
