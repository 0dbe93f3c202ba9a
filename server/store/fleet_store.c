#include "store/fleet_store.h"

/* Commit order must be number order, or a cache that has seen 11 would never look for 10.  After
 * the commit every parent looks. */
static const struct stmt LOCK = {
    "fleet_lock", 0, "SELECT pg_advisory_xact_lock(8445, 1), pg_notify('inari_change', '')"};
static const struct stmt NOTE = {"fleet_note", 2,
                                 "INSERT INTO change (kind, id) VALUES ($1::text, $2::text)"};

enum err_code fleet_store_note(struct db *db, const char *kind, const char *id, struct err *e)
{
    enum err_code rc = db_run(db, &LOCK, NULL, NULL, NULL, e);

    return rc == ERR_OK
               ? db_run(db, &NOTE, (struct db_param[]){P_TEXT(kind), P_TEXT(id)}, NULL, NULL, e)
               : rc;
}

static const struct stmt NOTE_MANY = {
    "fleet_note_many", 1,
    "INSERT INTO change (kind, id) SELECT 'device', u FROM unnest($1::text[]) AS x(u)"};

enum err_code fleet_store_note_devices(struct db *db, const char *ids, struct err *e)
{
    enum err_code rc = db_run(db, &LOCK, NULL, NULL, NULL, e);

    return rc == ERR_OK ? db_run(db, &NOTE_MANY, (struct db_param[]){P_TEXT(ids)}, NULL, NULL, e)
                        : rc;
}

static const struct stmt LAST = {
    "fleet_last_change", 0,
    "SELECT coalesce(max(seq), 0) FROM change WHERE kind IN ('device', 'trust', 'lists')"};

