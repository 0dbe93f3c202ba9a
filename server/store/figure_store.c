#include "store/figure_store.h"

/* How long each step is kept.  What is added must be younger than that, what is deleted an hour
 * older: a late event never makes a row again of which most is gone. */
#define KEPT                                                                                       \
    "CASE step_s WHEN 60 THEN interval '3 days' WHEN 3600 THEN interval '60 days' "                \
    "ELSE interval '1096 days' END"

#define PLUS(c)      #c " = f." #c " + excluded." #c
#define PLUS_LIST(c) #c " = figure_add(f." #c ", excluded." #c ")"
#define LATER(c)                                                                                   \
#c " = CASE WHEN f.gauge_at IS NULL OR excluded.gauge_at >= f.gauge_at THEN excluded." #c      \
       " ELSE f." #c " END"

#define COUNTS                                                                                     \
    "accepted, bytes, delivered, deferred, bounced, expired, refused, sessions, auth_failed, "     \
    "fatal, events, dropped, unread"
#define LISTS  "rejected, deferred_why, latency"
#define GAUGES "queue, queue_max, oldest_s, oldest_max_s"
#define DISKS  "disk_free, disk_size"
/* clang-format off */
#define LATER_DISK(c) \
    #c " = CASE WHEN f.disk_at IS NULL OR excluded.disk_at >= f.disk_at THEN excluded." #c " ELSE f." #c " END"

static const struct stmt ADD = {"figure_add", 2,
    "INSERT INTO figure AS f (device_id, step_s, at, " COUNTS ", " LISTS ", gauge_at, " GAUGES ", disk_at, " DISKS ") "
    "SELECT $1::uuid, step_s, to_timestamp(at), " COUNTS ", " LISTS ", to_timestamp(gauge_at), " GAUGES ", to_timestamp(disk_at), " DISKS
    " FROM ROWS FROM (jsonb_to_recordset($2::jsonb) AS (step_s int, at bigint, accepted bigint, bytes bigint, delivered bigint,"
    " deferred bigint, bounced bigint, expired bigint, refused bigint, sessions bigint, auth_failed bigint, fatal bigint, events bigint,"
    " dropped bigint, unread bigint, rejected bigint[], deferred_why bigint[], latency bigint[], gauge_at bigint, queue bigint[],"
    " queue_max bigint[], oldest_s bigint, oldest_max_s bigint, disk_at bigint, disk_free bigint[], disk_size bigint[]))"
    " WITH ORDINALITY AS x (step_s, at, " COUNTS ", " LISTS ", gauge_at, " GAUGES ", disk_at, " DISKS ", place)"
    " WHERE to_timestamp(at) > now() - (" KEPT ") ORDER BY place"
    " ON CONFLICT (device_id, step_s, at) DO UPDATE SET " PLUS(accepted) ", " PLUS(bytes) ", " PLUS(delivered) ", " PLUS(deferred) ", "
    PLUS(bounced) ", " PLUS(expired) ", " PLUS(refused) ", " PLUS(sessions) ", " PLUS(auth_failed) ", " PLUS(fatal) ", " PLUS(events) ", "
    PLUS(dropped) ", " PLUS(unread) ", " PLUS_LIST(rejected) ", " PLUS_LIST(deferred_why) ", " PLUS_LIST(latency) ", " LATER(queue) ", "
    LATER(oldest_s) ", queue_max = CASE WHEN excluded.gauge_at IS NULL THEN f.queue_max WHEN f.gauge_at IS NULL THEN excluded.queue_max"
    " ELSE figure_max(f.queue_max, excluded.queue_max) END, oldest_max_s = greatest(f.oldest_max_s, excluded.oldest_max_s),"
    " gauge_at = greatest(f.gauge_at, excluded.gauge_at), " LATER_DISK(disk_free) ", " LATER_DISK(disk_size)
    ", disk_at = greatest(f.disk_at, excluded.disk_at)"};
/* clang-format on */

#define POINT_COLUMNS                                                                              \
    COUNTS ", to_jsonb(rejected), to_jsonb(deferred_why), to_jsonb(latency), "                     \
           "gauge_at, to_jsonb(queue), to_jsonb(queue_max), oldest_s, oldest_max_s"
