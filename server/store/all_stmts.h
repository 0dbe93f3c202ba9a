/* all_stmts.h - every prepared statement of the program, so that a test can prepare all of them. */
#pragma once

#include "store/db.h"

extern const struct stmt *const *const all_stmts[]; /* ends with NULL */
