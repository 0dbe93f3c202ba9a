#include "store/message_store.h"

#include <stdio.h>

// clang-format off
/* What an index has of an address: backwards, so that a domain is a range (0013_messages.sql). */
#define BACKWARDS(x)    "reverse(lower(left(" x ", 320))) COLLATE \"C\""
#define ADDRESS(col, p) "(" p "::text IS NULL OR (" col " <> '' AND " BACKWARDS(col) " = " BACKWARDS(p "::text") "))"
/* "gro.elpmaxe@" <= x < "gro.elpmaxeA": 'A' follows '@'. */
#define DOMAIN(col, p)                                                                             \
    "(" p "::text IS NULL OR (" col " <> '' AND " BACKWARDS(col) " >= " BACKWARDS(p "::text")      \
    " AND " BACKWARDS(col) " < (left(reverse(lower(" p "::text)), -1) || 'A') COLLATE \"C\"))"

/* Is row e one that the search asks for?  $1..$21. */
#define MATCH                                                                                      \
    "($1::text[] IS NULL OR e.kind = ANY ($1::text[]))"                                            \
    " AND " ADDRESS("e.sender", "$2") " AND " DOMAIN("e.sender", "$3")                             \
    " AND " ADDRESS("e.recipient", "$4") " AND " DOMAIN("e.recipient", "$5")                       \
    " AND ($6::inet IS NULL OR e.client = $6::inet)"                                               \
    " AND ($7::inet IS NULL OR (e.client >= host(network($7::inet))::inet"                         \
    " AND e.client <= host(broadcast($7::inet))::inet))"                                           \
    " AND ($8::text IS NULL OR (e.message_id IS NOT NULL AND left(e.message_id, 250) COLLATE \"C\"" \
    " = ANY (ARRAY[left($8::text, 250), left('<' || $8::text || '>', 250)] COLLATE \"C\")))"       \
    " AND ($9::text IS NULL OR e.queue_id = $9::text)"                                             \
    " AND ($10::text IS NULL OR (e.subject IS NOT NULL"                                            \
    " AND (lower(e.subject) LIKE ALL (lower($19::text)::text[]) OR e.subject = $21::text)"         \
    " AND event_words(e.subject) @@ lower($10::text)::tsquery))"                                   \
    " AND ($20::text IS NULL OR (e.subject IS NOT NULL"                                            \
    " AND (lower(e.subject) LIKE ALL (lower($19::text)::text[]) OR e.subject = $21::text)"         \
    " AND (event_words(e.subject) || ''::tsvector) @@ lower($20::text)::tsquery))"                 \
    " AND ($11::text IS NULL OR e.status = $11::text)"                                             \
    " AND ($12::text IS NULL OR e.reason = $12::text)"                                             \
    " AND ($13::uuid IS NULL OR e.device_id = $13::uuid)"                                          \
    " AND ($14::text IS NULL OR e.stream = $14::text)"                                             \
    " AND ($15::text IS NULL OR starts_with(e.kind, $15::text))"                                   \
    " AND ($16::pg_snapshot IS NULL OR e.received_at < $17::timestamptz - interval '10 minutes'"   \
    " OR coalesce((SELECT pg_visible_in_snapshot(b.tx, $16::pg_snapshot) FROM event_batch b"       \
    " WHERE b.id = e.batch), true))"                                                               \
    " AND ($18::boolean IS NOT TRUE OR NOT EXISTS (SELECT 1 FROM event x WHERE"                    \
    " x.queue_id = e.queue_id AND x.device_id = e.device_id AND x.kind = 'message.removed'"        \
    " AND x.at >= e.at AND x.at < e.at + interval '10 days'))"
// clang-format on
enum {
    MATCH_PARAMS = 21,
    FIND_PARAMS = MATCH_PARAMS + 6,
    COUNT_PARAMS = MATCH_PARAMS + 3,
    LEGS_PARAMS = MATCH_PARAMS + 2
};

