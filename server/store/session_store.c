#include "store/session_store.h"

static const struct stmt FIND = {
    "session_find", 1,
    "SELECT a.id, a.name, a.role, a.lang, a.must_change, a.disabled, s.created_at, s.seen_at, "
    "s.expires_at "
    "FROM session s JOIN account a ON a.id = s.account_id WHERE s.id_hash = $1::bytea"};
static const struct stmt INSERT = {
    "session_insert", 5,
    "INSERT INTO session (id_hash, account_id, created_at, seen_at, expires_at, address) VALUES "
    "($1::bytea, $2::uuid, $3::timestamptz, $3::timestamptz, $4::timestamptz, $5::text)"};
static const struct stmt SEEN = {
    "session_seen", 2, "UPDATE session SET seen_at = $2::timestamptz WHERE id_hash = $1::bytea"};
static const struct stmt DELETE = {"session_delete", 1,
                                   "DELETE FROM session WHERE id_hash = $1::bytea"};
static const struct stmt DELETE_ACCOUNT = {"session_delete_account", 1,
                                           "DELETE FROM session WHERE account_id = $1::uuid"};
static const struct stmt PURGE = {
    "session_purge", 2,
    "DELETE FROM session WHERE expires_at < $1::timestamptz OR seen_at < $2::timestamptz"};

#define TOKEN_COLUMNS                                                                              \
    "t.id, t.name, t.account_id, a.name, a.role, a.lang, to_jsonb(t.scopes), a.disabled, "         \
    "t.created_at, t.expires_at, t.used_at, t.revoked_at FROM api_token t "                        \
    "JOIN account a ON a.id = t.account_id "
static const struct stmt TOKEN_FIND = {"api_token_find", 1,
                                       "SELECT " TOKEN_COLUMNS "WHERE t.token_hash = $1::bytea"};
static const struct stmt TOKEN_BY_ID = {"api_token_by_id", 1,
                                        "SELECT " TOKEN_COLUMNS "WHERE t.id = $1::uuid"};
static const struct stmt TOKEN_LIST = {
    "api_token_list", 3,
    "SELECT " TOKEN_COLUMNS
    "WHERE t.revoked_at IS NULL AND ($1::uuid IS NULL OR t.account_id = $1::uuid) "
    "AND ($2::text = '' OR t.id > NULLIF($2::text, '')::uuid) ORDER BY t.id LIMIT $3::int"};
static const struct stmt TOKEN_INSERT = {
    "api_token_insert", 6,
    "INSERT INTO api_token (id, name, token_hash, account_id, scopes, expires_at) VALUES "
    "($1::uuid, $2::text, "
    "$3::bytea, $4::uuid, ARRAY(SELECT jsonb_array_elements_text($5::jsonb)), $6::timestamptz)"};
static const struct stmt TOKEN_USED = {
    "api_token_used", 2, "UPDATE api_token SET used_at = $2::timestamptz WHERE id = $1::uuid"};
static const struct stmt TOKEN_REVOKE = {
    "api_token_revoke", 2,
    "UPDATE api_token SET revoked_at = $2::timestamptz WHERE id = $1::uuid AND revoked_at IS NULL"};

const struct stmt *const session_store_stmts[] = {
    &FIND,        &INSERT,     &SEEN,         &DELETE,     &DELETE_ACCOUNT, &PURGE, &TOKEN_FIND,
    &TOKEN_BY_ID, &TOKEN_LIST, &TOKEN_INSERT, &TOKEN_USED, &TOKEN_REVOKE,   NULL};

#define P_HASH(s) P_BYTES((s).p, (s).n)

enum err_code session_store_find(struct db *db, struct slice id_hash, struct arena *a,
                                 struct session_row *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &FIND, (struct db_param[]){P_HASH(id_hash)}, a, &r, e);

    if (rc != ERR_OK)
        return rc;
    *ret = (struct session_row){.account_id = rows_text(r, 0, 0),
                                .account_name = rows_text(r, 0, 1),
                                .role = rows_text(r, 0, 2),
                                .lang = rows_text(r, 0, 3),
                                .must_change = rows_bool(r, 0, 4),
                                .disabled = rows_bool(r, 0, 5),
                                .created_at_ms = rows_time_ms(r, 0, 6),
                                .seen_at_ms = rows_time_ms(r, 0, 7),
                                .expires_at_ms = rows_time_ms(r, 0, 8)};
    return ERR_OK;
}

