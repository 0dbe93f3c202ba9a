#include "store/rollout_store.h"

#include <string.h>

static struct db_param time_or_null(int64_t ms)
{
    return ms == 0 ? P_NULL : P_TIME(ms);
}

/* Every engine looks. */
#define HINT "pg_notify('inari_change', 'rollout')"

/* --- making and ending --- */

static const struct stmt MAKE = {
    "rollout_make", 12,
    "INSERT INTO rollout (id, pub, state, strategy, n_waves, author, reverts, created_at, state_at,"
    " ended_at, reason, author_id, urgent, term) VALUES ($1::uuid, $2::bigint, $3::text, "
    "$4::jsonb, "
    "$5::integer,"
    " $6::text, nullif($7::text, '')::uuid, $8::timestamptz, $8::timestamptz, $9::timestamptz,"
    " $10::text, $11::text, coalesce(string_to_array(nullif($12::text, ''), ','), '{}')::bigint[], "
    "coalesce((SELECT term FROM lease WHERE name = 'engine'), 0)) "
    "RETURNING " HINT};

enum err_code rollout_store_insert(struct db *db, const struct rollout_row *r, struct err *e)
{
    return db_run(db, &MAKE,
                  (struct db_param[]){P_TEXT(r->id), P_INT(r->pub), P_TEXT(r->state),
                                      P_JSON(r->strategy), P_INT(r->n_waves), P_TEXT(r->author),
                                      P_TEXT(r->reverts), P_TIME(r->created_ms),
                                      time_or_null(r->ended_ms), P_TEXT(r->reason),
                                      P_TEXT(r->author_id), P_TEXT(r->urgent)},
                  NULL, NULL, e);
}

/* --- reading --- */

static void read_row(const struct rows *r, int i, struct rollout_row *v)
{
    *v = (struct rollout_row){.id = rows_text(r, i, 0),
                              .state = rows_text(r, i, 1),
                              .pub = rows_int(r, i, 2),
                              .term = rows_int(r, i, 3),
                              .created_ms = rows_time_ms(r, i, 4),
                              .ended_ms = rows_time_ms(r, i, 5),
                              .strategy = rows_json(r, i, 6),
                              .n_waves = (int)rows_int(r, i, 7),
                              .wave = (int)rows_int(r, i, 8),
                              .state_ms = rows_time_ms(r, i, 9),
                              .paused_from = rows_text(r, i, 10),
                              .reason = rows_text(r, i, 11),
                              .author = rows_text(r, i, 12),
                              .approver = rows_text(r, i, 13),
                              .reverts = rows_text(r, i, 14),
                              .auto_revert = rows_bool(r, i, 15),
                              .version = rows_int(r, i, 16),
                              .author_id = rows_text(r, i, 17),
                              .urgent = rows_text(r, i, 18),
                              .waits = rows_text(r, i, 19),
                              .stood_ms = rows_int(r, i, 20),
                              .overruled = rows_bool(r, i, 21)};
}

#define COLUMNS                                                                                    \
    "SELECT r.id, r.state, r.pub, r.term, r.created_at, r.ended_at, r.strategy, r.n_waves, "       \
    "r.wave,"                                                                                      \
    " r.state_at, r.paused_from, r.reason, r.author, r.approver, r.reverts, r.auto_revert,"        \
    " r.version, r.author_id, array_to_string(r.urgent, ','), r.waits, r.stood_ms, r.overruled"
static const struct stmt GET = {"rollout_get", 1, COLUMNS " FROM rollout r WHERE id = $1::uuid"};
static const struct stmt LOCK = {"rollout_lock", 1,
                                 COLUMNS " FROM rollout r WHERE id = $1::uuid FOR UPDATE"};

static enum err_code read_one(struct db *db, const struct stmt *s, const char *id, struct arena *a,
                              struct rollout_row *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, s, (struct db_param[]){P_TEXT(id)}, a, &r, e);

    if (rc == ERR_OK)
        read_row(r, 0, ret);
    return rc == ERR_NOT_FOUND ? err_set(e, ERR_NOT_FOUND, "there is no rollout \"%s\"", id) : rc;
}

enum err_code rollout_store_get(struct db *db, const char *id, struct arena *a,
                                struct rollout_row *ret, struct err *e)
{
    return read_one(db, &GET, id, a, ret, e);
}

