#include "store/revision_store.h"

/* Before the issuer's (bundle_store.c), which comes before that of changes (fleet_store.c): they
 * are three, or whoever publishes and whoever issues would wait for each other. */
static const struct stmt LOCK = {"revision_lock", 0, "SELECT pg_advisory_xact_lock(8445, 3)"};
static const struct stmt GET = {"revision_get", 1,
                                "SELECT pub, coalesce(source, 0), at, content, diff, forced, "
                                "digest, author, reason, kind FROM revision "
                                "WHERE pub = CASE WHEN $1::bigint = 0 THEN (SELECT max(pub) FROM "
                                "revision) ELSE $1::bigint END"};
static const struct stmt LIST = {
    "revision_list", 2,
    "SELECT pub, coalesce(source, 0), at, NULL::jsonb, diff, forced, digest, author, reason, kind "
    "FROM revision "
    "WHERE $1::bigint = 0 OR pub < $1::bigint ORDER BY pub DESC LIMIT $2::int"};
static const struct stmt INSERT = {
    "revision_insert", 9,
    "INSERT INTO revision (pub, content, digest, diff, author, reason, kind, source, forced) "
    "VALUES ($1::bigint, "
    "$2::jsonb, $3::text, $4::jsonb, $5::text, $6::text, $7::text, $8::bigint, $9::jsonb)"};
static const struct stmt ORIGINS_SET = {
    "origins_set", 2,
    "INSERT INTO leaf_origin (layer, id, key, row, pub) "
    "SELECT l->>'layer', l->>'id', l->>'key', l->>'row', $2::bigint FROM "
    "jsonb_array_elements($1::jsonb) l "
    "WHERE l->'new' <> 'null'::jsonb "
    "ON CONFLICT (layer, id, key, row) DO UPDATE SET pub = excluded.pub"};
static const struct stmt ORIGINS_DROP = {
    "origins_drop", 1,
    "DELETE FROM leaf_origin o USING jsonb_array_elements($1::jsonb) l WHERE l->'new' = "
    "'null'::jsonb "
    "AND o.layer = l->>'layer' AND o.id = l->>'id' AND o.key = l->>'key' AND o.row = l->>'row'"};
static const struct stmt LAST_CHANGE = {
    "revision_last_change", 2,
    "SELECT pub, coalesce(source, 0), at, NULL::jsonb, '[]'::jsonb, forced, digest, author, "
    "reason, kind FROM revision "
    "WHERE pub > $1::bigint AND diff @> $2::jsonb ORDER BY pub DESC LIMIT 1"};
static const struct stmt ORIGINS = {
    "origins_of_key", 1,
    "SELECT o.layer, o.id, o.row, r.author, r.reason, o.pub, r.at, o.key "
    "FROM leaf_origin o JOIN revision r ON r.pub = o.pub "
    "WHERE o.key = $1::text"};
static const struct stmt OVERRIDES = {
    "origins_of_overrides", 0,
    "SELECT o.layer, o.id, o.row, r.author, r.reason, o.pub, r.at, o.key "
    "FROM leaf_origin o JOIN revision r ON r.pub = o.pub WHERE o.layer <> 'fleet'"};

static const struct stmt EXPORT =
    {/* one statement: one snapshot, whatever else goes on */
     "config_export", 0,
     "SELECT r.pub, r.content, coalesce((SELECT jsonb_agg(jsonb_build_object('id', g.id, 'name', "
     "g.name, 'kind', g.kind, 'priority', g.priority, 'members', coalesce((SELECT jsonb_agg(d.name "
     "ORDER BY d.name) FROM device_member m JOIN device d ON d.id = m.device_id WHERE m.group_id = "
     "g.id), '[]'))) FROM device_group g), '[]'), coalesce((SELECT jsonb_object_agg(id, name) FROM "
     "device), '{}'), coalesce((SELECT jsonb_agg(jsonb_build_object('device', name, 'id', id, "
     "'state', state, 'mode', mode, 'key', kid) ORDER BY name) FROM device), '[]') "
     "FROM revision r ORDER BY r.pub DESC LIMIT 1"};

static const struct stmt NOTIFY = {"revision_notify", 1,
                                   "SELECT pg_notify('inari_change', 'revision ' || $1::bigint)"};

#define DRAFT_HEAD                                                                                 \
    "SELECT d.id, d.owner, a.name, d.title, d.base_pub, d.version, d.created_at, d.updated_at"
#define DRAFT_OF " FROM draft d JOIN account a ON a.id = d.owner "
#define DRAFT    DRAFT_HEAD ", d.changes" DRAFT_OF
static const struct stmt DRAFT_GET = {"draft_get", 1, DRAFT "WHERE d.id = $1::uuid"};
static const struct stmt DRAFT_LOCK = {"draft_lock", 1,
                                       DRAFT "WHERE d.id = $1::uuid FOR UPDATE OF d"};
