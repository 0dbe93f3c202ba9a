/*
 * partial.h - a rendering in which some of what drifted stays as it was found, while the rest is put back: what is
 * enforced is decided item by item, what is staged, validated and switched is always a whole configuration.
 * An item is named "<file>:<item>": "main.cf:message_size_limit", "master.cf:smtp/inet", "table:inari/.../relay_domains".
 * Threads: the helper's one.
 */
#pragma once

#include "apply/apply.h"

/* The name of a row {"file","item"} of a drift list. */
void partial_name(const json_t *row, char *buf, size_t size);
/* May the row stay as it is while others are put back?  Not what shows the digest (nothing could be proven then), not a
 * table that is gone, not a service in the place that is ours. */
bool partial_may_stay(const json_t *row, const struct plan *plan);
/* plan without the items of left (array of rows); tables keep the text that was found.  Lives in a; NULL: a table could
 * not be read, or out of memory. */
struct plan *partial_plan(const struct helper *h, const struct plan *plan, const json_t *left, struct arena *a);
