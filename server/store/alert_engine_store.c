#include "store/alert_engine_store.h"

#include "store/alert_seen.h"

static const struct stmt LOCK = {"alert_lock", 0, "SELECT 1 FROM alert_engine FOR UPDATE"};
static const struct stmt DIRTY = {
    "alert_dirty", 0,
    "UPDATE alert_engine SET seen = '' RETURNING pg_notify('inari_change', 'alert')"};

enum err_code alert_engine_store_lock(struct db *db, struct err *e)
{
    return db_run(db, &LOCK, NULL, NULL, NULL, e);
}

enum err_code alert_engine_store_dirty(struct db *db, struct err *e)
{
    return db_run(db, &DIRTY, NULL, NULL, NULL, e);
}

/* clang-format off */
/* Pending that does not hold any more was nothing.  One that fires is over once it has been cold for clear_s; warm is neither.
 * What another parent knows of itself is not this one's to judge. */
static const struct stmt STEP = {
    "alert_step", 3,
    "WITH seen AS MATERIALIZED (" ALERT_SEEN("$1::timestamptz", "$2::jsonb") "),"
    " open AS (SELECT a.id, a.state, a.since, a.clear_at, coalesce(r.for_s, 0) AS for_s, CASE WHEN r.enabled THEN r.clear_s ELSE 0 END"
    " AS clear_s, coalesce(s.level, 'cold') AS level, s.value, s.detail FROM alert a LEFT JOIN alert_rule r ON r.id = a.rule_id"
    " LEFT JOIN seen s ON s.rule_id = a.rule_id AND s.subject = a.subject"
    " WHERE a.state <> 'resolved' AND (a.subject NOT LIKE 'parent/%' OR a.subject = $3::text)),"
    " next AS (SELECT o.*, CASE WHEN o.state = 'pending' AND o.since + make_interval(secs => o.for_s) <= $1::timestamptz THEN 'firing'"
    " WHEN o.state = 'firing' AND o.level = 'cold' AND coalesce(o.clear_at, $1::timestamptz) + make_interval(secs => coalesce(o.clear_s, 0))"
    " <= $1::timestamptz THEN 'resolved' ELSE o.state END AS becomes,"
    " CASE WHEN o.state = 'firing' AND o.level = 'cold' THEN coalesce(o.clear_at, $1::timestamptz) END AS cold_at"
    " FROM open o WHERE o.state = 'firing' OR o.level = 'hot'),"
    " dropped AS (DELETE FROM alert a USING open o WHERE a.id = o.id AND o.state = 'pending' AND o.level <> 'hot'),"
    " moved AS (UPDATE alert a SET state = n.becomes, clear_at = n.cold_at, value = coalesce(n.value, a.value),"
    " detail = coalesce(n.detail, a.detail), fired_at = CASE WHEN n.state = 'pending' AND n.becomes = 'firing' THEN $1::timestamptz"
    " ELSE a.fired_at END, resolved_at = CASE WHEN n.becomes = 'resolved' THEN $1::timestamptz END FROM next n WHERE a.id = n.id"
    " AND (n.becomes <> n.state OR n.cold_at IS DISTINCT FROM a.clear_at OR (n.value, n.detail) IS DISTINCT FROM (a.value, a.detail))"
    " RETURNING a.id, a.rule, a.severity, a.name, a.state, n.becomes <> n.state AS changed),"
    " added AS (INSERT INTO alert (rule_id, rule, kind, severity, subject, device_id, name, state, value, detail, since, fired_at)"
    " SELECT r.id, r.name, r.kind, r.severity, s.subject, s.device_id, s.name, CASE WHEN r.for_s = 0 THEN 'firing' ELSE 'pending' END,"
    " s.value, s.detail, $1::timestamptz, CASE WHEN r.for_s = 0 THEN $1::timestamptz END"
    " FROM seen s JOIN alert_rule r ON r.id = s.rule_id WHERE s.level = 'hot' AND NOT EXISTS (SELECT 1 FROM alert a WHERE"
    " a.rule_id = s.rule_id AND a.subject = s.subject AND a.state <> 'resolved')"
    " RETURNING id, rule, severity, name, state, state = 'firing' AS changed),"
    " noted AS (UPDATE alert_engine SET seen = " ALERT_SEEN_DIGEST("SELECT * FROM seen") ")"
    " SELECT id, rule, severity, name, state FROM (SELECT * FROM moved UNION ALL SELECT * FROM added) m WHERE changed LIMIT 1000"};