static const struct stmt DRAFT_LIST = {"draft_list", 3,
                                       DRAFT_HEAD DRAFT_OF
                                       "WHERE ($1::uuid IS NULL OR d.owner = $1::uuid) AND "
                                       "($2::text = '' OR d.id < NULLIF($2::text, '')::uuid) "
                                       "ORDER BY d.id DESC LIMIT $3::int"};
static const struct stmt DRAFT_INSERT = {"draft_insert", 5,
                                         "INSERT INTO draft (id, owner, title, base_pub, changes) "
                                         "VALUES ($1::uuid, $2::uuid, $3::text, $4::bigint, "
                                         "$5::jsonb)"};
static const struct stmt DRAFT_UPDATE = {"draft_update", 3,
                                         "UPDATE draft SET title = $2::text, changes = $3::jsonb, "
                                         "version = version + 1, updated_at = now() "
                                         "WHERE id = $1::uuid"};
static const struct stmt DRAFT_DELETE = {"draft_delete", 1,
                                         "DELETE FROM draft WHERE id = $1::uuid"};
static const struct stmt DRAFT_COUNT = {"draft_count", 1,
                                        "SELECT count(*) FROM draft WHERE owner = $1::uuid"};

const struct stmt *const revision_store_stmts[] = {
    &LOCK,         &GET,         &LIST,       &INSERT,       &ORIGINS_SET,
    &ORIGINS_DROP, &LAST_CHANGE, &ORIGINS,    &OVERRIDES,    &EXPORT,
    &DRAFT_GET,    &DRAFT_LOCK,  &DRAFT_LIST, &DRAFT_INSERT, &DRAFT_UPDATE,
    &DRAFT_DELETE, &DRAFT_COUNT, &NOTIFY,     NULL};

enum err_code revision_store_lock(struct db *db, struct err *e)
{
    return db_run(db, &LOCK, NULL, NULL, NULL, e);
}

static struct revision_row row_of(const struct rows *r, int i)
{
    return (struct revision_row){.pub = rows_int(r, i, 0),
                                 .source = rows_int(r, i, 1),
                                 .at_ms = rows_time_ms(r, i, 2),
                                 .content = rows_json(r, i, 3),
                                 .diff = rows_json(r, i, 4),
                                 .forced = rows_json(r, i, 5),
                                 .digest = rows_text(r, i, 6),
                                 .author = rows_text(r, i, 7),
                                 .reason = rows_text(r, i, 8),
                                 .kind = rows_text(r, i, 9)};
}

enum err_code revision_store_get(struct db *db, int64_t pub, struct arena *a,
                                 struct revision_row *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &GET, (struct db_param[]){P_INT(pub)}, a, &r, e);

    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_NOT_FOUND, "there is no revision %lld", (long long)pub);
    if (rc != ERR_OK)
        return rc;
    *ret = row_of(r, 0);
    return ret->content == NULL || ret->diff == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                                     : ERR_OK;
}

static void read_list(const struct rows *r, int i, void *item)
{
    *(struct revision_row *)item = row_of(r, i);
}

enum err_code revision_store_list(struct db *db, int64_t before, int limit, struct arena *a,
                                  struct revision_row **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, &LIST, (struct db_param[]){P_INT(before), P_INT(limit)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_list, ret, ret_n, e) : rc;
}

enum err_code revision_store_insert(struct db *db, const struct revision_row *row, struct err *e)
{
    return db_run(db, &INSERT,
                  (struct db_param[]){
                      P_INT(row->pub), P_JSON(row->content), P_TEXT(row->digest), P_JSON(row->diff),
                      P_TEXT(row->author), P_TEXT(row->reason), P_TEXT(row->kind),
                      row->source == 0 ? P_NULL : P_INT(row->source), P_JSON(row->forced)},
                  NULL, NULL, e);
}

enum err_code revision_store_set_origins(struct db *db, const json_t *diff, int64_t pub,
                                         struct err *e)
{
    enum err_code rc = db_run(db, &ORIGINS_DROP, (struct db_param[]){P_JSON(diff)}, NULL, NULL, e);

    if (rc != ERR_OK)
        return rc;
    return db_run(db, &ORIGINS_SET, (struct db_param[]){P_JSON(diff), P_INT(pub)}, NULL, NULL, e);
}

