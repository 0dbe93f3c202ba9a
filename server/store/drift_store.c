#include "store/drift_store.h"

static const struct stmt LIST = {
    "drift_list", 1,
    "SELECT item, found, since, coalesce(draft_id::text, ''), problem, at FROM drift_adoption "
    "WHERE device_id = $1::uuid ORDER BY item"};
static const struct stmt PUT = {
    "drift_put", 6,
    "INSERT INTO drift_adoption (device_id, item, found, since, draft_id, problem) VALUES "
    "($1::uuid, $2::text, $3::text, $4::text, nullif($5::text, '')::uuid, $6::text) "
    "ON CONFLICT (device_id, item) DO UPDATE SET found = excluded.found, since = excluded.since, "
    "draft_id = excluded.draft_id, problem = excluded.problem, at = now()"};
static const struct stmt OWNER = {
    "drift_owner", 1,
    "SELECT id FROM (SELECT a.id, 1 AS place, a.created_at FROM account a WHERE a.name = $1::text "
    "AND NOT a.disabled UNION ALL SELECT a.id, 2, a.created_at FROM account a JOIN api_token t ON "
    "t.account_id = a.id WHERE 'token:' || t.name = $1::text AND NOT a.disabled UNION ALL "
    "SELECT a.id, 3, a.created_at FROM account a WHERE a.role = 'admin' AND NOT a.disabled) x "
    "ORDER BY place, created_at LIMIT 1"};

const struct stmt *const drift_store_stmts[] = {&LIST, &PUT, &OWNER, NULL};

static void read_row(const struct rows *r, int i, void *item)
{
    *(struct drift_adoption *)item =
        (struct drift_adoption){rows_text(r, i, 0), rows_text(r, i, 1), rows_text(r, i, 2),
                                rows_text(r, i, 3), rows_text(r, i, 4), rows_time_ms(r, i, 5)};
}

enum err_code drift_store_list(struct db *db, const char *device_id, struct arena *a,
                               struct drift_adoption **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &LIST, (struct db_param[]){P_TEXT(device_id)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_row, ret, ret_n, e) : rc;
}

enum err_code drift_store_put(struct db *db, const char *device_id,
                              const struct drift_adoption *row, struct err *e)
{
    return db_run(db, &PUT,
                  (struct db_param[]){P_TEXT(device_id), P_TEXT(row->item), P_TEXT(row->found),
                                      P_TEXT(row->since), P_TEXT(row->draft_id),
                                      P_TEXT(row->problem)},
                  NULL, NULL, e);
}

enum err_code drift_store_owner(struct db *db, const char *author, struct arena *a,
                                const char **ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &OWNER, (struct db_param[]){P_TEXT(author)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_count(r) == 1 ? rows_text(r, 0, 0) : "";
    return rc;
}
