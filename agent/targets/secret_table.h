/*
 * secret_table.h - the live file of a table with secrets (plan.h): what the plan says with the texts put in, 0600.
 * The clear texts stand in this one file and nowhere else on the host: not in the rendering it came with, which has
 * the ids of the sealed boxes, and not in any message.  The file's first line is a salted checksum of the rest and of
 * the plan's words, so that an edit by hand shows without the texts being kept a second time.
 */
#pragma once

#include "base/err.h"
#include "json/json_in.h"
#include "plan/plan.h"

/* Write dir/<name of t> unless it is there already as it should be.  secrets: {id of the box: text}, borrowed; may be
 * NULL.  ERR_CONFLICT: a text is needed that is not among them.  ERR_STORAGE. */
MUST_USE enum err_code secret_table_write(const char *dir, const struct plan_table *t,
                                          const json_t *secrets, struct err *e);
/* Is that file what was written for t: a regular file of ours, mode 0600, unchanged? */
bool secret_table_ok(const char *path, const struct plan_table *t);
