/* parent.h - the parent as its administrators see it. */
#pragma once

#include "domain/app.h"
#include "store/db.h"

enum { CLOCK_WRONG_MS = 5000 }; /* this host's clock and the database's, which all parents go by */

/* {"version","fleet","epoch","issuer","addresses","time","clock_offset_ms","clock_wrong","pub","devices","fenced","lab",
 *  "database":{"version","size_bytes","schema"},"certificate":{"pins","not_after"}}; new reference.
 */
MUST_USE enum err_code parent_describe(struct db *db, const struct app *app, struct arena *a,
                                       json_t **ret, struct err *e);

/* May this parent be taken away?  ERR_CONFLICT while children are registered (any that is neither retired, rejected nor
 * revoked); the message names up to ten of them.  With force: ERR_OK, *ret_children says how many are left behind, and the
 * audit log has it.  Stores nothing else. */
MUST_USE enum err_code parent_may_remove(struct db *db, bool force, size_t *ret_children,
                                         struct err *e);
