/* rollout_store.h - SQL of rollouts and of the lease for singleton work. */
#pragma once

#include "store/db.h"

extern const struct stmt *const rollout_store_stmts[];

/* Make a rollout of one wave and supersede the running ones; its term is the lease's.  state: "running", or "completed"
 * when no device changes. */
MUST_USE enum err_code rollout_store_make(struct db *db, const char *id, int64_t pub, const char *state, const json_t *waves,
                                          struct err *e);
struct rollout_row {
    const char *id, *state;
    int64_t pub, term, created_ms, ended_ms;
    const json_t *waves;
};
MUST_USE enum err_code rollout_store_get(struct db *db, const char *id, struct arena *a, struct rollout_row *ret,
                                         struct err *e);
/* Newest first, before the id of the cursor ("" the first page). */
MUST_USE enum err_code rollout_store_list(struct db *db, const char *before, int64_t limit, struct arena *a,
                                          struct rollout_row **ret, size_t *ret_n, struct err *e);
struct rollout_device {
    const char *id, *name, *state, *digest, *etag, *made_for; /* made_for: "mode,placement,drift" */
    int64_t rev, desired_rev, offered_rev;
    const json_t *status; /* NULL none */
};
MUST_USE enum err_code rollout_store_devices(struct db *db, const char *rollout_id, struct arena *a,
                                             struct rollout_device **ret, size_t *ret_n, struct err *e);
MUST_USE enum err_code rollout_store_running(struct db *db, struct arena *a, struct rollout_row **ret, size_t *ret_n,
                                             struct err *e);
/* An engine write: only while holder has the lease in that term.  *ret_done: false when it has not, or the rollout is
 * no longer running. */
MUST_USE enum err_code rollout_store_end(struct db *db, const char *id, const char *state, const char *holder, int64_t term,
                                         bool *ret_done, struct err *e);

/* Take or renew a lease for 15 s of database time.  *ret_term: 0 when somebody else has it. */
MUST_USE enum err_code lease_store_take(struct db *db, const char *name, const char *holder, int64_t *ret_term,
                                        struct err *e);
