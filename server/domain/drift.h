/*
 * drift.h - what stands on a device otherwise than published, item by item, and who set what was published.
 */
#pragma once

#include "base/err.h"
#include "store/db.h"

enum { DRIFT_EXPLAINED_MAX = 50 }; /* items whose author is looked up; the rest comes without */

/* *ret: {"device","policy":"report|enforce","received_at","items":[{"file","item","expected","found","since","action",
 * "key","label","set_by":{"layer","name","pub","author","reason","at"}|null}]}, new reference; key and set_by are null
 * where an item is derived or foreign.  ERR_NOT_FOUND: no such device, or it has sent no status yet. */
MUST_USE enum err_code drift_list(struct db *db, const char *ref, enum lang lang, struct arena *a, json_t **ret,
                                  struct err *e);
