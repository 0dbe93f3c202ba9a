#include "store/rollout_device_store.h"

#include "store/rollout_store.h"

static const struct stmt ADD = {
    "rollout_device_add", 2,
    "INSERT INTO rollout_device (rollout_id, device_id, wave, place, state, reason, from_pub, "
    "health)"
    " SELECT $1::uuid, x.device_id, x.wave, x.place, x.state, x.reason, x.from_pub, CASE WHEN"
    " x.wave = 0 AND r.n_waves > 1 THEN s.doc->'health' ELSE (s.doc->'health') - 'mail' END"
    " FROM jsonb_to_recordset($2::jsonb) AS x(device_id uuid, wave integer, place integer, state"
    " text, reason text, from_pub bigint) JOIN rollout r ON r.id = $1::uuid LEFT JOIN"
    " device_status s ON s.device_id = x.device_id"};

enum err_code rollout_device_store_add(struct db *db, const char *rollout_id, const json_t *rows,
                                       struct err *e)
{
    return json_array_size(rows) == 0
               ? ERR_OK
               : db_run(db, &ADD, (struct db_param[]){P_TEXT(rollout_id), P_JSON(rows)}, NULL, NULL,
                        e);
}

static const struct stmt LIST = {
    "rollout_device_list", 7,
    "SELECT d.id, d.name, d.state, d.mode, rd.state, rd.reason, rd.wave, rd.place, rd.rev,"
    " rd.from_pub, rd.released_at, rd.fetched_at, rd.ended_at, p.seen_at, rd.forgiven, rd.problem,"
    " CASE WHEN $6::boolean THEN NULL ELSE rd.health END, b.content_digest, b.etag, b.mode,"
    " d.desired_rev, d.offered_rev, CASE WHEN $6::boolean THEN NULL WHEN rd.state = 'queued' THEN "
    "jsonb_build_object('health', CASE WHEN $7::integer > 0 AND ('x' || right(d.id::text,"
    " 4))::bit(16)::integer % nullif($7::integer, 0) = 0 THEN s.doc->'health' ELSE"
    " (s.doc->'health') - 'mail' END) WHEN s.doc IS NULL OR"
    " rd.state NOT IN ('offered', 'fetched', 'confirmed') THEN NULL ELSE"
    " jsonb_build_object('observed', s.doc->'observed', 'on_disk', s.doc->'on_disk', 'running',"
    " s.doc->'running', 'last_attempt', s.doc->'last_attempt', 'conditions', s.doc->'conditions',"
    " 'health', s.doc->'health') END, (SELECT string_agg(m.group_id::text, ',') FROM device_member"
    " m JOIN device_group g ON g.id = m.group_id WHERE m.device_id = d.id AND g.kind = 'mx'), "
    "rd.state"
    " = 'queued' AND EXISTS (SELECT 1 FROM rollout_device o JOIN rollout q ON q.id = o.rollout_id"
    " WHERE o.device_id = d.id AND o.rollout_id <> rd.rollout_id AND o.state IN ('offered',"
    " 'fetched') AND (q.ended_at IS NULL OR q.state = 'completed'))"
    " FROM rollout_device rd JOIN device d ON d.id = rd.device_id LEFT JOIN bundle b ON b.device_id"
    " = d.id AND b.rev = rd.rev LEFT JOIN device_status s ON s.device_id = d.id LEFT JOIN presence "
    "p"
    " ON p.device_id = d.id WHERE rd.rollout_id = $1::uuid AND ($2::integer < 0 OR rd.wave ="
    " $2::integer) AND ($3::text = '' OR rd.state = $3::text) AND rd.place > $4::integer ORDER BY"
    " rd.place, d.name LIMIT nullif($5::bigint, 0)"};

