/* override.h - what differs from the fleet: every value that a group or a device sets for itself,
 * beside the fleet's, with who set it, when and why. */
#pragma once

#include "domain/check.h"

/* What the layers of groups and devices say, all of it:
 * {"pub","items":[{"layer","id","name","key","row","label","value","fleet","pub","author","reason","at"}]};
 * value: a marker when the layer takes something away; fleet: what a device without layers has
 * (null: no such row). */
MUST_USE enum err_code override_list(struct db *db, enum lang lang, json_t **ret, struct err *e);
/* Of one device, only what really differs for it and from which layer:
 * {"pub","device","name","items":[as above; value null: the row is not in force here]}. */
MUST_USE enum err_code override_of_device(struct db *db, const char *ref, enum lang lang,
                                          json_t **ret, struct err *e);
