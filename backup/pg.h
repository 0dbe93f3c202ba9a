/* pg.h - PostgreSQL's own pg_dump and pg_restore, run directly (no shell), their words in the error. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

/* A custom-format dump without owners and privileges, of one snapshot; sessions, one-use marks and presence are left
 * out.  path must be in a folder of the caller's.  ERR_STORAGE: pg_dump's own words. */
MUST_USE enum err_code pg_dump_to(const char *conninfo, const char *path, struct err *e);
/* Is it a dump that pg_restore can list?  Needs no database. */
MUST_USE enum err_code pg_restore_check(const char *path, struct err *e);
/* Into an empty schema, in one transaction: all of it or nothing. */
MUST_USE enum err_code pg_restore_from(const char *conninfo, const char *path, struct err *e);
