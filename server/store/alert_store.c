#include "store/alert_store.h"

/* clang-format off */
#define TIME(t) "to_char(" t " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"

#define RULE \
    "SELECT r.name AS key, jsonb_build_object('id', r.id, 'name', r.name, 'builtin', r.builtin, 'kind', r.kind, 'parameters', r.params," \
    " 'severity', r.severity, 'enabled', r.enabled, 'for_s', r.for_s, 'clear_s', r.clear_s, 'scope', jsonb_build_object('kind', r.scope," \
    " 'id', r.scope_id, 'name', CASE r.scope WHEN 'device' THEN (SELECT name FROM device WHERE id = r.scope_id) WHEN 'group' THEN" \
    " (SELECT name FROM device_group WHERE id = r.scope_id) END), 'channels', to_jsonb(r.channels), 'group_wait_s', r.group_wait_s," \
    " 'group_interval_s', r.group_interval_s, 'repeat_s', r.repeat_s, 'trap', r.trap, 'version', r.version, 'created_at', "  TIME("r.created_at") \
    ", 'firing', (SELECT count(*) FROM alert a WHERE a.rule_id = r.id AND a.state = 'firing')) FROM alert_rule r"
#define CHANNEL \
    "SELECT c.name AS key, jsonb_build_object('id', c.id, 'name', c.name, 'kind', c.kind, 'config', c.config, 'has_secret'," \
    " c.box IS NOT NULL, 'engine_id', CASE WHEN c.kind = 'snmp' THEN '80001f8805' || replace(c.id::text, '-', '') END, 'enabled', c.enabled, 'fallback', c.fallback, 'lang', c.lang, 'version', c.version, 'created_at', "  TIME("c.created_at") \
    ", 'queued', (SELECT count(*) FROM alert_notice n WHERE n.channel_id = c.id AND n.state IN ('queued', 'sending'))," \
    " 'dead', (SELECT count(*) FROM alert_notice n WHERE n.channel_id = c.id AND n.state = 'dead')," \
    " 'sent_at', " TIME("(SELECT max(ended_at) FROM alert_notice n WHERE n.channel_id = c.id AND n.state = 'sent')") \
    ") FROM alert_channel c"
#define SILENCE(now) \
    "SELECT s.id::text AS key, jsonb_build_object('id', s.id, 'rule', (SELECT jsonb_build_object('id', id, 'name', name) FROM alert_rule" \
    " WHERE id = s.rule_id), 'device', (SELECT jsonb_build_object('id', id, 'name', name) FROM device WHERE id = s.device_id), 'group'," \
    " (SELECT jsonb_build_object('id', id, 'name', name) FROM device_group WHERE id = s.group_id), 'starts_at', " TIME("s.starts_at") \
    ", 'ends_at', " TIME("s.ends_at") ", 'state', CASE WHEN s.ends_at <= " now " THEN 'over' WHEN s.starts_at > " now \
    " THEN 'waiting' ELSE 'active' END, 'reason', s.reason, 'author', s.author, 'version', s.version, 'created_at', " TIME("s.created_at") \
    ") FROM alert_silence s"
#define ALERT(now) \
    "SELECT a.id::text AS key, jsonb_build_object('id', a.id, 'rule', a.rule, 'rule_id', a.rule_id, 'kind', a.kind, 'severity', a.severity," \
    " 'subject', a.subject, 'device', a.device_id, 'name', a.name, 'state', a.state, 'value', a.value, 'detail', a.detail, 'since', " \
    TIME("a.since") ", 'fired_at', " TIME("a.fired_at") ", 'clear_at', " TIME("a.clear_at") ", 'resolved_at', " TIME("a.resolved_at") ", 'told', a.told, 'told_at', " \
    TIME("a.told_at") ", 'acked_by', a.acked_by, 'acked_at', " TIME("a.acked_at") ", 'ack_reason', a.ack_reason, 'silenced'," \
    " EXISTS (SELECT 1 FROM alert_silence s WHERE s.starts_at <= " now " AND s.ends_at > " now " AND (s.rule_id IS NULL OR" \
    " s.rule_id = a.rule_id) AND (s.device_id IS NULL OR s.device_id = a.device_id) AND (s.group_id IS NULL OR EXISTS (SELECT 1" \
    " FROM device_member m WHERE m.group_id = s.group_id AND m.device_id = a.device_id)))) FROM alert a"
