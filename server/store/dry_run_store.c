#include "store/dry_run_store.h"

#include "base/clock.h"

static struct db_param uuid_or_null(const char *id)
{
    return id == NULL || id[0] == '\0' ? P_NULL : P_TEXT(id);
}

static const struct stmt INSERT = {
    "dry_run_insert", 8,
    "INSERT INTO dry_run (id, rollout_id, draft_id, pub, content, state, author, created_at,"
    " deadline_at) VALUES ($1::uuid, $2::uuid, $3::uuid, $4::bigint, $5::jsonb, 'running',"
    " $6::text, $7::timestamptz, $8::timestamptz)"};

enum err_code dry_run_store_insert(struct db *db, const struct dry_run_row *r, struct err *e)
{
    return db_run(
        db, &INSERT,
        (struct db_param[]){P_TEXT(r->id), uuid_or_null(r->rollout_id), uuid_or_null(r->draft_id),
                            P_INT(r->pub), r->content == NULL ? P_NULL : P_JSON(r->content),
                            P_TEXT(r->author), P_TIME(r->created_ms), P_TIME(r->deadline_ms)},
        NULL, NULL, e);
}

static const struct stmt ADD_COMMANDS = {
    "dry_run_add_commands", 4,
    "INSERT INTO command (id, device_id, kind, args, reason, created_by, expires_at) SELECT"
    " x.command_id, x.device_id, 'dry-run', jsonb_build_object('run', $1::text), '', $3::text,"
    " $4::timestamptz FROM jsonb_to_recordset($2::jsonb) AS x(device_id uuid, command_id uuid)"
    " WHERE x.command_id IS NOT NULL"};
static const struct stmt ADD = {
    "dry_run_add", 3,
    "INSERT INTO dry_run_device (dry_run_id, device_id, command_id, state, reason, ended_at)"
    " SELECT $1::uuid, x.device_id, x.command_id, x.state, x.reason, CASE WHEN x.state <> 'asked'"
    " THEN $3::timestamptz END FROM jsonb_to_recordset($2::jsonb) AS x(device_id uuid, command_id"
    " uuid, state text, reason text)"};

enum err_code dry_run_store_add(struct db *db, const struct dry_run_row *r, const json_t *rows,
                                int64_t expires_ms, struct err *e)
{
    enum err_code rc = db_run(
        db, &ADD_COMMANDS,
        (struct db_param[]){P_TEXT(r->id), P_JSON(rows), P_TEXT(r->author), P_TIME(expires_ms)},
        NULL, NULL, e);

    return rc == ERR_OK
               ? db_run(db, &ADD,
                        (struct db_param[]){P_TEXT(r->id), P_JSON(rows), P_TIME(r->created_ms)},
                        NULL, NULL, e)
               : rc;
}

/* --- reading --- */

#define COLUMNS                                                                                    \
    "SELECT r.id, r.state, r.author, r.rollout_id, r.draft_id, r.pub, r.created_at,"               \
    " r.deadline_at, r.ended_at"
#define COUNTS                                                                                     \
    ", (SELECT coalesce(jsonb_object_agg(x.state, x.n), '{}') FROM (SELECT state, count(*) AS n"   \
    " FROM dry_run_device WHERE dry_run_id = r.id GROUP BY state) AS x)"

static void read_row(const struct rows *r, int i, void *item)
{
    *(struct dry_run_row *)item = (struct dry_run_row){.id = rows_text(r, i, 0),
                                                       .state = rows_text(r, i, 1),
                                                       .author = rows_text(r, i, 2),
                                                       .rollout_id = rows_text(r, i, 3),
                                                       .draft_id = rows_text(r, i, 4),
                                                       .pub = rows_int(r, i, 5),
                                                       .created_ms = rows_time_ms(r, i, 6),
                                                       .deadline_ms = rows_time_ms(r, i, 7),
                                                       .ended_ms = rows_time_ms(r, i, 8)};
}

static void read_counted(const struct rows *r, int i, void *item)
{
    read_row(r, i, item);
    ((struct dry_run_row *)item)->counts = rows_json(r, i, 9);
}

static const struct stmt GET = {"dry_run_get", 1,
                                COLUMNS COUNTS " FROM dry_run r WHERE r.id = $1::uuid"};
static const struct stmt OF_ROLLOUT = {
    "dry_run_of_rollout", 1,
    COLUMNS COUNTS " FROM dry_run r WHERE r.rollout_id = $1::uuid ORDER BY r.id DESC LIMIT 1"};