enum err_code rollout_store_lock(struct db *db, const char *id, struct arena *a,
                                 struct rollout_row *ret, struct err *e)
{
    return read_one(db, &LOCK, id, a, ret, e);
}

static enum err_code read_rows(const struct rows *r, struct arena *a, bool counts,
                               struct rollout_row **ret, size_t *ret_n, struct err *e)
{
    size_t n = (size_t)rows_count(r);
    struct rollout_row *v = arena_alloc(a, (n + 1) * sizeof *v);

    if (v == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) {
        read_row(r, (int)i, &v[i]);
        if (counts)
            v[i].counts = rows_json(r, (int)i, 22);
    }
    *ret = v;
    *ret_n = n;
    return ERR_OK;
}

#define COUNTS                                                                                     \
    ", (SELECT coalesce(jsonb_object_agg(x.state, x.n), '{}') FROM (SELECT state, count(*) AS n "  \
    "FROM rollout_device WHERE rollout_id = r.id GROUP BY state) AS x)"
#define PAGE                                                                                       \
    "($1::text = '' OR r.id < nullif($1::text, '')::uuid) ORDER BY r.id DESC LIMIT $2::bigint"
static const struct stmt LIST = {"rollout_list", 2, COLUMNS COUNTS " FROM rollout r WHERE " PAGE};
static const struct stmt OF_DEVICE = {
    "rollout_of_device", 3,
    COLUMNS COUNTS ", rd.state FROM rollout r JOIN rollout_device rd ON rd.rollout_id = r.id JOIN "
                   "device d ON d.id = rd.device_id WHERE (d.name = $3::text OR d.id::text = "
                   "$3::text) AND " PAGE};

enum err_code rollout_store_list(struct db *db, const char *device, const char *before,
                                 int64_t limit, struct arena *a, struct rollout_row **ret,
                                 size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, device[0] == '\0' ? &LIST : &OF_DEVICE,
               (struct db_param[]){P_TEXT(before), P_INT(limit), P_TEXT(device)}, a, &r, e);

    if (rc == ERR_OK)
        rc = read_rows(r, a, true, ret, ret_n, e);
    for (size_t i = 0; rc == ERR_OK && device[0] != '\0' && i < *ret_n; i++)
        (*ret)[i].of_device = rows_text(r, (int)i, 23);
    return rc;
}

static const struct stmt OPEN = {"rollout_open", 0,
                                 COLUMNS " FROM rollout r WHERE " ROLLOUT_OPEN " ORDER BY r.id"};

static const struct stmt UNENDED = {
    "rollout_unended", 0, COLUMNS " FROM rollout r WHERE " ROLLOUT_UNENDED " ORDER BY r.id"};

enum err_code rollout_store_unended(struct db *db, struct arena *a, struct rollout_row **ret,
                                    size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &UNENDED, NULL, a, &r, e);

    return rc == ERR_OK ? read_rows(r, a, false, ret, ret_n, e) : rc;
}

enum err_code rollout_store_open(struct db *db, struct arena *a, struct rollout_row **ret,
                                 size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &OPEN, NULL, a, &r, e);

    return rc == ERR_OK ? read_rows(r, a, false, ret, ret_n, e) : rc;
}

static const struct stmt LAGGING = {
    "rollout_lagging", 0,
    COLUMNS " FROM rollout r WHERE r.state = 'completed' AND r.pub >= (SELECT coalesce(max(pub), 0)"
            " FROM rollout WHERE state = 'completed' AND urgent = '{}') AND EXISTS (SELECT 1 FROM"
            " device d WHERE d.pub < r.pub AND d.pub > 0 AND d.state IN ('observing', 'managed')"
            " AND NOT (r.urgent <> '{}' AND d.urgent @> r.urgent) AND NOT EXISTS (SELECT 1 FROM"
            " rollout_device rd WHERE rd.rollout_id = r.id AND rd.device_id = d.id AND rd.state IN"
            " " ROLLOUT_FAILED_STATES ")) ORDER BY r.pub"};

enum err_code rollout_store_lagging(struct db *db, struct arena *a, struct rollout_row **ret,
                                    size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &LAGGING, NULL, a, &r, e);

    return rc == ERR_OK ? read_rows(r, a, false, ret, ret_n, e) : rc;
}