static void read_row(const struct rows *r, int i, struct rollout_device *v)
{
    *v = (struct rollout_device){.id = rows_text(r, i, 0),
                                 .name = rows_text(r, i, 1),
                                 .device_state = rows_text(r, i, 2),
                                 .mode = rows_text(r, i, 3),
                                 .state = rows_text(r, i, 4),
                                 .reason = rows_text(r, i, 5),
                                 .wave = (int)rows_int(r, i, 6),
                                 .place = (int)rows_int(r, i, 7),
                                 .rev = rows_int(r, i, 8),
                                 .from_pub = rows_int(r, i, 9),
                                 .released_ms = rows_time_ms(r, i, 10),
                                 .fetched_ms = rows_time_ms(r, i, 11),
                                 .ended_ms = rows_time_ms(r, i, 12),
                                 .seen_ms = rows_time_ms(r, i, 13),
                                 .forgiven = rows_bool(r, i, 14),
                                 .problem = rows_json(r, i, 15),
                                 .health = rows_json(r, i, 16),
                                 .digest = rows_text(r, i, 17),
                                 .etag = rows_text(r, i, 18),
                                 .made_for = rows_text(r, i, 19),
                                 .desired_rev = rows_int(r, i, 20),
                                 .offered_rev = rows_int(r, i, 21),
                                 .status = rows_json(r, i, 22),
                                 .mx = rows_text(r, i, 23),
                                 .busy = rows_bool(r, i, 24)};
}

static void read_list(const struct rows *r, int i, void *item)
{
    read_row(r, i, item);
}

enum err_code rollout_device_store_list(struct db *db, const char *rollout_id,
                                        const struct rollout_device_filter *f, struct arena *a,
                                        struct rollout_device **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(
        db, &LIST,
        (struct db_param[]){P_TEXT(rollout_id), P_INT(f->wave), P_TEXT(f->state), P_INT(f->after),
                            P_INT(f->limit), P_BOOL(f->lean), P_INT(f->sample)},
        a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_list, ret, ret_n, e) : rc;
}

/* So that it can be given back. */
static const struct stmt KEEP = {
    "rollout_device_keep", 2,
    "UPDATE rollout_device rd SET from_pub = d.pub, from_urgent = d.urgent FROM device d WHERE"
    " rd.rollout_id = $1::uuid AND d.id = rd.device_id AND rd.device_id = ANY ($2::uuid[]) AND"
    " d.pub > 0"};

enum err_code rollout_device_store_keep(struct db *db, const char *rollout_id, const char *ids,
                                        struct err *e)
{
    return db_run(db, &KEEP, (struct db_param[]){P_TEXT(rollout_id), P_TEXT(ids)}, NULL, NULL, e);
}

/* Those that came back after the end, or were not there before. */
static const struct stmt CATCH_UP = {
    "rollout_device_catch_up", 3,
    "INSERT INTO rollout_device (rollout_id, device_id, wave, place, state, reason) SELECT "
    "$1::uuid,"
    " x.u, $3::integer, coalesce((SELECT max(place) FROM rollout_device WHERE rollout_id ="
    " $1::uuid), 0) + x.n::integer, 'queued', 'catching-up' FROM unnest($2::uuid[]) WITH ORDINALITY"
    " AS x(u, n) ON CONFLICT (rollout_id, device_id) DO UPDATE SET state = 'queued', reason ="
    " 'catching-up', wave = excluded.wave, released_at = NULL, fetched_at = NULL, ended_at = NULL"};

enum err_code rollout_device_store_catch_up(struct db *db, const char *rollout_id, const char *ids,
                                            int wave, struct err *e)
{
    return db_run(db, &CATCH_UP, (struct db_param[]){P_TEXT(rollout_id), P_TEXT(ids), P_INT(wave)},
                  NULL, NULL, e);
}

/* Ids hold the time they were made: whoever has a later one was not among the devices of the plan.
 */
static const struct stmt JOIN = {
    "rollout_device_join", 2,
    "INSERT INTO rollout_device (rollout_id, device_id, wave, place, state, reason) SELECT r.id,"
    " d.id, $2::integer, (SELECT max(place) FROM rollout_device WHERE rollout_id = r.id) +"
    " (row_number() OVER (ORDER BY d.id))::integer, 'queued', 'joined' FROM rollout r JOIN device d"
    " ON d.id > r.id WHERE r.id = $1::uuid AND d.pub > 0 AND d.pub < r.pub AND NOT (r.urgent <>"
    " '{}' AND d.urgent @> r.urgent) AND d.state IN ('observing', 'managed') AND NOT EXISTS (SELECT"
    " 1 FROM rollout_device rd WHERE rd.rollout_id = r.id AND rd.device_id = d.id)"};

enum err_code rollout_device_store_join(struct db *db, const char *rollout_id, int wave,
                                        int64_t *ret_n, struct err *e)
{
    return db_change(db, &JOIN, (struct db_param[]){P_TEXT(rollout_id), P_INT(wave)}, ret_n, e);
}

