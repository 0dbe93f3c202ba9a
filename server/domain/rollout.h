/*
 * rollout.h - how a publication reaches its devices (protocol.md 6.12): waves, released one after another.
 *
 * A rollout is made inside the transaction of its publication.  Its devices get their bundles when their wave is
 * released, not before: a queued device keeps what it has.  The engine (jobs.h) drives it: every pass is one
 * transaction that holds the lease "engine" in its term, so a driver that lost the lease writes nothing, and a crash
 * between two passes repeats nothing.  People's orders are conditional updates of the same row.
 *
 *   shadow -> awaiting-approval -> running <-> baking -> completed;  paused, halted -> resume | cancel | revert
 *   a newer publication: superseded;  revert -> reverting -> reverted
 *   running, baking -> paused, by itself, while an expedited one goes first or nobody is heard, and back where it stood
 */
#pragma once

#include "domain/audit.h"
#include "domain/app.h"
#include "store/db.h"

/* Whom a publication would change: devices in mode manage. */
struct rollout_reach {
    size_t devices, of;
    bool confirm; /* so many that their number has to be said */
};
struct rollout_new {
    const char *id;       /* a fresh UUIDv7 */
    int64_t pub;
    const json_t *content; /* of pub */
    const json_t *asked;   /* strategy.h, as the publication asks for it; NULL: the policy */
    const char *author, *author_id; /* name, and account */
    const char *reverts;   /* id of the rollout whose publication this takes back; "" none */
    bool owed;             /* by the engine: only while the rollout still asks for it, ERR_CONFLICT otherwise */
    int64_t confirm;       /* how many devices the author says that it changes; ROLLOUT_NOT_SAID */
    bool dry_run;          /* nobody has to say the number */
    struct rollout_reach *ret_reach; /* written with ERR_OK and ERR_CONFIRMATION_NEEDED */
};
enum { ROLLOUT_NOT_SAID = -1 };
/* Supersedes every rollout that is not over, but an expedited one on its way, and releases the first wave; an expedited
 * one supersedes nothing.  Inside the publication's transaction, after the revision's row.  ERR_INVALID below "/rollout" when asked is no strategy.
 * ERR_CONFIRMATION_NEEDED at "/confirm": the number said is wrong, or none is said and the policy's confirm_above asks for one; taking a
 * rollout back is never held up so.
 * *ret_devices: [{"id","name","rev","changed","state"}], *ret_rollout: {"state","strategy","waves"}; new references. */
MUST_USE enum err_code rollout_make(struct db *db, struct app *app, const struct rollout_new *w, struct arena *a,
                                    json_t **ret_devices, json_t **ret_rollout, struct err *e);

/* Would a publication that asks for this be expedited?  ERR_INVALID, ERR_FORBIDDEN as rollout_make(). */
MUST_USE enum err_code rollout_is_expedited(struct db *db, const json_t *asked, struct arena *a, bool *ret, struct err *e);

/* *ret: {"items","next"}, new reference; each with the number of its devices by state.  device "": all; else its id or name:
 * only those it belongs to, each with how far it is ("device_state"). */
MUST_USE enum err_code rollout_list(struct db *db, const char *device, const char *cursor, int64_t limit, struct arena *a, json_t **ret,
                                    struct err *e);
/* *ret: what the list says, its strategy, its waves and its first 500 devices; new reference. */
MUST_USE enum err_code rollout_get(struct db *db, const char *id, struct arena *a, json_t **ret, int64_t *ret_version,
                                   struct err *e);
/* wave -1 and state "": all.  *ret: {"items","next"}. */
MUST_USE enum err_code rollout_device_list(struct db *db, const char *id, int wave, const char *state, const char *cursor,
                                           int64_t limit, struct arena *a, json_t **ret, struct err *e);

/* What the guards say of devices of such an answer, in the caller's language. */
void rollout_tell_in(json_t *answer, enum lang lang);

enum rollout_verb {
    ROLLOUT_PAUSE,   /* nothing more is released */
    ROLLOUT_RESUME,  /* after a pause or a halt; failures so far are borne */
    ROLLOUT_HALT,    /* as a failure would */
    ROLLOUT_CANCEL,  /* it ends here: who has it keeps it, the others keep what they have */
    ROLLOUT_APPROVE, /* by another account than the author's */
    ROLLOUT_PROMOTE, /* the next wave now, without more baking, missing answers, or in spite of a refusal */
};
extern const char *const rollout_verb_names[];
struct rollout_order {
    enum rollout_verb verb;
    const char *reason;  /* NULL none */
    const struct actor *by;
    int64_t version; /* 0: whichever */
    bool dry_run;
};
/* ERR_CONFLICT: not in this state (the message names it); ERR_STALE_EDIT; ERR_FORBIDDEN: the author approves.
 * *ret: the rollout after it. */
MUST_USE enum err_code rollout_order_run(struct db *db, struct app *app, const char *id, const struct rollout_order *o,
                                         struct arena *a, json_t **ret, int64_t *ret_version, struct err *e);
/* May this order be given in this state?  The state table, pure. */
bool rollout_verb_possible(enum rollout_verb verb, const char *state);
/* The same for a revert. */
bool rollout_revert_possible(const char *state);

/* One pass of the engine over every open rollout.  holder, term: of the lease "engine"; ERR_CONFLICT when they do not
 * hold it: nothing was written.  *ret_n: how many are open; without an error 0 means that nothing is to be done until a
 * hint ("inari_change", db.h) comes. */
MUST_USE enum err_code rollout_engine(struct db *db, struct app *app, const char *holder, int64_t term, size_t *ret_n,
                                      struct err *e);

/* What the engine remembers of figures (app.h); NULL: nothing. */
struct rollout_figures;
void rollout_figures_free(struct rollout_figures *f);

/* By what this parent alone has heard: is it worth a pass to find out whether the fleet has fallen silent?  No SQL. */
bool rollout_may_be_silent(struct app *app);
/* {"type":"FleetHeard","status","reason","since","gone","of"}: does the parent hear its fleet?  New reference. */
MUST_USE enum err_code rollout_silence_condition(struct db *db, struct arena *a, json_t **ret, struct err *e);

/* The fleet's policy: what is set, and what that comes to.  {"policy","effective","version"}. */
MUST_USE enum err_code rollout_policy_get(struct db *db, struct arena *a, json_t **ret, int64_t *ret_version,
                                          struct err *e);
/* Merge patch; null goes back to the built-in value. */
MUST_USE enum err_code rollout_policy_patch(struct db *db, const json_t *patch, int64_t version, bool dry_run,
                                            const struct actor *by, struct arena *a, json_t **ret, int64_t *ret_version,
                                            struct err *e);
