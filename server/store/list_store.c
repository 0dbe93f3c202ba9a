#include "store/list_store.h"

static const struct stmt GET = {"list_get", 1,
                                "SELECT version, rows, changed_at FROM list WHERE name = $1::text"};
static const struct stmt LOCK = {
    "list_lock", 1, "SELECT version, rows, changed_at FROM list WHERE name = $1::text FOR UPDATE"};
static const struct stmt EXPIRED = {
    "list_expired", 1,
    "SELECT count(*) FROM list_row WHERE list = $1::text AND until IS NULL AND expires_at IS NOT "
    "NULL AND expires_at <= now()"};

enum err_code list_store_get(struct db *db, const char *list, bool lock, struct list_state *ret,
                             struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc =
        a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                  : db_one(db, lock ? &LOCK : &GET, (struct db_param[]){P_TEXT(list)}, a, &r, e);

    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_NOT_FOUND, "there is no list \"%s\": approved and blocked are", list);
    if (rc == ERR_OK)
        *ret = (struct list_state){rows_int(r, 0, 0), rows_int(r, 0, 1), rows_time_ms(r, 0, 2)};
    return rc;
}

static enum err_code one_number(struct db *db, const struct stmt *s, const struct db_param *p,
                                int64_t *ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc =
        a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : db_one(db, s, p, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_int(r, 0, 0);
    return rc;
}

enum err_code list_store_expired(struct db *db, const char *list, int64_t *ret, struct err *e)
{
    return one_number(db, &EXPIRED, (struct db_param[]){P_TEXT(list)}, ret, e);
}

static const struct stmt GROUP_ID = {
    "list_group_id", 1, "SELECT id FROM device_group WHERE id::text = $1::text OR name = $1::text"};
static const struct stmt DEVICE_ID = {
    "list_device_id", 1,
    "SELECT id FROM device WHERE became IS NULL AND (id::text = $1::text OR name = $1::text)"};

enum err_code list_store_scope(struct db *db, const char *kind, const char *ref, struct arena *a,
                               const char **ret_id, struct err *e)
{
    bool group = strcmp(kind, "group") == 0;
    struct rows *r = NULL;
    enum err_code rc =
        db_one(db, group ? &GROUP_ID : &DEVICE_ID, (struct db_param[]){P_TEXT(ref)}, a, &r, e);

    if (rc == ERR_NOT_FOUND && group)
        return err_set(e, ERR_NOT_FOUND, "there is no group \"%s\"", ref);
    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_NOT_FOUND, "there is no device \"%s\"", ref);
    if (rc == ERR_OK)
        *ret_id = rows_text(r, 0, 0);
    return rc;
}

/* --- changing --- */

#define GIVEN                                                                                      \
    "unnest($3::cidr[], $4::uuid[], $5::uuid[], $6::text[], $7::bigint[]) AS x(net, g, d, c, e)"
#define EXPIRES "to_timestamp(x.e / 1000.0)"
static const struct stmt CLOSE_CHANGED = {
    "list_close_changed", 7,
    "UPDATE list_row r SET until = $2::bigint FROM " GIVEN
    " WHERE r.list = $1::text AND r.until IS NULL AND r.net = x.net AND r.scope = coalesce(x.g, "
    "x.d, '" LIST_FLEET "') AND (r.comment <> x.c OR r.expires_at IS DISTINCT FROM " EXPIRES ")"};
static const struct stmt ADD = {
    "list_add", 8,
    "INSERT INTO list_row (list, net, group_id, device_id, comment, author, expires_at, since) "
    "SELECT $1::text, x.net, x.g, x.d, x.c, $8::text, " EXPIRES ", $2::bigint FROM " GIVEN
    " ON CONFLICT (list, net, scope) WHERE until IS NULL DO NOTHING"};

enum err_code list_store_close_changed(struct db *db, const char *list, int64_t version,
                                       const struct list_given *g, int64_t *ret_n, struct err *e)
{
    return db_change(db, &CLOSE_CHANGED,
                     (struct db_param[]){P_TEXT(list), P_INT(version), P_TEXT(g->nets),
                                         P_TEXT(g->groups), P_TEXT(g->devices), P_TEXT(g->comments),
                                         P_TEXT(g->expires)},
                     ret_n, e);
}

