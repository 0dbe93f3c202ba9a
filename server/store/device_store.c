#include "store/device_store.h"

#define DEVICE_COLUMNS                                                                             \
    "SELECT d.id, d.name, d.state, d.mode, d.placement, d.drift, d.kid, d.fingerprint, "           \
    "d.receipt, d.approver, d.address,"                                                            \
    " d.held_reason, d.token_id, d.jwk, d.inventory, (SELECT coalesce(jsonb_agg(g.name ORDER BY "  \
    "g.priority), '[]') FROM"                                                                      \
    " device_member m JOIN device_group g ON g.id = m.group_id WHERE m.device_id = d.id), d.gen, " \
    "d.desired_rev,"                                                                               \
    " d.offered_rev, d.held_until, d.version, d.enrolled_at, p.seen_at, coalesce(b.epoch, 0), "    \
    "coalesce(b.pub, 0),"                                                                          \
    " coalesce(b.etag, ''), coalesce(b.content_digest, ''), s.doc, s.received_at, d.key_at, "      \
    "d.key_rotations,"                                                                             \
    " coalesce(d.next_kid, ''), d.next_at, d.fork, d.reverted_at, (SELECT "                        \
    "jsonb_build_object('id', o.id, 'name', o.name, 'state', o.state, 'last_seen', (SELECT "       \
    "seen_at FROM presence WHERE device_id = o.id), 'same_hardware', o.hardware <> '' AND "        \
    "o.hardware = d.hardware) FROM device o WHERE o.id = d.replaces), coalesce(d.became::text, "   \
    "'')"
#define DEVICE_FROM                                                                                \
    " FROM device d LEFT JOIN presence p ON p.device_id = d.id LEFT JOIN bundle b ON b.device_id " \
    "= d.id AND "                                                                                  \
    "b.rev = d.desired_rev"                                                                        \
    " LEFT JOIN device_status s ON s.device_id = d.id"
#define DEVICE_SELECT DEVICE_COLUMNS DEVICE_FROM

static void read_row(const struct rows *r, int i, struct device *d)
{
    *d = (struct device){
        .id = rows_text(r, i, 0),
        .name = rows_text(r, i, 1),
        .state = rows_text(r, i, 2),
        .mode = rows_text(r, i, 3),
        .placement = rows_text(r, i, 4),
        .drift = rows_text(r, i, 5),
        .kid = rows_text(r, i, 6),
        .fingerprint = rows_text(r, i, 7),
        .receipt = rows_text(r, i, 8),
        .approver = rows_text(r, i, 9),
        .address = rows_text(r, i, 10),
        .held_reason = rows_text(r, i, 11),
        .token_id = rows_text(r, i, 12),
        .jwk = rows_json(r, i, 13),
        .inventory = rows_json(r, i, 14),
        .groups = rows_json(r, i, 15),
        .gen = rows_int(r, i, 16),
        .desired_rev = rows_int(r, i, 17),
        .offered_rev = rows_int(r, i, 18),
        .held_until_ms = rows_time_ms(r, i, 19),
        .version = rows_int(r, i, 20),
        .enrolled_ms = rows_time_ms(r, i, 21),
        .seen_ms = rows_time_ms(r, i, 22),
        .epoch = rows_int(r, i, 23),
        .pub = rows_int(r, i, 24),
        .etag = rows_text(r, i, 25),
        .digest = rows_text(r, i, 26),
        .status = rows_json(r, i, 27),
        .status_ms = rows_time_ms(r, i, 28),
        .key_ms = rows_time_ms(r, i, 29),
        .key_rotations = rows_int(r, i, 30),
        .next_kid = rows_text(r, i, 31),
        .next_ms = rows_time_ms(r, i, 32),
        .fork = rows_json(r, i, 33),
        .reverted_ms = rows_time_ms(r, i, 34),
        .replaces = rows_json(r, i, 35),
        .became = rows_text(r, i, 36),
    };
}

static const struct stmt BY_ID = {"device_by_id", 1, DEVICE_SELECT " WHERE d.id = $1::uuid"};
static const struct stmt BY_NAME = {"device_by_name", 1, DEVICE_SELECT " WHERE d.name = $1::text"};
static const struct stmt BY_KID = {"device_by_kid", 1, DEVICE_SELECT " WHERE d.kid = $1::text"};

static enum err_code get(struct db *db, const struct stmt *s, const char *value, struct arena *a,
                         struct device *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, s, (struct db_param[]){P_TEXT(value)}, a, &r, e);

    if (rc == ERR_OK)
        read_row(r, 0, ret);
    return rc;
}

