/* rollout_device_store.h - SQL of the devices of a rollout. */
#pragma once

#include "store/db.h"

extern const struct stmt *const rollout_device_store_stmts[];

struct rollout_device { /* borrowed from the arena */
    const char *id, *name;
    const char *device_state, *mode; /* the device's own */
    const char *state, *reason;      /* as stored */
    int wave, place;
    int64_t rev, from_pub;
    int64_t released_ms, fetched_ms, ended_ms, seen_ms;
    bool forgiven;
    const json_t *problem;
    const json_t *health; /* its figures when it was released; of a queued one when the rollout began */
    /* what its stored state is judged against; only while it is on its way or confirmed (queued: status has its health) */
    const char *digest, *etag, *made_for; /* of the bundle rev */
    int64_t desired_rev, offered_rev;
    const json_t *status; /* NULL none */
    const char *mx;       /* "id,id" of its MX sets */
    bool busy;            /* queued here, and on its way in another rollout */
};
/* Add rows: array of {"device_id","wave","place","state","reason","from_pub"}. */
MUST_USE enum err_code rollout_device_store_add(struct db *db, const char *rollout_id, const json_t *rows, struct err *e);
struct rollout_device_filter {
    int wave;          /* -1: any */
    const char *state; /* stored state; "": any */
    int after;         /* place; -1: from the first */
    int64_t limit;     /* 0: all */
    bool lean;         /* without status and health, which cost most */
    int64_t sample;    /* of queued devices one in so many comes with its figures of mail (app.h); 0: none */
};
/* In order of place. */
MUST_USE enum err_code rollout_device_store_list(struct db *db, const char *rollout_id, const struct rollout_device_filter *f,
                                                 struct arena *a, struct rollout_device **ret, size_t *ret_n,
                                                 struct err *e);
/* Offered now: rev becomes the device's desired_rev, its health figures are kept.  ids: array text. */
MUST_USE enum err_code rollout_device_store_release(struct db *db, const char *rollout_id, const char *ids, int64_t now_ms,
                                                    struct err *e);
/* Array of {"device_id","state","reason","problem"}; a fetched one notes when, the others that they ended. */
MUST_USE enum err_code rollout_device_store_set(struct db *db, const char *rollout_id, const json_t *rows, int64_t now_ms,
                                                struct err *e);
/* What is to be said of a confirmed device that goes on being watched; problem JSON null: nothing any more. */
MUST_USE enum err_code rollout_device_store_tell(struct db *db, const char *rollout_id, const char *device_id,
                                                 const json_t *problem, struct err *e);
/* All queued ones. */
MUST_USE enum err_code rollout_device_store_drop_queued(struct db *db, const char *rollout_id, const char *state,
                                                        const char *reason, int64_t now_ms, struct err *e);
/* Its queued and offered devices get nothing of it any more.  *ret: those it had offered something they had not fetched. */
MUST_USE enum err_code rollout_device_store_supersede(struct db *db, const char *rollout_id, int64_t now_ms, struct arena *a,
                                                      const char ***ret, size_t *ret_n, struct err *e);
MUST_USE enum err_code rollout_device_store_forgive(struct db *db, const char *rollout_id, struct err *e);
/* Devices were given another bundle, by rollout_id or ("") by a change of mode or group: those on their way are followed
 * to it; those that have confirmed only when it was not another rollout, which answers for its own.  ids: array text. */
MUST_USE enum err_code rollout_device_store_follow(struct db *db, const char *ids, const char *rollout_id, struct err *e);
/* Before they are released: what each has now becomes what it is given back.  ids: array text. */
MUST_USE enum err_code rollout_device_store_keep(struct db *db, const char *rollout_id, const char *ids, struct err *e);
/* Queue devices that are behind a rollout that is over, whether they were among its devices or not.  ids: array text. */
MUST_USE enum err_code rollout_device_store_catch_up(struct db *db, const char *rollout_id, const char *ids, int wave,
                                                     struct err *e);
/* Queue devices that were enrolled after it began, and have not what it brings.  *ret_n: how many. */
MUST_USE enum err_code rollout_device_store_join(struct db *db, const char *rollout_id, int wave, int64_t *ret_n,
                                                 struct err *e);
/* Queue those of rows (array of {"device_id","wave","place"}) once more, as waves of their own; the others stay as they
 * are, in the first wave. */
MUST_USE enum err_code rollout_device_store_begin_again(struct db *db, const char *rollout_id, const json_t *rows,
                                                        int n_waves, struct err *e);
/* Time in which nobody could be heard does not count: deadlines of devices on their way move by so much, but begin no later
 * than now. */
MUST_USE enum err_code rollout_device_store_shift(struct db *db, int64_t ms, int64_t now_ms, struct err *e);
/* {"wave":{"state":n}} as rows: array of {"wave","state","n"}, new reference. */
MUST_USE enum err_code rollout_device_store_counts(struct db *db, const char *rollout_id, struct arena *a, json_t **ret,
                                                   struct err *e);
/* MX sets with a member on its way in any rollout, "id,id"; in one that ended until now_ms is past its apply deadline. */
MUST_USE enum err_code rollout_device_store_busy_mx(struct db *db, int64_t now_ms, struct arena *a, const char **ret,
                                                    struct err *e);

/* For planning: every device in service.  Array in id order. */
struct rollout_target {
    const char *id, *group, *state, *mode;
    int64_t seen_ms, pub;
};
MUST_USE enum err_code rollout_target_store_list(struct db *db, struct arena *a, struct rollout_target **ret, size_t *ret_n,
                                                 struct err *e);
/* The same, with id and seen_ms alone; those that are set aside are not expected. */
MUST_USE enum err_code rollout_target_store_seen(struct db *db, struct arena *a, struct rollout_target **ret, size_t *ret_n,
                                                 struct err *e);
/* The most expedited publications that lie on one device. */
MUST_USE enum err_code rollout_target_store_most_urgent(struct db *db, int64_t *ret, struct err *e);
/* Lay expedited publications ("6,8") over what devices have.  ids: array text. */
MUST_USE enum err_code rollout_target_store_add_urgent(struct db *db, const char *ids, const char *urgent, struct err *e);
/* Those that were entitled to nothing yet. */
MUST_USE enum err_code rollout_target_store_begin_with(struct db *db, const char *ids, int64_t pub, const char *urgent,
                                                       struct err *e);
/* Move the publication devices are entitled to; what it holds does not lie on top any more.  ids: array text. */
MUST_USE enum err_code rollout_target_store_set_pub(struct db *db, const char *ids, int64_t pub, struct err *e);
/* Back to what each had before this rollout. */
MUST_USE enum err_code rollout_target_store_reset_pub(struct db *db, const char *rollout_id, const char *ids, struct err *e);
/* Ids of devices in service whose publication is older and that did not fail in this rollout. */
MUST_USE enum err_code rollout_target_store_behind(struct db *db, const char *rollout_id, int64_t pub, struct arena *a,
                                                   const char ***ret, size_t *ret_n, struct err *e);