enum err_code list_store_add(struct db *db, const char *list, int64_t version, const char *author,
                             const struct list_given *g, int64_t *ret_n, struct err *e)
{
    return db_change(db, &ADD,
                     (struct db_param[]){P_TEXT(list), P_INT(version), P_TEXT(g->nets),
                                         P_TEXT(g->groups), P_TEXT(g->devices), P_TEXT(g->comments),
                                         P_TEXT(g->expires), P_TEXT(author)},
                     ret_n, e);
}

#define CLOSE                                                                                      \
    "UPDATE list_row r SET until = $2::bigint WHERE r.list = $1::text AND r.until IS NULL AND "
static const struct stmt CLOSE_IDS = {"list_close_ids", 3, CLOSE "r.id = ANY ($3::bigint[])"};
static const struct stmt CLOSE_NETS = {
    "list_close_nets", 4,
    CLOSE "r.net = ANY ($3::cidr[]) AND ($4::uuid IS NULL OR r.scope = $4::uuid)"};
static const struct stmt CLOSE_OTHERS = {
    "list_close_others", 4,
    CLOSE "r.scope = $3::uuid AND NOT EXISTS (SELECT FROM unnest($4::cidr[]) AS x(net) WHERE "
          "x.net = r.net)"};
static const struct stmt CLOSE_EXPIRED = {"list_close_expired", 3,
                                          CLOSE "r.expires_at < $3::timestamptz"};

enum err_code list_store_close_ids(struct db *db, const char *list, int64_t version,
                                   const char *ids, int64_t *ret_n, struct err *e)
{
    return db_change(db, &CLOSE_IDS, (struct db_param[]){P_TEXT(list), P_INT(version), P_TEXT(ids)},
                     ret_n, e);
}

static struct db_param or_null(const char *s)
{
    return s == NULL ? P_NULL : P_TEXT(s);
}

enum err_code list_store_close_nets(struct db *db, const char *list, int64_t version,
                                    const char *nets, const char *scope, int64_t *ret_n,
                                    struct err *e)
{
    return db_change(
        db, &CLOSE_NETS,
        (struct db_param[]){P_TEXT(list), P_INT(version), P_TEXT(nets), or_null(scope)}, ret_n, e);
}

enum err_code list_store_close_others(struct db *db, const char *list, int64_t version,
                                      const char *scope, const char *nets, int64_t *ret_n,
                                      struct err *e)
{
    return db_change(db, &CLOSE_OTHERS,
                     (struct db_param[]){P_TEXT(list), P_INT(version), P_TEXT(scope), P_TEXT(nets)},
                     ret_n, e);
}

enum err_code list_store_close_expired(struct db *db, const char *list, int64_t version,
                                       int64_t before_ms, int64_t *ret_n, struct err *e)
{
    return db_change(db, &CLOSE_EXPIRED,
                     (struct db_param[]){P_TEXT(list), P_INT(version), P_TIME(before_ms)}, ret_n,
                     e);
}

/* What is inside a network lies, as networks are ordered, from it to its last address. */
#define FOUND(scope, author, text, net, expired)                                                   \
    "(" scope "::uuid IS NULL OR r.scope = " scope "::uuid) AND (" author                          \
    "::text IS NULL OR r.author = " author "::text) AND (" text                                    \
    "::text IS NULL OR position(lower(" text "::text) IN lower(r.comment)) > 0) AND (" net         \
    "::cidr IS NULL OR (r.net >= " net "::cidr AND r.net <= set_masklen(broadcast(" net            \
    "::cidr), CASE family(" net "::cidr) WHEN 4 THEN 32 ELSE 128 END)::cidr)) AND CASE " expired   \
    "::int WHEN 1 THEN r.expires_at <= now() WHEN 2 THEN r.expires_at IS NULL OR r.expires_at > "  \
    "now() ELSE true END"
static const struct stmt CLOSE_FOUND = {"list_close_found", 7,
                                        CLOSE FOUND("$3", "$4", "$5", "$6", "$7")};

