/*
 * issue.h - from published content to signed bundles (protocol.md 6.8): effective settings of each device, one
 * rendering per distinct content, a new rev and a signature for every device whose content, mode, placement or drift
 * policy changed.  A device that is held keeps what it was offered; its desired_rev moves on.
 * Transactions: issue_devices() and issue_reissue() run inside the caller's; they take an advisory lock first, so
 * that two issuers never interleave.  After the commit the caller calls issue_committed().
 */
#pragma once

#include "catalog/catalog.h"
#include "domain/app.h"
#include "store/db.h"

/* content everywhere: {"fleet":{},"groups":{id:{}},"devices":{id:{}}}. */

struct issue_change { /* borrowed from the arena */
    const char *id, *name;
    int64_t rev; /* what it has now */
    bool changed;
};
/* What each device in service would get; nothing is issued.  In id order.  add "": content is everybody's; else what each
 * has, with the expedited publications add ("6,8") on top (combine.h; content is not looked at). */
MUST_USE enum err_code issue_compare(struct db *db, struct app *app, const json_t *content, const char *add,
                                     struct arena *a, struct issue_change **ret, size_t *ret_n, struct err *e);
struct issue_of {
    int64_t pub;            /* its row exists already */
    const char *urgent;     /* "6,8": laid over what each device has; "": pub becomes what it has */
    const char *rollout_id; /* named in the bundle; NULL: no rollout */
    int wave;
};
/* The named devices are entitled to it from now on, and get a bundle where that changes something; a held one is not
 * offered it yet. */
MUST_USE enum err_code issue_devices(struct db *db, struct app *app, const struct issue_of *of,
                                     const char *const *device_ids, size_t n, struct arena *a, struct err *e);
/* The first half of that alone, for devices whose settings it does not change. */
MUST_USE enum err_code issue_entitle(struct db *db, const struct issue_of *of, const char *const *device_ids, size_t n,
                                     struct arena *a, struct err *e);
/* The named devices against the publication each is entitled to: enrolment, mode, placement or group membership changed.
 * One that has none gets the newest that the whole fleet was given. */
MUST_USE enum err_code issue_reissue(struct db *db, struct app *app, const char *const *device_ids, size_t n,
                                     struct arena *a, struct err *e);
/* What a device is to try and not to run: one bundle of mode dry-run, for the command that asked for it (its jti).  Its
 * rev is 1: no device that has a configuration takes it for one.  *ret: flattened JWS, heap; nothing is stored. */
struct issue_trial_of {
    int64_t pub;
    const json_t *content; /* when urgent is "" */
    const char *urgent;    /* else: on top of what the device has */
};
MUST_USE enum err_code issue_trial(struct db *db, struct app *app, const struct issue_trial_of *of, const char *device_id,
                                   const char *jti, struct arena *a, char **ret, struct err *e);
/* "{a,b}" of the ids, in a; NULL without memory.  Only UUIDs. */
const char *issue_id_array(const char *const *ids, size_t n, struct arena *a);
/* After the commit: refresh the fleet table and wake the devices that have something new, at most 100 a second.
 * Failure is not the caller's: the job thread does the same when the hint of the commit comes. */
enum err_code issue_committed(struct db *db, struct app *app, struct err *e);

/* The layers of one device, lowest first (fleet, groups by priority, device), borrowing from content and a. */
MUST_USE enum err_code issue_layers(struct db *db, const json_t *content, const char *device_id, struct arena *a,
                                    struct catalog_layer **ret, size_t *ret_n, struct err *e);
