/*
 * alert_check.h - what alert rules, channels and silences may be: an edited document becomes a
 * whole one that the store can write, or the error names the field.
 */
#pragma once

#include "domain/alert_doc.h"

/* doc: everything that can be edited, as people sent it or as it was with their patch.  *ret:
 * complete; names of devices, groups, rules and channels are ids in it.  New reference.  before: as
 * it was; NULL: a new one. */
MUST_USE enum err_code alert_check(struct db *db, enum alert_thing what, const json_t *doc,
                                   const json_t *before, struct arena *a, json_t **ret,
                                   struct err *e);
/* secrets: all a channel of that kind would have.  ERR_INVALID names one that it cannot have, or
 * that it lacks. */
MUST_USE enum err_code alert_check_secrets(const char *kind, const json_t *config,
                                           const json_t *secrets, struct err *e);

/* The part about channels, and what every name must be. */
MUST_USE enum err_code alert_check_channel(const json_t *doc, const json_t *before, json_t **ret,
                                           struct err *e);
MUST_USE enum err_code alert_check_name(const char *name, struct err *e);