enum err_code list_store_close_found(struct db *db, const char *list, int64_t version,
                                     const struct list_filter *f, int64_t *ret_n, struct err *e)
{
    return db_change(db, &CLOSE_FOUND,
                     (struct db_param[]){P_TEXT(list), P_INT(version), or_null(f->scope),
                                         or_null(f->author), or_null(f->text), or_null(f->net),
                                         P_INT(f->expired)},
                     ret_n, e);
}

static const struct stmt UNDO_ADDED = {"list_undo_added", 3, CLOSE "r.since = $3::bigint"};
static const struct stmt UNDO_REMOVED = {
    "list_undo_removed", 3,
    "INSERT INTO list_row (list, net, group_id, device_id, comment, author, created_at, "
    "expires_at, since) SELECT o.list, o.net, o.group_id, o.device_id, o.comment, o.author, "
    "o.created_at, o.expires_at, $2::bigint FROM list_row o WHERE o.list = $1::text AND o.until = "
    "$3::bigint ON CONFLICT (list, net, scope) WHERE until IS NULL DO NOTHING"};

enum err_code list_store_undo(struct db *db, const char *list, int64_t version, int64_t undoes,
                              int64_t *ret_added, int64_t *ret_removed, struct err *e)
{
    const struct db_param p[] = {P_TEXT(list), P_INT(version), P_INT(undoes)};
    enum err_code rc = db_change(db, &UNDO_ADDED, p, ret_removed, e);

    return rc == ERR_OK ? db_change(db, &UNDO_REMOVED, p, ret_added, e) : rc;
}

static const struct stmt PUT_CHANGE = {
    "list_put_change", 9,
    "INSERT INTO list_change (list, version, kind, author, reason, forced, undoes, added, removed) "
    "VALUES ($1::text, $2::bigint, $3::text, $4::text, $5::text, $6::text, nullif($7::bigint, 0), "
    "$8::bigint, $9::bigint)"};
static const struct stmt PUT_STATE = {"list_put_state", 3,
                                      "UPDATE list SET version = $2::bigint, rows = rows + "
                                      "$3::bigint, changed_at = now() WHERE name = $1::text"};
static const struct stmt PUT_SCOPES = {
    "list_put_scopes", 2,
    "INSERT INTO list_scope (list, scope, version) SELECT DISTINCT $1::text, x.scope, $2::bigint "
    "FROM (SELECT scope FROM list_row WHERE list = $1::text AND since = $2::bigint UNION SELECT "
    "scope FROM list_row WHERE list = $1::text AND until = $2::bigint) x ON CONFLICT (list, scope) "
    "DO UPDATE SET version = excluded.version"};

enum err_code list_store_put_change(struct db *db, const char *list,
                                    const struct list_change_row *c, struct err *e)
{
    enum err_code rc =
        db_run(db, &PUT_CHANGE,
               (struct db_param[]){P_TEXT(list), P_INT(c->version), P_TEXT(c->kind),
                                   P_TEXT(c->author), P_TEXT(c->reason), P_TEXT(c->forced),
                                   P_INT(c->undoes), P_INT(c->added), P_INT(c->removed)},
               NULL, NULL, e);

    if (rc == ERR_OK)
        rc = db_run(
            db, &PUT_STATE,
            (struct db_param[]){P_TEXT(list), P_INT(c->version), P_INT(c->added - c->removed)},
            NULL, NULL, e);
    return rc == ERR_OK
               ? db_run(db, &PUT_SCOPES, (struct db_param[]){P_TEXT(list), P_INT(c->version)}, NULL,
                        NULL, e)
               : rc;
}

/* --- reading --- */

#define COLUMNS                                                                                    \
    "r.id, r.net, r.scope, CASE WHEN r.group_id IS NOT NULL THEN 'group' WHEN r.device_id IS NOT " \
    "NULL THEN 'device' ELSE 'fleet' END, coalesce(g.name, d.name, ''), r.comment, r.author, "     \
    "r.created_at, r.expires_at, r.since, coalesce(r.until, 0) FROM list_row r LEFT JOIN "         \
    "device_group g ON g.id = r.group_id LEFT JOIN device d ON d.id = r.device_id "
#define NOW "WHERE r.list = $1::text AND r.until IS NULL AND "

