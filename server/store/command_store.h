/* command_store.h - rows of the tables command and command_output.  Strings and JSON live in the arena they were read
 * into. */
#pragma once

#include "store/db.h"

struct command_row {
    const char *id, *device_id, *device_name, *kind, *reason, *state, *by;
    json_t *args, *result, *problem; /* borrowed; NULL for NULL */
    int64_t created_ms, expires_ms, delivered_ms, started_ms, ended_ms; /* 0: not yet */
    int64_t output_bytes, version;
};

MUST_USE enum err_code command_store_insert(struct db *db, const struct command_row *c, struct err *e);
/* ERR_NOT_FOUND. */
MUST_USE enum err_code command_store_get(struct db *db, const char *id, struct arena *a, struct command_row *ret,
                                         struct err *e);
/* The same, and the row is locked until the transaction ends. */
MUST_USE enum err_code command_store_lock(struct db *db, const char *id, struct arena *a, struct command_row *ret,
                                          struct err *e);
struct command_filter { /* "": everything */
    const char *device_id, *state, *kind, *before; /* before: id of the last one seen, newest first */
    int64_t limit;
};
MUST_USE enum err_code command_store_list(struct db *db, const struct command_filter *f, struct arena *a,
                                          struct command_row **ret, size_t *ret_n, struct err *e);
/* What a device is to know of: queued ones that have not expired, delivered and running ones; oldest first. */
MUST_USE enum err_code command_store_open(struct db *db, const char *device_id, int64_t limit, struct arena *a,
                                          struct command_row **ret, size_t *ret_n, struct err *e);
MUST_USE enum err_code command_store_count_open(struct db *db, const char *device_id, int64_t *ret, struct err *e);
/* Write state, times, result, problem and output_bytes of c. */
MUST_USE enum err_code command_store_save(struct db *db, const struct command_row *c, struct err *e);
MUST_USE enum err_code command_store_add_output(struct db *db, const char *id, int64_t from, struct slice text,
                                                struct err *e);
struct command_piece {
    int64_t from;
    const char *text;
};
/* Pieces that hold byte from and what follows, at most limit. */
MUST_USE enum err_code command_store_output(struct db *db, const char *id, int64_t from, int64_t limit,
                                            struct arena *a, struct command_piece **ret, size_t *ret_n,
                                            struct err *e);
/* Queued ones whose time is over become expired; taken ones of which nothing was heard for a day after it, unknown.
 * *ret: their devices. */
MUST_USE enum err_code command_store_expire(struct db *db, struct arena *a, const char ***ret, size_t *ret_n,
                                            struct err *e);
/* Output older than 30 days and commands older than 400 go. */
MUST_USE enum err_code command_store_trim(struct db *db, struct err *e);