#define SILENCE_FITS \
    "(s.rule_id IS NULL OR s.rule_id = a.rule_id) AND (s.device_id IS NULL OR s.device_id = a.device_id) AND (s.group_id IS NULL OR" \
    " EXISTS (SELECT 1 FROM device_member m WHERE m.group_id = s.group_id AND m.device_id = a.device_id))"
#define CHANNEL_FITS "c.enabled AND CASE WHEN r.channels IS NULL THEN c.fallback ELSE c.id = ANY (r.channels) END"
/* What some channel has not heard of yet, and what it is to hear of again. */
#define UNTOLD \
    "SELECT a.*, CASE WHEN a.state = 'resolved' THEN 'resolved' WHEN a.told = 'firing' THEN 'still' ELSE 'firing' END AS what," \
    " CASE WHEN a.state = 'resolved' THEN a.resolved_at WHEN a.told = 'firing' THEN a.told_at + make_interval(secs => r.repeat_s)" \
    " ELSE a.fired_at END AS changed_at, EXISTS (SELECT 1 FROM alert_silence s WHERE s.starts_at <= $1::timestamptz AND" \
    " s.ends_at > $1::timestamptz AND " SILENCE_FITS ") AS silent" \
    " FROM alert a JOIN alert_rule r ON r.id = a.rule_id WHERE ((a.state = 'firing' AND a.told = 'nothing') OR" \
    " (a.state = 'resolved' AND a.told = 'firing') OR (a.state = 'firing' AND a.told = 'firing' AND r.repeat_s > 0 AND" \
    " a.acked_at IS NULL)) AND EXISTS (SELECT 1 FROM alert_channel c WHERE " CHANNEL_FITS ")"
#define TELL_AT \
    "greatest(min(u.changed_at) + make_interval(secs => min(r.group_wait_s))," \
    " min(r.told_at) + make_interval(secs => min(r.group_interval_s)))"
#define MS(t) "(extract(epoch FROM " t ") * 1000)::bigint"

/* One notice a rule and channel, with all it is about: a fleet that goes silent is one mail. */
static const struct stmt TELL = {
    "alert_tell", 1,
    "WITH untold AS MATERIALIZED (SELECT * FROM (" UNTOLD ") u WHERE NOT silent AND (what <> 'still' OR changed_at <= $1::timestamptz)),"
    " due AS (SELECT r.id FROM untold u JOIN alert_rule r ON r.id = u.rule_id GROUP BY r.id HAVING " TELL_AT " <= $1::timestamptz),"
    " batch AS (SELECT u.*, row_number() OVER (PARTITION BY u.rule_id ORDER BY u.what, u.name) AS place FROM untold u JOIN due ON"
    " due.id = u.rule_id),"
    " body AS (SELECT b.rule_id, jsonb_build_object('firing', count(*) FILTER (WHERE what = 'firing'), 'still', count(*) FILTER"
    " (WHERE what = 'still'), 'resolved', count(*) FILTER (WHERE what = 'resolved')) AS counts, jsonb_agg(jsonb_build_object('id', id,"
    " 'what', what, 'subject', subject, 'device', device_id, 'name', name, 'kind', kind, 'value', value, 'detail', detail, 'since_ms', " MS("since")
    ", 'fired_ms', " MS("fired_at") ", 'resolved_ms', " MS("resolved_at") ") ORDER BY place) FILTER (WHERE place <= 1000) AS alerts"
    " FROM batch b GROUP BY b.rule_id),"
    " told AS (UPDATE alert a SET told = a.state, told_at = $1::timestamptz FROM batch b WHERE a.id = b.id),"
    " ruled AS (UPDATE alert_rule r SET told_at = $1::timestamptz FROM due WHERE r.id = due.id)"
    " INSERT INTO alert_notice (channel_id, rule_id, body, next_at, created_at) SELECT c.id, r.id, jsonb_build_object('rule', r.name,"
    " 'kind', r.kind, 'parameters', r.params, 'severity', r.severity, 'trap', r.trap, 'counts', b.counts, 'alerts', b.alerts), $1::timestamptz, $1::timestamptz"
    " FROM body b JOIN alert_rule r ON r.id = b.rule_id JOIN alert_channel c ON " CHANNEL_FITS};