void event_row_read(const struct rows *r, int i, void *item)
{
    *(struct event_row *)item = (struct event_row){
        .at_ms = rows_time_ms(r, i, 0),
        .received_ms = rows_time_ms(r, i, 1),
        .device_at_ms = rows_time_ms(r, i, 2),
        .batch = rows_int(r, i, 3),
        .seq = rows_int(r, i, 4),
        .size = rows_null(r, i, 5) ? -1 : rows_int(r, i, 5),
        .delay_ms = rows_null(r, i, 6) ? -1 : rows_int(r, i, 6),
        .n = (int)rows_int(r, i, 7),
        .device_id = rows_text(r, i, 8),
        .stream = rows_text(r, i, 9),
        .kind = rows_text(r, i, 10),
        .queue_id = rows_text(r, i, 11),
        .orig_queue_id = rows_text(r, i, 12),
        .next_queue_id = rows_text(r, i, 13),
        .sender = rows_text(r, i, 14),
        .null_sender = !rows_null(r, i, 14) && rows_text(r, i, 14)[0] == '\0',
        .recipient = rows_text(r, i, 15),
        .client = rows_text(r, i, 16),
        .client_name = rows_text(r, i, 17),
        .helo = rows_text(r, i, 18),
        .message_id = rows_text(r, i, 19),
        .subject = rows_text(r, i, 20),
        .relay = rows_text(r, i, 21),
        .dsn = rows_text(r, i, 22),
        .status = rows_text(r, i, 23),
        .reason = rows_text(r, i, 24),
        .text = rows_text(r, i, 25),
        .detail = rows_null(r, i, 26) ? NULL : rows_json(r, i, 26),
        .device_name = rows_text(r, i, 27),
        .matches = rows_bool(r, i, 28),
    };
}

static void match_params(const struct event_search *s, struct db_param p[])
{
    const struct db_param all[MATCH_PARAMS] = {P_TEXT(s->kinds),
                                               P_TEXT(s->sender),
                                               P_TEXT(s->sender_domain),
                                               P_TEXT(s->recipient),
                                               P_TEXT(s->recipient_domain),
                                               P_TEXT(s->client),
                                               P_TEXT(s->network),
                                               P_TEXT(s->message_id),
                                               P_TEXT(s->queue_id),
                                               P_TEXT(s->words_last ? NULL : s->words),
                                               P_TEXT(s->status),
                                               P_TEXT(s->reason),
                                               P_TEXT(s->device_id),
                                               P_TEXT(s->stream),
                                               P_TEXT(s->kind_prefix),
                                               P_TEXT(s->snapshot),
                                               P_TIME(s->snapshot_ms),
                                               P_BOOL(s->in_queue),
                                               P_TEXT(s->parts),
                                               P_TEXT(s->words_last ? s->words : NULL),
                                               P_TEXT(s->subject_hash)};

    memcpy(p, all, sizeof all);
}

/* --- one statement with a plan of its own and an end --- */

static const struct stmt LIMITS = {
    "message_limits", 2,
    "SELECT set_config('plan_cache_mode', $1::text, true), set_config('statement_timeout', "
    "$2::text, true), set_config('work_mem', '32MB', true), "
    "set_config('max_parallel_workers_per_gather', '0', true)"};

static const struct stmt COUNT = {
    "message_count", COUNT_PARAMS,
    "SELECT count(DISTINCT x.device_id::text || coalesce(x.queue_id, x.batch || '.' || x.n)), "
    "count(*) FROM (SELECT e.device_id, e.queue_id, e.batch, e.n FROM event e WHERE e.at >= "
    "$22::timestamptz AND e.at < $23::timestamptz AND " MATCH " LIMIT $24::bigint) AS x"};