static const struct stmt PATIENCE = {
    "rollout_patience", 0,
    "SELECT coalesce(min((strategy->>'offline_after_s')::bigint), 0) FROM rollout r WHERE"
    " " ROLLOUT_UNENDED};

enum err_code rollout_store_patience(struct db *db, int64_t *ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                 : db_one(db, &PATIENCE, NULL, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_int(r, 0, 0);
    return rc;
}

static const struct stmt SILENCE = {"rollout_silence", 0,
                                    "SELECT value FROM meta WHERE key = 'silence'"};
static const struct stmt SILENCE_SAVE = {
    "rollout_silence_save", 1,
    "INSERT INTO meta (key, value) VALUES ('silence', $1::jsonb) ON CONFLICT (key) DO UPDATE SET"
    " value = excluded.value"};
static const struct stmt SILENCE_OVER = {
    "rollout_silence_over", 0,
    "WITH gone AS (DELETE FROM meta WHERE key = 'silence') UPDATE rollout SET overruled = false"
    " WHERE overruled"};

enum err_code rollout_store_silence(struct db *db, struct arena *a, const json_t **ret,
                                    struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &SILENCE, NULL, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_count(r) == 0 ? NULL : rows_json(r, 0, 0);
    return rc;
}

enum err_code rollout_store_silence_save(struct db *db, const json_t *doc, struct err *e)
{
    return doc == NULL ? db_run(db, &SILENCE_OVER, NULL, NULL, NULL, e)
                       : db_run(db, &SILENCE_SAVE, (struct db_param[]){P_JSON(doc)}, NULL, NULL, e);
}

static const struct stmt SAVE = {"rollout_save", 13,
                                 "UPDATE rollout SET state = $2::text, wave = $3::integer, "
                                 "state_at = $4::timestamptz, ended_at ="
                                 " $5::timestamptz, paused_from = $6::text, reason = $7::text, "
                                 "approver = $8::text, auto_revert ="
                                 " $9::boolean, term = greatest(term, $10::bigint), version = "
                                 "version + 1, waits = $11::text, stood_ms = $12::bigint, "
                                 "overruled = $13::boolean WHERE id = $1::uuid AND"
                                 " ($10::bigint = 0 OR term <= $10::bigint) RETURNING " HINT};

enum err_code rollout_store_save(struct db *db, const struct rollout_row *r, int64_t term,
                                 struct err *e)
{
    int64_t n = 0;
    enum err_code rc = db_change(
        db, &SAVE,
        (struct db_param[]){P_TEXT(r->id), P_TEXT(r->state), P_INT(r->wave), P_TIME(r->state_ms),
                            time_or_null(r->ended_ms), P_TEXT(r->paused_from), P_TEXT(r->reason),
                            P_TEXT(r->approver), P_BOOL(r->auto_revert), P_INT(term),
                            P_TEXT(r->waits), P_INT(r->stood_ms), P_BOOL(r->overruled)},
        &n, e);

    return rc == ERR_OK && n == 0
               ? err_set(e, ERR_CONFLICT, "a later driver works on rollout \"%s\"", r->id)
               : rc;
}

/* One to all at once counts from its first release on: before it was approved nobody has it.
 * Expedited ones that everybody got lie on top, also those that take one back. */
static const struct stmt STABLE = {
    "rollout_stable", 0,
    "WITH s AS (SELECT coalesce(max(pub) FILTER (WHERE r.urgent = '{}' AND (state = 'completed' OR"
    " (strategy->>'strategy' = 'all' AND state NOT IN ('cancelled', 'reverting', 'reverted') AND"
    " EXISTS (SELECT 1 FROM rollout_device rd WHERE rd.rollout_id = r.id AND rd.released_at IS NOT"
    " NULL)))), (SELECT min(pub) FROM revision), 0) AS pub FROM rollout r) SELECT s.pub,"
    " array_to_string(ARRAY(SELECT DISTINCT u FROM rollout r, unnest(r.urgent) AS u WHERE r.state ="
    " 'completed' AND u > s.pub ORDER BY u), ',') FROM s"};

enum err_code rollout_store_stable(struct db *db, struct arena *a, int64_t *ret,
                                   const char **ret_urgent, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &STABLE, NULL, a, &r, e);

    if (rc != ERR_OK)
        return rc;
    *ret = rows_int(r, 0, 0);
    *ret_urgent = rows_text(r, 0, 1);
    return ERR_OK;
}

