#include "store/enrol_store.h"

static const struct stmt ADD = {"enrol_token_add", 11,
                                "INSERT INTO enrolment_token (id, name, token_hash, uses_max, "
                                "networks, group_id, name_pattern, placement, approval,"
                                " created_by, expires_at) VALUES ($1::uuid, $2::text, $3::bytea, "
                                "$4::integer, $5::cidr[], $6::uuid, $7::text, $8::text,"
                                " $9::boolean, $10::text, $11::timestamptz)"};

enum err_code enrol_store_token_add(struct db *db, const struct enrol_token_new *t, struct err *e)
{
    return db_run(
        db, &ADD,
        (struct db_param[]){P_TEXT(t->id), P_TEXT(t->name), P_BYTES((const char *)t->hash, 32),
                            P_INT(t->uses_max), P_TEXT(t->networks),
                            t->group_id == NULL ? P_NULL : P_TEXT(t->group_id),
                            P_TEXT(t->name_pattern), P_TEXT(t->placement), P_BOOL(t->approval),
                            P_TEXT(t->created_by), P_TIME(t->expires_ms)},
        NULL, NULL, e);
}

#define COLUMNS                                                                                    \
    "id, name, group_id, name_pattern, placement, created_by, networks, uses, uses_max, "          \
    "created_at, expires_at, revoked_at,"                                                          \
    " approval"

static void read_row(const struct rows *r, int i, struct enrol_token *t)
{
    *t = (struct enrol_token){.id = rows_text(r, i, 0),
                              .name = rows_text(r, i, 1),
                              .group_id = rows_text(r, i, 2),
                              .name_pattern = rows_text(r, i, 3),
                              .placement = rows_text(r, i, 4),
                              .created_by = rows_text(r, i, 5),
                              .networks = rows_text(r, i, 6),
                              .uses = rows_int(r, i, 7),
                              .uses_max = rows_int(r, i, 8),
                              .created_ms = rows_time_ms(r, i, 9),
                              .expires_ms = rows_time_ms(r, i, 10),
                              .revoked_ms = rows_time_ms(r, i, 11),
                              .approval = rows_bool(r, i, 12)};
}

static const struct stmt LOCK = {"enrol_token_lock", 2,
                                 "SELECT " COLUMNS
                                 ", (cardinality(networks) = 0 OR $2::inet <<= ANY (networks)) FROM"
                                 " enrolment_token WHERE token_hash = $1::bytea FOR UPDATE"};

enum err_code enrol_store_token_lock(struct db *db, const unsigned char *hash, const char *address,
                                     struct arena *a, struct enrol_token *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(
        db, &LOCK, (struct db_param[]){P_BYTES((const char *)hash, 32), P_TEXT(address)}, a, &r, e);

    if (rc == ERR_OK) {
        read_row(r, 0, ret);
        ret->network_ok = rows_bool(r, 0, 13);
    }
    return rc;
}

static const struct stmt USE = {"enrol_token_use", 1,
                                "UPDATE enrolment_token SET uses = uses + 1 WHERE id = $1::uuid"};

enum err_code enrol_store_token_use(struct db *db, const char *id, struct err *e)
{
    return db_run(db, &USE, (struct db_param[]){P_TEXT(id)}, NULL, NULL, e);
}

static const struct stmt LIST = {
    "enrol_token_list", 2,
    "SELECT " COLUMNS " FROM enrolment_token WHERE name <> 'login' AND ($1::text = '' OR id <"
    " nullif($1::text, '')::uuid) ORDER BY id DESC LIMIT $2::bigint"};

static void read_token_list(const struct rows *r, int i, void *item)
{
    read_row(r, i, item);
}

enum err_code enrol_store_token_list(struct db *db, const char *before, int64_t limit,
                                     struct arena *a, struct enrol_token **ret, size_t *ret_n,
                                     struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, &LIST, (struct db_param[]){P_TEXT(before), P_INT(limit)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_token_list, ret, ret_n, e) : rc;
}

static const struct stmt REVOKE = {
    "enrol_token_revoke", 1,
    "UPDATE enrolment_token SET revoked_at = now() WHERE id = $1::uuid AND revoked_at IS NULL"};

enum err_code enrol_store_token_revoke(struct db *db, const char *id, int64_t *ret_n, struct err *e)
{
    return db_change(db, &REVOKE, (struct db_param[]){P_TEXT(id)}, ret_n, e);
}

static const struct stmt JTI = {
    "enrol_jti", 2,
    "INSERT INTO jti (jti, expires_at) VALUES ($1::text, $2::timestamptz) ON CONFLICT DO NOTHING"};

enum err_code enrol_store_jti(struct db *db, const char *jti, int64_t expires_ms, bool *ret_fresh,
                              struct err *e)
{
    int64_t n = 0;
    enum err_code rc =
        db_change(db, &JTI, (struct db_param[]){P_TEXT(jti), P_TIME(expires_ms)}, &n, e);

    if (rc == ERR_OK)
        *ret_fresh = n == 1;
    return rc;
}

static const struct stmt GROUP = {
    "enrol_group", 1, "SELECT id FROM device_group WHERE id::text = $1::text OR name = $1::text"};

enum err_code enrol_store_group(struct db *db, const char *ref, struct arena *a, const char **ret,
                                struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &GROUP, (struct db_param[]){P_TEXT(ref)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_text(r, 0, 0);
    return rc;
}

const struct stmt *const enrol_store_stmts[] = {&ADD,    &LOCK, &USE,   &LIST,
                                                &REVOKE, &JTI,  &GROUP, NULL};
