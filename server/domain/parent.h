/* parent.h - the parent as its administrators see it. */
#pragma once

#include "domain/app.h"
#include "store/db.h"

/* {"version","fleet","epoch","issuer","addresses","time","pub","devices","fenced","lab",
 *  "database":{"version","size_bytes","schema"},"certificate":{"pins","not_after"}}; new reference.
 */
MUST_USE enum err_code parent_describe(struct db *db, const struct app *app, struct arena *a,
                                       json_t **ret, struct err *e);