static struct list_row row_of(const struct rows *r, int i)
{
    return (struct list_row){.id = rows_int(r, i, 0),
                             .net = rows_text(r, i, 1),
                             .scope = rows_text(r, i, 2),
                             .scope_kind = rows_text(r, i, 3),
                             .scope_name = rows_text(r, i, 4),
                             .comment = rows_text(r, i, 5),
                             .author = rows_text(r, i, 6),
                             .created_at_ms = rows_time_ms(r, i, 7),
                             .expires_at_ms = rows_time_ms(r, i, 8),
                             .since = rows_int(r, i, 9),
                             .until = rows_int(r, i, 10)};
}

static void read_row(const struct rows *r, int i, void *item)
{
    *(struct list_row *)item = row_of(r, i);
}

static const struct stmt ROWS = {
    "list_rows", 9,
    "SELECT " COLUMNS NOW FOUND(
        "$2", "$3", "$4", "$5",
        "$6") " AND ($7::cidr IS NULL OR (r.net, "
              "r.scope) > ($7::cidr, $8::uuid)) ORDER BY r.net, r.scope LIMIT $9::int"};
static const struct stmt COVERING = {
    "list_covering", 2,
    "SELECT " COLUMNS NOW
    "r.net = ANY (ARRAY(SELECT network(set_masklen($2::inet, m)) FROM generate_series(0, "
    "masklen($2::inet)) m)) ORDER BY masklen(r.net) DESC, r.scope DESC"};
static const struct stmt ROW = {"list_row", 2, "SELECT " COLUMNS NOW "r.id = $2::bigint"};

enum err_code list_store_rows(struct db *db, const char *list, const struct list_filter *f,
                              const char *after_net, const char *after_scope, int limit,
                              struct arena *a, struct list_row **ret, size_t *ret_n, struct err *e)
{
    bool from_start = after_net[0] == '\0';
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, &ROWS,
               (struct db_param[]){P_TEXT(list), or_null(f->scope), or_null(f->author),
                                   or_null(f->text), or_null(f->net), P_INT(f->expired),
                                   from_start ? P_NULL : P_TEXT(after_net),
                                   from_start ? P_NULL : P_TEXT(after_scope), P_INT(limit)},
               a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_row, ret, ret_n, e) : rc;
}

enum err_code list_store_covering(struct db *db, const char *list, const char *net, struct arena *a,
                                  struct list_row **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, &COVERING, (struct db_param[]){P_TEXT(list), P_TEXT(net)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_row, ret, ret_n, e) : rc;
}

enum err_code list_store_row(struct db *db, const char *list, int64_t id, struct arena *a,
                             struct list_row *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &ROW, (struct db_param[]){P_TEXT(list), P_INT(id)}, a, &r, e);

    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_NOT_FOUND, "list %s has no row %lld now", list, (long long)id);
    if (rc == ERR_OK)
        *ret = row_of(r, 0);
    return rc;
}

static const struct stmt NETS = {"list_nets", 2,
                                 "SELECT r.net FROM list_row r WHERE r.list = $1::text AND r.until "
                                 "IS NULL AND ($2::bigint = 0 OR r.since < $2::bigint)"};
static const struct stmt WIDE = {
    "list_wide", 2,
    "SELECT r.net FROM list_row r WHERE r.list = $1::text AND r.until IS NULL AND masklen(r.net) "
    "<= CASE family(r.net) WHEN 4 THEN 20 ELSE 24 END AND ($2::bigint = 0 OR r.since < "
    "$2::bigint)"};
static const struct stmt BROUGHT = {
    "list_brought", 2,
    "SELECT r.net FROM list_row r WHERE r.list = $1::text AND r.since = $2::bigint"};

static void read_text(const struct rows *r, int i, void *item)
{
    *(const char **)item = rows_text(r, i, 0);
}

enum err_code list_store_nets(struct db *db, const char *list, bool wide, int64_t before,
                              struct arena *a, const char ***ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, wide ? &WIDE : &NETS,
                              (struct db_param[]){P_TEXT(list), P_INT(before)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_text, ret, ret_n, e) : rc;
}

enum err_code list_store_brought(struct db *db, const char *list, int64_t version, struct arena *a,
                                 const char ***ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, &BROUGHT, (struct db_param[]){P_TEXT(list), P_INT(version)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_text, ret, ret_n, e) : rc;
}

/* --- history --- */

