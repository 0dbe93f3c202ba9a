/*
 * group.h - groups of devices: an ordered layer of settings each (higher priority wins; groups that
 * share a priority must not set the same leaf differently for a device of both), or an MX set. What
 * a device gets changes with its groups, so every change here checks the devices with the planner
 * and issues new bundles in the same transaction.
 */
#pragma once

#include "domain/app.h"
#include "domain/audit.h"
#include "domain/check.h"

extern const char *const group_kind_names[]; /* "set" "mx", NULL */

struct group_spec { /* NULL, -1 and 0: not given */
    const char *name;
    int kind;
    int64_t priority;
};
/* ref: id or name.  json:
 * {"id","name","kind","priority","members":[{"id","name"}],"version","created_at"}. */
MUST_USE enum err_code group_get(struct db *db, const char *ref, json_t **ret, int64_t *ret_version,
                                 struct err *e);
MUST_USE enum err_code group_list(struct db *db, const char *after, int limit, json_t **ret,
                                  char ret_next[64], struct err *e);

struct group_change {
    struct app *app;
    const struct actor *by;
    enum lang lang;
    bool dry_run;
    struct findings *f; /* the caller clears it */
    const char *force;  /* the reason that overrides what can be forced; NULL: none */
};
MUST_USE enum err_code group_create(struct db *db, const struct group_spec *spec,
                                    const struct group_change *c, json_t **ret, struct err *e);
MUST_USE enum err_code group_update(struct db *db, const char *ref, int64_t version,
                                    const struct group_spec *spec, const struct group_change *c,
                                    json_t **ret, struct err *e);
MUST_USE enum err_code group_delete(struct db *db, const char *ref, int64_t version,
                                    const struct group_change *c, struct err *e);
/* version 0: whichever.  Repeating it changes nothing.  *ret_version: the group's after it. */
MUST_USE enum err_code group_add(struct db *db, const char *ref, const char *device_ref,
                                 int64_t version, const struct group_change *c,
                                 int64_t *ret_version, struct err *e);
MUST_USE enum err_code group_remove(struct db *db, const char *ref, const char *device_ref,
                                    int64_t version, const struct group_change *c,
                                    int64_t *ret_version, struct err *e);
