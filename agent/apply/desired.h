/*
 * desired.h - what is wanted of the services on this host, apart from what they do (facts pain 5): only an order writes
 * it, no observation ever does.  <helper.state>/desired.json; nothing there: everything is to run.
 */
#pragma once

#include "apply/apply.h"

#include "json/json_in.h"

/* {"state":"running"|"stopped","by","reason","since","command"} of Postfix, new reference; a file that cannot be read
 * counts as "running". */
json_t *desired_read(const struct helper *h);
/* Is Postfix stopped on purpose?  ERR_CONFLICT with who, since when and why: whoever is about to start it asks first. */
MUST_USE enum err_code desired_may_run(const struct helper *h, struct err *e);
MUST_USE enum err_code desired_stop(const struct helper *h, const char *by, const char *reason, const char *command,
                                    struct err *e);
MUST_USE enum err_code desired_run(const struct helper *h, struct err *e);
