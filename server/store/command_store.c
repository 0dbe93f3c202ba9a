#include "store/command_store.h"

#define COLUMNS                                                                                    \
    "c.id, c.device_id, d.name, c.kind, c.reason, c.state, c.created_by, c.args, c.result, "       \
    "c.problem, c.created_at, c.expires_at, c.delivered_at, c.started_at, c.ended_at, "            \
    "c.output_bytes, c.version FROM command c JOIN device d ON d.id = c.device_id"

static void read_row(const struct rows *r, int i, struct command_row *c)
{
    *c = (struct command_row){
        .id = rows_text(r, i, 0),
        .device_id = rows_text(r, i, 1),
        .device_name = rows_text(r, i, 2),
        .kind = rows_text(r, i, 3),
        .reason = rows_text(r, i, 4),
        .state = rows_text(r, i, 5),
        .by = rows_text(r, i, 6),
        .args = rows_json(r, i, 7),
        .result = rows_json(r, i, 8),
        .problem = rows_json(r, i, 9),
        .created_ms = rows_time_ms(r, i, 10),
        .expires_ms = rows_time_ms(r, i, 11),
        .delivered_ms = rows_time_ms(r, i, 12),
        .started_ms = rows_time_ms(r, i, 13),
        .ended_ms = rows_time_ms(r, i, 14),
        .output_bytes = rows_int(r, i, 15),
        .version = rows_int(r, i, 16),
    };
}

static enum err_code read_rows(const struct rows *r, struct arena *a, struct command_row **ret,
                               size_t *ret_n, struct err *e)
{
    size_t n = (size_t)rows_count(r);
    struct command_row *v = arena_alloc(a, (n + 1) * sizeof *v);

    if (v == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++)
        read_row(r, (int)i, &v[i]);
    *ret = v;
    *ret_n = n;
    return ERR_OK;
}

static const struct stmt INSERT = {
    "command_insert", 7,
    "INSERT INTO command (id, device_id, kind, args, reason, created_by, expires_at) VALUES "
    "($1::uuid, $2::uuid, $3::text, $4::jsonb, $5::text, $6::text, $7::timestamptz)"};

enum err_code command_store_insert(struct db *db, const struct command_row *c, struct err *e)
{
    return db_run(db, &INSERT,
                  (struct db_param[]){P_TEXT(c->id), P_TEXT(c->device_id), P_TEXT(c->kind),
                                      P_JSON(c->args), P_TEXT(c->reason), P_TEXT(c->by),
                                      P_TIME(c->expires_ms)},
                  NULL, NULL, e);
}

static const struct stmt GET = {"command_get", 1, "SELECT " COLUMNS " WHERE c.id = $1::uuid"};
static const struct stmt LOCK = {"command_lock", 1,
                                 "SELECT " COLUMNS " WHERE c.id = $1::uuid FOR UPDATE OF c"};

static enum err_code one(struct db *db, const struct stmt *s, const char *id, struct arena *a,
                         struct command_row *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, s, (struct db_param[]){P_TEXT(id)}, a, &r, e);

    if (rc == ERR_OK)
        read_row(r, 0, ret);
    return rc;
}

enum err_code command_store_get(struct db *db, const char *id, struct arena *a,
                                struct command_row *ret, struct err *e)
{
    return one(db, &GET, id, a, ret, e);
}

enum err_code command_store_lock(struct db *db, const char *id, struct arena *a,
                                 struct command_row *ret, struct err *e)
{
    return one(db, &LOCK, id, a, ret, e);
}

static const struct stmt LIST = {
    "command_list", 5,
    "SELECT " COLUMNS
    " WHERE ($1::text = '' OR c.device_id = nullif($1::text, '')::uuid) AND ($2::text = '' OR "
    "c.state = $2::text) AND ($3::text = '' OR c.kind = $3::text) AND ($4::text = '' OR c.id < "
    "nullif($4::text, '')::uuid) ORDER BY c.id DESC LIMIT $5::bigint"};

enum err_code command_store_list(struct db *db, const struct command_filter *f, struct arena *a,
                                 struct command_row **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, &LIST,
               (struct db_param[]){P_TEXT(f->device_id), P_TEXT(f->state), P_TEXT(f->kind),
                                   P_TEXT(f->before), P_INT(f->limit)},
               a, &r, e);

    return rc == ERR_OK ? read_rows(r, a, ret, ret_n, e) : rc;
}

static const struct stmt OPEN = {
    "command_open", 2,
    "SELECT " COLUMNS
    " WHERE c.device_id = $1::uuid AND (c.state IN ('delivered', 'running') OR (c.state = "
    "'queued' AND c.expires_at > now())) ORDER BY c.id LIMIT $2::bigint"};

enum err_code command_store_open(struct db *db, const char *device_id, int64_t limit,
                                 struct arena *a, struct command_row **ret, size_t *ret_n,
                                 struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, &OPEN, (struct db_param[]){P_TEXT(device_id), P_INT(limit)}, a, &r, e);

    return rc == ERR_OK ? read_rows(r, a, ret, ret_n, e) : rc;
}

