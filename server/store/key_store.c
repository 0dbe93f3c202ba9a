#include "store/key_store.h"

static const struct stmt META = {"key_meta", 1, "SELECT value FROM meta WHERE key = $1::text"};

enum err_code key_store_meta(struct db *db, const char *key, struct arena *a, json_t **ret,
                             struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &META, (struct db_param[]){P_TEXT(key)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_json(r, 0, 0);
    return rc;
}

static const struct stmt META_MAKE = {
    "key_meta_make", 2,
    "INSERT INTO meta (key, value) VALUES ($1::text, $2::jsonb) ON CONFLICT DO NOTHING"};

enum err_code key_store_meta_make(struct db *db, const char *key, const json_t *value,
                                  bool *ret_made, struct err *e)
{
    int64_t n = 0;
    enum err_code rc =
        db_change(db, &META_MAKE, (struct db_param[]){P_TEXT(key), P_JSON(value)}, &n, e);

    if (rc == ERR_OK)
        *ret_made = n == 1;
    return rc;
}

static const struct stmt LIST = {
    "key_list", 0,
    "SELECT kid, use, sealed, created_at FROM signing_key ORDER BY created_at DESC, kid"};

static void read_list(const struct rows *r, int i, void *item)
{
    *(struct stored_key *)item = (struct stored_key){
        rows_text(r, i, 0), rows_text(r, i, 1),
        rows_null(r, i, 2) ? (struct slice){NULL, 0} : rows_bytes(r, i, 2), rows_time_ms(r, i, 3)};
}

enum err_code key_store_list(struct db *db, struct arena *a, struct stored_key **ret, size_t *ret_n,
                             struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &LIST, NULL, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_list, ret, ret_n, e) : rc;
}

static const struct stmt ADD = {"key_add", 4,
                                "INSERT INTO signing_key (kid, use, sealed, jwk) VALUES ($1::text, "
                                "$2::text, $3::bytea, $4::jsonb)"};

enum err_code key_store_add(struct db *db, const char *kid, const char *use, struct slice sealed,
                            const json_t *jwk, struct err *e)
{
    return db_run(db, &ADD,
                  (struct db_param[]){P_TEXT(kid), P_TEXT(use),
                                      sealed.n == 0 ? P_NULL : P_BYTES(sealed.p, sealed.n),
                                      jwk == NULL ? P_NULL : P_JSON(jwk)},
                  NULL, NULL, e);
}

static const struct stmt TOKEN_FRESH = {
    "key_token_fresh", 1,
    "SELECT EXISTS (SELECT 1 FROM signing_key WHERE use = 'token' AND created_at > now() -"
    " make_interval(secs => $1::bigint))"};

enum err_code key_store_token_fresh(struct db *db, int64_t age_s, bool *ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc = a == NULL
                           ? err_set(e, ERR_NO_MEMORY, "out of memory")
                           : db_one(db, &TOKEN_FRESH, (struct db_param[]){P_INT(age_s)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_bool(r, 0, 0);
    return rc;
}

static const struct stmt TRIM = {
    "key_trim_tokens", 1,
    "DELETE FROM signing_key WHERE use = 'token' AND kid NOT IN (SELECT kid FROM signing_key"
    " WHERE use = 'token' ORDER BY created_at DESC, kid LIMIT $1::bigint)"};

enum err_code key_store_trim_tokens(struct db *db, int keep, struct err *e)
{
    return db_run(db, &TRIM, (struct db_param[]){P_INT(keep)}, NULL, NULL, e);
}

static const struct stmt TRUST_ADD = {
    "key_trust_add", 2, "INSERT INTO trust_document (n, jws) VALUES ($1::bigint, $2::text)"};

enum err_code key_store_trust_add(struct db *db, int64_t n, const char *jws, struct err *e)
{
    return db_run(db, &TRUST_ADD, (struct db_param[]){P_INT(n), P_TEXT(jws)}, NULL, NULL, e);
}

static const struct stmt TRUST_LIST = {"key_trust_list", 0,
                                       "SELECT n, jws FROM trust_document ORDER BY n"};

static void read_trust_list(const struct rows *r, int i, void *item)
{
    *(struct stored_trust *)item = (struct stored_trust){rows_int(r, i, 0), rows_text(r, i, 1)};
}

enum err_code key_store_trust_list(struct db *db, struct arena *a, struct stored_trust **ret,
                                   size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &TRUST_LIST, NULL, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_trust_list, ret, ret_n, e) : rc;
}

const struct stmt *const key_store_stmts[] = {&META, &META_MAKE, &LIST,       &ADD, &TOKEN_FRESH,
                                              &TRIM, &TRUST_ADD, &TRUST_LIST, NULL};