static const struct stmt BEGIN_AGAIN = {
    "rollout_device_begin_again", 3,
    "WITH w AS (UPDATE rollout SET n_waves = $3::integer WHERE id = $1::uuid) UPDATE rollout_device"
    " rd SET wave = coalesce(x.wave, 0), place = coalesce(x.place, rd.place), state ="
    " CASE WHEN x.wave IS NULL THEN rd.state ELSE 'queued' END, reason = CASE WHEN x.wave IS NULL"
    " THEN rd.reason ELSE '' END, released_at = CASE WHEN x.wave IS NULL THEN rd.released_at END,"
    " fetched_at = CASE WHEN x.wave IS NULL THEN rd.fetched_at END, ended_at = CASE WHEN x.wave IS"
    " NULL THEN rd.ended_at END FROM rollout_device y LEFT JOIN jsonb_to_recordset($2::jsonb) AS"
    " x(device_id uuid, wave integer, place integer) ON x.device_id = y.device_id WHERE"
    " y.rollout_id = $1::uuid AND rd.rollout_id = y.rollout_id AND rd.device_id = y.device_id"};

enum err_code rollout_device_store_begin_again(struct db *db, const char *rollout_id,
                                               const json_t *rows, int n_waves, struct err *e)
{
    return db_run(db, &BEGIN_AGAIN,
                  (struct db_param[]){P_TEXT(rollout_id), P_JSON(rows), P_INT(n_waves)}, NULL, NULL,
                  e);
}

/* Not past now: what was offered while it lasted is as old as it is. */
static const struct stmt SHIFT = {
    "rollout_device_shift", 2,
    "UPDATE rollout_device SET released_at = least(released_at + make_interval(secs => $1::bigint /"
    " 1000.0), $2::timestamptz), fetched_at = CASE WHEN fetched_at IS NOT NULL THEN"
    " least(fetched_at + make_interval(secs => $1::bigint / 1000.0), $2::timestamptz) END WHERE "
    "state"
    " IN ('offered', 'fetched')"};

enum err_code rollout_device_store_shift(struct db *db, int64_t ms, int64_t now_ms, struct err *e)
{
    return db_run(db, &SHIFT, (struct db_param[]){P_INT(ms), P_TIME(now_ms)}, NULL, NULL, e);
}

/* Released as it is made, it has its figures already (ADD): they are taken out of long documents.
 */
static const struct stmt RELEASE = {
    "rollout_device_release", 3,
    "UPDATE rollout_device rd SET state = 'offered', reason = '', rev = d.desired_rev, released_at "
    "="
    " $3::timestamptz, health = CASE WHEN r.created_at = $3::timestamptz THEN rd.health ELSE "
    "(SELECT"
    " s.doc->'health' FROM device_status s WHERE s.device_id = d.id) END FROM device d, rollout r"
    " WHERE rd.rollout_id = $1::uuid AND r.id = rd.rollout_id AND d.id = rd.device_id AND"
    " rd.device_id = ANY ($2::uuid[]) AND rd.state = 'queued'"};

enum err_code rollout_device_store_release(struct db *db, const char *rollout_id, const char *ids,
                                           int64_t now_ms, struct err *e)
{
    return db_run(db, &RELEASE,
                  (struct db_param[]){P_TEXT(rollout_id), P_TEXT(ids), P_TIME(now_ms)}, NULL, NULL,
                  e);
}

static const struct stmt SET = {
    "rollout_device_set", 3,
    "UPDATE rollout_device rd SET state = x.state, reason = coalesce(x.reason, ''), problem ="
    " coalesce(nullif(x.problem, 'null'), rd.problem), fetched_at = CASE WHEN rd.rev > 0 AND "
    "x.state"
    " <> 'skipped' THEN coalesce(rd.fetched_at, $3::timestamptz) ELSE rd.fetched_at END, ended_at ="
    " CASE WHEN x.state = 'fetched' THEN NULL ELSE $3::timestamptz END FROM"
    " jsonb_to_recordset($2::jsonb) AS x(device_id uuid, state text, reason text, problem jsonb)"
    " WHERE rd.rollout_id = $1::uuid AND rd.device_id = x.device_id"};

enum err_code rollout_device_store_set(struct db *db, const char *rollout_id, const json_t *rows,
                                       int64_t now_ms, struct err *e)
{
    return json_array_size(rows) == 0
               ? ERR_OK
               : db_run(db, &SET,
                        (struct db_param[]){P_TEXT(rollout_id), P_JSON(rows), P_TIME(now_ms)}, NULL,
                        NULL, e);
}

