#include "store/parent_store.h"

static const struct stmt FACTS = {
    "parent_facts", 0,
    "SELECT current_setting('server_version'), pg_database_size(current_database()), "
    "(SELECT coalesce(max(number), 0) FROM schema_migration), "
    "(SELECT coalesce(max(pub), 0) FROM revision), (SELECT count(*) FROM device), "
    "EXISTS (SELECT FROM meta WHERE key = 'fence'), (SELECT coalesce(jsonb_object_agg(state, n), "
    "'{}') FROM (SELECT state, count(*) AS n FROM device GROUP BY state) s)"};

const struct stmt *const parent_store_stmts[] = {&FACTS, NULL};

enum err_code parent_store_facts(struct db *db, struct arena *a, struct parent_facts *ret,
                                 struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &FACTS, NULL, a, &r, e);

    if (rc != ERR_OK)
        return rc;
    *ret = (struct parent_facts){.server_version = rows_text(r, 0, 0),
                                 .size_bytes = rows_int(r, 0, 1),
                                 .schema = rows_int(r, 0, 2),
                                 .pub = rows_int(r, 0, 3),
                                 .devices = rows_int(r, 0, 4),
                                 .fenced = rows_bool(r, 0, 5),
                                 .device_states = rows_json(r, 0, 6)};
    return ret->device_states == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}