#define CHANGE                                                                                     \
    "SELECT version, kind, author, reason, forced, coalesce(undoes, 0), added, removed, at FROM "  \
    "list_change WHERE list = $1::text AND "
static const struct stmt CHANGES = {
    "list_changes", 3,
    CHANGE "($2::bigint = 0 OR version < $2::bigint) ORDER BY version DESC LIMIT $3::int"};
static const struct stmt ONE_CHANGE = {"list_change", 2, CHANGE "version = $2::bigint"};
static const struct stmt CHANGE_ADDED = {
    "list_change_added", 4,
    "SELECT " COLUMNS "WHERE r.list = $1::text AND r.since = $2::bigint AND r.id > $3::bigint "
    "ORDER BY r.id LIMIT $4::int"};
static const struct stmt CHANGE_REMOVED = {
    "list_change_removed", 4,
    "SELECT " COLUMNS "WHERE r.list = $1::text AND r.until = $2::bigint AND r.id > $3::bigint "
    "ORDER BY r.id LIMIT $4::int"};

static void read_change(const struct rows *r, int i, void *item)
{
    *(struct list_change_row *)item = (struct list_change_row){.version = rows_int(r, i, 0),
                                                               .kind = rows_text(r, i, 1),
                                                               .author = rows_text(r, i, 2),
                                                               .reason = rows_text(r, i, 3),
                                                               .forced = rows_text(r, i, 4),
                                                               .undoes = rows_int(r, i, 5),
                                                               .added = rows_int(r, i, 6),
                                                               .removed = rows_int(r, i, 7),
                                                               .at_ms = rows_time_ms(r, i, 8)};
}

enum err_code list_store_changes(struct db *db, const char *list, int64_t before, int limit,
                                 struct arena *a, struct list_change_row **ret, size_t *ret_n,
                                 struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(
        db, &CHANGES, (struct db_param[]){P_TEXT(list), P_INT(before), P_INT(limit)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_change, ret, ret_n, e) : rc;
}

enum err_code list_store_change(struct db *db, const char *list, int64_t version, struct arena *a,
                                struct list_change_row *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_one(db, &ONE_CHANGE, (struct db_param[]){P_TEXT(list), P_INT(version)}, a, &r, e);

    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_NOT_FOUND, "list %s has no version %lld", list, (long long)version);
    if (rc == ERR_OK)
        read_change(r, 0, ret);
    return rc;
}

enum err_code list_store_change_rows(struct db *db, const char *list, int64_t version, bool brought,
                                     int64_t after_id, int limit, struct arena *a,
                                     struct list_row **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(
        db, brought ? &CHANGE_ADDED : &CHANGE_REMOVED,
        (struct db_param[]){P_TEXT(list), P_INT(version), P_INT(after_id), P_INT(limit)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_row, ret, ret_n, e) : rc;
}

/* --- what must not be blocked --- */

static const struct stmt OWN = {
    "list_own", 0,
    "SELECT coalesce((SELECT jsonb_agg(jsonb_build_object('name', name, 'addresses', "
    "coalesce(inventory->'facts'->'addresses', '[]'))) FROM device WHERE became IS NULL AND state "
    "IN ('observing', 'managed', 'held', 'quarantined')), '[]'), "
    "coalesce((SELECT jsonb_agg(DISTINCT k) FROM (SELECT content FROM revision ORDER BY pub DESC "
    "LIMIT 1) v, LATERAL (SELECT v.content->'fleet' AS l UNION ALL SELECT value FROM "
    "jsonb_each(coalesce(v.content->'groups', '{}')) UNION ALL SELECT value FROM "
    "jsonb_each(coalesce(v.content->'devices', '{}'))) layers, LATERAL "
    "unnest('{smtp.relay_networks,sender_filter.known_hosts,sender_filter.balancers}'::text[]) AS "
    "s(key), LATERAL jsonb_object_keys(CASE jsonb_typeof(layers.l->s.key) WHEN 'object' THEN "
    "layers.l->s.key ELSE '{}' END) k), '[]')"};

enum err_code list_store_own(struct db *db, struct arena *a, json_t **ret_devices,
                             json_t **ret_known, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &OWN, NULL, a, &r, e);

    if (rc != ERR_OK)
        return rc;
    *ret_devices = rows_json(r, 0, 0);
    *ret_known = rows_json(r, 0, 1);
    return *ret_devices == NULL || *ret_known == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                                      : ERR_OK;
}