struct ask {
    const char
        *plan; /* of its values, or one for all: what ids lead to is looked up alike for any */
    const struct stmt *stmt;
    const struct db_param *params;
    struct arena *a;
    struct rows *rows;
    int limit_ms;
};

static enum err_code ask_inside(struct db *db, void *ctx, struct err *e)
{
    struct ask *q = ctx;
    char ms[16];
    struct rows *ignored = NULL;
    enum err_code rc;

    (void)snprintf(ms, sizeof ms, "%d", q->limit_ms);
    rc = db_run(db, &LIMITS, (struct db_param[]){P_TEXT(q->plan), P_TEXT(ms)}, q->a, &ignored, e);
    return rc == ERR_OK ? db_run(db, q->stmt, q->params, q->a, &q->rows, e) : rc;
}

#define OF_VALUES "force_custom_plan"
#define FOR_ALL   "force_generic_plan"
static enum err_code ask(struct db *db, const char *plan, const struct stmt *stmt,
                         const struct db_param *params, int limit_ms, struct arena *a,
                         struct rows **ret, struct err *e)
{
    struct ask q = {plan, stmt, params, a, NULL, limit_ms};
    enum err_code rc = tx_run(db, stmt->name, ask_inside, &q, e);

    if (rc == ERR_OK)
        *ret = q.rows;
    return rc;
}

static const struct stmt FIND = {
    "message_find", FIND_PARAMS,
    "SELECT " EVENT_ROW_COLUMNS
    ", true FROM (SELECT * FROM event e WHERE e.at >= $22::timestamptz AND e.at < $23::timestamptz"
    " AND ($24::timestamptz IS NULL OR (e.at <= $24::timestamptz AND (e.at, e.batch, e.n) < "
    "($24::timestamptz, $25::bigint, $26::int))) AND " MATCH
    " ORDER BY e.at DESC, e.batch DESC, e.n DESC LIMIT $27::bigint) AS e LEFT JOIN device d ON "
    "d.id = e.device_id ORDER BY e.at DESC, e.batch DESC, e.n DESC"};

enum err_code message_store_find(struct db *db, const struct event_search *s, int64_t lo_ms,
                                 int64_t hi_ms, int limit, struct arena *a, struct event_row **ret,
                                 size_t *ret_n, struct err *e)
{
    struct db_param p[FIND_PARAMS];
    struct rows *r = NULL;
    enum err_code rc;

    match_params(s, p);
    p[MATCH_PARAMS] = P_TIME(lo_ms);
    p[MATCH_PARAMS + 1] = P_TIME(hi_ms);
    p[MATCH_PARAMS + 2] = s->before.at_ms == 0 ? P_NULL : P_TIME(s->before.at_ms);
    p[MATCH_PARAMS + 3] = P_INT(s->before.batch);
    p[MATCH_PARAMS + 4] = P_INT(s->before.n);
    p[MATCH_PARAMS + 5] = P_INT(limit);
    rc = ask(db, OF_VALUES, &FIND, p, EVENT_FIND_MS, a, &r, e);
    return rc == ERR_OK ? rows_read(r, sizeof **ret, event_row_read, ret, ret_n, e) : rc;
}

enum err_code message_store_count(struct db *db, const struct event_search *s, int64_t lo_ms,
                                  int64_t hi_ms, int max, int limit_ms, int64_t *ret,
                                  int64_t *ret_rows, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(256 * KIB);
    struct db_param p[COUNT_PARAMS];
    struct rows *r = NULL;
    enum err_code rc;

    match_params(s, p);
    p[MATCH_PARAMS] = P_TIME(lo_ms);
    p[MATCH_PARAMS + 1] = P_TIME(hi_ms);
    p[MATCH_PARAMS + 2] = P_INT(max);
    rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                   : ask(db, OF_VALUES, &COUNT, p, limit_ms, a, &r, e);
    if (rc != ERR_OK)
        return rc;
    *ret = rows_int(r, 0, 0);
    *ret_rows = rows_int(r, 0, 1);
    return ERR_OK;
}