static const struct stmt DEVICE = {"figure_device", 4,
                                   "SELECT at, 1, " POINT_COLUMNS
                                   " FROM figure WHERE device_id = $1::uuid AND step_s = $2 AND "
                                   "at >= $3::timestamptz AND at < $4::timestamptz ORDER BY at"};

#define SUM(c)      "sum(" #c ")::bigint"
#define SUM_LIST(c) "to_jsonb(figure_sum(" #c "))"
static const struct stmt FLEET =
    {"figure_fleet", 3,
     "SELECT at, count(*), " SUM(accepted) ", " SUM(bytes) ", " SUM(delivered) ", " SUM(deferred) ", " SUM(bounced) ", " SUM(expired) ", " SUM(refused) ", " SUM(sessions) ", " SUM(
         auth_failed) ", " SUM(fatal) ", " SUM(events) ", " SUM(dropped) ", " SUM(unread) ","
                                                                                          " " SUM_LIST(rejected) ", " SUM_LIST(deferred_why) ", " SUM_LIST(
                                                                                              latency) ", max(gauge_at), "
                                                                                                       "to_jsonb(figure_sum(queue) FILTER (WHERE queue IS NOT NULL)), "
                                                                                                       "to_jsonb(figure_sum(queue_max) FILTER (WHERE queue_max IS NOT NULL)), max(oldest_s), "
                                                                                                       "max(oldest_max_s) FROM figure WHERE step_s = $1 AND at >= $2::timestamptz AND "
                                                                                                       "at < $3::timestamptz GROUP BY at ORDER BY at"};
static const struct stmt ROWS = {
    "figure_rows", 4,
    "SELECT count(*) FROM (SELECT 1 FROM figure WHERE step_s = $1 AND at >= $2::timestamptz AND "
    "at < $3::timestamptz LIMIT $4) x"};
static const struct stmt EXPIRE = {
    "figure_expire", 1,
    "DELETE FROM figure WHERE ctid = ANY (ARRAY(SELECT f.ctid FROM figure f JOIN (VALUES (60), "
    "(3600), (86400)) s (step_s) USING (step_s) WHERE f.at < now() - interval '1 hour' - "
    "(" KEPT ") LIMIT $1))"};

static const struct stmt UNTIL = {"figure_until", 2,
                                  "SELECT device_id, until FROM event_until WHERE device_id = ANY "
                                  "($1::uuid[]) AND stream = $2::text ORDER BY device_id::text "
                                  "COLLATE \"C\""};

#define SPANS                                                                                      \
    " FROM jsonb_to_recordset($1::jsonb) AS w (n int, device_id uuid, since bigint, until bigint)" \
    " JOIN figure f ON f.device_id = w.device_id AND f.step_s = 60 AND f.at >= "                   \
    "to_timestamp(w.since)"
#define WHOLE "f.at <= to_timestamp(w.until - 60)"
#define IN(c) "sum(f." #c ") FILTER (WHERE " WHOLE ")::bigint"
/* What was lost is known when it is stored, not which minute it was of: of any time since. */
static const struct stmt SUMS = {
    "figure_sums", 1,
    "SELECT w.n, NULL, " IN(accepted) ", " IN(refused) ", " IN(delivered) ", " IN(deferred) ", " IN(
        bounced) ", sum(f.dropped)::bigint, to_jsonb(figure_sum(f.latency) FILTER (WHERE " WHOLE
                 "))" SPANS " GROUP BY w.n"};
static const struct stmt MINUTES = {
    "figure_minutes", 1,
    "SELECT 0, f.at, " SUM(f.accepted) ", " SUM(f.refused) ", " SUM(f.delivered) ", " SUM(
        f.deferred) ", " SUM(f.bounced) ", " SUM(f.dropped) ", " SUM_LIST(f.latency) SPANS
    " AND " WHOLE " GROUP BY f.at"};

const struct stmt *const figure_store_stmts[] = {&ADD,   &DEVICE, &FLEET,   &ROWS, &EXPIRE,
                                                 &UNTIL, &SUMS,   &MINUTES, NULL};