static bool is_uuid(const char *s)
{
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    size_t i = 0;

    for (; s[i] != '\0' && shape[i] != '\0'; i++) {
        bool hex = (s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f');
        if (shape[i] == 'x' ? !hex : s[i] != '-')
            return false;
    }
    return s[i] == '\0' && shape[i] == '\0';
}

enum err_code device_store_get(struct db *db, const char *ref, struct arena *a, struct device *ret,
                               struct err *e)
{
    enum err_code rc = get(db, is_uuid(ref) ? &BY_ID : &BY_NAME, ref, a, ret, e);

    return rc == ERR_NOT_FOUND ? err_set(e, ERR_NOT_FOUND, "there is no device \"%s\"", ref) : rc;
}

enum err_code device_store_by_kid(struct db *db, const char *kid, struct arena *a,
                                  struct device *ret, struct err *e)
{
    return get(db, &BY_KID, kid, a, ret, e);
}

static const struct stmt KEY = {"device_key", 1, "SELECT jwk FROM device WHERE id = $1::uuid"};

enum err_code device_store_key(struct db *db, const char *id, struct arena *a, const json_t **ret,
                               struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &KEY, (struct db_param[]){P_TEXT(id)}, a, &r, e);

    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_NOT_FOUND, "there is no device \"%s\"", id);
    if (rc == ERR_OK)
        *ret = rows_json(r, 0, 0);
    return rc;
}

static const struct stmt LOCK_ID = {"device_lock_id", 1,
                                    "SELECT id FROM device WHERE id = $1::uuid FOR UPDATE"};
static const struct stmt LOCK_NAME = {"device_lock_name", 1,
                                      "SELECT id FROM device WHERE name = $1::text FOR UPDATE"};

enum err_code device_store_lock(struct db *db, const char *ref, struct arena *a, struct device *ret,
                                struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, is_uuid(ref) ? &LOCK_ID : &LOCK_NAME,
                              (struct db_param[]){P_TEXT(ref)}, a, &r, e);

    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_NOT_FOUND, "there is no device \"%s\"", ref);
    return rc == ERR_OK ? device_store_get(db, rows_text(r, 0, 0), a, ret, e) : rc;
}

#define LIST_WHERE                                                                                 \
    " WHERE d.became IS NULL AND ($2::text = '' OR d.state = $2::text) AND ($3::text = '' OR "     \
    "EXISTS (SELECT 1 FROM device_member m JOIN device_group g ON g.id = m.group_id WHERE "        \
    "m.device_id = d.id AND (g.name = $3::text OR g.id::text = $3::text))) AND ($5::text = '' OR " \
    "position(lower($5::text) IN lower(d.name)) > 0 OR position($5::text IN d.address) > 0)"

static const struct stmt LIST = {"device_list", 5,
                                 DEVICE_COLUMNS DEVICE_FROM LIST_WHERE
                                 " AND d.name > $1::text ORDER BY d.name LIMIT $4::bigint"};
/* The numbers are those of enum device_attention. */
static const struct stmt BY_ATTENTION = {
    "device_by_attention", 7,
    DEVICE_COLUMNS ", r.rank" DEVICE_FROM
                   " LEFT JOIN (SELECT device_id, min(CASE severity WHEN 'critical' THEN 1 ELSE 2 "
                   "END) AS worst FROM alert WHERE state <> 'resolved' AND device_id IS NOT NULL "
                   "GROUP BY device_id) al ON al.device_id = d.id CROSS JOIN LATERAL (SELECT CASE "
                   "WHEN d.state IN ('pending', 'reattach', 'quarantined') THEN 0 WHEN d.state NOT "
                   "IN ('observing', 'managed', 'held') THEN 3 WHEN d.fork IS NOT NULL THEN 0 ELSE "
                   "least(coalesce(al.worst, 3), CASE d.state WHEN 'held' THEN 2 ELSE 3 END) END "
                   "AS rank) r" LIST_WHERE
                   " AND (r.rank, d.name) > ($6::bigint, $1::text) AND r.rank <= $7::bigint ORDER "
                   "BY r.rank, d.name LIMIT $4::bigint"};

static void read_list(const struct rows *r, int i, void *item)
{
    read_row(r, i, item);
}

static void read_by_attention(const struct rows *r, int i, void *item)
{
    struct device *d = item;

    read_row(r, i, d);
    d->attention = (enum device_attention)rows_int(r, i, 37);
}

enum err_code device_store_list(struct db *db, const struct device_filter *f,
                                enum device_attention rank, const char *after, int64_t limit,
                                struct arena *a, struct device **ret, size_t *ret_n, struct err *e)
{
    const int64_t last = f->attention_only ? ATTENTION_LOOK : ATTENTION_NONE;
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, f->by_attention ? &BY_ATTENTION : &LIST,
               (struct db_param[]){P_TEXT(after), P_TEXT(f->state), P_TEXT(f->group), P_INT(limit),
                                   P_TEXT(f->text), P_INT(rank), P_INT(last)},
               a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret,
                                    f->by_attention ? read_by_attention : read_list, ret, ret_n, e)
                        : rc;
}

static const struct stmt BY_TOKEN = {
    "device_by_token", 1,
    "SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'name', name, 'state', state)"
    " ORDER BY id), '[]') FROM device WHERE token_id = $1::uuid"};

enum err_code device_store_by_token(struct db *db, const char *token_id, json_t **ret,
                                    struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(16 * MIB);
    struct rows *r = NULL;
    enum err_code rc;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = db_one(db, &BY_TOKEN, (struct db_param[]){P_TEXT(token_id)}, a, &r, e);
    if (rc == ERR_OK)
        *ret = json_incref(rows_json(r, 0, 0));
    return rc;
}