#define NOTICE \
    "SELECT n.id::text AS key, jsonb_build_object('id', n.id, 'channel', (SELECT jsonb_build_object('id', id, 'name', name) FROM" \
    " alert_channel WHERE id = n.channel_id), 'rule', n.body->>'rule', 'severity', n.body->>'severity', 'counts', n.body->'counts'," \
    " 'state', n.state, 'tries', n.tries, 'next_at', CASE WHEN n.state = 'queued' THEN " TIME("n.next_at") " END, 'problem', n.problem," \
    " 'created_at', " TIME("n.created_at") ", 'ended_at', " TIME("n.ended_at") ") FROM alert_notice n"

static const struct stmt RULE_GET = {"alert_rule_get", 2, RULE " WHERE (r.id::text = $1::text OR r.name = $1::text) AND $2::timestamptz IS NOT NULL"};
static const struct stmt CHANNEL_GET = {"alert_channel_get", 2, CHANNEL " WHERE (c.id::text = $1::text OR c.name = $1::text) AND $2::timestamptz IS NOT NULL"};
static const struct stmt SILENCE_GET = {"alert_silence_get", 2, SILENCE("$2::timestamptz") " WHERE s.id::text = $1::text"};
static const struct stmt ALERT_GET = {"alert_get", 2, ALERT("$2::timestamptz") " WHERE a.id::text = $1::text"};
static const struct stmt NOTICE_GET = {"alert_notice_get", 2, NOTICE " WHERE n.id::text = $1::text AND $2::timestamptz IS NOT NULL"};

static const struct stmt RULE_LIST = {"alert_rule_list", 7, RULE " WHERE r.name > $1::text AND $2::timestamptz IS NOT NULL AND $4::text = ''"
    " AND $5::text = '' AND $6::text = '' AND $7::text = '' ORDER BY r.name LIMIT $3::int"};
static const struct stmt CHANNEL_LIST = {"alert_channel_list", 7, CHANNEL " WHERE c.name > $1::text AND $2::timestamptz IS NOT NULL AND"
    " $4::text = '' AND $5::text = '' AND $6::text = '' AND $7::text = '' ORDER BY c.name LIMIT $3::int"};
static const struct stmt SILENCE_LIST = {"alert_silence_list", 7, SILENCE("$2::timestamptz")
    " WHERE ($1::text = '' OR (s.created_at, s.id) < (SELECT created_at, id FROM alert_silence WHERE id::text = $1::text)) AND"
    " ($4::text = '' OR $4::text = CASE WHEN s.ends_at <= $2::timestamptz THEN 'over' WHEN s.starts_at > $2::timestamptz THEN 'waiting'"
    " ELSE 'active' END) AND $5::text = '' AND $6::text = '' AND $7::text = '' ORDER BY s.created_at DESC, s.id DESC LIMIT $3::int"};
static const struct stmt ALERT_LIST = {"alert_list", 7, ALERT("$2::timestamptz")
    " WHERE ($1::text = '' OR (a.since, a.id) < (SELECT since, id FROM alert WHERE id::text = $1::text)) AND ($4::text = '' OR"
    " a.state = $4::text OR ($4::text = 'open' AND a.state <> 'resolved')) AND ($5::text = '' OR a.severity = $5::text) AND"
    " ($6::text = '' OR a.device_id::text = $6::text OR a.name = $6::text) AND ($7::text = '' OR a.rule = $7::text OR"
    " a.rule_id::text = $7::text) ORDER BY a.since DESC, a.id DESC LIMIT $3::int"};
static const struct stmt NOTICE_LIST = {"alert_notice_list", 7, NOTICE
    " WHERE ($1::text = '' OR (n.created_at, n.id) < (SELECT created_at, id FROM alert_notice WHERE id::text = $1::text)) AND"
    " $2::timestamptz IS NOT NULL AND ($4::text = '' OR n.state = $4::text) AND $5::text = '' AND $6::text = '' AND"
    " ($7::text = '' OR n.body->>'rule' = $7::text) ORDER BY n.created_at DESC, n.id DESC LIMIT $3::int"};