static const struct stmt TELL = {
    "rollout_device_tell", 3,
    "UPDATE rollout_device SET problem = nullif($3::jsonb, 'null') WHERE rollout_id = $1::uuid AND"
    " device_id = $2::uuid AND state = 'confirmed'"};

enum err_code rollout_device_store_tell(struct db *db, const char *rollout_id,
                                        const char *device_id, const json_t *problem, struct err *e)
{
    return db_run(db, &TELL,
                  (struct db_param[]){P_TEXT(rollout_id), P_TEXT(device_id), P_JSON(problem)}, NULL,
                  NULL, e);
}

static const struct stmt DROP_QUEUED = {"rollout_device_drop_queued", 4,
                                        "UPDATE rollout_device SET state = $2::text, reason = "
                                        "$3::text, ended_at = $4::timestamptz WHERE"
                                        " rollout_id = $1::uuid AND state = 'queued'"};

enum err_code rollout_device_store_drop_queued(struct db *db, const char *rollout_id,
                                               const char *state, const char *reason,
                                               int64_t now_ms, struct err *e)
{
    return db_run(
        db, &DROP_QUEUED,
        (struct db_param[]){P_TEXT(rollout_id), P_TEXT(state), P_TEXT(reason), P_TIME(now_ms)},
        NULL, NULL, e);
}

static const struct stmt SUPERSEDE = {
    "rollout_device_supersede", 2,
    "WITH before AS (SELECT device_id, state FROM rollout_device WHERE rollout_id = $1::uuid AND"
    " state IN ('queued', 'offered')), done AS (UPDATE rollout_device rd SET state ="
    " 'superseded', ended_at = $2::timestamptz FROM before b WHERE rd.rollout_id = $1::uuid AND"
    " rd.device_id = b.device_id) SELECT device_id FROM before WHERE state = 'offered'"};

static void read_id(const struct rows *r, int i, void *item)
{
    *(const char **)item = rows_text(r, i, 0);
}

enum err_code rollout_device_store_supersede(struct db *db, const char *rollout_id, int64_t now_ms,
                                             struct arena *a, const char ***ret, size_t *ret_n,
                                             struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, &SUPERSEDE, (struct db_param[]){P_TEXT(rollout_id), P_TIME(now_ms)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_id, ret, ret_n, e) : rc;
}

#define FAILED_STATES ROLLOUT_FAILED_STATES
static const struct stmt FORGIVE = {"rollout_device_forgive", 1,
                                    "UPDATE rollout_device SET forgiven = true WHERE rollout_id = "
                                    "$1::uuid AND state IN " FAILED_STATES};

enum err_code rollout_device_store_forgive(struct db *db, const char *rollout_id, struct err *e)
{
    return db_run(db, &FORGIVE, (struct db_param[]){P_TEXT(rollout_id)}, NULL, NULL, e);
}

static const struct stmt FOLLOW = {
    "rollout_device_follow", 2,
    "UPDATE rollout_device rd SET rev = d.desired_rev FROM device d, rollout r WHERE d.id ="
    " rd.device_id AND r.id = rd.rollout_id AND (d.pub = r.pub OR (d.urgent @> r.urgent AND "
    "r.urgent <> '{}')) AND rd.device_id = ANY ($1::uuid[]) "
    "AND"
    " (rd.state IN ('offered', 'fetched') OR (rd.state IN ('confirmed', 'observed') AND $2::text "
    "IN ('', r.id::text))) AND rd.rev <> d.desired_rev AND"
    " r.ended_at IS NULL"};

enum err_code rollout_device_store_follow(struct db *db, const char *ids, const char *rollout_id,
                                          struct err *e)
{
    return db_run(db, &FOLLOW, (struct db_param[]){P_TEXT(ids), P_TEXT(rollout_id)}, NULL, NULL, e);
}

static const struct stmt COUNTS = {
    "rollout_device_counts", 1,
    "SELECT coalesce(jsonb_agg(jsonb_build_object('wave', x.wave, 'state', x.state, 'n', x.n) ORDER"
    " BY x.wave, x.state), '[]') FROM (SELECT wave, state, count(*) AS n FROM rollout_device WHERE"
    " rollout_id = $1::uuid GROUP BY wave, state) AS x"};

