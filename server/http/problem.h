/*
 * problem.h - an error as an RFC 9457 document in the caller's language (docs/internals/wire.md).
 * What went wrong inside (5xx) is only in the log: the document says the request id instead.
 */
#pragma once

#include "base/finding.h"
#include "json/json_in.h"

#include <stdint.h>

/* New reference, NULL without memory.  findings may be NULL; extra (borrowed, may be NULL): members added. */
MUST_USE json_t *problem_json(const struct err *err, const struct findings *findings, enum lang lang,
                              const char *request_id, const json_t *extra);
/* errors[] alone: one object a finding. */
MUST_USE json_t *problem_findings(const struct findings *findings, enum lang lang);