static enum err_code one(struct db *db, const struct stmt *s, const char *id, struct arena *a,
                         struct dry_run_row *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, s, (struct db_param[]){P_TEXT(id)}, a, &r, e);

    if (rc == ERR_OK)
        read_counted(r, 0, ret);
    return rc == ERR_NOT_FOUND ? err_set(e, ERR_NOT_FOUND, "there is no dry run \"%s\"", id) : rc;
}

enum err_code dry_run_store_get(struct db *db, const char *id, struct arena *a,
                                struct dry_run_row *ret, struct err *e)
{
    return one(db, &GET, id, a, ret, e);
}

enum err_code dry_run_store_of_rollout(struct db *db, const char *rollout_id, struct arena *a,
                                       struct dry_run_row *ret, struct err *e)
{
    return one(db, &OF_ROLLOUT, rollout_id, a, ret, e);
}

static const struct stmt LIST = {
    "dry_run_list", 2,
    COLUMNS COUNTS " FROM dry_run r WHERE $1::text = '' OR r.id < nullif($1::text, '')::uuid"
                   " ORDER BY r.id DESC LIMIT $2::bigint"};

enum err_code dry_run_store_list(struct db *db, const char *before, int64_t limit, struct arena *a,
                                 struct dry_run_row **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, &LIST, (struct db_param[]){P_TEXT(before), P_INT(limit)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_counted, ret, ret_n, e) : rc;
}

static const struct stmt OPEN = {
    "dry_run_open", 0,
    COLUMNS " FROM dry_run r LEFT JOIN rollout o ON o.id = r.rollout_id WHERE r.state = 'running'"
            " AND (o.id IS NULL OR o.state NOT IN ('shadow', 'paused')) ORDER BY r.id"};

enum err_code dry_run_store_open(struct db *db, struct arena *a, struct dry_run_row **ret,
                                 size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &OPEN, NULL, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_row, ret, ret_n, e) : rc;
}

static const struct stmt DEVICES = {
    "dry_run_devices", 2,
    "SELECT x.device_id, d.name, x.state, x.reason, x.problem, x.ended_at FROM dry_run_device x"
    " JOIN device d ON d.id = x.device_id WHERE x.dry_run_id = $1::uuid ORDER BY"
    " array_position(ARRAY['refused', 'unable', 'silent', 'away', 'asked', 'passed'], x.state),"
    " d.name LIMIT $2::bigint"};

enum err_code dry_run_store_devices(struct db *db, const char *id, int64_t limit, struct arena *a,
                                    json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *items = json_array();
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, &DEVICES, (struct db_param[]){P_TEXT(id), P_INT(limit)}, a, &r, e);

    if (rc != ERR_OK)
        return rc;
    for (int i = 0; i < rows_count(r); i++) {
        char at[CLOCK_TEXT_SIZE];
        const json_t *problem = rows_json(r, i, 4);
        int64_t ended_ms = rows_time_ms(r, i, 5);
        clock_format(ended_ms, at);
        (void)json_array_append_new(
            items,
            json_pack("{s:s,s:s,s:s,s:s,s:o,s:s?}", "id", rows_text(r, i, 0), "name",
                      rows_text(r, i, 1), "state", rows_text(r, i, 2), "reason", rows_text(r, i, 3),
                      "problem",
                      problem == NULL ? json_null() : json_incref((json_t *)(uintptr_t)problem),
                      "ended_at", ended_ms == 0 ? NULL : at));
    }
    *ret = TAKE(items);
    return ERR_OK;
}

/* --- driving --- */

/* What keeps a device from judging is not its judgement. */
static const struct stmt SETTLE = {
    "dry_run_settle", 2,
    "UPDATE dry_run_device x SET state = n.state, reason = n.reason, problem = n.problem, ended_at"
    " = $2::timestamptz FROM (SELECT y.device_id, CASE WHEN c.state = 'done' THEN 'passed' WHEN"
    " c.state = 'failed' AND w.word IN ('unsupported-critical', 'timeout', 'unavailable', "
    "'storage',"
    " 'not-found', 'conflict', 'internal') THEN 'unable' WHEN c.state = 'failed' THEN 'refused' "
    "WHEN"
    " c.id IS NULL OR c.state IN ('queued', 'expired', 'cancelled') THEN 'away' ELSE 'silent' END "
    "AS"
    " state, CASE WHEN c.state = 'failed' THEN w.word WHEN c.id IS NULL OR c.state IN ('queued',"
    " 'expired', 'cancelled') THEN 'not-taken' ELSE '' END AS reason, c.problem FROM dry_run_device"
    " y JOIN dry_run r ON r.id = y.dry_run_id LEFT JOIN command c ON c.id = y.command_id LEFT JOIN"
    " LATERAL (SELECT coalesce(substring(c.problem->>'type' FROM '[^:]*$'), '') AS word) AS w ON"
    " true WHERE y.dry_run_id = $1::uuid AND y.state = 'asked' AND (c.id IS NULL OR c.state NOT IN"
    " ('queued', 'delivered', 'running') OR r.deadline_at <= $2::timestamptz)) AS n WHERE"
    " x.dry_run_id = $1::uuid AND x.device_id = n.device_id"};

