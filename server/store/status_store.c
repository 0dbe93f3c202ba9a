#include "store/status_store.h"

/* One statement, so that a report needs no transaction of several: thousands come at once. */
static const struct stmt PUT = {
    "status_put", 5,
    "WITH put AS (INSERT INTO device_status AS s (device_id, seq, digest, doc, jws) VALUES"
    " ($1::uuid, $2::bigint, $3::text, $4::jsonb, $5::text) ON CONFLICT (device_id) DO UPDATE SET"
    " seq = excluded.seq, digest = excluded.digest, doc = excluded.doc, jws = excluded.jws,"
    " received_at = now() WHERE s.seq <= excluded.seq AND s.digest <> excluded.digest RETURNING 1),"
    " kept AS (UPDATE device SET inventory = $4::jsonb->'inventory' WHERE id = $1::uuid AND EXISTS"
    " (SELECT 1 FROM put) AND jsonb_typeof($4::jsonb->'inventory') = 'object' AND"
    " $4::jsonb->'inventory' <> '{}' AND inventory IS DISTINCT FROM $4::jsonb->'inventory'),"
    " ran AS (INSERT INTO device_ran (device_id, digest, pub) SELECT $1::uuid, d, (SELECT b.pub FROM"
    " bundle b WHERE b.device_id = $1::uuid AND b.content_digest = d ORDER BY b.epoch DESC, b.rev"
    " DESC LIMIT 1) FROM (SELECT $4::jsonb->'running'->'postfix'->>'digest' AS d) AS now_runs WHERE d"
    " <> '' AND EXISTS (SELECT 1 FROM put) AND d IS DISTINCT FROM (SELECT r.digest FROM device_ran r"
    " WHERE r.device_id = $1::uuid ORDER BY r.since DESC LIMIT 1) ON CONFLICT DO NOTHING)"
    " SELECT count(*) FROM put"};

enum err_code status_store_put(struct db *db, const char *device_id, int64_t seq,
                               const char *digest, const json_t *doc, struct slice jws,
                               struct arena *a, bool *ret_stored, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &PUT,
                              (struct db_param[]){P_TEXT(device_id), P_INT(seq), P_TEXT(digest),
                                                  P_JSON(doc), P_SLICE(jws)},
                              a, &r, e);

    if (rc == ERR_OK)
        *ret_stored = rows_int(r, 0, 0) == 1;
    return rc;
}

static const struct stmt DIGEST = {"status_digest", 1,
                                   "SELECT digest FROM device_status WHERE device_id = $1::uuid"};

enum err_code status_store_digest(struct db *db, const char *device_id, struct arena *a,
                                  const char **ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &DIGEST, (struct db_param[]){P_TEXT(device_id)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_count(r) == 1 ? rows_text(r, 0, 0) : "";
    return rc;
}

static const struct stmt GET = {
    "status_get", 1, "SELECT doc, jws, received_at FROM device_status WHERE device_id = $1::uuid"};

enum err_code status_store_get(struct db *db, const char *device_id, struct arena *a,
                               json_t **ret_doc, const char **ret_jws, int64_t *ret_received_ms,
                               struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &GET, (struct db_param[]){P_TEXT(device_id)}, a, &r, e);

    if (rc != ERR_OK)
        return rc;
    *ret_doc = rows_json(r, 0, 0);
    *ret_jws = rows_text(r, 0, 1);
    *ret_received_ms = rows_time_ms(r, 0, 2);
    return ERR_OK;
}

static const struct stmt PROPOSE = {
    "status_propose", 2,
    "INSERT INTO device_proposal (device_id, doc) VALUES ($1::uuid, $2::jsonb) ON CONFLICT "
    "(device_id) DO UPDATE SET doc ="
    " excluded.doc, received_at = now()"};

enum err_code status_store_propose(struct db *db, const char *device_id, const json_t *doc,
                                   struct err *e)
{
    return db_run(db, &PROPOSE, (struct db_param[]){P_TEXT(device_id), P_JSON(doc)}, NULL, NULL, e);
}

static const struct stmt PROPOSAL = {
    "status_proposal", 1,
    "SELECT doc, received_at FROM device_proposal WHERE device_id = $1::uuid"};

enum err_code status_store_proposal(struct db *db, const char *device_id, struct arena *a,
                                    json_t **ret_doc, int64_t *ret_received_ms, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &PROPOSAL, (struct db_param[]){P_TEXT(device_id)}, a, &r, e);

    if (rc != ERR_OK)
        return rc;
    *ret_doc = rows_json(r, 0, 0);
    *ret_received_ms = rows_time_ms(r, 0, 1);
    return ERR_OK;
}

const struct stmt *const status_store_stmts[] = {&PUT, &DIGEST, &GET, &PROPOSE, &PROPOSAL, NULL};
