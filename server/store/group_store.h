/* group_store.h - SQL of groups, their members, and what the checks need to know of each device. */
#pragma once

#include "store/db.h"

struct group_row { /* borrowed from the arena */
    const char *id, *name, *kind;
    int64_t priority, version, created_at_ms;
    const json_t *members; /* array of {"id","name"} by name */
};
/* ref: id or name. */
MUST_USE enum err_code group_store_get(struct db *db, const char *ref, struct arena *a,
                                       struct group_row *ret, struct err *e);
MUST_USE enum err_code group_store_lock(struct db *db, const char *ref, struct arena *a,
                                        struct group_row *ret, struct err *e);
/* By name, after the name. */
MUST_USE enum err_code group_store_list(struct db *db, const char *after, int limit,
                                        struct arena *a, struct group_row **ret, size_t *ret_n,
                                        struct err *e);
/* priority 0: ten above the highest. */
MUST_USE enum err_code group_store_insert(struct db *db, const struct group_row *row,
                                          struct err *e);
MUST_USE enum err_code group_store_update(struct db *db, const struct group_row *row,
                                          struct err *e);
MUST_USE enum err_code group_store_delete(struct db *db, const char *id, struct err *e);
MUST_USE enum err_code group_store_add(struct db *db, const char *group_id, const char *device_id,
                                       int64_t *ret_n, struct err *e);
MUST_USE enum err_code group_store_remove(struct db *db, const char *group_id,
                                          const char *device_id, int64_t *ret_n, struct err *e);
MUST_USE enum err_code group_store_touch(struct db *db, const char *id,
                                         struct err *e); /* counts the version up */

/* {"groups":{id:name},"devices":{id:name}} of everything there is; borrowed from a. */
MUST_USE enum err_code group_store_names(struct db *db, struct arena *a, json_t **ret,
                                         struct err *e);

struct fact_row { /* a device that gets configuration */
    const char *id, *name, *placement;
    const json_t *facts; /* NULL: nothing reported yet */
};
/* In order of id. */
MUST_USE enum err_code group_store_facts(struct db *db, struct arena *a, struct fact_row **ret,
                                         size_t *ret_n, struct err *e);