/* Never at once: whatever is wrong with the times, the parent does not spin.  What a parent knows of itself it looks at by itself. */
static const struct stmt NEXT = {
    "alert_next", 1,
    "UPDATE alert_engine SET next_at = (SELECT CASE WHEN at IS NOT NULL THEN greatest(at, $1::timestamptz + interval '1 second') END"
    " FROM (SELECT least("
    "(SELECT min(a.since + make_interval(secs => r.for_s)) FROM alert a JOIN alert_rule r ON r.id = a.rule_id WHERE a.state = 'pending'"
    " AND a.subject NOT LIKE 'parent/%'),"
    " (SELECT min(a.clear_at + make_interval(secs => r.clear_s)) FROM alert a JOIN alert_rule r ON r.id = a.rule_id"
    " WHERE a.state = 'firing' AND a.clear_at IS NOT NULL AND a.subject NOT LIKE 'parent/%'),"
    " (SELECT min(at) FROM (SELECT " TELL_AT " AS at FROM (" UNTOLD ") u JOIN alert_rule r ON r.id = u.rule_id"
    " WHERE NOT u.silent GROUP BY r.id) t),"
    " (SELECT min(s.ends_at) FROM alert_silence s WHERE s.ends_at > $1::timestamptz)) AS at) x)"};

/* What is firing stays, however old. */
static const struct stmt TRIM = {
    "alert_trim", 1,
    "WITH gone AS (DELETE FROM alert WHERE state = 'resolved' AND (resolved_at < $1::timestamptz - interval '90 days' OR id IN"
    " (SELECT id FROM alert WHERE state = 'resolved' ORDER BY resolved_at DESC OFFSET 100000))),"
    " quiet AS (DELETE FROM alert_silence WHERE ends_at < $1::timestamptz - interval '90 days')"
    " DELETE FROM alert_notice WHERE state IN ('sent', 'dead') AND (created_at < $1::timestamptz - interval '30 days' OR id IN"
    " (SELECT id FROM alert_notice WHERE state IN ('sent', 'dead') ORDER BY created_at DESC OFFSET 10000))"};

static const struct stmt OUTAGE = {
    "alert_outage", 1,
    "SELECT r.name, r.severity, c.id, c.name, c.kind, c.lang, (r.params->>'away_s')::bigint, coalesce(r.trap, 0), c.config, c.box"
    " FROM alert_rule r JOIN alert_channel c ON " CHANNEL_FITS " WHERE r.enabled AND r.kind = 'parent-database' AND NOT EXISTS"
    " (SELECT 1 FROM alert_silence s WHERE s.starts_at <= $1::timestamptz AND s.ends_at > $1::timestamptz AND s.device_id IS NULL"
    " AND s.group_id IS NULL AND (s.rule_id IS NULL OR s.rule_id = r.id)) ORDER BY r.name, c.name LIMIT 100"};

static const struct stmt CLAIM = {
    "alert_claim", 2,
    "UPDATE alert_notice n SET state = 'sending', tries = n.tries + 1, next_at = $1::timestamptz + make_interval(secs => $2::bigint)"
    " FROM alert_channel c WHERE c.id = n.channel_id AND n.id = (SELECT id FROM alert_notice WHERE state IN ('queued', 'sending') AND"
    " next_at <= $1::timestamptz AND tries < 5 ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED)"
    " RETURNING n.id, c.id, c.name, c.kind, c.lang, c.config, c.box, n.body, n.tries, n.created_at, c.enabled"};
static const struct stmt BURY = {
    "alert_bury", 1,
    "UPDATE alert_notice SET state = 'dead', ended_at = $1::timestamptz, problem = 'the parent ended while it was sent'"
    " WHERE state = 'sending' AND next_at <= $1::timestamptz AND tries >= 5"};
static const struct stmt SETTLE = {
    "alert_settle", 6,
    "UPDATE alert_notice SET state = $3::text, next_at = $5::timestamptz, problem = $6::text, ended_at = CASE WHEN $3::text <> 'queued'"
    " THEN $4::timestamptz END WHERE id = $1::uuid AND state = 'sending' AND tries = $2::bigint"};
/* clang-format on */

