/*
 * facts.h - what is known of this device, as the planner reads it (docs/internals/wire.md,
 * "Facts"): Postfix's version and table types, own addresses, who listens where, what names resolve
 * to, what the TLS files hold.
 */
#pragma once

#include "json/json_in.h"
#include "targets/postfix.h"

enum { FACTS_NAMES_MAX = 64, FACTS_FILES_MAX = 64 };

/* names, files: arrays of strings (borrowed; NULL: none); more than the limits are left out.  Names
 * that are not resolved within resolve_timeout are absent from the answer.  New reference. */
MUST_USE enum err_code facts_collect(const struct postfix *p, const json_t *names,
                                     const json_t *files, json_t **ret, struct err *e);
/* The names and files that settings (effective) speak of, by the types of the catalog.  New
 * references. */
void facts_wanted(const json_t *settings, json_t **ret_names, json_t **ret_files);
