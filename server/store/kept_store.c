#include "store/kept_store.h"

#define IN_SERVICE "d.state IN ('observing', 'managed', 'held', 'quarantined')"

static const struct stmt PUT = {
    "kept_put", 5,
    "INSERT INTO device_kept AS k (device_id, epoch, rev, pub, settings) VALUES ($1::uuid, "
    "$2::bigint, $3::bigint, $4::bigint, $5::jsonb) ON CONFLICT (device_id) DO UPDATE SET epoch = "
    "excluded.epoch, rev = excluded.rev, pub = excluded.pub, settings = excluded.settings, "
    "received_at = now() WHERE (excluded.epoch, excluded.rev) > (k.epoch, k.rev)"};
static const struct stmt LIST = {
    "kept_list", 0,
    "SELECT d.id, d.name, k.epoch, k.rev, k.pub, k.settings FROM device_kept k JOIN device d ON "
    "d.id = k.device_id WHERE k.rev > d.desired_rev AND " IN_SERVICE " ORDER BY d.name LIMIT 1000"};
static const struct stmt COUNT = {"kept_in_service", 0,
                                  "SELECT count(*) FROM device d WHERE " IN_SERVICE};

const struct stmt *const kept_store_stmts[] = {&PUT, &LIST, &COUNT, NULL};

enum err_code kept_store_put(struct db *db, const struct kept_row *row, struct err *e)
{
    return db_run(db, &PUT,
                  (struct db_param[]){P_TEXT(row->id), P_INT(row->epoch), P_INT(row->rev),
                                      P_INT(row->pub), P_JSON(row->settings)},
                  NULL, NULL, e);
}

static void read_row(const struct rows *r, int i, void *item)
{
    *(struct kept_row *)item =
        (struct kept_row){rows_text(r, i, 0), rows_text(r, i, 1), rows_int(r, i, 2),
                          rows_int(r, i, 3),  rows_int(r, i, 4),  rows_json(r, i, 5)};
}

enum err_code kept_store_list(struct db *db, struct arena *a, struct kept_row **ret, size_t *ret_n,
                              struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &LIST, NULL, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_row, ret, ret_n, e) : rc;
}

enum err_code kept_store_in_service(struct db *db, int64_t *ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc =
        a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : db_one(db, &COUNT, NULL, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_int(r, 0, 0);
    return rc;
}
