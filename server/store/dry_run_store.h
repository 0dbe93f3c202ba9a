/* dry_run_store.h - SQL of changes that devices check before anybody gets them. */
#pragma once

#include "store/db.h"

extern const struct stmt *const dry_run_store_stmts[];

struct dry_run_row { /* borrowed from the arena; times in ms of the parent's clock, 0: none */
    const char *id, *state, *author;
    const char *rollout_id, *draft_id; /* "" none */
    int64_t pub, created_ms, deadline_ms, ended_ms;
    const json_t *content; /* NULL: that of pub; only for dry_run_store_insert() */
    const json_t *counts;  /* {"passed":n,...}; not read by dry_run_store_open() */
};
MUST_USE enum err_code dry_run_store_insert(struct db *db, const struct dry_run_row *r, struct err *e);
/* rows: array of {"device_id","command_id" or null,"state","reason"}.  Each command_id becomes an open command of kind
 * dry-run that runs out at expires_ms. */
MUST_USE enum err_code dry_run_store_add(struct db *db, const struct dry_run_row *r, const json_t *rows,
                                         int64_t expires_ms, struct err *e);
/* ERR_NOT_FOUND. */
MUST_USE enum err_code dry_run_store_get(struct db *db, const char *id, struct arena *a, struct dry_run_row *ret,
                                         struct err *e);
/* Its newest one. */
MUST_USE enum err_code dry_run_store_of_rollout(struct db *db, const char *rollout_id, struct arena *a,
                                                struct dry_run_row *ret, struct err *e);
/* Newest first; before "": from the newest. */
MUST_USE enum err_code dry_run_store_list(struct db *db, const char *before, int64_t limit, struct arena *a,
                                          struct dry_run_row **ret, size_t *ret_n, struct err *e);
/* Running ones that no rollout in state "shadow" or "paused" drives. */
MUST_USE enum err_code dry_run_store_open(struct db *db, struct arena *a, struct dry_run_row **ret, size_t *ret_n,
                                          struct err *e);
/* Refused ones first, then those nothing was heard of; at most limit.  *ret: array of {"id","name","state","reason",
 * "problem","ended_at"}, new reference. */
MUST_USE enum err_code dry_run_store_devices(struct db *db, const char *id, int64_t limit, struct arena *a, json_t **ret,
                                             struct err *e);
/* Take over what became of the commands; after the deadline nobody is waited for. */
MUST_USE enum err_code dry_run_store_settle(struct db *db, const char *id, int64_t now_ms, struct err *e);
/* Nobody is waited for any more. */
MUST_USE enum err_code dry_run_store_hurry(struct db *db, const char *rollout_id, int64_t now_ms, struct err *e);
/* It is over: its draft's content goes, commands nobody took are cancelled.  *ret: ids of their devices. */
MUST_USE enum err_code dry_run_store_end(struct db *db, const char *id, const char *state, int64_t now_ms,
                                         struct arena *a, const char ***ret, size_t *ret_n, struct err *e);
struct dry_run_subject {
    int64_t pub;
    const json_t *content;
    const char *urgent; /* of its rollout; "" the whole publication */
};
/* What this command of this device is about.  ERR_NOT_FOUND: nothing, or nothing any more. */
MUST_USE enum err_code dry_run_store_content(struct db *db, const char *command_id, const char *device_id, struct arena *a,
                                             struct dry_run_subject *ret, struct err *e);
MUST_USE enum err_code dry_run_store_trim(struct db *db, struct err *e); /* on demand, and a month ago */