static const struct stmt COUNT = {
    "command_count_open", 1,
    "SELECT count(*) FROM command WHERE device_id = $1::uuid AND state IN ('queued', 'delivered', "
    "'running')"};

enum err_code command_store_count_open(struct db *db, const char *device_id, int64_t *ret,
                                       struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc = a == NULL
                           ? err_set(e, ERR_NO_MEMORY, "out of memory")
                           : db_one(db, &COUNT, (struct db_param[]){P_TEXT(device_id)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_int(r, 0, 0);
    return rc;
}

static const struct stmt SAVE = {
    "command_save", 8,
    "UPDATE command SET state = $2::text, delivered_at = $3::timestamptz, started_at = "
    "$4::timestamptz, ended_at = $5::timestamptz, result = $6::jsonb, problem = $7::jsonb, "
    "output_bytes = $8::bigint, version = version + 1 WHERE id = $1::uuid"};

static struct db_param time_param(int64_t ms)
{
    return ms == 0 ? P_NULL : P_TIME(ms);
}

static struct db_param json_param(const json_t *j)
{
    return j == NULL ? P_NULL : P_JSON(j);
}

enum err_code command_store_save(struct db *db, const struct command_row *c, struct err *e)
{
    return db_run(db, &SAVE,
                  (struct db_param[]){P_TEXT(c->id), P_TEXT(c->state), time_param(c->delivered_ms),
                                      time_param(c->started_ms), time_param(c->ended_ms),
                                      json_param(c->result), json_param(c->problem),
                                      P_INT(c->output_bytes)},
                  NULL, NULL, e);
}

static const struct stmt ADD_OUTPUT = {
    "command_add_output", 3,
    "INSERT INTO command_output (command_id, from_byte, text) VALUES ($1::uuid, $2::bigint, "
    "$3::text)"};

enum err_code command_store_add_output(struct db *db, const char *id, int64_t from,
                                       struct slice text, struct err *e)
{
    return db_run(db, &ADD_OUTPUT, (struct db_param[]){P_TEXT(id), P_INT(from), P_SLICE(text)},
                  NULL, NULL, e);
}

static const struct stmt OUTPUT = {
    "command_output", 3,
    "SELECT from_byte, text FROM command_output WHERE command_id = $1::uuid AND from_byte >= "
    "coalesce((SELECT max(from_byte) FROM command_output WHERE command_id = $1::uuid AND from_byte "
    "<= $2::bigint), 0) AND from_byte + octet_length(text) > $2::bigint ORDER BY from_byte LIMIT "
    "$3::bigint"};

static void read_output(const struct rows *r, int i, void *item)
{
    *(struct command_piece *)item = (struct command_piece){rows_int(r, i, 0), rows_text(r, i, 1)};
}

enum err_code command_store_output(struct db *db, const char *id, int64_t from, int64_t limit,
                                   struct arena *a, struct command_piece **ret, size_t *ret_n,
                                   struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, &OUTPUT, (struct db_param[]){P_TEXT(id), P_INT(from), P_INT(limit)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_output, ret, ret_n, e) : rc;
}

static const struct stmt EXPIRE = {
    "command_expire", 0,
    "UPDATE command SET state = CASE state WHEN 'queued' THEN 'expired' ELSE 'unknown' END, "
    "ended_at = now(), version = version + 1 WHERE (state = 'queued' AND expires_at <= now()) OR "
    "(state IN ('delivered', 'running') AND expires_at <= now() - interval '1 day') RETURNING "
    "device_id"};

static void read_expire(const struct rows *r, int i, void *item)
{
    *(const char **)item = rows_text(r, i, 0);
}

enum err_code command_store_expire(struct db *db, struct arena *a, const char ***ret, size_t *ret_n,
                                   struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &EXPIRE, NULL, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_expire, ret, ret_n, e) : rc;
}

static const struct stmt TRIM_OUTPUT = {
    "command_trim_output", 0,
    "DELETE FROM command_output o USING command c WHERE c.id = o.command_id AND c.ended_at < now() "
    "- interval '30 days'"};
static const struct stmt TRIM = {
    "command_trim", 0, "DELETE FROM command WHERE ended_at < now() - interval '400 days'"};

enum err_code command_store_trim(struct db *db, struct err *e)
{
    enum err_code rc = db_run(db, &TRIM_OUTPUT, NULL, NULL, NULL, e);

    return rc == ERR_OK ? db_run(db, &TRIM, NULL, NULL, NULL, e) : rc;
}

const struct stmt *const command_store_stmts[] = {
    &INSERT,     &GET,    &LOCK,   &LIST,        &OPEN, &COUNT, &SAVE,
    &ADD_OUTPUT, &OUTPUT, &EXPIRE, &TRIM_OUTPUT, &TRIM, NULL};