static const struct stmt RULE_SAVE = {
    "alert_rule_save", 3,
    "INSERT INTO alert_rule (id, name, kind, params, severity, enabled, for_s, clear_s, scope, scope_id, channels, group_wait_s,"
    " group_interval_s, repeat_s, trap) SELECT $1::uuid, d->>'name', d->>'kind', d->'parameters', d->>'severity', (d->>'enabled')::boolean,"
    " (d->>'for_s')::integer, (d->>'clear_s')::integer, d->'scope'->>'kind', (d->'scope'->>'id')::uuid,"
    " CASE jsonb_typeof(d->'channels') WHEN 'array' THEN ARRAY(SELECT v::uuid FROM jsonb_array_elements_text(d->'channels') v) END,"
    " (d->>'group_wait_s')::integer, (d->>'group_interval_s')::integer, (d->>'repeat_s')::integer, (d->>'trap')::integer"
    " FROM (SELECT $2::jsonb AS d) x WHERE $3::text IS NOT NULL ON CONFLICT (id) DO UPDATE SET (name, params, severity, enabled, for_s,"
    " clear_s, scope, scope_id, channels, group_wait_s, group_interval_s, repeat_s, trap, version) = (excluded.name, excluded.params,"
    " excluded.severity, excluded.enabled, excluded.for_s, excluded.clear_s, excluded.scope, excluded.scope_id, excluded.channels,"
    " excluded.group_wait_s, excluded.group_interval_s, excluded.repeat_s, excluded.trap, alert_rule.version + 1)"};
static const struct stmt CHANNEL_SAVE = {
    "alert_channel_save", 3,
    "INSERT INTO alert_channel (id, name, kind, config, enabled, fallback, lang) SELECT $1::uuid, d->>'name', d->>'kind', d->'config',"
    " (d->>'enabled')::boolean, (d->>'fallback')::boolean, d->>'lang' FROM (SELECT $2::jsonb AS d) x WHERE $3::text IS NOT NULL"
    " ON CONFLICT (id) DO UPDATE SET (name, config, enabled, fallback, lang, version) = (excluded.name, excluded.config, excluded.enabled,"
    " excluded.fallback, excluded.lang, alert_channel.version + 1)"};
static const struct stmt SILENCE_SAVE = {
    "alert_silence_save", 3,
    "INSERT INTO alert_silence (id, rule_id, device_id, group_id, starts_at, ends_at, reason, author) SELECT $1::uuid,"
    " (d->'rule'->>'id')::uuid, (d->'device'->>'id')::uuid, (d->'group'->>'id')::uuid, (d->>'starts_at')::timestamptz,"
    " (d->>'ends_at')::timestamptz, d->>'reason', $3::text FROM (SELECT $2::jsonb AS d) x ON CONFLICT (id) DO UPDATE SET (rule_id,"
    " device_id, group_id, starts_at, ends_at, reason, version) = (excluded.rule_id, excluded.device_id, excluded.group_id,"
    " excluded.starts_at, excluded.ends_at, excluded.reason, alert_silence.version + 1)"};

static const struct stmt SET_BOX = {"alert_channel_box", 2, "UPDATE alert_channel SET box = $2::bytea WHERE id = $1::uuid"};
static const struct stmt GET_BOX = {"alert_channel_get_box", 1, "SELECT box FROM alert_channel WHERE id = $1::uuid"};
static const struct stmt RULE_DELETE = {"alert_rule_delete", 1, "DELETE FROM alert_rule WHERE id = $1::uuid"};
static const struct stmt CHANNEL_DELETE = {"alert_channel_delete", 1,
    "WITH named AS (UPDATE alert_rule SET channels = array_remove(channels, $1::uuid), version = version + 1 WHERE $1::uuid = ANY (channels))"
    " DELETE FROM alert_channel WHERE id = $1::uuid"};
static const struct stmt FIND_DEVICE = {"alert_find_device", 1, "SELECT id FROM device WHERE id::text = $1::text OR name = $1::text"};
static const struct stmt FIND_GROUP = {"alert_find_group", 1, "SELECT id FROM device_group WHERE id::text = $1::text OR name = $1::text"};
static const struct stmt END_SILENCE = {"alert_end_silence", 2,
    "UPDATE alert_silence SET ends_at = greatest($2::timestamptz, starts_at + interval '1 millisecond'), version = version + 1"
    " WHERE id = $1::uuid AND ends_at > $2::timestamptz"};
static const struct stmt ACK = {"alert_ack", 4,
    "UPDATE alert SET acked_by = $3::text, acked_at = $2::timestamptz, ack_reason = $4::text WHERE id = $1::uuid AND state <> 'resolved'"};
static const struct stmt AGAIN = {"alert_again", 2,
    "UPDATE alert_notice SET state = 'queued', tries = 0, next_at = $2::timestamptz, ended_at = NULL WHERE id = $1::uuid AND state = 'dead'"};
/* clang-format on */

static const struct stmt *const gets[] = {&RULE_GET, &CHANNEL_GET, &SILENCE_GET, &ALERT_GET,
                                          &NOTICE_GET};
static const struct stmt *const lists[] = {&RULE_LIST, &CHANNEL_LIST, &SILENCE_LIST, &ALERT_LIST,
                                           &NOTICE_LIST};