static const struct stmt LEGS = {
    "message_legs", LEGS_PARAMS,
    "SELECT " EVENT_ROW_COLUMNS
    ", e.matches FROM jsonb_to_recordset($22::jsonb) AS l (d uuid, q text, lo "
    "timestamptz, hi timestamptz) "
    "CROSS JOIN LATERAL (SELECT e.*, coalesce((" MATCH
    "), false) AS matches FROM event e WHERE e.queue_id = l.q AND e.device_id = l.d AND e.at >= "
    "l.lo AND e.at < l.hi ORDER BY (e.kind = 'message.delivery'), matches DESC, e.at DESC, e.batch "
    "DESC, e.n DESC LIMIT "
    "$23::bigint) AS e LEFT JOIN device d ON d.id = e.device_id"};

enum err_code message_store_legs(struct db *db, const json_t *legs, const struct event_search *s,
                                 int per_leg, struct arena *a, struct event_row **ret,
                                 size_t *ret_n, struct err *e)
{
    static const struct event_search nothing = {0};
    struct db_param p[LEGS_PARAMS];
    struct rows *r = NULL;
    enum err_code rc;

    match_params(s == NULL ? &nothing : s, p);
    p[MATCH_PARAMS] = P_JSON(legs);
    p[MATCH_PARAMS + 1] = P_INT(per_leg);
    rc = ask(db, FOR_ALL, &LEGS, p, EVENT_FIND_MS, a, &r, e);
    return rc == ERR_OK ? rows_read(r, sizeof **ret, event_row_read, ret, ret_n, e) : rc;
}

/* --- from one queue entry to the next --- */

#define LINK                                                                                       \
    "SELECT e.device_id, e.queue_id, e.next_queue_id, e.message_id, e.kind AS row_kind, e.at, "    \
    "e.batch, e.n FROM event e WHERE "
#define WITHIN                                                                                     \
    " AND e.at >= w.lo AND e.at < w.hi AND (w.d IS NULL OR e.device_id = w.d) ORDER BY e.at "      \
    "LIMIT 20"
static const struct stmt LINKS = {
    "message_links", 1,
    "WITH wants AS (SELECT * FROM jsonb_to_recordset($1::jsonb) AS w (i int, k int, d uuid, q "
    "text, lo timestamptz, hi "
    "timestamptz)) "
    "SELECT w.i, w.k, e.* FROM wants w CROSS JOIN LATERAL (" LINK
    "e.queue_id = w.q AND e.kind = 'message.queued'" WITHIN ") AS e WHERE w.k = 1 UNION ALL "
    "SELECT w.i, w.k, e.* FROM wants w CROSS JOIN LATERAL (" LINK
    "e.orig_queue_id = w.q AND e.kind = 'message.queued'" WITHIN ") AS e WHERE w.k = 2 UNION ALL "
    "SELECT w.i, w.k, e.* FROM wants w CROSS JOIN LATERAL (" LINK
    "left(e.next_queue_id, 64) = left(w.q, 64) AND e.next_queue_id = w.q AND e.queue_id IS NOT "
    "NULL" WITHIN ") AS e WHERE w.k = 3"};

static void read_link(const struct rows *r, int i, void *item)
{
    *(struct event_link *)item = (struct event_link){
        .i = (int)rows_int(r, i, 0),
        .kind = (int)rows_int(r, i, 1),
        .device_id = rows_text(r, i, 2),
        .queue_id = rows_text(r, i, 3),
        .next_queue_id = rows_text(r, i, 4),
        .message_id = rows_text(r, i, 5),
        .row_kind = rows_text(r, i, 6),
        .at_ms = rows_time_ms(r, i, 7),
        .batch = rows_int(r, i, 8),
        .n = (int)rows_int(r, i, 9),
    };
}

