/*
 * publish.h - from a draft, or from history, to the next revision (design.md 4): one transaction
 * holds the revision, where each value comes from, the signed bundles, the rollout and the audit
 * entry; after it the fleet table is refreshed. A revision covers the whole fleet and is never
 * edited.  A kill at any moment leaves all of it or nothing.
 */
#pragma once

#include "domain/audit.h"
#include "domain/check.h"
#include "domain/app.h"

struct publish {
    const struct actor *by;
    const char *reason;       /* 1..500 bytes */
    const char *force_reason; /* NULL: nothing is forced */
    enum lang lang;
    bool any_owner; /* may publish the draft of another account */
    bool dry_run;
    int64_t confirm;       /* how many devices it is said to change; ROLLOUT_NOT_SAID (rollout.h) */
    const json_t *rollout; /* how it reaches the devices (strategy.h); NULL: the fleet's policy */
};
struct published {
    struct findings findings; /* all of them; the caller clears it */
    json_t
        *result; /* {"pub","rollout_id","devices":[{"id","name","rev","changed"}],"changes":n,...};
                    owned */
    json_t *problem; /* members for the problem document: "conflicts" or "reach"; owned */
};
void published_clear(struct published *p);

/* ERR_STALE_DRAFT: the same leaf was published meanwhile (problem names key, pub and author).
 * ERR_INVALID: findings.
 * ERR_CONFIRMATION_NEEDED: the number of devices that change was not said, or is another (problem:
 * "reach").  These hold for the next two as well. */
MUST_USE enum err_code publish_draft(struct db *db, struct app *app, const char *draft_id,
                                     const struct publish *how, struct published *ret,
                                     struct err *e);
/* Everything as it was in revision pub. */
MUST_USE enum err_code publish_restore(struct db *db, struct app *app, int64_t pub,
                                       const struct publish *how, struct published *ret,
                                       struct err *e);
/* Take back what revision pub changed; a leaf that was changed again since stays (result: "kept").
 */
MUST_USE enum err_code publish_undo(struct db *db, struct app *app, int64_t pub,
                                    const struct publish *how, struct published *ret,
                                    struct err *e);
/* Take back what the publication of a rollout changed, from the devices that have it: an undo whose
 * rollout goes the same way with short baking.  ERR_CONFLICT: the rollout cannot be reverted in its
 * state.  fence NULL: a person asks. */
struct publish_fence {
    const char *holder; /* of the lease "engine", in this term */
    int64_t term;
};
MUST_USE enum err_code publish_revert(struct db *db, struct app *app, const char *rollout_id,
                                      const struct publish *how, const struct publish_fence *fence,
                                      struct published *ret, struct err *e);
/* At the first start: revision 1, empty.  In a transaction. */
MUST_USE enum err_code publish_bootstrap(struct db *db, struct err *e);
