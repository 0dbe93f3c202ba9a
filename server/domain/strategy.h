/*
 * strategy.h - how a rollout goes (protocol.md 6.12): its waves, how many devices at once, times and limits; pure.
 *
 * One JSON object describes it everywhere: the fleet's policy, the "rollout" member of a publication and the strategy
 * kept with a rollout:
 *   {"strategy":"auto|all|waves", "waves":["1","per-group","10%","50%"], "max_unavailable":"10%", "canary_bake_s":600,
 *    "bake_s":300, "apply_deadline_s":600, "offline_after_s":180, "max_failures":"5%", "on_failure":"halt|revert",
 *    "approval":false, "expedite":false, "small_fleet":10,
 *    "shadow":"auto|always|never", "shadow_s":60, "soak_s":0,
 *    "guard_messages":20, "guard_factor":3, "guard_rejected":10, "guard_deferred":10, "guard_latency_s":30,
 *    "guard_queue":50, "expedite_bake_s":30, "confirm_above":50, "confirm_min":20}
 * confirm_above and confirm_min are the policy's alone, and not kept with a rollout: they are about publishing, not about the way.
 * soak_s is for the devices alone: so long after the switch each looks every 5 s whether all is well, and puts the change back by
 * itself when it is not (wire.md, "probe_soak_s"); an expedited one has none.
 * A share is a number of devices ("3") or of a hundred ("10%", rounded up, at least one).
 */
#pragma once

#include "base/arena.h"
#include "domain/guard_mail.h"
#include "json/json_in.h"

enum strategy_kind { STRATEGY_AUTO, STRATEGY_ALL, STRATEGY_WAVES };
/* Do the devices try it before anybody gets it?  auto: when it goes in waves. */
enum strategy_shadow { SHADOW_AUTO, SHADOW_ALWAYS, SHADOW_NEVER };
extern const char *const strategy_kind_names[]; /* "auto" "all" "waves", NULL */

struct share {
    enum { SHARE_NONE, SHARE_COUNT, SHARE_PERCENT, SHARE_PER_GROUP } kind;
    int n;
};
enum { STRATEGY_WAVES_MAX = 20 };

struct strategy {
    enum strategy_kind kind;
    struct share waves[STRATEGY_WAVES_MAX]; /* the rest of the devices is always the last wave */
    size_t n_waves;
    struct share max_unavailable; /* SHARE_NONE: 1 up to 10 devices, else 10 % */
    struct share max_failures;    /* of a wave after the first; at least 1 */
    int64_t canary_bake_s, bake_s, apply_deadline_s, offline_after_s, small_fleet;
    int64_t shadow_s; /* how long their answers are waited for; of an expedited one at most 10 s */
    int64_t expedite_bake_s; /* how long the one canary of an expedited one is watched, at most */
    int64_t confirm_above; /* percent of the managed devices; 100: never asked */
    int64_t confirm_min;   /* devices below which nobody is asked */
    enum strategy_shadow shadow;
    struct guard_limits guard; /* when a device that has it is well */
    bool revert, approval, expedite;
};

/* Built-in values, under the policy, under what a publication asks for: one object, new reference.  Each of the two may
 * be NULL.  ERR_INVALID names the member below pointer, also one that only the policy may have; ERR_FORBIDDEN: asked drops the
 * approval the policy wants. */
MUST_USE enum err_code strategy_merge(const json_t *policy, const json_t *asked, const char *pointer, json_t **ret,
                                      struct err *e);
/* Read a merged one. */
MUST_USE enum err_code strategy_read(const json_t *j, const char *pointer, struct strategy *ret, struct err *e);
/* "auto" becomes "all" for at most small_fleet devices, else "waves"; an expedited one has its own waves and times. */
void strategy_settle(struct strategy *s, size_t n_devices);

/* Must whoever publishes what changes so many of the managed devices say their number? */
bool strategy_wants_number(const struct strategy *s, size_t n_changing, size_t n_managed);

/* How many of n a share is: 0 for SHARE_NONE and SHARE_PER_GROUP or when n is 0; else 1..n. */
size_t share_of(struct share s, size_t n);
/* How many devices may be on their way at once: 1..n (n 0: 0). */
size_t strategy_unavailable(const struct strategy *s, size_t n);
/* How many failures the wave of n devices bears. */
size_t strategy_failures(const struct strategy *s, int wave, size_t n);
int64_t strategy_bake_s(const struct strategy *s, int wave);

struct strategy_device { /* a target; the plan is written into it */
    const char *id;
    const char *group; /* any one of its groups, for "per-group"; "" none */
    bool can_lead;     /* managed, not held and online: worth being asked first */
    int wave, place;   /* out */
};
/* Spread devices over waves, in an order made of the rollout's and each device's id: the same for the same input.  Sorts
 * v by (wave, place).  Returns the number of waves, at least 1; no wave is empty unless there are no devices. */
int strategy_plan(const struct strategy *s, const char *rollout_id, struct strategy_device *v, size_t n);