static const struct stmt NEIGHBOURS = {
    "list_neighbours", 3,
    "SELECT b.net, (SELECT o.net FROM list_row o WHERE o.list = $1::text AND o.until IS NULL AND "
    "o.net = ANY (ARRAY(SELECT network(set_masklen(b.net::inet, m)) FROM generate_series(0, "
    "masklen(b.net) - 1) m)) ORDER BY masklen(o.net) DESC LIMIT 1), (SELECT count(*) FROM list_row "
    "o WHERE o.list = $1::text AND o.until IS NULL AND o.net > b.net AND o.net <= "
    "set_masklen(broadcast(b.net), CASE family(b.net) WHEN 4 THEN 32 ELSE 128 END)::cidr) FROM "
    "(SELECT DISTINCT net FROM list_row WHERE list = $1::text AND since = $2::bigint ORDER BY net "
    "LIMIT $3::int) b ORDER BY b.net"};
static const struct stmt OVERLAPS = {
    "list_overlaps", 3,
    "SELECT x.net, (SELECT o.net FROM list_row o WHERE o.list = $1::text AND o.until IS NULL AND "
    "(o.net, o.scope) <> (x.net, x.scope) AND o.net = ANY (ARRAY(SELECT "
    "network(set_masklen(x.net::inet, m)) FROM generate_series(0, masklen(x.net)) m)) ORDER BY "
    "masklen(o.net) DESC LIMIT 1), x.n FROM (SELECT w.net, w.scope, count(*) OVER () AS n FROM "
    "(SELECT r.net, r.scope, max(set_masklen(broadcast(r.net), CASE family(r.net) WHEN 4 THEN 32 "
    "ELSE 128 END)) OVER (ORDER BY r.net, r.scope ROWS BETWEEN UNBOUNDED PRECEDING AND 1 "
    "PRECEDING) AS reach FROM list_row r WHERE r.list = $1::text AND r.until IS NULL) w WHERE "
    "w.reach >= set_masklen(w.net::inet, CASE family(w.net) WHEN 4 THEN 32 ELSE 128 END) AND "
    "($2::cidr IS NULL OR w.net > $2::cidr) ORDER BY w.net, w.scope LIMIT $3::int) x"};

static void read_overlap(const struct rows *r, int i, void *item)
{
    *(struct list_overlap_row *)item =
        (struct list_overlap_row){rows_text(r, i, 0), rows_text(r, i, 1), rows_int(r, i, 2)};
}

