#include "store/rollout_store.h"

static const struct stmt SUPERSEDE = {
    "rollout_supersede", 0,
    "UPDATE rollout SET state = 'superseded', ended_at = now() WHERE state = 'running'"};
static const struct stmt MAKE = {"rollout_make", 4,
                                 "INSERT INTO rollout (id, pub, state, waves, term, ended_at) "
                                 "VALUES ($1::uuid, $2::bigint, $3::text, $4::jsonb,"
                                 " coalesce((SELECT term FROM lease WHERE name = 'engine'), 0), "
                                 "CASE WHEN $3::text = 'running' THEN NULL ELSE now() END)"};

enum err_code rollout_store_make(struct db *db, const char *id, int64_t pub, const char *state,
                                 const json_t *waves, struct err *e)
{
    enum err_code rc = db_run(db, &SUPERSEDE, NULL, NULL, NULL, e);

    return rc == ERR_OK
               ? db_run(db, &MAKE,
                        (struct db_param[]){P_TEXT(id), P_INT(pub), P_TEXT(state), P_JSON(waves)},
                        NULL, NULL, e)
               : rc;
}

static void read_row(const struct rows *r, int i, struct rollout_row *v)
{
    *v = (struct rollout_row){.id = rows_text(r, i, 0),
                              .state = rows_text(r, i, 1),
                              .pub = rows_int(r, i, 2),
                              .term = rows_int(r, i, 3),
                              .created_ms = rows_time_ms(r, i, 4),
                              .ended_ms = rows_time_ms(r, i, 5),
                              .waves = rows_json(r, i, 6)};
}

#define COLUMNS "SELECT id, state, pub, term, created_at, ended_at, waves FROM rollout"
static const struct stmt GET = {"rollout_get", 1, COLUMNS " WHERE id = $1::uuid"};

enum err_code rollout_store_get(struct db *db, const char *id, struct arena *a,
                                struct rollout_row *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &GET, (struct db_param[]){P_TEXT(id)}, a, &r, e);

    if (rc == ERR_OK)
        read_row(r, 0, ret);
    return rc == ERR_NOT_FOUND ? err_set(e, ERR_NOT_FOUND, "there is no rollout \"%s\"", id) : rc;
}

static enum err_code read_rows(const struct rows *r, struct arena *a, struct rollout_row **ret,
                               size_t *ret_n, struct err *e)
{
    size_t n = (size_t)rows_count(r);
    struct rollout_row *v = arena_alloc(a, (n + 1) * sizeof *v);

    if (v == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++)
        read_row(r, (int)i, &v[i]);
    *ret = v;
    *ret_n = n;
    return ERR_OK;
}

static const struct stmt LIST = {
    "rollout_list", 2,
    COLUMNS
    " WHERE $1::text = '' OR id < nullif($1::text, '')::uuid ORDER BY id DESC LIMIT $2::bigint"};

enum err_code rollout_store_list(struct db *db, const char *before, int64_t limit, struct arena *a,
                                 struct rollout_row **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, &LIST, (struct db_param[]){P_TEXT(before), P_INT(limit)}, a, &r, e);

    return rc == ERR_OK ? read_rows(r, a, ret, ret_n, e) : rc;
}

static const struct stmt RUNNING = {"rollout_running", 0,
                                    COLUMNS " WHERE state = 'running' ORDER BY id"};

enum err_code rollout_store_running(struct db *db, struct arena *a, struct rollout_row **ret,
                                    size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &RUNNING, NULL, a, &r, e);

    return rc == ERR_OK ? read_rows(r, a, ret, ret_n, e) : rc;
}

static const struct stmt DEVICES = {
    "rollout_devices", 1,
    "SELECT d.id, d.name, d.state, b.content_digest, b.etag, "
    "b.rev, d.desired_rev, d.offered_rev, CASE WHEN s.doc IS NULL THEN NULL ELSE "
    "jsonb_build_object('observed', s.doc->'observed', 'on_disk', s.doc->'on_disk', 'running', "
    "s.doc->'running', 'last_attempt', s.doc->'last_attempt') END, b.mode FROM bundle b"
    " JOIN device d ON d.id = b.device_id LEFT JOIN device_status "
    "s ON s.device_id = d.id WHERE b.rollout_id = $1::uuid"
    " ORDER BY d.name"};

enum err_code rollout_store_devices(struct db *db, const char *rollout_id, struct arena *a,
                                    struct rollout_device **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    struct rollout_device *v;
    enum err_code rc = db_run(db, &DEVICES, (struct db_param[]){P_TEXT(rollout_id)}, a, &r, e);
    size_t n;

    if (rc != ERR_OK)
        return rc;
    n = (size_t)rows_count(r);
    v = arena_alloc(a, (n + 1) * sizeof *v);
    if (v == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (int i = 0; i < (int)n; i++)
        v[i] = (struct rollout_device){.id = rows_text(r, i, 0),
                                       .name = rows_text(r, i, 1),
                                       .state = rows_text(r, i, 2),
                                       .digest = rows_text(r, i, 3),
                                       .etag = rows_text(r, i, 4),
                                       .rev = rows_int(r, i, 5),
                                       .desired_rev = rows_int(r, i, 6),
                                       .offered_rev = rows_int(r, i, 7),
                                       .status = rows_json(r, i, 8),
                                       .made_for = rows_text(r, i, 9)};
    *ret = v;
    *ret_n = n;
    return ERR_OK;
}

static const struct stmt END = {"rollout_end", 4,
                                "UPDATE rollout SET state = $2::text, ended_at = now(), term = "
                                "$4::bigint WHERE id = $1::uuid AND state = 'running' AND"
                                " term <= $4::bigint AND EXISTS (SELECT 1 FROM lease WHERE name = "
                                "'engine' AND holder = $3::text AND term ="
                                " $4::bigint AND expires_at > now())"};

enum err_code rollout_store_end(struct db *db, const char *id, const char *state,
                                const char *holder, int64_t term, bool *ret_done, struct err *e)
{
    int64_t n = 0;
    enum err_code rc = db_change(
        db, &END, (struct db_param[]){P_TEXT(id), P_TEXT(state), P_TEXT(holder), P_INT(term)}, &n,
        e);

    if (rc == ERR_OK)
        *ret_done = n == 1;
    return rc;
}

/* The holder renews; anybody takes over once it has run out, in a new term. */
static const struct stmt TAKE_LEASE = {
    "lease_take", 2,
    "INSERT INTO lease AS l (name, holder, term, expires_at) VALUES ($1::text, $2::text, 1, now() "
    "+ interval '15 s')"
    " ON CONFLICT (name) DO UPDATE SET term = CASE WHEN l.holder = excluded.holder THEN l.term "
    "ELSE l.term + 1 END,"
    " holder = excluded.holder, expires_at = excluded.expires_at WHERE l.holder = excluded.holder "
    "OR l.expires_at < now()"
    " RETURNING term"};

enum err_code lease_store_take(struct db *db, const char *name, const char *holder,
                               int64_t *ret_term, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc =
        a == NULL
            ? err_set(e, ERR_NO_MEMORY, "out of memory")
            : db_run(db, &TAKE_LEASE, (struct db_param[]){P_TEXT(name), P_TEXT(holder)}, a, &r, e);

    if (rc == ERR_OK)
        *ret_term = rows_count(r) == 1 ? rows_int(r, 0, 0) : 0;
    return rc;
}

const struct stmt *const rollout_store_stmts[] = {&SUPERSEDE, &MAKE, &GET,        &LIST, &RUNNING,
                                                  &DEVICES,   &END,  &TAKE_LEASE, NULL};
