/* live_layers.h - no values for groups and devices that are gone: they would lie there unseen, and
 * come back with whoever gets the id. */
#pragma once

#include "domain/check.h"

/* Every group's or device's layer in content that differs from head's must belong to one that still
 * exists.  refuse: ERR_CONFLICT names it; else it becomes what head has (history brings nothing
 * back to the dead). */
MUST_USE enum err_code live_layers(struct db *db, json_t *content, const json_t *head, bool refuse,
                                   struct arena *a, struct err *e);
