#include "store/recovery_store.h"

#include "store/db_private.h"

/* Asked before anything is given out and after it was: only what an index or one row answers, so
 * the highest revision is looked for epoch by epoch. */
static const struct stmt FACTS = {
    "recovery_facts", 0,
    "SELECT current_setting('server_version_num'), "
    "coalesce((SELECT value->>'id' FROM meta WHERE key = 'fleet'), ''), "
    "coalesce((SELECT (value->>'n')::bigint FROM meta WHERE key = 'epoch'), 0), "
    "(SELECT coalesce(max(pub), 0) FROM revision), "
    "greatest((SELECT coalesce(max(b.rev), 0) FROM generate_series(1, (SELECT "
    "(value->>'n')::bigint "
    "FROM meta WHERE key = 'epoch')) AS e(n), LATERAL (SELECT rev FROM bundle WHERE epoch = e.n "
    "ORDER BY rev DESC LIMIT 1) AS b), (SELECT CASE WHEN is_called THEN last_value ELSE 0 END "
    "FROM bundle_rev)), "
    "coalesce((SELECT value->>'reason' FROM meta WHERE key = 'fence'), ''), "
    "coalesce((SELECT (value->>'n')::bigint FROM meta WHERE key = 'recovered'), 0), "
    "(SELECT seq FROM audit_head), (SELECT encode(hash, 'hex') FROM audit_head), coalesce((SELECT "
    "kid FROM signing_key WHERE use = 'bundle' ORDER BY created_at DESC, kid LIMIT 1), '')"};
static const struct stmt DEVICES = {"recovery_devices", 0, "SELECT count(*) FROM device"};
static const struct stmt ENTRY = {
    "recovery_entry", 1,
    "SELECT coalesce((SELECT encode(hash, 'hex') FROM audit WHERE seq = $1::bigint), '')"};
