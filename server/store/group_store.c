#include "store/group_store.h"

#define GROUP                                                                                      \
    "SELECT g.id, g.name, g.kind, g.priority, g.version, g.created_at, coalesce((SELECT "          \
    "jsonb_agg(jsonb_build_object('id', d.id, 'name', d.name) ORDER BY d.name) FROM "              \
    "device_member m JOIN device d ON d.id = m.device_id WHERE m.group_id = g.id), '[]') "         \
    "FROM device_group g "
static const struct stmt GET = {"group_get", 1,
                                GROUP "WHERE g.id::text = $1::text OR g.name = $1::text"};
static const struct stmt LOCK = {
    "group_lock", 1, GROUP "WHERE g.id::text = $1::text OR g.name = $1::text FOR UPDATE OF g"};
static const struct stmt LIST = {"group_list", 2,
                                 GROUP "WHERE g.name > $1::text ORDER BY g.name LIMIT $2::int"};
static const struct stmt INSERT = {
    "group_insert", 4,
    "INSERT INTO device_group (id, name, kind, priority) VALUES ($1::uuid, $2::text, $3::text, "
    "CASE WHEN $4::int = 0 THEN (SELECT coalesce(max(priority), 0) + 10 FROM device_group) ELSE "
    "$4::int END)"};
static const struct stmt UPDATE = {"group_update", 4,
                                   "UPDATE device_group SET name = $2::text, kind = $3::text, "
                                   "priority = $4::int, version = version + 1 "
                                   "WHERE id = $1::uuid"};
static const struct stmt DELETE = {"group_delete", 1,
                                   "DELETE FROM device_group WHERE id = $1::uuid"};
static const struct stmt ADD = {"group_add", 2,
                                "INSERT INTO device_member (group_id, device_id) VALUES ($1::uuid, "
                                "$2::uuid) ON CONFLICT DO NOTHING"};
static const struct stmt REMOVE = {
    "group_remove", 2,
    "DELETE FROM device_member WHERE group_id = $1::uuid AND device_id = $2::uuid"};
static const struct stmt TOUCH = {
    "group_touch", 1, "UPDATE device_group SET version = version + 1 WHERE id = $1::uuid"};
static const struct stmt NAMES = {
    "group_names", 0,
    "SELECT jsonb_build_object("
    "'groups', coalesce((SELECT jsonb_object_agg(id, name) FROM device_group), '{}'), "
    "'devices', coalesce((SELECT jsonb_object_agg(id, name) FROM device), '{}'))"};
static const struct stmt FACTS = {
    "device_facts", 0,
    "SELECT id, name, placement, inventory->'facts' FROM device "
    "WHERE state IN ('observing', 'managed', 'held', 'quarantined') ORDER BY id"};

const struct stmt *const group_store_stmts[] = {&GET, &LOCK,   &LIST,  &INSERT, &UPDATE, &DELETE,
                                                &ADD, &REMOVE, &TOUCH, &NAMES,  &FACTS,  NULL};

static struct group_row row_of(const struct rows *r, int i)
{
    return (struct group_row){.id = rows_text(r, i, 0),
                              .name = rows_text(r, i, 1),
                              .kind = rows_text(r, i, 2),
                              .priority = rows_int(r, i, 3),
                              .version = rows_int(r, i, 4),
                              .created_at_ms = rows_time_ms(r, i, 5),
                              .members = rows_json(r, i, 6)};
}

static enum err_code one(struct db *db, const struct stmt *stmt, const char *ref, struct arena *a,
                         struct group_row *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, stmt, (struct db_param[]){P_TEXT(ref)}, a, &r, e);

    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_NOT_FOUND, "there is no group \"%s\"", ref);
    if (rc == ERR_OK)
        *ret = row_of(r, 0);
    return rc;
}

enum err_code group_store_get(struct db *db, const char *ref, struct arena *a,
                              struct group_row *ret, struct err *e)
{
    return one(db, &GET, ref, a, ret, e);
}

enum err_code group_store_lock(struct db *db, const char *ref, struct arena *a,
                               struct group_row *ret, struct err *e)
{
    return one(db, &LOCK, ref, a, ret, e);
}

static void read_list(const struct rows *r, int i, void *item)
{
    *(struct group_row *)item = row_of(r, i);
}

enum err_code group_store_list(struct db *db, const char *after, int limit, struct arena *a,
                               struct group_row **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, &LIST, (struct db_param[]){P_TEXT(after), P_INT(limit)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_list, ret, ret_n, e) : rc;
}

enum err_code group_store_insert(struct db *db, const struct group_row *row, struct err *e)
{
    return db_run(db, &INSERT,
                  (struct db_param[]){P_TEXT(row->id), P_TEXT(row->name), P_TEXT(row->kind),
                                      P_INT(row->priority)},
                  NULL, NULL, e);
}

enum err_code group_store_update(struct db *db, const struct group_row *row, struct err *e)
{
    return db_run(db, &UPDATE,
                  (struct db_param[]){P_TEXT(row->id), P_TEXT(row->name), P_TEXT(row->kind),
                                      P_INT(row->priority)},
                  NULL, NULL, e);
}

enum err_code group_store_delete(struct db *db, const char *id, struct err *e)
{
    return db_run(db, &DELETE, (struct db_param[]){P_TEXT(id)}, NULL, NULL, e);
}

enum err_code group_store_add(struct db *db, const char *group_id, const char *device_id,
                              int64_t *ret_n, struct err *e)
{
    return db_change(db, &ADD, (struct db_param[]){P_TEXT(group_id), P_TEXT(device_id)}, ret_n, e);
}

enum err_code group_store_remove(struct db *db, const char *group_id, const char *device_id,
                                 int64_t *ret_n, struct err *e)
{
    return db_change(db, &REMOVE, (struct db_param[]){P_TEXT(group_id), P_TEXT(device_id)}, ret_n,
                     e);
}

enum err_code group_store_touch(struct db *db, const char *id, struct err *e)
{
    return db_run(db, &TOUCH, (struct db_param[]){P_TEXT(id)}, NULL, NULL, e);
}

enum err_code group_store_names(struct db *db, struct arena *a, json_t **ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &NAMES, NULL, a, &r, e);

    if (rc != ERR_OK)
        return rc;
    *ret = rows_json(r, 0, 0);
    return *ret == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}

static void read_facts(const struct rows *r, int i, void *item)
{
    *(struct fact_row *)item = (struct fact_row){rows_text(r, i, 0), rows_text(r, i, 1),
                                                 rows_text(r, i, 2), rows_json(r, i, 3)};
}

enum err_code group_store_facts(struct db *db, struct arena *a, struct fact_row **ret,
                                size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &FACTS, NULL, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_facts, ret, ret_n, e) : rc;
}
