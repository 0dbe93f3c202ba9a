/*
 * drift.h - what stands on a device otherwise than published, item by item, who set what was published, and what can be
 * done about it (protocol.md 6.10): put back, take over into a draft.  An item is named "<file>:<item>".
 */
#pragma once

#include "domain/app.h"
#include "domain/draft.h"
#include "store/device_store.h"

enum {
    DRIFT_EXPLAINED_MAX = 50, /* items whose author is looked up; the rest comes without */
    DRIFT_ITEMS_MAX = 200     /* named in one request */
};

/* *ret: {"device","policy","policy_set","received_at","items":[{"name","file","item","expected","found","since","policy",
 * "action","tries","problem","file_changed_at","file_owner","key","label","set_by":{"layer","name","pub","author","reason",
 * "at"}|null,"adoption":{"draft","problem","at"}|null}]}, new reference; key and set_by are null where an item is derived.
 * *ret_version: changes when an item does.  ERR_NOT_FOUND: no such device, or it has sent no status yet. */
MUST_USE enum err_code drift_list(struct db *db, const char *ref, enum lang lang, struct arena *a, json_t **ret,
                                  int64_t *ret_version, struct err *e);

struct drift_order {
    const json_t *items; /* array of names; NULL: all */
    const char *reason;  /* "" none */
    enum layer_kind to;  /* of an adoption */
    const char *group;   /* its id or name, with LAYER_GROUP */
    const struct actor *by;
    enum lang lang;
    bool dry_run;
};
/* Gives the order drift-enforce: *ret as command_give().  f: names that are no drift; the caller clears it. */
MUST_USE enum err_code drift_enforce_order(struct db *db, struct app *app, const char *ref, const struct drift_order *o,
                                           struct arena *a, struct findings *f, json_t **ret, struct err *e);
/* The found values as a draft's changes, through the catalog and the planner like any other edit.  *ret: {"draft",
 * "adopted":[names],"skipped":[findings]}; with named items nothing is skipped: one that cannot be taken over refuses all.
 * f: every finding; the caller clears it.  ERR_INVALID: findings say why; no draft is left. */
MUST_USE enum err_code drift_adopt(struct db *db, const char *ref, const struct drift_order *o, struct arena *a,
                                   struct findings *f, json_t **ret, struct err *e);
/* A status came: what the device says is to be adopted by policy, and is, gets its draft, once for each found value; who set
 * the policy owns it.  Failure is logged: the status stands. */
void drift_adopt_by_policy(struct db *db, const struct device *d, const json_t *status);