enum err_code session_store_insert(struct db *db, struct slice id_hash, const char *account_id,
                                   int64_t now_ms, int64_t expires_at_ms, const char *address,
                                   struct err *e)
{
    return db_run(db, &INSERT,
                  (struct db_param[]){P_HASH(id_hash), P_TEXT(account_id), P_TIME(now_ms),
                                      P_TIME(expires_at_ms), P_TEXT(address)},
                  NULL, NULL, e);
}

enum err_code session_store_seen(struct db *db, struct slice id_hash, int64_t now_ms, struct err *e)
{
    return db_run(db, &SEEN, (struct db_param[]){P_HASH(id_hash), P_TIME(now_ms)}, NULL, NULL, e);
}

enum err_code session_store_delete(struct db *db, struct slice id_hash, struct err *e)
{
    return db_run(db, &DELETE, (struct db_param[]){P_HASH(id_hash)}, NULL, NULL, e);
}

enum err_code session_store_delete_account(struct db *db, const char *account_id, struct err *e)
{
    return db_run(db, &DELETE_ACCOUNT, (struct db_param[]){P_TEXT(account_id)}, NULL, NULL, e);
}

enum err_code session_store_purge(struct db *db, int64_t now_ms, int64_t idle_before_ms,
                                  struct err *e)
{
    return db_run(db, &PURGE, (struct db_param[]){P_TIME(now_ms), P_TIME(idle_before_ms)}, NULL,
                  NULL, e);
}

static struct api_token_row token_of(const struct rows *r, int i)
{
    return (struct api_token_row){.id = rows_text(r, i, 0),
                                  .name = rows_text(r, i, 1),
                                  .account_id = rows_text(r, i, 2),
                                  .account_name = rows_text(r, i, 3),
                                  .role = rows_text(r, i, 4),
                                  .lang = rows_text(r, i, 5),
                                  .scopes = rows_json(r, i, 6),
                                  .disabled = rows_bool(r, i, 7),
                                  .created_at_ms = rows_time_ms(r, i, 8),
                                  .expires_at_ms = rows_time_ms(r, i, 9),
                                  .used_at_ms = rows_time_ms(r, i, 10),
                                  .revoked_at_ms = rows_time_ms(r, i, 11)};
}

enum err_code api_token_store_find(struct db *db, struct slice hash, struct arena *a,
                                   struct api_token_row *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &TOKEN_FIND, (struct db_param[]){P_HASH(hash)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = token_of(r, 0);
    return rc;
}

enum err_code api_token_store_by_id(struct db *db, const char *id, struct arena *a,
                                    struct api_token_row *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &TOKEN_BY_ID, (struct db_param[]){P_TEXT(id)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = token_of(r, 0);
    return rc;
}

static void read_api_token_list(const struct rows *r, int i, void *item)
{
    *(struct api_token_row *)item = token_of(r, i);
}

enum err_code api_token_store_list(struct db *db, const char *account_id, const char *after,
                                   int limit, struct arena *a, struct api_token_row **ret,
                                   size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, &TOKEN_LIST,
               (struct db_param[]){P_TEXT(account_id), P_TEXT(after), P_INT(limit)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_api_token_list, ret, ret_n, e) : rc;
}

enum err_code api_token_store_insert(struct db *db, const struct api_token_row *row,
                                     struct slice hash, struct err *e)
{
    return db_run(
        db, &TOKEN_INSERT,
        (struct db_param[]){P_TEXT(row->id), P_TEXT(row->name), P_HASH(hash),
                            P_TEXT(row->account_id), P_JSON(row->scopes),
                            row->expires_at_ms == 0 ? P_NULL : P_TIME(row->expires_at_ms)},
        NULL, NULL, e);
}

enum err_code api_token_store_used(struct db *db, const char *id, int64_t now_ms, struct err *e)
{
    return db_run(db, &TOKEN_USED, (struct db_param[]){P_TEXT(id), P_TIME(now_ms)}, NULL, NULL, e);
}

enum err_code api_token_store_revoke(struct db *db, const char *id, int64_t now_ms, struct err *e)
{
    return db_run(db, &TOKEN_REVOKE, (struct db_param[]){P_TEXT(id), P_TIME(now_ms)}, NULL, NULL,
                  e);
}