static const struct stmt PARENTS = {
    "recovery_parents", 0,
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name LIKE 'inarid%' AND pid <> pg_backend_pid()"};
static const struct stmt STATE = {"recovery_state", 0,
                                  "SELECT to_regclass('public.meta') IS NOT NULL, "
                                  "to_regclass('inari_before_restore.meta') IS NOT NULL, "
                                  "to_regclass('inari_before_restore.restore_note') IS NOT NULL"};
static const struct stmt RESTORED = {
    "recovery_restored", 0,
    "SELECT EXISTS (SELECT FROM meta WHERE key = 'fence' AND value->>'reason' = 'restored')"};
static const struct stmt DROP_OLD = {"recovery_drop_old", 0,
                                     "DROP SCHEMA IF EXISTS inari_before_restore CASCADE"};
static const struct stmt DROP_NEW = {"recovery_drop_new", 0,
                                     "DROP SCHEMA IF EXISTS public CASCADE"};
static const struct stmt ASIDE = {"recovery_aside", 0,
                                  "ALTER SCHEMA public RENAME TO inari_before_restore"};
static const struct stmt BACK = {"recovery_back", 0,
                                 "ALTER SCHEMA inari_before_restore RENAME TO public"};
static const struct stmt FRESH = {"recovery_fresh", 0, "CREATE SCHEMA public"};
/* Beside the old tables, so that whoever finds the new ones in place knows that they came from a
 * backup, even when the restore itself was killed before it could say so. */
static const struct stmt NOTE = {
    "recovery_note", 0,
    "CREATE TABLE IF NOT EXISTS inari_before_restore.restore_note (detail jsonb NOT NULL)"};
static const struct stmt NOTE_CLEAR = {"recovery_note_clear", 0,
                                       "TRUNCATE inari_before_restore.restore_note"};
static const struct stmt NOTE_ADD = {
    "recovery_note_add", 1,
    "INSERT INTO inari_before_restore.restore_note (detail) VALUES ($1::jsonb)"};
static const struct stmt NOTED = {
    "recovery_noted", 0, "SELECT to_regclass('inari_before_restore.restore_note') IS NOT NULL"};
static const struct stmt NOTE_TAKE = {"recovery_note_take", 0,
                                      "INSERT INTO meta (key, value) SELECT 'fence', detail FROM "
                                      "inari_before_restore.restore_note LIMIT 1 "
                                      "ON CONFLICT (key) DO UPDATE SET value = excluded.value"};
static const struct stmt NOTE_DROP = {"recovery_note_drop", 0,
                                      "DROP TABLE IF EXISTS inari_before_restore.restore_note"};
static const struct stmt NOTE_GONE = {"recovery_note_gone", 0,
                                      "DROP TABLE IF EXISTS public.restore_note"};
static const struct stmt FENCE = {"recovery_fence", 1,
                                  "INSERT INTO meta (key, value) VALUES ('fence', $1::jsonb) "
                                  "ON CONFLICT (key) DO UPDATE SET value = excluded.value"};

static const struct stmt FENCED = {"recovery_fenced", 0,
                                   "SELECT value FROM meta WHERE key = 'fence'"};
static const struct stmt FENCE_FIRST = {
    "recovery_fence_first", 1,
    "INSERT INTO meta (key, value) VALUES ('fence', $1::jsonb) ON CONFLICT (key) DO NOTHING"};
static const struct stmt LIFT = {"recovery_lift", 0, "DELETE FROM meta WHERE key = 'fence'"};
/* Grows with every decision, also on a database that was taken back behind earlier ones. */
static const struct stmt DECIDED = {
    "recovery_decided", 0,
    "INSERT INTO meta AS m (key, value) VALUES ('recovered', jsonb_build_object('n', "
    "(extract(epoch FROM clock_timestamp()) * 1000)::bigint)) ON CONFLICT (key) DO UPDATE SET "
    "value = jsonb_build_object('n', greatest((m.value->>'n')::bigint + 1, "
    "(excluded.value->>'n')::bigint))"};
static const struct stmt ABOVE = {
    "recovery_above", 1,
    "SELECT setval('bundle_rev', greatest((SELECT last_value FROM bundle_rev), $1::bigint))"};
static const struct stmt AFRESH = {
    "recovery_afresh", 0,
    "UPDATE bundle b SET mode = '' FROM device d WHERE b.device_id = d.id AND "
    "b.rev = d.desired_rev"};
static const struct stmt NOTICE = {
    "recovery_notice", 1,
    "UPDATE meta SET value = value || jsonb_build_object('notice', $1::text) WHERE key = 'fence' "
    "AND coalesce(value->>'notice', '') < $1::text"};
static const struct stmt REINSTATED = {
    "recovery_reinstated", 2,
    "SELECT EXISTS (SELECT FROM audit WHERE action = 'device.reinstate' AND object = $1::text AND "
    "at > $2::timestamptz)"};
static const struct stmt EPOCH = {
    "recovery_epoch", 1,
    "UPDATE meta SET value = jsonb_build_object('n', $1::bigint) WHERE key = 'epoch'"};
static const struct stmt NAMES = {
    "recovery_names", 1,
    "SELECT coalesce(jsonb_object_agg(id, name), '{}') FROM device WHERE id = "
    "ANY ($1::uuid[])"};

const struct stmt *const recovery_store_stmts[] = {
    &NOTICE, &REINSTATED, &EPOCH, &DEVICES, &ENTRY, &DECIDED,  &FENCED, &FENCE_FIRST, &LIFT, &ABOVE,
    &AFRESH, &NAMES,      &FACTS, &PARENTS, &STATE, &RESTORED, &NOTED,  &FENCE,       NULL};

enum err_code recovery_store_facts(struct db *db, struct arena *a, struct recovery_facts *ret,
                                   struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &FACTS, NULL, a, &r, e);

    if (rc != ERR_OK)
        return rc;
    *ret = (struct recovery_facts){.server_version = rows_text(r, 0, 0),
                                   .fleet = rows_text(r, 0, 1),
                                   .epoch = rows_int(r, 0, 2),
                                   .pub = rows_int(r, 0, 3),
                                   .rev = rows_int(r, 0, 4),
                                   .fence = rows_text(r, 0, 5),
                                   .recovered = rows_int(r, 0, 6),
                                   .head_seq = rows_int(r, 0, 7),
                                   .head_hash = rows_text(r, 0, 8),
                                   .bundle_kid = rows_text(r, 0, 9)};
    return ERR_OK;
}

