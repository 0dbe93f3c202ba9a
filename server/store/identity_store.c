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
/* Nobody knows which of the two offered it: used by the one that is set aside, it would end the key
 * of the one that goes on, and with it the fork. */
static const struct stmt TAKE_OFFER = {
    "identity_take_offer", 1,
    "UPDATE device SET next_kid = NULL, next_jwk = NULL, next_enc_jwk = NULL, next_receipt = NULL, "
    "next_at = NULL WHERE id = $1::uuid"};

enum err_code identity_store_fork(struct db *db, const char *device_id, const json_t *fork,
                                  const char *state, struct err *e)
{
    bool decided =
        json_str(fork, "machine", "")[0] != '\0' || json_str(fork, "boot", "")[0] != '\0';
    enum err_code rc = db_run(
        db, &FORK,
        (struct db_param[]){P_TEXT(device_id), fork == NULL ? P_NULL : P_JSON(fork), P_TEXT(state)},
        NULL, NULL, e);

    return rc == ERR_OK && decided
               ? db_run(db, &TAKE_OFFER, (struct db_param[]){P_TEXT(device_id)}, NULL, NULL, e)
               : rc;
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

/* --- another machine in a device's place --- */

static const struct stmt REPLACED = {
    "identity_replaced", 2,
    "SELECT d.id FROM device d LEFT JOIN presence p ON p.device_id = d.id LEFT JOIN device_status "
    "s "
    "ON s.device_id = d.id WHERE d.name = $1::text AND d.state IN ('observing', 'managed', 'held', "
    "'quarantined', 'revoked') AND (($2::text <> '' AND d.hardware = $2::text) OR "
    "greatest(d.enrolled_at, p.seen_at, s.received_at) < now() - interval '3 minutes')"};

enum err_code identity_store_replaced(struct db *db, const char *name, const char *hardware,
                                      struct arena *a, const char **ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(
        db, &REPLACED, (struct db_param[]){P_TEXT(name), P_TEXT(hardware == NULL ? "" : hardware)},
        a, &r, e);

    *ret = rc == ERR_OK ? rows_text(r, 0, 0) : "";
    return rc == ERR_NOT_FOUND ? ERR_OK : rc;
}

static const struct stmt IS_NEW = {"identity_is_new", 1,
                                   "UPDATE device SET replaces = NULL WHERE id = $1::uuid"};

enum err_code identity_store_is_new(struct db *db, const char *device_id, struct err *e)
{
    return db_run(db, &IS_NEW, (struct db_param[]){P_TEXT(device_id)}, NULL, NULL, e);
}

/* First, since a thumbprint is one device's: an id is no thumbprint, and no name anybody can have.
 */
static const struct stmt BURY = {
    "identity_bury", 2,
    "UPDATE device SET kid = id::text, name = id::text, state = 'retired', became = $2::uuid, "
    "replaces = NULL, gen = gen + 1, version = version + 1 WHERE id = $1::uuid AND state = "
    "'pending'"};
static const struct stmt INHERIT = {
    "identity_inherit", 7,
    "UPDATE device d SET kid = $3::text, receipt = $4::text, approver = $5::text, state = "
    "$6::text, "
    "mode = $7::text, jwk = o.jwk, enc_jwk = o.enc_jwk, fingerprint = o.fingerprint, hardware = "
    "o.hardware, inventory = o.inventory, address = o.address, token_id = o.token_id, key_at = "
    "now(), gen = d.gen + 1, next_kid = NULL, next_jwk = NULL, next_enc_jwk = NULL, next_receipt = "
    "NULL, next_at = NULL, fork = NULL, reverted_at = NULL, version = d.version + 1 FROM device o "
    "WHERE d.id = $1::uuid AND o.id = $2::uuid"};
static const struct stmt FORGET_STATUS = {"identity_forget_status", 1,
                                          "DELETE FROM device_status WHERE device_id = $1::uuid"};

enum err_code identity_store_inherit(struct db *db, const char *into, const struct identity_heir *h,
                                     struct err *e)
{
    int64_t n = 0;
    enum err_code rc =
        db_change(db, &BURY, (struct db_param[]){P_TEXT(h->from), P_TEXT(into)}, &n, e);

    if (rc == ERR_OK && n == 1)
        rc = db_change(db, &INHERIT,
                       (struct db_param[]){P_TEXT(into), P_TEXT(h->from), P_TEXT(h->kid),
                                           P_TEXT(h->receipt), P_TEXT(h->approver),
                                           P_TEXT(h->state), P_TEXT(h->mode)},
                       &n, e);
    if (rc == ERR_OK && n != 1)
        return err_set(e, ERR_CONFLICT, "the device is not what it was a moment ago");
    return rc == ERR_OK
               ? db_run(db, &FORGET_STATUS, (struct db_param[]){P_TEXT(into)}, NULL, NULL, e)
               : rc;
}

const struct stmt *const identity_store_stmts[] = {
    &TAKEN,   &OFFER,    &CANDIDATE, &PROMOTE, &FORK,    &TAKE_OFFER,    &REVERTED, &REPORTS_ANEW,
    &MACHINE, &REPLACED, &IS_NEW,    &BURY,    &INHERIT, &FORGET_STATUS, NULL};