enum err_code revision_store_last_change(struct db *db, int64_t base_pub, const json_t *leaf,
                                         struct arena *a, struct revision_row *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_one(db, &LAST_CHANGE, (struct db_param[]){P_INT(base_pub), P_JSON(leaf)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = row_of(r, 0);
    return rc;
}

enum err_code revision_store_notify(struct db *db, int64_t pub, struct err *e)
{
    return db_run(db, &NOTIFY, (struct db_param[]){P_INT(pub)}, NULL, NULL, e);
}

static void read_origins(const struct rows *r, int i, void *item)
{
    *(struct origin_row *)item = (struct origin_row){.layer = rows_text(r, i, 0),
                                                     .id = rows_text(r, i, 1),
                                                     .row = rows_text(r, i, 2),
                                                     .author = rows_text(r, i, 3),
                                                     .reason = rows_text(r, i, 4),
                                                     .pub = rows_int(r, i, 5),
                                                     .at_ms = rows_time_ms(r, i, 6),
                                                     .key = rows_text(r, i, 7)};
}

static enum err_code origins(struct db *db, const struct stmt *stmt, const struct db_param *params,
                             struct arena *a, struct origin_row **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, stmt, params, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_origins, ret, ret_n, e) : rc;
}

enum err_code revision_store_origins(struct db *db, const char *key, struct arena *a,
                                     struct origin_row **ret, size_t *ret_n, struct err *e)
{
    return origins(db, &ORIGINS, (struct db_param[]){P_TEXT(key)}, a, ret, ret_n, e);
}

enum err_code revision_store_overrides(struct db *db, struct arena *a, struct origin_row **ret,
                                       size_t *ret_n, struct err *e)
{
    return origins(db, &OVERRIDES, NULL, a, ret, ret_n, e);
}

enum err_code revision_store_export(struct db *db, struct arena *a, struct export_row *ret,
                                    struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &EXPORT, NULL, a, &r, e);

    if (rc == ERR_OK)
        *ret = (struct export_row){.pub = rows_int(r, 0, 0),
                                   .content = rows_json(r, 0, 1),
                                   .groups = rows_json(r, 0, 2),
                                   .devices = rows_json(r, 0, 3),
                                   .identities = rows_json(r, 0, 4)};
    return rc;
}

/* --- drafts --- */

static struct draft_row draft_head_of(const struct rows *r, int i)
{
    return (struct draft_row){.id = rows_text(r, i, 0),
                              .owner = rows_text(r, i, 1),
                              .owner_name = rows_text(r, i, 2),
                              .title = rows_text(r, i, 3),
                              .base_pub = rows_int(r, i, 4),
                              .version = rows_int(r, i, 5),
                              .created_at_ms = rows_time_ms(r, i, 6),
                              .updated_at_ms = rows_time_ms(r, i, 7)};
}

static enum err_code one_draft(struct db *db, const struct stmt *stmt, const char *id,
                               struct arena *a, struct draft_row *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, stmt, (struct db_param[]){P_TEXT(id)}, a, &r, e);

    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_NOT_FOUND, "there is no draft \"%s\"", id);
    if (rc == ERR_OK) {
        *ret = draft_head_of(r, 0);
        ret->changes = rows_json(r, 0, 8);
    }
    return rc;
}

enum err_code draft_store_get(struct db *db, const char *id, struct arena *a, struct draft_row *ret,
                              struct err *e)
{
    return one_draft(db, &DRAFT_GET, id, a, ret, e);
}

enum err_code draft_store_lock(struct db *db, const char *id, struct arena *a,
                               struct draft_row *ret, struct err *e)
{
    return one_draft(db, &DRAFT_LOCK, id, a, ret, e);
}

static void read_draft_list(const struct rows *r, int i, void *item)
{
    *(struct draft_row *)item = draft_head_of(r, i);
}

enum err_code draft_store_list(struct db *db, const char *owner, const char *before, int limit,
                               struct arena *a, struct draft_row **ret, size_t *ret_n,
                               struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, &DRAFT_LIST, (struct db_param[]){P_TEXT(owner), P_TEXT(before), P_INT(limit)}, a,
               &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_draft_list, ret, ret_n, e) : rc;
}

enum err_code draft_store_insert(struct db *db, const struct draft_row *row, struct err *e)
{
    return db_run(db, &DRAFT_INSERT,
                  (struct db_param[]){P_TEXT(row->id), P_TEXT(row->owner), P_TEXT(row->title),
                                      P_INT(row->base_pub), P_JSON(row->changes)},
                  NULL, NULL, e);
}

enum err_code draft_store_update(struct db *db, const char *id, const char *title,
                                 const json_t *changes, struct err *e)
{
    return db_run(db, &DRAFT_UPDATE,
                  (struct db_param[]){P_TEXT(id), P_TEXT(title), P_JSON(changes)}, NULL, NULL, e);
}

enum err_code draft_store_delete(struct db *db, const char *id, struct err *e)
{
    return db_run(db, &DRAFT_DELETE, (struct db_param[]){P_TEXT(id)}, NULL, NULL, e);
}

enum err_code draft_store_count(struct db *db, const char *owner, int64_t *ret_n, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(16 * KIB);
    struct rows *r = NULL;
    enum err_code rc = a == NULL
                           ? err_set(e, ERR_NO_MEMORY, "out of memory")
                           : db_one(db, &DRAFT_COUNT, (struct db_param[]){P_TEXT(owner)}, a, &r, e);

    if (rc == ERR_OK)
        *ret_n = rows_int(r, 0, 0);
    return rc;
}