enum err_code message_store_links(struct db *db, const json_t *wants, struct arena *a,
                                  struct event_link **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        ask(db, FOR_ALL, &LINKS, (struct db_param[]){P_JSON(wants)}, EVENT_FIND_MS, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_link, ret, ret_n, e) : rc;
}

static const struct stmt EVENT = {
    "message_event", 4,
    "SELECT " EVENT_ROW_COLUMNS
    ", true FROM event e LEFT JOIN device d ON d.id = e.device_id WHERE e.at = $2::timestamptz AND "
    "e.device_id = $1::uuid AND e.batch = $3::bigint AND e.n = $4::int LIMIT 1"};

enum err_code message_store_event(struct db *db, const char *device_id, const struct event_place *p,
                                  struct arena *a, struct event_row *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        ask(db, FOR_ALL, &EVENT,
            (struct db_param[]){P_TEXT(device_id), P_TIME(p->at_ms), P_INT(p->batch), P_INT(p->n)},
            EVENT_FIND_MS, a, &r, e);

    if (rc != ERR_OK)
        return rc;
    if (rows_count(r) == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no such event");
    event_row_read(r, 0, ret);
    return ERR_OK;
}

/* --- what devices ran --- */

static const struct stmt RAN = {"message_ran", 3,
                                "SELECT r.device_id, r.digest, r.since, r.pub, v.author, v.reason, "
                                "v.at FROM jsonb_array_elements_text($1::jsonb) AS l (d) "
                                "JOIN device_ran r ON r.device_id = l.d::uuid LEFT JOIN revision v "
                                "ON v.pub = r.pub WHERE r.since < $3::timestamptz AND "
                                "r.since >= coalesce((SELECT max(x.since) FROM device_ran x WHERE "
                                "x.device_id = r.device_id AND x.since <= $2::timestamptz), "
                                "$2::timestamptz) ORDER BY r.device_id, r.since LIMIT 2000"};

static void read_ran(const struct rows *r, int i, void *item)
{
    *(struct ran_row *)item = (struct ran_row){.device_id = rows_text(r, i, 0),
                                               .digest = rows_text(r, i, 1),
                                               .since_ms = rows_time_ms(r, i, 2),
                                               .pub = rows_int(r, i, 3),
                                               .author = rows_text(r, i, 4),
                                               .reason = rows_text(r, i, 5),
                                               .published_ms = rows_time_ms(r, i, 6)};
}

enum err_code message_store_ran(struct db *db, const json_t *devices, int64_t lo_ms, int64_t hi_ms,
                                struct arena *a, struct ran_row **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(
        db, &RAN, (struct db_param[]){P_JSON(devices), P_TIME(lo_ms), P_TIME(hi_ms)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_ran, ret, ret_n, e) : rc;
}

static const struct stmt SNAPSHOT = {"message_snapshot", 0,
                                     "SELECT pg_current_snapshot()::text, now()"};

enum err_code message_store_snapshot(struct db *db, struct arena *a, const char **ret,
                                     int64_t *ret_ms, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &SNAPSHOT, NULL, a, &r, e);

    if (rc != ERR_OK)
        return rc;
    *ret = rows_text(r, 0, 0);
    *ret_ms = rows_time_ms(r, 0, 1);
    return ERR_OK;
}

static const struct stmt DEVICE = {
    "message_device", 1, "SELECT id FROM device WHERE name = $1::text OR id::text = $1::text"};

enum err_code message_store_device(struct db *db, const char *name, struct arena *a,
                                   const char **ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &DEVICE, (struct db_param[]){P_TEXT(name)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_count(r) == 0 ? "" : rows_text(r, 0, 0);
    return rc;
}

const struct stmt *const message_store_stmts[] = {&LIMITS, &FIND, &COUNT,    &LEGS,   &LINKS,
                                                  &EVENT,  &RAN,  &SNAPSHOT, &DEVICE, NULL};
