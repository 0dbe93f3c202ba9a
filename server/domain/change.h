/*
 * change.h - a change that can be tried: ?dry_run=true runs the very same transaction and rolls it
 * back, so what it answers is what would happen, constraints of the database included.
 */
#pragma once

#include "store/db.h"

MUST_USE enum err_code change_run(struct db *db, const char *name, bool dry_run, tx_fn fn,
                                  void *ctx, struct err *e);
/* "7" of a version; what an ETag holds. */
enum { VERSION_TEXT_SIZE = 24 };
void version_text(int64_t version, char out[VERSION_TEXT_SIZE]);
