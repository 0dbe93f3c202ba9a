/*
 * recovery.h - a parent that may know less than its children (protocol.md 6.14.8).
 *
 * It is fenced, by a row of the database, when a backup was restored, when the database is behind the witness file this
 * parent writes beside it at each publication, or when a child shows a revision that was never given out here.  Fenced:
 * reads and unchanged polls work, mail flows, nothing is issued (bundle_store_lock() answers ERR_FENCED) and no device is
 * given anything (app->fenced: it may have been revoked in what was lost, kept_notice.h) until an administrator has seen
 * which devices are ahead and continues.
 * Threads: any.
 */
#pragma once

#include "domain/app.h"
#include "domain/audit.h"

/* At start, after the migrations and before the first start: is this the database that the witness saw?
 * ERR_REFUSED: it holds another fleet, or none although this parent has served one.  Behind: the fence is made. */
MUST_USE enum err_code recovery_check_witness(struct db *db, struct app *app, struct err *e);
/* For whoever issues, first in its transaction: bundle_store_lock(), and the database holds what this parent has seen in
 * it.  ERR_FENCED: it does not, or it is fenced; the job thread makes the fence.  ERR_OVERLOADED: this parent has yet to
 * read the key that signs from now on. */
MUST_USE enum err_code recovery_lock(struct db *db, struct app *app, struct err *e);
/* After a publication, at start, and after another parent changed something: what this parent knows now, in
 * <state>/witness.json: numbers, and where the audit chain is, which no other history shares.  Behind: the fence is made. */
MUST_USE enum err_code recovery_write_witness(struct db *db, struct app *app, struct err *e);
/* For the job thread: fence when a device is ahead of everything ever given out.  Costs SQL only when one is. */
MUST_USE enum err_code recovery_watch(struct db *db, struct app *app, struct err *e);
/* {"fenced","reason","since","backup_of","notice","epoch","pub","rev","ahead":[{"id","name","epoch","rev","offered"}],
 * "highest"}; new reference. */
MUST_USE enum err_code recovery_describe(struct db *db, struct app *app, struct arena *a, json_t **ret, struct err *e);
/* Every device in service gets what it is entitled to under a fresh revision; inside the caller's transaction. */
MUST_USE enum err_code recovery_issue_all(struct db *db, struct app *app, struct arena *a, struct err *e);
/* The administrator has decided: this parent's settings are what counts.  In one transaction the fence ends, revisions
 * go on above the highest one seen anywhere, every device's content is issued under a fresh revision, and the audit log
 * says who and why.  keep: nothing is issued by this; a device that is ahead keeps what it runs until the next
 * publication, which reaches all of them (kept.h: what was lost goes into it).  ERR_CONFLICT: not fenced. */
MUST_USE enum err_code recovery_continue(struct db *db, struct app *app, const struct actor *by, const char *reason,
                                         bool keep, struct err *e);
