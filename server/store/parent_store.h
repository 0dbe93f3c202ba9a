/* parent_store.h - what the database says about itself. */
#pragma once

#include "store/db.h"

struct parent_facts {
    const char *server_version; /* borrowed from the arena: "15.13 (Debian ...)" */
    int64_t size_bytes;         /* of the whole database */
    int64_t schema;             /* number of the last migration */
    int64_t pub;                /* newest revision; 0: none */
    int64_t devices;
    bool fenced;           /* recovery_store.h */
    json_t *device_states; /* borrowed from the arena: {"managed":12,...}, states of none are left
                              out */
};
MUST_USE enum err_code parent_store_facts(struct db *db, struct arena *a, struct parent_facts *ret,
                                          struct err *e);
