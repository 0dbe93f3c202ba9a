#include "store/event_store.h"

#include "base/clock.h"
#include "store/db_private.h"

#include <stdio.h>

enum { STREAMS_MAX = 9, SPOOLS_MAX = 16, TRIM_MAX = 20000, DAY_NAME = sizeof "event_YYYYMMDD" };

/* --- policy --- */

#define POLICY_COLUMNS                                                                             \
    "keep_days, size_budget_bytes, subject, floor_day - '1970-01-01'::date, version"
static const struct stmt POLICY = {"event_policy", 0,
                                   "SELECT " POLICY_COLUMNS " FROM event_policy"};
static const struct stmt POLICY_LOCK = {"event_policy_lock", 0,
                                        "SELECT " POLICY_COLUMNS " FROM event_policy FOR UPDATE"};
static const struct stmt POLICY_SAVE = {"event_policy_save", 3,
                                        "UPDATE event_policy SET keep_days = $1::int, "
                                        "size_budget_bytes = $2::bigint, subject = $3::text, "
                                        "version = version + 1"};

static enum err_code read_policy(struct db *db, const struct stmt *stmt, struct arena *a,
                                 struct event_policy *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, stmt, NULL, a, &r, e);

    if (rc == ERR_OK)
        *ret = (struct event_policy){rows_int(r, 0, 0), rows_int(r, 0, 1), rows_text(r, 0, 2),
                                     rows_int(r, 0, 3), rows_int(r, 0, 4)};
    return rc;
}

enum err_code event_store_policy(struct db *db, struct arena *a, struct event_policy *ret,
                                 struct err *e)
{
    return read_policy(db, &POLICY, a, ret, e);
}

enum err_code event_store_policy_lock(struct db *db, struct arena *a, struct event_policy *ret,
                                      struct err *e)
{
    return read_policy(db, &POLICY_LOCK, a, ret, e);
}

enum err_code event_store_policy_save(struct db *db, const struct event_policy *p, struct err *e)
{
    return db_run(
        db, &POLICY_SAVE,
        (struct db_param[]){P_INT(p->keep_days), P_INT(p->size_budget_bytes), P_TEXT(p->subject)},
        NULL, NULL, e);
}

/* --- days --- */

static const struct stmt MAKE_DAY = {"event_make_day", 1,
                                     "SELECT event_make_day('1970-01-01'::date + $1::int)"};
static const struct stmt DAYS = {
    "event_days", 0,
    "SELECT to_date(substr(c.relname, 7), 'YYYYMMDD') - '1970-01-01'::date, "
    "pg_total_relation_size(c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
    "WHERE i.inhparent = 'public.event'::regclass AND c.relname ~ '^event_[0-9]{8}$' ORDER BY 1"};

enum err_code event_store_make_day(struct db *db, int64_t day, bool *ret_made, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                 : db_one(db, &MAKE_DAY, (struct db_param[]){P_INT(day)}, a, &r, e);

    if (rc == ERR_OK && ret_made != NULL)
        *ret_made = rows_bool(r, 0, 0);
    return rc;
}

static void read_day(const struct rows *r, int i, void *item)
{
    *(struct event_day *)item = (struct event_day){rows_int(r, i, 0), rows_int(r, i, 1)};
}

enum err_code event_store_days(struct db *db, struct arena *a, struct event_day **ret,
                               size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &DAYS, NULL, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_day, ret, ret_n, e) : rc;
}

static void day_name(int64_t day, char name[DAY_NAME])
{
    char text[CLOCK_TEXT_SIZE];

    clock_format(day * 24 * 3600 * 1000, text);
    (void)snprintf(name, DAY_NAME, "event_%.4s%.2s%.2s", text, text + 5, text + 8);
}

/* Whoever waits for the lock keeps everybody else waiting behind it: not for long, another time
 * again. */
static enum err_code drop_tx(struct db *db, void *ctx, struct err *e)
{
    const int64_t day = *(const int64_t *)ctx;
    char name[DAY_NAME], sql[400];

    day_name(day, name);
    (void)snprintf(
        sql, sizeof sql,
        "SET LOCAL lock_timeout = '500ms'; SET LOCAL statement_timeout = '30s'; "
        "UPDATE event_policy SET floor_day = greatest(floor_day, '1970-01-01'::date + %lld); "
        "DROP TABLE IF EXISTS public.%s",
        (long long)day + 1, name);
    return db_script(db, sql, EVENT_COPY_LIMIT_MS, e);
}

enum err_code event_store_drop_day(struct db *db, int64_t day, struct err *e)
{
    return tx_run(db, "event_drop", drop_tx, &day, e);
}

/* --- what grows beside them --- */

static const struct stmt TRIM_BATCHES = {
    "event_trim_batches", 2,
    "DELETE FROM event_batch WHERE id IN (SELECT id FROM event_batch WHERE received_at < "
    "$1::timestamptz ORDER BY received_at LIMIT $2::int)"};
static const struct stmt TRIM_STREAMS = {
    "event_trim_streams", 1,
    "DELETE FROM event_stream o WHERE o.last_at < $1::timestamptz AND EXISTS (SELECT 1 FROM "
    "event_stream n WHERE n.device_id = o.device_id AND n.stream = o.stream AND n.last_at > "
    "o.last_at)"};

static const struct stmt TRIM_UNTIL = {"event_trim_until", 1,
                                       "DELETE FROM event_until WHERE until < $1::timestamptz"};