enum err_code recovery_store_devices(struct db *db, struct arena *a, int64_t *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &DEVICES, NULL, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_int(r, 0, 0);
    return rc;
}

enum err_code recovery_store_entry(struct db *db, int64_t seq, struct arena *a, const char **ret,
                                   struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &ENTRY, (struct db_param[]){P_INT(seq)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_text(r, 0, 0);
    return rc;
}

enum err_code recovery_store_parents(struct db *db, int64_t *ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                 : db_one(db, &PARENTS, NULL, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_int(r, 0, 0);
    return rc;
}

enum err_code recovery_store_state(struct db *db, enum recovery_state *ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc =
        a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : db_one(db, &STATE, NULL, a, &r, e);

    if (rc != ERR_OK)
        return rc;
    *ret = rows_bool(r, 0, 0) ? RECOVERY_DONE : rows_bool(r, 0, 1) ? RECOVERY_CUT : RECOVERY_EMPTY;
    if (*ret != RECOVERY_DONE || !rows_bool(r, 0, 1))
        return ERR_OK;
    if (rows_bool(r, 0, 2)) {
        *ret = RECOVERY_UNDECIDED;
        return ERR_OK;
    }
    rc = db_one(db, &RESTORED, NULL, a, &r, e);
    if (rc == ERR_OK && rows_bool(r, 0, 0))
        *ret = RECOVERY_UNDECIDED;
    return rc;
}

static enum err_code in_order(struct db *db, const struct stmt *const *s, struct err *e)
{
    enum err_code rc = ERR_OK;

    for (; rc == ERR_OK && *s != NULL; s++)
        rc = db_run(db, *s, NULL, NULL, NULL, e);
    return rc;
}

static enum err_code aside_tx(struct db *db, void *ctx, struct err *e)
{
    static const struct stmt *const whole[] = {&DROP_OLD, &ASIDE, &FRESH, &NOTE, NULL};
    static const struct stmt *const again[] = {&DROP_NEW, &FRESH, &NOTE, &NOTE_CLEAR, NULL};
    enum recovery_state state;

    if (recovery_store_state(db, &state, e) != ERR_OK)
        return e->code;
    if (in_order(db, state == RECOVERY_CUT || state == RECOVERY_UNDECIDED ? again : whole, e) !=
        ERR_OK)
        return e->code;
    return db_run(db, &NOTE_ADD, (struct db_param[]){P_JSON((const json_t *)ctx)}, NULL, NULL, e);
}

enum err_code recovery_store_aside(struct db *db, json_t *fence, struct err *e)
{
    return tx_run(db, "restore.aside", aside_tx, fence, e);
}

static enum err_code settle_tx(struct db *db, void *ctx, struct err *e)
{
    static const struct stmt *const all[] = {&NOTE_TAKE, &NOTE_DROP, NULL};
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc =
        a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : db_one(db, &NOTED, NULL, a, &r, e);

    (void)ctx;
    return rc == ERR_OK && rows_bool(r, 0, 0) ? in_order(db, all, e) : rc;
}

enum err_code recovery_store_settle(struct db *db, struct err *e)
{
    return tx_run(db, "restore.settle", settle_tx, NULL, e);
}

enum err_code recovery_store_has_aside(struct db *db, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc =
        a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : db_one(db, &STATE, NULL, a, &r, e);

    return rc == ERR_OK && !rows_bool(r, 0, 1)
               ? err_set(e, ERR_NOT_FOUND, "no earlier tables were put aside by a restore")
               : rc;
}

static enum err_code back_tx(struct db *db, void *ctx, struct err *e)
{
    static const struct stmt *const all[] = {&DROP_NEW, &BACK, &NOTE_GONE, NULL};
    enum err_code rc = recovery_store_has_aside(db, e);

    (void)ctx;
    return rc == ERR_OK ? in_order(db, all, e) : rc;
}

enum err_code recovery_store_back(struct db *db, struct err *e)
{
    return tx_run(db, "restore.back", back_tx, NULL, e);
}

enum err_code recovery_store_fence(struct db *db, const json_t *detail, struct err *e)
{
    return db_run(db, &FENCE, (struct db_param[]){P_JSON(detail)}, NULL, NULL, e);
}

enum err_code recovery_store_fenced(struct db *db, struct arena *a, const json_t **ret,
                                    struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &FENCED, NULL, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_count(r) == 0 ? NULL : rows_json(r, 0, 0);
    return rc;
}

enum err_code recovery_store_fence_first(struct db *db, const json_t *detail, bool *ret_new,
                                         struct err *e)
{
    int64_t n = 0;
    enum err_code rc = db_change(db, &FENCE_FIRST, (struct db_param[]){P_JSON(detail)}, &n, e);

    *ret_new = rc == ERR_OK && n > 0;
    return rc;
}

enum err_code recovery_store_notice(struct db *db, const char *made_at, struct err *e)
{
    return db_run(db, &NOTICE, (struct db_param[]){P_TEXT(made_at)}, NULL, NULL, e);
}

enum err_code recovery_store_reinstated(struct db *db, const char *object, int64_t since_ms,
                                        bool *ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc =
        a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                  : db_one(db, &REINSTATED, (struct db_param[]){P_TEXT(object), P_TIME(since_ms)},
                           a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_bool(r, 0, 0);
    return rc;
}

enum err_code recovery_store_afresh(struct db *db, struct err *e)
{
    return db_run(db, &AFRESH, NULL, NULL, NULL, e);
}

static enum err_code decide(struct db *db, int64_t above, struct err *e)
{
    enum err_code rc = db_run(db, &DECIDED, NULL, NULL, NULL, e);

    if (rc == ERR_OK)
        rc = db_run(db, &ABOVE, (struct db_param[]){P_INT(above)}, NULL, NULL, e);
    return rc == ERR_OK ? recovery_store_afresh(db, e) : rc;
}

enum err_code recovery_store_lift(struct db *db, int64_t above, struct err *e)
{
    int64_t n = 0;
    enum err_code rc = db_change(db, &LIFT, NULL, &n, e);

    if (rc == ERR_OK && n == 0)
        return err_set(e, ERR_CONFLICT, "this parent is not fenced");
    return rc == ERR_OK ? decide(db, above, e) : rc;
}

enum err_code recovery_store_epoch(struct db *db, int64_t epoch, struct err *e)
{
    enum err_code rc = db_run(db, &LIFT, NULL, NULL, NULL, e);

    if (rc == ERR_OK)
        rc = db_run(db, &EPOCH, (struct db_param[]){P_INT(epoch)}, NULL, NULL, e);
    return rc == ERR_OK ? decide(db, 0, e) : rc;
}

enum err_code recovery_store_names(struct db *db, const char *ids, struct arena *a, json_t **ret,
                                   struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &NAMES, (struct db_param[]){P_TEXT(ids)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_json(r, 0, 0);
    return rc;
}

static void free_options(void *p)
{
    PQconninfoFree(p);
}

enum err_code recovery_store_env(const char *conninfo, struct arena *a, const char *const **ret,
                                 const char **ret_dbname, struct err *e)
{
    char *why = NULL;
    PQconninfoOption *o = PQconninfoParse(conninfo, &why);
    const char **env = arena_alloc(a, 64 * sizeof *env);
    size_t n = 0;

    if (o == NULL) {
        enum err_code rc =
            err_set(e, ERR_INVALID, "db.conninfo: %s", why == NULL ? "out of memory" : why);
        PQfreemem(why);
        return rc;
    }
    if (!arena_defer(a, free_options, o) || env == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    *ret_dbname = NULL;
    for (; o->keyword != NULL && n < 20; o++) {
        if (o->val == NULL)
            continue;
        if (strcmp(o->keyword, "dbname") == 0)
            *ret_dbname = o->val;
        if (o->envvar != NULL && (env[n] = arena_printf(a, "%s=%s", o->envvar, o->val)) != NULL)
            n++;
    }
    env[n] = NULL;
    *ret = env;
    return *ret_dbname == NULL ? err_set(e, ERR_INVALID, "db.conninfo names no dbname") : ERR_OK;
}
