/* rollout_store.h - SQL of rollouts, of the policy, and of the lease for singleton work. */
#pragma once

#include "store/db.h"

extern const struct stmt *const rollout_store_stmts[];

#define ROLLOUT_FAILED_STATES                                                                      \
    "('rejected', 'reverted', 'interrupted', 'degraded', 'timed-out', 'unhealthy')"

struct rollout_row { /* borrowed from the arena; times in ms of the parent's clock, 0: none */
    const char *id, *state, *paused_from, *reason, *author, *author_id, *approver;
    const char *reverts; /* "" none */
    int64_t pub, term, version, created_ms, ended_ms, state_ms;
    int n_waves, wave;
    bool auto_revert;
    const char *urgent; /* what it lays over what each device has, "6"; "": it brings the whole publication */
    const char *waits;  /* paused by itself: "urgent", "silence", "absent"; "" not */
    int64_t stood_ms;   /* how long it had been in paused_from when it began to wait */
    bool overruled;     /* a silent fleet does not stop it any more */
    const json_t *strategy;
    const json_t *counts; /* {"confirmed":n,...}; NULL where it was not asked for */
    const char *of_device; /* of a list of one device's: how far that one is; else NULL */
};
/* Its term becomes the lease's. */
MUST_USE enum err_code rollout_store_insert(struct db *db, const struct rollout_row *r, struct err *e);
/* Those that are not over, oldest first. */
MUST_USE enum err_code rollout_store_unended(struct db *db, struct arena *a, struct rollout_row **ret, size_t *ret_n,
                                             struct err *e);
/* ERR_NOT_FOUND names the id. */
MUST_USE enum err_code rollout_store_get(struct db *db, const char *id, struct arena *a, struct rollout_row *ret,
                                         struct err *e);
MUST_USE enum err_code rollout_store_lock(struct db *db, const char *id, struct arena *a, struct rollout_row *ret,
                                          struct err *e);
/* Newest first, with counts; before "": from the newest.  device: only those with it, by id or name; "" all. */
MUST_USE enum err_code rollout_store_list(struct db *db, const char *device, const char *before, int64_t limit, struct arena *a,
                                          struct rollout_row **ret, size_t *ret_n, struct err *e);
/* Of a row r of rollout: the engine looks at it.  Whoever makes it so sends a hint ("inari_change"). */
#define ROLLOUT_OPEN                                                                               \
    "(r.state IN ('shadow', 'running', 'baking') OR r.waits <> '' OR (r.auto_revert AND r.state = 'halted') OR r.id IN"       \
    " (SELECT rollout_id FROM rollout_device WHERE state IN ('offered', 'fetched')))"
/* It goes on or has to be decided about: paused and halted ones as well, which the engine need not look at. */
#define ROLLOUT_UNENDED                                                                            \
    "r.state IN ('shadow', 'awaiting-approval', 'running', 'baking', 'paused', 'halted', 'reverting')"
/* What the engine looks at, oldest first: those that move, and others with devices still on their way. */
MUST_USE enum err_code rollout_store_open(struct db *db, struct arena *a, struct rollout_row **ret, size_t *ret_n,
                                          struct err *e);
/* Completed ones that every device is to have while some have not: the newest whole publication, and the expedited ones
 * above it.  Oldest first. */
MUST_USE enum err_code rollout_store_lagging(struct db *db, struct arena *a, struct rollout_row **ret, size_t *ret_n,
                                             struct err *e);
/* How long the most impatient of those that are not over waits for a device, in s; 0: there is none. */
MUST_USE enum err_code rollout_store_patience(struct db *db, int64_t *ret, struct err *e);
/* The note that the fleet fell silent: {"since_ms","late_ms","gone","of"}, or NULL; borrowed from a. */
MUST_USE enum err_code rollout_store_silence(struct db *db, struct arena *a, const json_t **ret, struct err *e);
/* doc NULL: it is over. */
MUST_USE enum err_code rollout_store_silence_save(struct db *db, const json_t *doc, struct err *e);
/* Writes state, wave, state_ms, ended_ms, paused_from, reason, approver, auto_revert, waits, stood_ms and overruled, and
 * counts the version up.
 * term: of the lease, 0 for a person's order.  ERR_CONFLICT: a driver of a later term was here. */
MUST_USE enum err_code rollout_store_save(struct db *db, const struct rollout_row *r, int64_t term, struct err *e);
/* The newest publication that the whole fleet was given, and the expedited ones it was given on top ("6,8", "" none). */
MUST_USE enum err_code rollout_store_stable(struct db *db, struct arena *a, int64_t *ret, const char **ret_urgent,
                                            struct err *e);
/* What it stands aside for: another expedited rollout; a fleet that has fallen silent. */
MUST_USE enum err_code rollout_store_waits(struct db *db, const struct rollout_row *row, struct arena *a,
                                           bool *ret_urgent, bool *ret_silent, struct err *e);

MUST_USE enum err_code rollout_store_policy(struct db *db, struct arena *a, const json_t **ret, int64_t *ret_version,
                                            struct err *e);
MUST_USE enum err_code rollout_store_policy_lock(struct db *db, struct arena *a, const json_t **ret, int64_t *ret_version,
                                                 struct err *e);
MUST_USE enum err_code rollout_store_policy_save(struct db *db, const json_t *doc, struct err *e);

/* Take or renew the lease (15 s): *ret_term 0 when somebody else has it.  The term grows with every change of hands. */
MUST_USE enum err_code lease_store_take(struct db *db, const char *name, const char *holder, int64_t *ret_term,
                                        struct err *e);
/* Inside a transaction: the lease is ours in this term and stays so until the commit.  ERR_CONFLICT: it is not. */
MUST_USE enum err_code lease_store_hold(struct db *db, const char *name, const char *holder, int64_t term,
                                        struct err *e);
