/* secret_store.h - SQL of sealed secrets: their boxes, and which device was given which (domain/secret.h). */
#pragma once

#include "store/db.h"

extern const struct stmt *const secret_store_stmts[];

MUST_USE enum err_code secret_store_add(struct db *db, const char *id, const char *setting, struct slice box,
                                        const char *author, struct err *e);
/* ERR_NOT_FOUND: there is none with that id for that setting. */
MUST_USE enum err_code secret_store_get(struct db *db, const char *id, const char *setting, struct arena *a,
                                        struct slice *ret_box, struct err *e);
/* The boxes that publication is the first to have. */
MUST_USE enum err_code secret_store_published(struct db *db, int64_t pub, struct err *e);
/* Remove boxes that no publication, draft or running trial has.  fresh: also those of the last hour. */
MUST_USE enum err_code secret_store_trim(struct db *db, bool fresh, struct err *e);
/* The device gets it, or has it already. */
MUST_USE enum err_code secret_store_given(struct db *db, const char *device_id, const char *id, struct err *e);
MUST_USE enum err_code secret_store_any(struct db *db, const char *device_id, bool *ret, struct err *e);

struct secret_row { /* in arena a */
    const char *id, *setting, *author;
    int64_t created_ms, given_ms /* 0: of no device */, pub /* 0: never published */;
    bool in_use; /* the newest publication has it */
};
/* Newest first, at most 1000.  device_id NULL: all that are in use; else what that device was ever given. */
MUST_USE enum err_code secret_store_list(struct db *db, const char *device_id, struct arena *a, struct secret_row **ret,
                                         size_t *ret_n, struct err *e);