static const struct stmt *const saves[] = {&RULE_SAVE, &CHANNEL_SAVE, &SILENCE_SAVE};
static const struct stmt *const deletes[] = {&RULE_DELETE, &CHANNEL_DELETE};

const struct stmt *const alert_store_stmts[] = {
    &RULE_GET,    &CHANNEL_GET,    &SILENCE_GET,  &ALERT_GET,  &NOTICE_GET,
    &RULE_LIST,   &CHANNEL_LIST,   &SILENCE_LIST, &ALERT_LIST, &NOTICE_LIST,
    &RULE_SAVE,   &CHANNEL_SAVE,   &SILENCE_SAVE, &SET_BOX,    &GET_BOX,
    &RULE_DELETE, &CHANNEL_DELETE, &FIND_DEVICE,  &FIND_GROUP, &END_SILENCE,
    &ACK,         &AGAIN,          NULL};

enum err_code alert_store_get(struct db *db, enum alert_thing what, const char *ref, int64_t now_ms,
                              struct arena *a, json_t **ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_one(db, gets[what], (struct db_param[]){P_TEXT(ref), P_TIME(now_ms)}, a, &r, e);

    if (rc != ERR_OK)
        return rc;
    *ret = rows_json(r, 0, 1);
    return *ret == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}

enum err_code alert_store_list(struct db *db, enum alert_thing what, const struct alert_filter *f,
                               struct arena *a, json_t **ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(
        db, lists[what],
        (struct db_param[]){P_TEXT(f->cursor), P_TIME(f->now_ms), P_INT(f->limit), P_TEXT(f->state),
                            P_TEXT(f->severity), P_TEXT(f->device), P_TEXT(f->rule)},
        a, &r, e);
    json_t *items = rc == ERR_OK ? json_array() : NULL;

    if (rc != ERR_OK)
        return rc;
    if (items == NULL || !arena_defer(a, (void (*)(void *))json_decref, items))
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (int i = 0; i < rows_count(r); i++)
        if (json_array_append(items, rows_json(r, i, 1)) != 0)
            return err_set(e, ERR_NO_MEMORY, "out of memory");
    *ret = items;
    return ERR_OK;
}

enum err_code alert_store_save(struct db *db, enum alert_thing what, const char *id,
                               const json_t *doc, const char *author, struct err *e)
{
    return db_run(db, saves[what], (struct db_param[]){P_TEXT(id), P_JSON(doc), P_TEXT(author)},
                  NULL, NULL, e);
}

enum err_code alert_store_box(struct db *db, const char *channel_id, struct slice box,
                              struct err *e)
{
    return db_run(
        db, &SET_BOX,
        (struct db_param[]){P_TEXT(channel_id), box.n == 0 ? P_NULL : P_BYTES(box.p, box.n)}, NULL,
        NULL, e);
}

enum err_code alert_store_get_box(struct db *db, const char *channel_id, struct arena *a,
                                  struct slice *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &GET_BOX, (struct db_param[]){P_TEXT(channel_id)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_null(r, 0, 0) ? (struct slice){NULL, 0} : rows_bytes(r, 0, 0);
    return rc;
}

enum err_code alert_store_delete(struct db *db, enum alert_thing what, const char *id,
                                 struct err *e)
{
    return db_run(db, deletes[what], (struct db_param[]){P_TEXT(id)}, NULL, NULL, e);
}

enum err_code alert_store_find(struct db *db, const char *kind, const char *ref, struct arena *a,
                               const char **ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, strcmp(kind, "group") == 0 ? &FIND_GROUP : &FIND_DEVICE,
                              (struct db_param[]){P_TEXT(ref)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_text(r, 0, 0);
    return rc;
}

enum err_code alert_store_end_silence(struct db *db, const char *id, int64_t now_ms, struct err *e)
{
    return db_run(db, &END_SILENCE, (struct db_param[]){P_TEXT(id), P_TIME(now_ms)}, NULL, NULL, e);
}

enum err_code alert_store_ack(struct db *db, const char *id, int64_t now_ms, const char *by,
                              const char *reason, int64_t *ret_n, struct err *e)
{
    return db_change(db, &ACK,
                     (struct db_param[]){P_TEXT(id), P_TIME(now_ms), P_TEXT(by), P_TEXT(reason)},
                     ret_n, e);
}

enum err_code alert_store_again(struct db *db, const char *id, int64_t now_ms, int64_t *ret_n,
                                struct err *e)
{
    return db_change(db, &AGAIN, (struct db_param[]){P_TEXT(id), P_TIME(now_ms)}, ret_n, e);
}
