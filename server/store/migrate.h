/*
 * migrate.h - brings the database to the schema this program was built for.
 *
 * The numbered files of schema/migrations are compiled in; table schema_migration says which have
 * run.  Each runs in a transaction of its own, under an advisory lock, so several parents may start
 * at once.  Called once, before any worker.
 */
#pragma once

#include "store/db.h"

/* The role must be no superuser and own what it makes; server 13 or newer, database in UTF-8.
 * ERR_REFUSED: says what is wrong and what to do. */
MUST_USE enum err_code migrate_preflight(struct db *db, struct err *e);
/* Preflight, then run what has not run.  ERR_REFUSED also when the database has a newer schema than
 * this program. */
MUST_USE enum err_code migrate_run(struct db *db, struct err *e);
int migrate_latest(void);