enum err_code event_store_trim(struct db *db, int64_t batch_ms, int64_t stream_ms, struct err *e)
{
    enum err_code rc = db_run(
        db, &TRIM_BATCHES, (struct db_param[]){P_TIME(batch_ms), P_INT(TRIM_MAX)}, NULL, NULL, e);

    if (rc == ERR_OK)
        rc = db_run(db, &TRIM_STREAMS, (struct db_param[]){P_TIME(stream_ms)}, NULL, NULL, e);
    return rc == ERR_OK
               ? db_run(db, &TRIM_UNTIL, (struct db_param[]){P_TIME(stream_ms)}, NULL, NULL, e)
               : rc;
}

/* --- a batch --- */

static const struct stmt LOCK = {
    "event_lock", 3,
    "SELECT s.acknowledged, p.version, p.floor_day - '1970-01-01'::date, "
    "set_config('statement_timeout', '30s', true) FROM event_stream s, event_policy p WHERE "
    "s.device_id = $1::uuid AND s.stream = $2::text AND s.spool = $3::uuid FOR UPDATE OF s"};
/* A device may begin a spool anew, but not fill this table: of each stream the spools heard of
 * last. */
static const struct stmt NEW = {
    "event_new_spool", 5,
    "WITH old AS (DELETE FROM event_stream WHERE (device_id, stream, spool) IN (SELECT device_id, "
    "stream, spool FROM event_stream WHERE device_id = $1::uuid AND stream = $2::text ORDER BY "
    "last_at DESC, spool OFFSET $4::int - 1)) INSERT INTO event_stream (device_id, stream, spool) "
    "SELECT $1::uuid, $2::text, $3::uuid WHERE (SELECT count(DISTINCT stream) FROM event_stream "
    "WHERE device_id = $1::uuid AND stream <> $2::text) < $5::int ON CONFLICT DO NOTHING"};

enum err_code event_store_lock(struct db *db, const struct event_spool *s, struct arena *a,
                               struct event_known *ret, struct err *e)
{
    const struct db_param params[] = {P_TEXT(s->device_id), P_TEXT(s->stream), P_TEXT(s->spool),
                                      P_INT(SPOOLS_MAX), P_INT(STREAMS_MAX)};
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &LOCK, params, a, &r, e);

    if (rc == ERR_NOT_FOUND)
        rc = db_run(db, &NEW, params, NULL, NULL, e);
    if (rc == ERR_OK && r == NULL)
        rc = db_one(db, &LOCK, params, a, &r, e);
    if (rc == ERR_NOT_FOUND)
        return err_field(e, ERR_INVALID, "/stream", "a device has at most %d streams of events",
                         STREAMS_MAX);
    if (rc == ERR_OK)
        *ret = (struct event_known){rows_int(r, 0, 0), rows_int(r, 0, 1), rows_int(r, 0, 2)};
    return rc;
}

static const struct stmt BATCH = {
    "event_batch", 6,
    "INSERT INTO event_batch (device_id, stream, received_at, first, last, n) VALUES ($1::uuid, "
    "$2::text, $3::timestamptz, $4::bigint, $5::bigint, $6::int) RETURNING id"};

enum err_code event_store_batch(struct db *db, const struct event_spool *s, int64_t received_ms,
                                int64_t first, int64_t last, int64_t n, struct arena *a,
                                int64_t *ret_id, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_one(db, &BATCH,
               (struct db_param[]){P_TEXT(s->device_id), P_TEXT(s->stream), P_TIME(received_ms),
                                   P_INT(first), P_INT(last), P_INT(n)},
               a, &r, e);

    if (rc == ERR_OK)
        *ret_id = rows_int(r, 0, 0);
    return rc;
}

static const struct stmt UNTIL = {
    "event_until", 3,
    "INSERT INTO event_until AS u (device_id, stream, until) VALUES ($1::uuid, $2::text, "
    "$3::timestamptz) ON CONFLICT (device_id, stream) DO UPDATE SET until = excluded.until WHERE "
    "u.until < excluded.until"};

enum err_code event_store_until(struct db *db, const char *device_id, const char *stream,
                                int64_t until_ms, struct err *e)
{
    return db_run(db, &UNTIL,
                  (struct db_param[]){P_TEXT(device_id), P_TEXT(stream), P_TIME(until_ms)}, NULL,
                  NULL, e);
}

static const struct stmt ADVANCE = {
    "event_advance", 7,
    "WITH moved AS (UPDATE event_stream SET acknowledged = $4::bigint, dropped = greatest(dropped, "
    "$5::bigint), gap = gap + $6::bigint, last_at = now() WHERE device_id = $1::uuid AND stream = "
    "$2::text AND spool = $3::uuid RETURNING 1) SELECT pg_notify('inari_event', $7::text) FROM "
    "moved"};

enum err_code event_store_advance(struct db *db, const struct event_spool *s, int64_t last,
                                  int64_t dropped, int64_t gap, int64_t batch, struct err *e)
{
    char id[24];

    (void)snprintf(id, sizeof id, "%lld", (long long)batch);
    return db_run(db, &ADVANCE,
                  (struct db_param[]){P_TEXT(s->device_id), P_TEXT(s->stream), P_TEXT(s->spool),
                                      P_INT(last), P_INT(dropped), P_INT(gap), P_TEXT(id)},
                  NULL, NULL, e);
}

const struct stmt *const event_store_stmts[] = {
    &POLICY,     &POLICY_LOCK, &POLICY_SAVE, &MAKE_DAY, &DAYS,  &TRIM_BATCHES, &TRIM_STREAMS,
    &TRIM_UNTIL, &LOCK,        &NEW,         &BATCH,    &UNTIL, &ADVANCE,      NULL};