enum err_code figure_store_add(struct db *db, const char *device_id, const json_t *rows,
                               struct err *e)
{
    return db_run(db, &ADD, (struct db_param[]){P_TEXT(device_id), P_JSON(rows)}, NULL, NULL, e);
}

static void read_point(const struct rows *r, int i, void *item)
{
    struct figure_point *p = item;
    int64_t *const counts[] = {&p->devices,  &p->accepted,    &p->bytes,   &p->delivered,
                               &p->deferred, &p->bounced,     &p->expired, &p->refused,
                               &p->sessions, &p->auth_failed, &p->fatal,   &p->events,
                               &p->dropped,  &p->unread};
    int c = 0;

    p->at_s = rows_time_ms(r, i, c++) / 1000;
    for (size_t k = 0; k < COUNT_OF(counts); k++)
        *counts[k] = rows_int(r, i, c++);
    p->rejected = rows_json(r, i, c++);
    p->deferred_why = rows_json(r, i, c++);
    p->latency = rows_json(r, i, c++);
    p->gauge = !rows_null(r, i, c++);
    p->queue = rows_json(r, i, c++);
    p->queue_max = rows_json(r, i, c++);
    p->oldest_s = rows_null(r, i, c) ? -1 : rows_int(r, i, c);
    c++;
    p->oldest_max_s = rows_null(r, i, c) ? -1 : rows_int(r, i, c);
}

enum err_code figure_store_points(struct db *db, const struct figure_span *s, struct arena *a,
                                  struct figure_point **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = s->device_id != NULL
                           ? db_run(db, &DEVICE,
                                    (struct db_param[]){P_TEXT(s->device_id), P_INT(s->step_s),
                                                        P_TIME(s->since_ms), P_TIME(s->until_ms)},
                                    a, &r, e)
                           : db_run(db, &FLEET,
                                    (struct db_param[]){P_INT(s->step_s), P_TIME(s->since_ms),
                                                        P_TIME(s->until_ms)},
                                    a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_point, ret, ret_n, e) : rc;
}

enum err_code figure_store_rows(struct db *db, const struct figure_span *s, int64_t max,
                                int64_t *ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc = db_one(
        db, &ROWS,
        (struct db_param[]){P_INT(s->step_s), P_TIME(s->since_ms), P_TIME(s->until_ms), P_INT(max)},
        a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_int(r, 0, 0);
    return rc;
}

enum err_code figure_store_expire(struct db *db, int64_t max, int64_t *ret_n, struct err *e)
{
    return db_change(db, &EXPIRE, (struct db_param[]){P_INT(max)}, ret_n, e);
}

static void read_until(const struct rows *r, int i, void *item)
{
    *(struct figure_until *)item = (struct figure_until){rows_text(r, i, 0), rows_time_ms(r, i, 1)};
}

enum err_code figure_store_until(struct db *db, const char *ids, const char *stream,
                                 struct arena *a, struct figure_until **ret, size_t *ret_n,
                                 struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, &UNTIL, (struct db_param[]){P_TEXT(ids), P_TEXT(stream)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_until, ret, ret_n, e) : rc;
}

static void read_sums(const struct rows *r, int i, void *item)
{
    *(struct figure_sums *)item = (struct figure_sums){.n = rows_int(r, i, 0),
                                                       .at_s = rows_time_ms(r, i, 1) / 1000,
                                                       .accepted = rows_int(r, i, 2),
                                                       .refused = rows_int(r, i, 3),
                                                       .delivered = rows_int(r, i, 4),
                                                       .deferred = rows_int(r, i, 5),
                                                       .bounced = rows_int(r, i, 6),
                                                       .dropped = rows_int(r, i, 7),
                                                       .latency = rows_json(r, i, 8)};
}

enum err_code figure_store_sums(struct db *db, const json_t *spans, bool by_minute, struct arena *a,
                                struct figure_sums **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, by_minute ? &MINUTES : &SUMS, (struct db_param[]){P_JSON(spans)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_sums, ret, ret_n, e) : rc;
}
