#include "store/idempotency_store.h"

static const struct stmt PURGE = {
    "idempotency_purge", 0, "DELETE FROM idempotency WHERE created_at < now() - interval '1 day'"};
static const struct stmt TAKE_KEY = {"idempotency_take", 3,
                                     "INSERT INTO idempotency (actor, key, request, status, body) "
                                     "VALUES ($1::text, $2::text, $3::text, 0, '') "
                                     "ON CONFLICT (actor, key) DO NOTHING"};
static const struct stmt GET = {
    "idempotency_get", 2,
    "SELECT request, status, body FROM idempotency WHERE actor = $1::text AND key = $2::text"};
static const struct stmt FINISH = {"idempotency_finish", 4,
                                   "UPDATE idempotency SET status = $3::int, body = $4::text WHERE "
                                   "actor = $1::text AND key = $2::text"};
static const struct stmt DROP = {
    "idempotency_drop", 2, "DELETE FROM idempotency WHERE actor = $1::text AND key = $2::text"};

const struct stmt *const idempotency_store_stmts[] = {&PURGE,  &TAKE_KEY, &GET,
                                                      &FINISH, &DROP,     NULL};

enum err_code idempotency_store_take(struct db *db, const char *actor, const char *key,
                                     const char *request, struct arena *a, bool *ret_new,
                                     struct remembered *ret, struct err *e)
{
    struct rows *r = NULL;
    int64_t n = 0;
    enum err_code rc = db_run(db, &PURGE, NULL, NULL, NULL, e);

    if (rc == ERR_OK)
        rc = db_change(db, &TAKE_KEY,
                       (struct db_param[]){P_TEXT(actor), P_TEXT(key), P_TEXT(request)}, &n, e);
    *ret_new = n == 1;
    if (rc != ERR_OK || n == 1)
        return rc;
    rc = db_one(db, &GET, (struct db_param[]){P_TEXT(actor), P_TEXT(key)}, a, &r, e);
    if (rc == ERR_OK)
        *ret = (struct remembered){rows_text(r, 0, 0), rows_text(r, 0, 2), rows_int(r, 0, 1)};
    return rc;
}

enum err_code idempotency_store_finish(struct db *db, const char *actor, const char *key,
                                       int64_t status, const char *body, struct err *e)
{
    return db_run(db, &FINISH,
                  (struct db_param[]){P_TEXT(actor), P_TEXT(key), P_INT(status), P_TEXT(body)},
                  NULL, NULL, e);
}

enum err_code idempotency_store_drop(struct db *db, const char *actor, const char *key,
                                     struct err *e)
{
    return db_run(db, &DROP, (struct db_param[]){P_TEXT(actor), P_TEXT(key)}, NULL, NULL, e);
}