enum err_code rollout_device_store_counts(struct db *db, const char *rollout_id, struct arena *a,
                                          json_t **ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &COUNTS, (struct db_param[]){P_TEXT(rollout_id)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = json_incref(rows_json(r, 0, 0));
    return rc;
}

/* Nobody follows the devices of a rollout that ended: those count until they said how it went, at
 * most for its apply deadline. */
static const struct stmt BUSY_MX = {
    "rollout_device_busy_mx", 1,
    "SELECT string_agg(DISTINCT m.group_id::text, ',') FROM rollout_device rd JOIN rollout r ON "
    "r.id ="
    " rd.rollout_id JOIN device_member m ON m.device_id = rd.device_id JOIN device_group g ON g.id "
    "="
    " m.group_id LEFT JOIN device_status s ON s.device_id = rd.device_id WHERE g.kind = 'mx' AND"
    " rd.state IN ('offered', 'fetched') AND (r.ended_at IS NULL OR"
    " (coalesce(rd.fetched_at, rd.released_at) > $1::timestamptz - make_interval(secs =>"
    " coalesce((r.strategy->>'apply_deadline_s')::integer, 600)) AND coalesce(s.doc #>"
    " '{last_attempt,rev}', '0') <> to_jsonb(rd.rev)))"};

enum err_code rollout_device_store_busy_mx(struct db *db, int64_t now_ms, struct arena *a,
                                           const char **ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &BUSY_MX, (struct db_param[]){P_TIME(now_ms)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_text(r, 0, 0);
    return rc;
}

/* --- the devices themselves --- */

static const struct stmt TARGETS = {
    "rollout_targets", 0,
    "SELECT d.id, coalesce((SELECT min(m.group_id::text) FROM device_member m WHERE m.device_id ="
    " d.id), ''), d.state, d.mode, p.seen_at, d.pub FROM device d LEFT JOIN presence p ON"
    " p.device_id = d.id WHERE d.state IN ('observing', 'managed', 'held', 'quarantined') ORDER BY"
    " d.id"};

static void read_target(const struct rows *r, int i, void *item)
{
    *(struct rollout_target *)item = (struct rollout_target){.id = rows_text(r, i, 0),
                                                             .group = rows_text(r, i, 1),
                                                             .state = rows_text(r, i, 2),
                                                             .mode = rows_text(r, i, 3),
                                                             .seen_ms = rows_time_ms(r, i, 4),
                                                             .pub = rows_int(r, i, 5)};
}

enum err_code rollout_target_store_list(struct db *db, struct arena *a, struct rollout_target **ret,
                                        size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &TARGETS, NULL, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_target, ret, ret_n, e) : rc;
}

static const struct stmt SEEN = {
    "rollout_targets_seen", 0,
    "SELECT d.id, p.seen_at FROM device d LEFT JOIN presence p ON p.device_id = d.id WHERE d.state"
    " IN ('observing', 'managed', 'held')"};

static void read_seen(const struct rows *r, int i, void *item)
{
    *(struct rollout_target *)item =
        (struct rollout_target){.id = rows_text(r, i, 0), .seen_ms = rows_time_ms(r, i, 1)};
}

enum err_code rollout_target_store_seen(struct db *db, struct arena *a, struct rollout_target **ret,
                                        size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &SEEN, NULL, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_seen, ret, ret_n, e) : rc;
}

static const struct stmt MOST_URGENT = {"rollout_targets_most_urgent", 0,
                                        "SELECT coalesce(max(cardinality(urgent)), 0) FROM device"};

