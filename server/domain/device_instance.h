/*
 * device_instance.h - several machines under one identity: what was found goes into the database, where administrators
 * see it, and what they decide goes back to every parent (protocol.md 6.14.7).  What is found: fleet_instance.h.
 * Threads: any; device_instance_events() the job thread's.
 */
#pragma once

#include "domain/app.h"
#include "domain/audit.h"
#include "store/device_store.h"

/* Write down what polls have shown since. */
MUST_USE enum err_code device_instance_events(struct db *db, struct app *app, struct err *e);

/* {"forked","since","keeps":"machine|instance|nobody"|null,"reverted_at","machine_changed","items":[{"boot","machine",
 * "enrolled","seq","seen_at","verdict":"goes-on|set-aside|waits"}]}; new reference. */
json_t *device_instance_json(const struct app *app, const struct device *d);
/* The conditions the parent adds to what the device says of itself: array, new reference. */
json_t *device_instance_conditions(const struct app *app, const struct device *d);

enum instance_decision { INSTANCE_KEEP, INSTANCE_CLEAR };
extern const char *const instance_decision_names[]; /* "keep" "clear", NULL-terminated */
/* keep: the one of that start (boot) goes on and all others are set aside; its machine is the device's from now on, and it
 * is told to renew its key, after which the other has none.  clear: there is only one; the machine it runs on now is the
 * device's.  *ret: the device afterwards, new reference.
 * ERR_CONFLICT: nothing to decide; ERR_INVALID names the field. */
MUST_USE enum err_code device_instance_decide(struct db *db, struct app *app, const char *ref,
                                              enum instance_decision what, const char *boot, const char *reason,
                                              const struct actor *by, bool dry_run, struct arena *a, json_t **ret,
                                              struct err *e);

/* May a report or an order of the device that names this start (NULL: it does not say) be taken?  ERR_IDENTITY_FORK. */
MUST_USE enum err_code device_instance_check(const struct app *app, const char *device_id, const char *boot,
                                             struct err *e);
