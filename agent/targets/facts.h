/*
 * facts.h - what is known of this device, as the planner reads it (docs/internals/wire.md,
 * "Facts"): Postfix's version and table types, own addresses, who listens where, what names resolve
 * to, what the TLS files hold, which header checks main.cf has.
 */
#pragma once

#include "json/json_in.h"
#include "targets/postfix.h"
#include "targets/resolve.h"

enum { FACTS_NAMES_MAX = RESOLVE_NAMES_MAX, FACTS_FILES_MAX = 64, FACTS_CHECKS_MAX = 1000 };

/* foxproxy: its version, "" where it is not installed.  names, domains (whose MX is looked up),
 * files: arrays of strings (borrowed; NULL: none); more than the limits are left out.  What is not
 * resolved within resolve_timeout is absent from the answer. New reference. */
MUST_USE enum err_code facts_collect(const struct postfix *p, const char *foxproxy,
                                     const json_t *names, const json_t *domains,
                                     const json_t *files, json_t **ret, struct err *e);