enum err_code dry_run_store_settle(struct db *db, const char *id, int64_t now_ms, struct err *e)
{
    return db_run(db, &SETTLE, (struct db_param[]){P_TEXT(id), P_TIME(now_ms)}, NULL, NULL, e);
}

static const struct stmt HURRY = {
    "dry_run_hurry", 2,
    "UPDATE dry_run SET deadline_at = least(deadline_at, $2::timestamptz) WHERE rollout_id ="
    " $1::uuid"};

enum err_code dry_run_store_hurry(struct db *db, const char *rollout_id, int64_t now_ms,
                                  struct err *e)
{
    return db_run(db, &HURRY, (struct db_param[]){P_TEXT(rollout_id), P_TIME(now_ms)}, NULL, NULL,
                  e);
}

static const struct stmt END = {
    "dry_run_end", 3,
    "UPDATE dry_run SET state = $2::text, ended_at = $3::timestamptz, content = NULL WHERE id ="
    " $1::uuid"};
static const struct stmt CANCEL = {
    "dry_run_cancel", 2,
    "UPDATE command c SET state = 'cancelled', ended_at = $2::timestamptz, version = version + 1"
    " FROM dry_run_device x WHERE x.dry_run_id = $1::uuid AND c.id = x.command_id AND c.state ="
    " 'queued' RETURNING c.device_id"};

static void read_id(const struct rows *r, int i, void *item)
{
    *(const char **)item = rows_text(r, i, 0);
}

enum err_code dry_run_store_end(struct db *db, const char *id, const char *state, int64_t now_ms,
                                struct arena *a, const char ***ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(
        db, &END, (struct db_param[]){P_TEXT(id), P_TEXT(state), P_TIME(now_ms)}, NULL, NULL, e);

    if (rc == ERR_OK)
        rc = db_run(db, &CANCEL, (struct db_param[]){P_TEXT(id), P_TIME(now_ms)}, a, &r, e);
    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_id, ret, ret_n, e) : rc;
}

static const struct stmt CONTENT = {
    "dry_run_content", 2,
    "SELECT r.pub, coalesce(r.content, v.content), coalesce((SELECT array_to_string(o.urgent, ',')"
    " FROM rollout o WHERE o.id = r.rollout_id), '') FROM dry_run_device x JOIN dry_run r ON r.id ="
    " x.dry_run_id LEFT JOIN revision v ON v.pub = r.pub WHERE x.command_id = $1::uuid AND"
    " x.device_id = $2::uuid AND r.state = 'running'"};

enum err_code dry_run_store_content(struct db *db, const char *command_id, const char *device_id,
                                    struct arena *a, struct dry_run_subject *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_one(db, &CONTENT, (struct db_param[]){P_TEXT(command_id), P_TEXT(device_id)}, a, &r, e);

    if (rc != ERR_OK)
        return rc == ERR_NOT_FOUND
                   ? err_set(e, ERR_NOT_FOUND, "this dry run is over, or there was none")
                   : rc;
    *ret = (struct dry_run_subject){rows_int(r, 0, 0), rows_json(r, 0, 1), rows_text(r, 0, 2)};
    return ERR_OK;
}

static const struct stmt TRIM = {"dry_run_trim", 0,
                                 "DELETE FROM dry_run WHERE rollout_id IS NULL AND ended_at <"
                                 " now() - interval '30 days'"};

enum err_code dry_run_store_trim(struct db *db, struct err *e)
{
    return db_run(db, &TRIM, NULL, NULL, NULL, e);
}

const struct stmt *const dry_run_store_stmts[] = {
    &INSERT, &ADD_COMMANDS, &ADD, &GET,    &OF_ROLLOUT, &LIST, &OPEN, &DEVICES,
    &SETTLE, &HURRY,        &END, &CANCEL, &CONTENT,    &TRIM, NULL};
