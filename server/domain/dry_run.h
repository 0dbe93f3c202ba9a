/*
 * dry_run.h - a change judged by the devices it is for, before anybody gets it (protocol.md 6.12, "shadow"): each stages
 * and validates it with its own Postfix, probes the throw-away instance, and writes nothing live.  Asked by a tracked
 * command of kind dry-run; the device fetches what it is to try by the command's id (GET /commands/{id}/bundle).
 *
 * A device that is away when it begins, or does not take the command in time, is counted and named, not waited for.
 *   running -> passed | refused (one device is enough) | inconclusive (nobody could say) | cancelled
 */
#pragma once

#include "domain/audit.h"
#include "domain/app.h"
#include "domain/issue.h"
#include "store/dry_run_store.h"
#include "store/rollout_device_store.h"

enum { DRY_RUN_WAIT_S = 60, DRY_RUN_WAIT_MIN_S = 10, DRY_RUN_WAIT_MAX_S = 3600 };

struct dry_run_new {
    struct dry_run_row row;   /* id, rollout_id, draft_id, pub, content, author */
    int64_t wait_s;           /* more for many devices: they come at a pace */
    int64_t offline_after_s;
    const struct issue_change *changes; /* of issue_compare(), and the targets in the same order */
    const struct rollout_target *targets;
    size_t n;
};
/* Inside a transaction with the issuer's lock.  Managed devices that change are asked; row gets its times. */
MUST_USE enum err_code dry_run_make(struct db *db, struct app *app, struct dry_run_new *w, struct arena *a, struct err *e);
/* Take over what devices said; ends it when nobody is waited for, or give_up.  *ret_row: as it is then (with counts).
 * Inside a transaction. */
MUST_USE enum err_code dry_run_step(struct db *db, const char *id, bool give_up, int64_t now_ms, struct arena *a,
                                    struct dry_run_row *ret_row, struct err *e);
/* One pass over those that no rollout drives; under the lease "engine".  *ret_changed: issue_committed() is due; *ret_n is
 * raised by those that go on. */
MUST_USE enum err_code dry_run_engine(struct db *db, const char *holder, int64_t term, bool *ret_changed, size_t *ret_n,
                                      struct err *e);

struct dry_run_ask {
    const char *draft_id;
    int64_t wait_s;
    const struct actor *by;
    enum lang lang;
    bool any_owner, dry_run; /* may try another account's draft; only count who would be asked */
};
/* On demand.  ERR_INVALID with f: the planner refuses it already.  *ret: as dry_run_get(), new reference. */
MUST_USE enum err_code dry_run_draft(struct db *db, struct app *app, const struct dry_run_ask *o, struct arena *a,
                                     struct findings *f, json_t **ret, struct err *e);
/* {"id","rollout_id","draft_id","pub","state","author","created_at","deadline_at","ended_at","counts","devices":[{"id",
 * "name","state","reason","problem","ended_at"}]}: the first 500, refusals first; new reference. */
MUST_USE enum err_code dry_run_get(struct db *db, const char *id, struct arena *a, json_t **ret, struct err *e);
/* *ret null when the rollout had none. */
MUST_USE enum err_code dry_run_of_rollout(struct db *db, const char *rollout_id, struct arena *a, json_t **ret,
                                          struct err *e);
/* {"items","next"}, without devices. */
MUST_USE enum err_code dry_run_list(struct db *db, const char *cursor, int64_t limit, struct arena *a, json_t **ret,
                                    struct err *e);
/* For the device that was asked: the bundle of mode dry-run, flattened JWS, heap.  ERR_NOT_FOUND: it is over. */
MUST_USE enum err_code dry_run_bundle(struct db *db, struct app *app, const char *device_id, const char *command_id,
                                      struct arena *a, char **ret_jws, struct err *e);
