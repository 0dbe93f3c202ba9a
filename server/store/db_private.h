/* db_private.h - what only migrate.c may do with a connection. */
#pragma once

#include "store/db.h"

/* Run a script of several statements by the simple protocol, waiting at most limit_ms. */
MUST_USE enum err_code db_script(struct db *db, const char *sql, int limit_ms, struct err *e);
