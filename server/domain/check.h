/*
 * check.h - what speaks against a content before it is stored: the catalog per value, the planner
 * per device, and the rules of the whole fleet.  The same run for the edit of a draft, a dry run, a
 * publication and a change of membership.
 *
 * A finding that the published state has already on the same device becomes a warning: what is
 * wrong elsewhere must not keep an administrator from correcting something else.
 */
#pragma once

#include "domain/content.h"
#include "store/db.h"

/* Check and normalise the values that leaves (a diff) sets in content.  at_changes: pointers begin
 * with /changes/<layer>, else with /settings. */
MUST_USE enum err_code check_values(json_t *content, const json_t *leaves, bool at_changes,
                                    struct findings *f, struct err *e);

struct check {
    const json_t *before, *after; /* contents */
    const json_t *leaves;         /* from one to the other; chooses the pointers */
    bool at_changes, plans;       /* plans: give the plan of each device that changes */
    enum lang lang;
    /* A change of groups: {device id: effective settings before} of those it is about; both
     * contents are the same. */
    const json_t *befores;
    bool joins; /* it joins a group: the fleet's rules are new for it */
};
/* Run the planner for every device whose effective settings differ, and the fleet's rules.  With no
 * device yet, the fleet's own settings are planned.  *ret_devices (may be NULL): array of
 * {"id","name","changes","findings",["plan"]} of those devices; new reference. */
MUST_USE enum err_code check_devices(struct db *db, const struct check *c, struct findings *f,
                                     json_t **ret_devices, struct err *e);
/* Errors that a reason cannot override, and those that it can. */
size_t check_hard(const struct findings *f);
size_t check_forceable(const struct findings *f);
/* How many leaves of two effective settings differ. */
size_t check_count_changes(const json_t *a, const json_t *b);