enum err_code list_store_neighbours(struct db *db, const char *list, int64_t version, int limit,
                                    struct arena *a, struct list_overlap_row **ret, size_t *ret_n,
                                    struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(
        db, &NEIGHBOURS, (struct db_param[]){P_TEXT(list), P_INT(version), P_INT(limit)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_overlap, ret, ret_n, e) : rc;
}

enum err_code list_store_overlaps(struct db *db, const char *list, const char *after, int limit,
                                  struct arena *a, struct list_overlap_row **ret, size_t *ret_n,
                                  struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(
        db, &OVERLAPS,
        (struct db_param[]){P_TEXT(list), after[0] == '\0' ? P_NULL : P_TEXT(after), P_INT(limit)},
        a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_overlap, ret, ret_n, e) : rc;
}

static const struct stmt ANALYZE = {"list_analyze", 0, "ANALYZE list_row"};

enum err_code list_store_analyze(struct db *db, struct err *e)
{
    return db_run(db, &ANALYZE, NULL, NULL, NULL, e);
}

static const struct stmt USES = {
    "list_uses", 1,
    "SELECT EXISTS (SELECT FROM list_row WHERE group_id = $1::uuid AND until IS NULL)::int"};
static const struct stmt TRIM = {
    "list_trim", 0,
    "DELETE FROM list_row r USING list_change c WHERE r.until IS NOT NULL AND c.list = r.list AND "
    "c.version = r.until AND c.at < now() - interval '400 days'"};

enum err_code list_store_uses(struct db *db, const char *scope, bool *ret, struct err *e)
{
    int64_t n = 0;
    enum err_code rc = one_number(db, &USES, (struct db_param[]){P_TEXT(scope)}, &n, e);

    *ret = n != 0;
    return rc;
}

enum err_code list_store_trim(struct db *db, struct err *e)
{
    return db_run(db, &TRIM, NULL, NULL, NULL, e);
}

/* --- what devices get --- */

static const struct stmt SCOPES = {
    "list_scopes", 0, "SELECT list, scope, version FROM list_scope ORDER BY list, scope"};
static const struct stmt MEMBERS = {
    "list_members", 0,
    "SELECT m.device_id, m.group_id, g.priority::bigint AS p FROM device_member m JOIN "
    "device_group g ON g.id = m.group_id WHERE m.group_id IN (SELECT scope FROM list_scope) UNION "
    "ALL SELECT d.id, d.id, 9223372036854775807 FROM device d WHERE d.became IS NULL AND d.id IN "
    "(SELECT scope FROM list_scope) ORDER BY 1, 3"};
static const struct stmt PAGE = {
    "list_page", 5,
    "SELECT r.id, r.expires_at, array_position($2::uuid[], r.scope), r.net, r.scope FROM list_row "
    "r WHERE r.list = $1::text AND r.until IS NULL AND r.scope = ANY ($2::uuid[]) AND ($3::cidr IS "
    "NULL OR (r.net, r.scope) > ($3::cidr, $4::uuid)) ORDER BY r.net, r.scope LIMIT $5::int"};

const struct stmt *const list_store_stmts[] = {
    &GET,        &LOCK,       &EXPIRED,      &GROUP_ID,       &DEVICE_ID,   &CLOSE_CHANGED,
    &ADD,        &CLOSE_IDS,  &CLOSE_NETS,   &CLOSE_OTHERS,   &CLOSE_FOUND, &CLOSE_EXPIRED,
    &UNDO_ADDED, &PUT_CHANGE, &UNDO_REMOVED, &PUT_STATE,      &PUT_SCOPES,  &ROWS,
    &COVERING,   &ROW,        &NETS,         &WIDE,           &BROUGHT,     &CHANGES,
    &ONE_CHANGE, &OWN,        &CHANGE_ADDED, &CHANGE_REMOVED, &USES,        &TRIM,
    &SCOPES,     &MEMBERS,    &PAGE,         &ANALYZE,        NULL};

static void read_scope(const struct rows *r, int i, void *item)
{
    *(struct list_scope_row *)item =
        (struct list_scope_row){rows_text(r, i, 0), rows_text(r, i, 1), rows_int(r, i, 2)};
}

enum err_code list_store_scopes(struct db *db, struct arena *a, struct list_scope_row **ret,
                                size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &SCOPES, NULL, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_scope, ret, ret_n, e) : rc;
}

static void read_member(const struct rows *r, int i, void *item)
{
    *(struct list_member_row *)item =
        (struct list_member_row){rows_text(r, i, 0), rows_text(r, i, 1), rows_int(r, i, 2)};
}

enum err_code list_store_members(struct db *db, struct arena *a, struct list_member_row **ret,
                                 size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &MEMBERS, NULL, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_member, ret, ret_n, e) : rc;
}

static void read_net(const struct rows *r, int i, void *item)
{
    *(struct list_net_row *)item = (struct list_net_row){.id = rows_int(r, i, 0),
                                                         .expires_at_ms = rows_time_ms(r, i, 1),
                                                         .rank = rows_int(r, i, 2),
                                                         .net = rows_text(r, i, 3),
                                                         .scope = rows_text(r, i, 4)};
}

enum err_code list_store_page(struct db *db, const char *list, const char *scopes,
                              const char *after_net, const char *after_scope, int limit,
                              struct arena *a, struct list_net_row **ret, size_t *ret_n,
                              struct err *e)
{
    bool from_start = after_net[0] == '\0';
    struct rows *r = NULL;
    enum err_code rc = db_run(
        db, &PAGE,
        (struct db_param[]){P_TEXT(list), P_TEXT(scopes), from_start ? P_NULL : P_TEXT(after_net),
                            from_start ? P_NULL : P_TEXT(after_scope), P_INT(limit)},
        a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_net, ret, ret_n, e) : rc;
}