enum err_code fleet_store_last_change(struct db *db, int64_t *ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc =
        a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : db_one(db, &LAST, NULL, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_int(r, 0, 0);
    return rc;
}

static const struct stmt CHANGES = {
    "fleet_changes", 1,
    "SELECT seq, kind, id FROM change WHERE seq > $1::bigint AND kind IN ('device',"
    " 'trust', 'lists') ORDER BY seq LIMIT 5000"};

static void read_changes(const struct rows *r, int i, void *item)
{
    *(struct fleet_change *)item =
        (struct fleet_change){rows_int(r, i, 0), rows_text(r, i, 1), rows_text(r, i, 2)};
}

enum err_code fleet_store_changes(struct db *db, int64_t after, struct arena *a,
                                  struct fleet_change **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &CHANGES, (struct db_param[]){P_INT(after)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_changes, ret, ret_n, e) : rc;
}

#define ROWS                                                                                       \
    "SELECT d.id, d.state, d.gen, coalesce(b.epoch, 0), coalesce(b.rev, 0), coalesce(b.etag, "     \
    "''), coalesce(s.digest, ''), (SELECT count(*) FROM command c WHERE c.device_id = d.id AND "   \
    "c.state = 'queued'), coalesce(s.seq, 0), d.fingerprint, coalesce(d.fork->>'machine', ''), "   \
    "coalesce(d.fork->>'boot', ''), (d.fork IS NOT NULL)::int"                                     \
    " FROM device d LEFT JOIN bundle b ON b.device_id = d.id AND b.rev = d.offered_rev"            \
    " LEFT JOIN device_status s ON s.device_id = d.id"
static const struct stmt ALL_ROWS = {"fleet_rows_all", 0, ROWS " WHERE d.became IS NULL"};
static const struct stmt SOME_ROWS = {"fleet_rows", 1,
                                      ROWS " WHERE d.became IS NULL AND d.id = ANY ($1::uuid[])"};

static void read_rows(const struct rows *r, int i, void *item)
{
    *(struct fleet_row *)item = (struct fleet_row){
        rows_text(r, i, 0),     rows_text(r, i, 1), rows_int(r, i, 2),   rows_int(r, i, 3),
        rows_int(r, i, 4),      rows_text(r, i, 5), rows_text(r, i, 6),  rows_int(r, i, 7),
        rows_int(r, i, 8),      rows_text(r, i, 9), rows_text(r, i, 10), rows_text(r, i, 11),
        rows_int(r, i, 12) != 0};
}

enum err_code fleet_store_rows(struct db *db, const char *ids, struct arena *a,
                               struct fleet_row **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = ids == NULL
                           ? db_run(db, &ALL_ROWS, NULL, a, &r, e)
                           : db_run(db, &SOME_ROWS, (struct db_param[]){P_TEXT(ids)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_rows, ret, ret_n, e) : rc;
}

static const struct stmt DIGESTS = {
    "fleet_digests", 0,
    "SELECT d.id, coalesce(s.digest, '') FROM device d LEFT JOIN device_status s"
    " ON s.device_id = d.id"};

static void read_digests(const struct rows *r, int i, void *item)
{
    *(struct fleet_row *)item =
        (struct fleet_row){.id = rows_text(r, i, 0), .status_digest = rows_text(r, i, 1)};
}

enum err_code fleet_store_digests(struct db *db, struct arena *a, struct fleet_row **ret,
                                  size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &DIGESTS, NULL, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_digests, ret, ret_n, e) : rc;
}

static const struct stmt BUNDLE = {
    "fleet_bundle", 3,
    "SELECT epoch, rev, pub, etag, content_digest, jws FROM bundle WHERE device_id ="
    " $1::uuid AND epoch = $2::bigint AND rev = $3::bigint"};

enum err_code fleet_store_bundle(struct db *db, const char *device_id, int64_t epoch, int64_t rev,
                                 struct arena *a, struct fleet_bundle *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(
        db, &BUNDLE, (struct db_param[]){P_TEXT(device_id), P_INT(epoch), P_INT(rev)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = (struct fleet_bundle){device_id,         rows_int(r, 0, 0),  rows_int(r, 0, 1),
                                     rows_int(r, 0, 2), rows_text(r, 0, 3), rows_text(r, 0, 4),
                                     rows_text(r, 0, 5)};
    return rc;
}

static const struct stmt BUNDLES = {
    "fleet_bundles", 1,
    "SELECT d.id, b.epoch, b.rev, b.pub, b.etag, b.content_digest, b.jws FROM device d JOIN bundle "
    "b ON"
    " b.device_id = d.id AND b.rev = d.offered_rev WHERE d.id = ANY ($1::uuid[])"};

static void read_bundles(const struct rows *r, int i, void *item)
{
    *(struct fleet_bundle *)item = (struct fleet_bundle){
        rows_text(r, i, 0), rows_int(r, i, 1),  rows_int(r, i, 2), rows_int(r, i, 3),
        rows_text(r, i, 4), rows_text(r, i, 5), rows_text(r, i, 6)};
}

enum err_code fleet_store_bundles(struct db *db, const char *ids, struct arena *a,
                                  struct fleet_bundle **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &BUNDLES, (struct db_param[]){P_TEXT(ids)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_bundles, ret, ret_n, e) : rc;
}

static const struct stmt TRIM_CHANGE = {"fleet_trim_change", 0,
                                        "DELETE FROM change WHERE at < now() - interval '1 day'"};
static const struct stmt TRIM_JTI = {"fleet_trim_jti", 0,
                                     "DELETE FROM jti WHERE expires_at < now()"};
static const struct stmt TRIM_IDEMPOTENCY = {
    "fleet_trim_idempotency", 0,
    "DELETE FROM idempotency WHERE created_at < now() - interval '1 day'"};

enum err_code fleet_store_trim(struct db *db, struct err *e)
{
    enum err_code rc = db_run(db, &TRIM_CHANGE, NULL, NULL, NULL, e);

    if (rc == ERR_OK)
        rc = db_run(db, &TRIM_JTI, NULL, NULL, NULL, e);
    return rc == ERR_OK ? db_run(db, &TRIM_IDEMPOTENCY, NULL, NULL, NULL, e) : rc;
}

/* Not in the list below: PREPARE knows no ANALYZE.  Prepared statements keep the plan they were
 * given when the tables were small; new statistics make every connection plan them anew. */
static const struct stmt ANALYZE = {
    "fleet_analyze", 0,
    "ANALYZE device, bundle, device_status, device_member, presence, rollout_device, change, jti"};

enum err_code fleet_store_analyze(struct db *db, struct err *e)
{
    return db_run(db, &ANALYZE, NULL, NULL, NULL, e);
}

const struct stmt *const fleet_store_stmts[] = {
    &LOCK,    &NOTE,   &NOTE_MANY, &LAST,        &CHANGES,  &ALL_ROWS,         &SOME_ROWS,
    &DIGESTS, &BUNDLE, &BUNDLES,   &TRIM_CHANGE, &TRIM_JTI, &TRIM_IDEMPOTENCY, NULL};