enum err_code rollout_target_store_most_urgent(struct db *db, int64_t *ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                 : db_one(db, &MOST_URGENT, NULL, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_int(r, 0, 0);
    return rc;
}

static const struct stmt SET_PUB = {
    "rollout_target_set_pub", 2,
    "UPDATE device SET pub = $2::bigint, urgent = ARRAY(SELECT u FROM unnest(urgent) AS u WHERE u >"
    " $2::bigint ORDER BY u) WHERE id = ANY ($1::uuid[]) AND pub <> $2::bigint"};

enum err_code rollout_target_store_set_pub(struct db *db, const char *ids, int64_t pub,
                                           struct err *e)
{
    return db_run(db, &SET_PUB, (struct db_param[]){P_TEXT(ids), P_INT(pub)}, NULL, NULL, e);
}

static const struct stmt ADD_URGENT = {
    "rollout_target_add_urgent", 2,
    "UPDATE device SET urgent = ARRAY(SELECT DISTINCT u FROM unnest(urgent ||"
    " string_to_array($2::text, ',')::bigint[]) AS u WHERE u > pub ORDER BY u) WHERE id = ANY"
    " ($1::uuid[])"};

enum err_code rollout_target_store_add_urgent(struct db *db, const char *ids, const char *urgent,
                                              struct err *e)
{
    return db_run(db, &ADD_URGENT, (struct db_param[]){P_TEXT(ids), P_TEXT(urgent)}, NULL, NULL, e);
}

static const struct stmt BEGIN_WITH = {
    "rollout_target_begin_with", 3,
    "UPDATE device SET pub = $2::bigint, urgent = coalesce(string_to_array(nullif($3::text, ''),"
    " ','), '{}')::bigint[] WHERE id = ANY ($1::uuid[]) AND pub = 0"};

enum err_code rollout_target_store_begin_with(struct db *db, const char *ids, int64_t pub,
                                              const char *urgent, struct err *e)
{
    return db_run(db, &BEGIN_WITH, (struct db_param[]){P_TEXT(ids), P_INT(pub), P_TEXT(urgent)},
                  NULL, NULL, e);
}

/* What was laid over a device meanwhile stays; of an expedited rollout only its own part goes. */
static const struct stmt RESET_PUB = {
    "rollout_target_reset_pub", 2,
    "UPDATE device d SET pub = x.pub, urgent = ARRAY(SELECT DISTINCT u FROM unnest(x.urgent) AS u"
    " WHERE u > x.pub ORDER BY u) FROM (SELECT y.id, CASE WHEN r.urgent = '{}' AND rd.from_pub > 0"
    " THEN rd.from_pub ELSE y.pub END AS pub, CASE WHEN r.urgent = '{}' THEN y.urgent ||"
    " rd.from_urgent ELSE ARRAY(SELECT v FROM unnest(y.urgent) AS v WHERE v <> ALL (r.urgent)) ||"
    " ARRAY(SELECT v FROM unnest(rd.from_urgent) AS v WHERE v = ANY (r.urgent)) END AS urgent FROM"
    " rollout_device rd JOIN rollout r ON r.id = rd.rollout_id JOIN device y ON y.id = rd.device_id"
    " WHERE rd.rollout_id = $1::uuid AND rd.device_id = ANY ($2::uuid[])) AS x WHERE d.id = x.id"};

enum err_code rollout_target_store_reset_pub(struct db *db, const char *rollout_id, const char *ids,
                                             struct err *e)
{
    return db_run(db, &RESET_PUB, (struct db_param[]){P_TEXT(rollout_id), P_TEXT(ids)}, NULL, NULL,
                  e);
}

/* Whoever is on the way, or meant to be, in one that is not over is looked after there. */
static const struct stmt BEHIND = {
    "rollout_target_behind", 2,
    "SELECT d.id FROM device d, rollout r WHERE r.id = $1::uuid AND d.pub < $2::bigint AND NOT "
    "(r.urgent <> '{}' AND d.urgent @> r.urgent)"
    " AND NOT EXISTS (SELECT 1 FROM rollout_device o JOIN rollout q ON q.id = o.rollout_id WHERE"
    " o.device_id = d.id AND o.state IN ('queued', 'offered', 'fetched') AND (q.ended_at IS NULL OR"
    " q.state = 'completed')) AND d.state IN ('observing', 'managed',"
    " 'held', 'quarantined') AND NOT EXISTS (SELECT 1 FROM rollout_device rd WHERE rd.rollout_id ="
    " $1::uuid AND rd.device_id = d.id AND rd.state IN " FAILED_STATES ") ORDER BY d.id"};

enum err_code rollout_target_store_behind(struct db *db, const char *rollout_id, int64_t pub,
                                          struct arena *a, const char ***ret, size_t *ret_n,
                                          struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, &BEHIND, (struct db_param[]){P_TEXT(rollout_id), P_INT(pub)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_id, ret, ret_n, e) : rc;
}

const struct stmt *const rollout_device_store_stmts[] = {
    &ADD,         &LIST,       &KEEP,    &CATCH_UP,    &JOIN,    &BEGIN_AGAIN, &SHIFT,
    &ADD_URGENT,  &BEGIN_WITH, &SEEN,    &MOST_URGENT, &RELEASE, &SET,         &TELL,
    &DROP_QUEUED, &SUPERSEDE,  &FORGIVE, &FOLLOW,      &COUNTS,  &BUSY_MX,     &TARGETS,
    &SET_PUB,     &RESET_PUB,  &BEHIND,  NULL};
