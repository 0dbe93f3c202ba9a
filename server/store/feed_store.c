#include "store/feed_store.h"

static const struct stmt SETTLE = {
    "feed_settle", 0,
    "UPDATE event_batch SET tx = '0'::xid8 WHERE tx >= pg_snapshot_xmax(pg_current_snapshot())"};
static const struct stmt HEAD = {"feed_head", 0,
                                 "SELECT tx::text::bigint, id FROM event_batch WHERE tx < "
                                 "pg_snapshot_xmin(pg_current_snapshot()) "
                                 "ORDER BY tx DESC, id DESC LIMIT 1"};
static const struct stmt SPAN = {
    "feed_span", 0,
    "SELECT coalesce(o.tx::text::bigint, 0), coalesce(o.id, 0), "
    "CASE WHEN o.id IS NULL THEN s.is_called ELSE (SELECT min(id) FROM event_batch) > 1 END, "
    "pg_snapshot_xmax(pg_current_snapshot())::text::bigint FROM event_batch_id_seq s "
    "LEFT JOIN LATERAL (SELECT tx, id FROM event_batch ORDER BY tx, id LIMIT 1) o ON true"};
static const struct stmt BATCHES = {
    "feed_batches", 3,
    "SELECT tx::text::bigint, id, n, received_at FROM event_batch WHERE (tx, id) > "
    "($1::text::xid8, $2::bigint) AND tx < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY tx, id "
    "LIMIT $3"};
static const struct stmt EVENTS = {"feed_events", 3,
                                   "SELECT " EVENT_ROW_COLUMNS
                                   ", true FROM event e LEFT JOIN device d ON d.id = e.device_id "
                                   "WHERE e.batch = $1 AND e.n > $2::int ORDER BY e.n LIMIT $3"};
static const struct stmt HOLDING = {
    "feed_holding", 3,
    "SELECT coalesce(jsonb_agg(x.id), '[]') FROM (SELECT encode(s.id_hash, 'hex') AS id FROM "
    "session s "
    "JOIN account a ON a.id = s.account_id WHERE NOT a.disabled AND s.expires_at > $2::timestamptz "
    "AND "
    "s.seen_at > $3::timestamptz AND s.id_hash IN (SELECT decode(v, 'hex') FROM "
    "jsonb_array_elements_text($1::jsonb->'session') v) UNION ALL SELECT t.id::text FROM api_token "
    "t "
    "JOIN account a ON a.id = t.account_id WHERE NOT a.disabled AND t.revoked_at IS NULL AND "
    "(t.expires_at IS NULL OR t.expires_at > $2::timestamptz) AND t.id IN (SELECT v::uuid FROM "
    "jsonb_array_elements_text($1::jsonb->'token') v)) x"};

const struct stmt *const feed_store_stmts[] = {&SETTLE, &HEAD,    &SPAN, &BATCHES,
                                               &EVENTS, &HOLDING, NULL};

enum err_code feed_store_settle(struct db *db, struct err *e)
{
    return db_run(db, &SETTLE, NULL, NULL, NULL, e);
}

enum err_code feed_store_head(struct db *db, struct feed_place *ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &HEAD, NULL, a, &r, e);

    *ret = (struct feed_place){0};
    if (rc == ERR_OK && rows_count(r) == 1)
        *ret = (struct feed_place){rows_int(r, 0, 0), rows_int(r, 0, 1), INT32_MAX};
    return rc;
}

enum err_code feed_store_span(struct db *db, struct feed_span *ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &SPAN, NULL, a, &r, e);

    if (rc == ERR_OK)
        *ret = (struct feed_span){
            {rows_int(r, 0, 0), rows_int(r, 0, 1), 0}, rows_bool(r, 0, 2), rows_int(r, 0, 3)};
    return rc;
}

static void read_batch(const struct rows *r, int i, void *item)
{
    *(struct feed_batch *)item = (struct feed_batch){
        {rows_int(r, i, 0), rows_int(r, i, 1), (int32_t)rows_int(r, i, 2)}, rows_time_ms(r, i, 3)};
}

enum err_code feed_store_batches(struct db *db, const struct feed_place *after, int limit,
                                 struct arena *a, struct feed_batch **ret, size_t *ret_n,
                                 struct err *e)
{
    struct rows *r = NULL;
    char *tx = arena_printf(a, "%lld", (long long)after->tx);
    enum err_code rc;

    if (tx == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = db_run(db, &BATCHES, (struct db_param[]){P_TEXT(tx), P_INT(after->batch), P_INT(limit)}, a,
                &r, e);
    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_batch, ret, ret_n, e) : rc;
}

enum err_code feed_store_events(struct db *db, int64_t batch, int32_t after_n, int limit,
                                struct arena *a, struct event_row **ret, size_t *ret_n,
                                struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(
        db, &EVENTS, (struct db_param[]){P_INT(batch), P_INT(after_n), P_INT(limit)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, event_row_read, ret, ret_n, e) : rc;
}

enum err_code feed_store_holding(struct db *db, const json_t *asked, int64_t now_ms,
                                 int64_t idle_before_ms, struct arena *a, const json_t **ret,
                                 struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(
        db, &HOLDING, (struct db_param[]){P_JSON(asked), P_TIME(now_ms), P_TIME(idle_before_ms)}, a,
        &r, e);

    if (rc == ERR_OK)
        *ret = rows_json(r, 0, 0);
    return rc == ERR_OK && *ret == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : rc;
}
