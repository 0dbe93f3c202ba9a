#include "store/identity_store.h"

static const struct stmt TAKEN = {
    "identity_kid_taken", 2,
    "SELECT EXISTS (SELECT 1 FROM device WHERE (kid = $2::text OR next_kid = $2::text) AND id <> "
    "$1::uuid)::int"};

enum err_code identity_store_kid_taken(struct db *db, const char *device_id, const char *kid,
                                       bool *ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc =
        a == NULL
            ? err_set(e, ERR_NO_MEMORY, "out of memory")
            : db_one(db, &TAKEN, (struct db_param[]){P_TEXT(device_id), P_TEXT(kid)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_int(r, 0, 0) != 0;
    return rc;
}

static const struct stmt OFFER = {
    "identity_offer", 5,
    "UPDATE device SET next_kid = $2::text, next_jwk = $3::jsonb, next_enc_jwk = $4::jsonb,"
    " next_receipt = $5::text, next_at = now(), version = version + 1 WHERE id = $1::uuid"};

enum err_code identity_store_offer(struct db *db, const char *device_id,
                                   const struct key_candidate *k, struct err *e)
{
    return db_run(db, &OFFER,
                  (struct db_param[]){P_TEXT(device_id), P_TEXT(k->kid), P_JSON(k->jwk),
                                      P_JSON(k->enc_jwk), P_TEXT(k->receipt)},
                  NULL, NULL, e);
}

static const struct stmt CANDIDATE = {
    "identity_candidate", 2,
    "SELECT next_kid, next_receipt, next_jwk, next_enc_jwk FROM device WHERE id = $1::uuid AND "
    "next_kid = $2::text"};

enum err_code identity_store_candidate(struct db *db, const char *device_id, const char *kid,
                                       struct arena *a, struct key_candidate *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_one(db, &CANDIDATE, (struct db_param[]){P_TEXT(device_id), P_TEXT(kid)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = (struct key_candidate){rows_text(r, 0, 0), rows_text(r, 0, 1), rows_json(r, 0, 2),
                                      rows_json(r, 0, 3)};
    return rc;
}

/* A fork in which somebody goes on is over with it: the other one has no key.  One that nobody has
 * decided stays: who was faster is no decision. */
static const struct stmt PROMOTE = {
    "identity_promote", 2,
    "UPDATE device SET kid = next_kid, jwk = next_jwk, enc_jwk = next_enc_jwk, receipt = "
    "next_receipt, key_at = now(), key_rotations = key_rotations + 1, gen = gen + 1, next_kid = "
    "NULL, next_jwk = NULL, next_enc_jwk = NULL, next_receipt = NULL, next_at = NULL, fork = CASE "
    "WHEN coalesce(fork->>'machine', '') = '' AND coalesce(fork->>'boot', '') = '' THEN fork END, "
    "version = version + 1 WHERE id = $1::uuid AND next_kid = $2::text RETURNING gen"};

enum err_code identity_store_promote(struct db *db, const char *device_id, const char *kid,
                                     struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return db_one(db, &PROMOTE, (struct db_param[]){P_TEXT(device_id), P_TEXT(kid)}, a, &r, e);
}

/* --- instances --- */

static const struct stmt FORK = {
    "identity_fork", 3,
    "UPDATE device SET fork = $2::jsonb, state = $3::text, version = version + 1 WHERE id = "
    "$1::uuid"};

enum err_code identity_store_fork(struct db *db, const char *device_id, const json_t *fork,
                                  const char *state, struct err *e)
{
    return db_run(
        db, &FORK,
        (struct db_param[]){P_TEXT(device_id), fork == NULL ? P_NULL : P_JSON(fork), P_TEXT(state)},
        NULL, NULL, e);
}

static const struct stmt REVERTED = {
    "identity_reverted", 1,
    "UPDATE device SET reverted_at = now(), version = version + 1 WHERE id = $1::uuid"};
static const struct stmt REPORTS_ANEW = {
    "identity_reports_anew", 1, "UPDATE device_status SET seq = 0 WHERE device_id = $1::uuid"};

enum err_code identity_store_reverted(struct db *db, const char *device_id, struct err *e)
{
    enum err_code rc = db_run(db, &REVERTED, (struct db_param[]){P_TEXT(device_id)}, NULL, NULL, e);

    return rc == ERR_OK
               ? db_run(db, &REPORTS_ANEW, (struct db_param[]){P_TEXT(device_id)}, NULL, NULL, e)
               : rc;
}

static const struct stmt MACHINE = {"identity_machine", 2,
                                    "UPDATE device SET fingerprint = $2::text WHERE id = $1::uuid"};

enum err_code identity_store_machine(struct db *db, const char *device_id, const char *fingerprint,
                                     struct err *e)
{
    return db_run(db, &MACHINE, (struct db_param[]){P_TEXT(device_id), P_TEXT(fingerprint)}, NULL,
                  NULL, e);
}

const struct stmt *const identity_store_stmts[] = {
    &TAKEN, &OFFER, &CANDIDATE, &PROMOTE, &FORK, &REVERTED, &REPORTS_ANEW, &MACHINE, NULL};