/* Is another expedited one on its way, older than this when this is one too?  One that waits for
 * the fleet to be heard again goes first then.  One that already lets it go first waits also while
 * a person looks at it. */
static const struct stmt WAITS = {
    "rollout_waits", 4,
    "SELECT EXISTS (SELECT 1 FROM rollout u WHERE u.urgent <> '{}' AND u.id <> $1::uuid AND (NOT"
    " $2::boolean OR u.pub < $3::bigint) AND (u.state IN ('shadow', 'running', 'baking') OR"
    " u.waits = 'silence' OR ($4::boolean AND u.waits <> 'absent' AND"
    " u.state IN ('paused', 'halted', 'reverting')))), EXISTS (SELECT 1 FROM meta"
    " WHERE key = 'silence')"};

enum err_code rollout_store_waits(struct db *db, const struct rollout_row *row, struct arena *a,
                                  bool *ret_urgent, bool *ret_silent, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_one(db, &WAITS,
               (struct db_param[]){P_TEXT(row->id), P_BOOL(row->urgent[0] != '\0'), P_INT(row->pub),
                                   P_BOOL(strcmp(row->waits, "urgent") == 0)},
               a, &r, e);

    if (rc != ERR_OK)
        return rc;
    *ret_urgent = rows_bool(r, 0, 0);
    *ret_silent = rows_bool(r, 0, 1);
    return ERR_OK;
}

/* --- the policy --- */

static const struct stmt POLICY = {"rollout_policy", 0, "SELECT doc, version FROM rollout_policy"};
static const struct stmt POLICY_LOCK = {"rollout_policy_lock", 0,
                                        "SELECT doc, version FROM rollout_policy FOR UPDATE"};

static enum err_code policy(struct db *db, const struct stmt *s, struct arena *a,
                            const json_t **ret, int64_t *ret_version, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, s, NULL, a, &r, e);

    if (rc != ERR_OK)
        return rc;
    *ret = rows_json(r, 0, 0);
    *ret_version = rows_int(r, 0, 1);
    return ERR_OK;
}

enum err_code rollout_store_policy(struct db *db, struct arena *a, const json_t **ret,
                                   int64_t *ret_version, struct err *e)
{
    return policy(db, &POLICY, a, ret, ret_version, e);
}

enum err_code rollout_store_policy_lock(struct db *db, struct arena *a, const json_t **ret,
                                        int64_t *ret_version, struct err *e)
{
    return policy(db, &POLICY_LOCK, a, ret, ret_version, e);
}

static const struct stmt POLICY_SAVE = {
    "rollout_policy_save", 1, "UPDATE rollout_policy SET doc = $1::jsonb, version = version + 1"};

enum err_code rollout_store_policy_save(struct db *db, const json_t *doc, struct err *e)
{
    return db_run(db, &POLICY_SAVE, (struct db_param[]){P_JSON(doc)}, NULL, NULL, e);
}

/* --- the lease --- */

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

/* The row is locked against being taken over until this transaction ends. */
static const struct stmt HOLD_LEASE = {
    "lease_hold", 3,
    "SELECT 1 FROM lease WHERE name = $1::text AND holder = $2::text AND term = $3::bigint AND"
    " expires_at > now() FOR SHARE"};

enum err_code lease_store_hold(struct db *db, const char *name, const char *holder, int64_t term,
                               struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc =
        a == NULL
            ? err_set(e, ERR_NO_MEMORY, "out of memory")
            : db_run(db, &HOLD_LEASE,
                     (struct db_param[]){P_TEXT(name), P_TEXT(holder), P_INT(term)}, a, &r, e);

    return rc == ERR_OK && rows_count(r) == 0
               ? err_set(e, ERR_CONFLICT, "the lease \"%s\" has another holder", name)
               : rc;
}

const struct stmt *const rollout_store_stmts[] = {
    &MAKE,         &UNENDED, &GET,         &LOCK,        &LIST,       &OF_DEVICE,  &OPEN,
    &SAVE,         &STABLE,  &WAITS,       &LAGGING,     &PATIENCE,   &SILENCE,    &SILENCE_SAVE,
    &SILENCE_OVER, &POLICY,  &POLICY_LOCK, &POLICY_SAVE, &TAKE_LEASE, &HOLD_LEASE, NULL};