const struct stmt *const alert_engine_store_stmts[] = {&LOCK, &DIRTY, &STEP, &TELL,   &NEXT,
                                                       &TRIM, &CLAIM, &BURY, &SETTLE, &OUTAGE, NULL};

static void read_move(const struct rows *r, int i, void *item)
{
    *(struct alert_move *)item =
        (struct alert_move){rows_text(r, i, 0), rows_text(r, i, 1), rows_text(r, i, 2),
                            rows_text(r, i, 3), rows_text(r, i, 4)};
}

enum err_code alert_engine_store_step(struct db *db, int64_t now_ms, const json_t *facts,
                                      const char *self, struct arena *a, struct alert_move **ret,
                                      size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(
        db, &STEP, (struct db_param[]){P_TIME(now_ms), P_JSON(facts), P_TEXT(self)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_move, ret, ret_n, e) : rc;
}

enum err_code alert_engine_store_tell(struct db *db, int64_t now_ms, int64_t *ret_n, struct err *e)
{
    return db_change(db, &TELL, (struct db_param[]){P_TIME(now_ms)}, ret_n, e);
}

enum err_code alert_engine_store_next(struct db *db, int64_t now_ms, struct err *e)
{
    return db_run(db, &NEXT, (struct db_param[]){P_TIME(now_ms)}, NULL, NULL, e);
}

enum err_code alert_engine_store_trim(struct db *db, int64_t now_ms, struct err *e)
{
    return db_run(db, &TRIM, (struct db_param[]){P_TIME(now_ms)}, NULL, NULL, e);
}

static void read_outage(const struct rows *r, int i, void *item)
{
    *(struct alert_outage_row *)item =
        (struct alert_outage_row){.rule = rows_text(r, i, 0),
                                  .severity = rows_text(r, i, 1),
                                  .channel_id = rows_text(r, i, 2),
                                  .channel = rows_text(r, i, 3),
                                  .channel_kind = rows_text(r, i, 4),
                                  .lang = rows_text(r, i, 5),
                                  .away_s = rows_int(r, i, 6),
                                  .trap = rows_int(r, i, 7),
                                  .config = rows_json(r, i, 8),
                                  .box = rows_null(r, i, 9) ? (struct slice){NULL, 0}
                                                            : rows_bytes(r, i, 9)};
}

enum err_code alert_engine_store_outage(struct db *db, int64_t now_ms, struct arena *a,
                                        struct alert_outage_row **ret, size_t *ret_n,
                                        struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &OUTAGE, (struct db_param[]){P_TIME(now_ms)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_outage, ret, ret_n, e) : rc;
}

enum err_code alert_engine_store_claim(struct db *db, int64_t now_ms, int64_t claim_s,
                                       struct arena *a, struct alert_notice *ret, bool *ret_got,
                                       struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &BURY, (struct db_param[]){P_TIME(now_ms)}, NULL, NULL, e);

    if (rc == ERR_OK)
        rc = db_run(db, &CLAIM, (struct db_param[]){P_TIME(now_ms), P_INT(claim_s)}, a, &r, e);
    *ret_got = rc == ERR_OK && rows_count(r) == 1;
    if (*ret_got)
        *ret = (struct alert_notice){.id = rows_text(r, 0, 0),
                                     .channel_id = rows_text(r, 0, 1),
                                     .channel = rows_text(r, 0, 2),
                                     .kind = rows_text(r, 0, 3),
                                     .lang = rows_text(r, 0, 4),
                                     .config = rows_json(r, 0, 5),
                                     .box = rows_bytes(r, 0, 6),
                                     .body = rows_json(r, 0, 7),
                                     .tries = rows_int(r, 0, 8),
                                     .created_ms = rows_time_ms(r, 0, 9),
                                     .enabled = rows_bool(r, 0, 10)};
    return rc;
}

enum err_code alert_engine_store_settle(struct db *db, const struct alert_notice *n,
                                        const char *state, int64_t now_ms, int64_t next_ms,
                                        const char *problem, struct err *e)
{
    return db_run(db, &SETTLE,
                  (struct db_param[]){P_TEXT(n->id), P_INT(n->tries), P_TEXT(state), P_TIME(now_ms),
                                      P_TIME(next_ms), P_TEXT(problem)},
                  NULL, NULL, e);
}
