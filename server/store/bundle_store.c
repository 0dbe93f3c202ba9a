#include "store/bundle_store.h"

static const struct stmt LOCK = {"bundle_lock", 0, "SELECT pg_advisory_xact_lock(8445, 2)"};

enum err_code bundle_store_lock(struct db *db, struct err *e)
{
    return db_run(db, &LOCK, NULL, NULL, NULL, e);
}

#define TARGETS                                                                                    \
    "SELECT d.id, d.name, d.mode, d.placement, d.drift, d.state = 'held', "                        \
    "coalesce(b.content_digest, ''),"                                                              \
    " coalesce(b.etag, ''), coalesce(b.mode, ''), d.desired_rev, d.pub FROM device d LEFT JOIN "   \
    "bundle b "                                                                                    \
    "ON b.device_id = d.id"                                                                        \
    " AND b.rev = d.desired_rev WHERE d.state IN ('observing', 'managed', 'held', 'quarantined')"
static const struct stmt ALL_TARGETS = {"bundle_targets_all", 0, TARGETS " ORDER BY d.id"};
static const struct stmt SOME_TARGETS = {"bundle_targets", 1,
                                         TARGETS " AND d.id = ANY ($1::uuid[]) ORDER BY d.id"};

static void read_targets(const struct rows *r, int i, void *item)
{
    *(struct bundle_target *)item = (struct bundle_target){
        rows_text(r, i, 0), rows_text(r, i, 1), rows_text(r, i, 2), rows_text(r, i, 3),
        rows_text(r, i, 4), rows_bool(r, i, 5), rows_text(r, i, 6), rows_text(r, i, 7),
        rows_text(r, i, 8), rows_int(r, i, 9),  rows_int(r, i, 10)};
}

enum err_code bundle_store_targets(struct db *db, const char *ids, struct arena *a,
                                   struct bundle_target **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = ids == NULL
                           ? db_run(db, &ALL_TARGETS, NULL, a, &r, e)
                           : db_run(db, &SOME_TARGETS, (struct db_param[]){P_TEXT(ids)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_targets, ret, ret_n, e) : rc;
}

#define MEMBERS                                                                                    \
    "SELECT m.device_id, g.id, g.name, g.priority FROM device_member m JOIN device_group g ON "    \
    "g.id = "                                                                                      \
    "m.group_id"
static const struct stmt ALL_MEMBERS = {"bundle_members_all", 0,
                                        MEMBERS " ORDER BY m.device_id, g.priority, g.id"};
static const struct stmt SOME_MEMBERS = {
    "bundle_members", 1,
    MEMBERS " WHERE m.device_id = ANY ($1::uuid[]) ORDER BY m.device_id, g.priority, g.id"};

static void read_members(const struct rows *r, int i, void *item)
{
    *(struct bundle_member *)item = (struct bundle_member){rows_text(r, i, 0), rows_text(r, i, 1),
                                                           rows_text(r, i, 2), rows_int(r, i, 3)};
}

enum err_code bundle_store_members(struct db *db, const char *ids, struct arena *a,
                                   struct bundle_member **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = ids == NULL
                           ? db_run(db, &ALL_MEMBERS, NULL, a, &r, e)
                           : db_run(db, &SOME_MEMBERS, (struct db_param[]){P_TEXT(ids)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_members, ret, ret_n, e) : rc;
}

static const struct stmt REVS = {"bundle_revs", 1,
                                 "SELECT r FROM (SELECT nextval('bundle_rev') AS r FROM "
                                 "generate_series(1, $1::bigint)) AS x ORDER BY r"};

enum err_code bundle_store_revs(struct db *db, size_t n, struct arena *a, int64_t **ret,
                                struct err *e)
{
    struct rows *r = NULL;
    int64_t *v = arena_alloc(a, (n + 1) * sizeof *v);
    enum err_code rc = v == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                 : db_run(db, &REVS, (struct db_param[]){P_INT(n)}, a, &r, e);

    if (rc != ERR_OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        v[i] = rows_int(r, (int)i, 0);
    *ret = v;
    return ERR_OK;
}

static const struct stmt PUT = {"bundle_put", 10,
                                "WITH b AS (INSERT INTO bundle (device_id, epoch, rev, pub, "
                                "content_digest, etag, mode, rollout_id, jws) VALUES"
                                " ($1::uuid, $2::bigint, $3::bigint, $4::bigint, $5::text, "
                                "$6::text, $7::text, $8::uuid, $9::text) RETURNING rev)"
                                " UPDATE device SET desired_rev = b.rev, offered_rev = CASE WHEN "
                                "$10::boolean OR offered_rev = 0 THEN b.rev ELSE"
                                " offered_rev END FROM b WHERE id = $1::uuid"};

enum err_code bundle_store_put(struct db *db, const struct bundle_new *b, struct err *e)
{
    return db_run(db, &PUT,
                  (struct db_param[]){P_TEXT(b->device_id), P_INT(b->epoch), P_INT(b->rev),
                                      P_INT(b->pub), P_TEXT(b->digest), P_TEXT(b->etag),
                                      P_TEXT(b->made_for),
                                      b->rollout_id == NULL ? P_NULL : P_TEXT(b->rollout_id),
                                      P_TEXT(b->jws), P_BOOL(b->offer)},
                  NULL, NULL, e);
}

static const struct stmt TRIM = {
    "bundle_trim", 1,
    "UPDATE bundle b SET jws = '' FROM (SELECT device_id, epoch, rev, row_number() OVER (PARTITION"
    " BY device_id ORDER BY epoch DESC, rev DESC) AS k FROM bundle WHERE jws <> '') AS x, device d"
    " WHERE b.device_id = x.device_id AND b.epoch = x.epoch AND b.rev = x.rev AND d.id ="
    " b.device_id AND x.k > $1::bigint AND b.rev NOT IN (d.desired_rev, d.offered_rev)"};

enum err_code bundle_store_trim(struct db *db, int keep, struct err *e)
{
    return db_run(db, &TRIM, (struct db_param[]){P_INT(keep)}, NULL, NULL, e);
}

const struct stmt *const bundle_store_stmts[] = {
    &LOCK, &ALL_TARGETS, &SOME_TARGETS, &ALL_MEMBERS, &SOME_MEMBERS, &REVS, &PUT, &TRIM, NULL};
