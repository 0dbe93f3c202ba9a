/*
 * figure_series.h - the figures of a device, or of the fleet, as the API gives them (openapi: Figures).  Threads: any.
 */
#pragma once

#include "store/db.h"

enum { FIGURE_POINTS_MAX = 1500 };

struct figure_ask {
    const char *device; /* id or name; of one that is gone the id; NULL: the fleet */
    int64_t step_s;     /* 60, 3600 or 86400 */
    int64_t since_s, until_s; /* multiples of it, at most FIGURE_POINTS_MAX apart */
};
/* The id of a device by its id or name; of one that is gone only by id: its history is still there.  *ret: borrowed from a or ref;
 * NULL for NULL.  ERR_INVALID names /query/device. */
MUST_USE enum err_code figure_device(struct db *db, struct arena *a, const char *ref, const char **ret, struct err *e);
/* *ret: new reference.  ERR_INVALID: there is no such device, or too much would have to be added up (names the field). */
MUST_USE enum err_code figure_series(struct db *db, const struct figure_ask *ask, struct arena *a, json_t **ret,
                                     struct err *e);