static const struct stmt INSERT = {
    "device_insert", 16,
    "INSERT INTO device (id, name, state, placement, kid, fingerprint, token_id, receipt, "
    "approver, address, jwk, enc_jwk, inventory, mode, hardware, replaces) VALUES ($1::uuid, "
    "$2::text, $3::text, $4::text, $5::text, $6::text, $7::uuid, $8::text, $9::text, $10::text, "
    "$11::jsonb, $12::jsonb, $13::jsonb, $14::text, $15::text, nullif($16::text, '')::uuid)"};

enum err_code device_store_insert(struct db *db, const struct device_new *d, struct err *e)
{
    return db_run(db, &INSERT,
                  (struct db_param[]){P_TEXT(d->id), P_TEXT(d->name), P_TEXT(d->state),
                                      P_TEXT(d->placement), P_TEXT(d->kid), P_TEXT(d->fingerprint),
                                      d->token_id == NULL ? P_NULL : P_TEXT(d->token_id),
                                      P_TEXT(d->receipt), P_TEXT(d->approver), P_TEXT(d->address),
                                      P_JSON(d->jwk), P_JSON(d->enc_jwk), P_JSON(d->inventory),
                                      P_TEXT(d->mode), P_TEXT(d->hardware), P_TEXT(d->replaces)},
                  NULL, NULL, e);
}

static const struct stmt SAVE = {
    "device_save", 12,
    "UPDATE device SET name = $2::text, state = $3::text, mode = $4::text, placement = $5::text, "
    "drift = $6::text,"
    " gen = $7::bigint, offered_rev = $8::bigint, held_until = $9::timestamptz, held_reason = "
    "$10::text,"
    " receipt = $11::text, approver = $12::text, version = version + 1 WHERE id = $1::uuid"};

enum err_code device_store_save(struct db *db, const struct device *d, struct err *e)
{
    return db_run(db, &SAVE,
                  (struct db_param[]){
                      P_TEXT(d->id), P_TEXT(d->name), P_TEXT(d->state), P_TEXT(d->mode),
                      P_TEXT(d->placement), P_TEXT(d->drift), P_INT(d->gen), P_INT(d->offered_rev),
                      d->held_until_ms == 0 ? P_NULL : P_TIME(d->held_until_ms),
                      P_TEXT(d->held_reason), P_TEXT(d->receipt), P_TEXT(d->approver)},
                  NULL, NULL, e);
}

static const struct stmt DELETE = {"device_delete", 1, "DELETE FROM device WHERE id = $1::uuid"};

enum err_code device_store_delete(struct db *db, const char *id, struct err *e)
{
    return db_run(db, &DELETE, (struct db_param[]){P_TEXT(id)}, NULL, NULL, e);
}

static const struct stmt JOIN = {"device_join", 2,
                                 "INSERT INTO device_member (device_id, group_id) VALUES "
                                 "($1::uuid, $2::uuid) ON CONFLICT DO NOTHING"};

enum err_code device_store_join(struct db *db, const char *device_id, const char *group_id,
                                struct err *e)
{
    return db_run(db, &JOIN, (struct db_param[]){P_TEXT(device_id), P_TEXT(group_id)}, NULL, NULL,
                  e);
}

static enum err_code texts(const struct rows *r, struct arena *a, const char ***ret, size_t *ret_n,
                           struct err *e)
{
    size_t n = (size_t)rows_count(r);
    const char **v = arena_alloc(a, (n + 1) * sizeof *v);

    if (v == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++)
        v[i] = rows_text(r, (int)i, 0);
    *ret = v;
    *ret_n = n;
    return ERR_OK;
}

/* Its own name by the index; those like it, which takes a look at every name, only when that is
 * taken: a fleet of thousands joins by this. */
static const struct stmt NAMES = {
    "device_names", 1,
    "SELECT name FROM device WHERE name = $1::text UNION ALL SELECT name FROM device WHERE EXISTS"
    " (SELECT 1 FROM device WHERE name = $1::text) AND starts_with(name, $1::text || '-')"};

enum err_code device_store_names(struct db *db, const char *name, struct arena *a,
                                 const char ***ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &NAMES, (struct db_param[]){P_TEXT(name)}, a, &r, e);

    return rc == ERR_OK ? texts(r, a, ret, ret_n, e) : rc;
}

static const struct stmt HOLD_OVER = {
    "device_hold_over", 0,
    "SELECT id FROM device WHERE state = 'held' AND held_until IS NOT NULL AND held_until < now()"};

enum err_code device_store_hold_over(struct db *db, struct arena *a, const char ***ret,
                                     size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &HOLD_OVER, NULL, a, &r, e);

    return rc == ERR_OK ? texts(r, a, ret, ret_n, e) : rc;
}

const struct stmt *const device_store_stmts[] = {
    &BY_ID,  &BY_NAME, &BY_KID, &LOCK_ID, &LOCK_NAME, &LIST,      &BY_ATTENTION, &BY_TOKEN,
    &INSERT, &SAVE,    &DELETE, &JOIN,    &NAMES,     &HOLD_OVER, &KEY,          NULL};
