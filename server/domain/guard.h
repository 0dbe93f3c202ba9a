/*
 * guard.h - is a device that confirmed a publication still well (protocol.md 6.12)?  Pure: judges figures, asks nobody.
 *
 * A figure that is not reported judges nothing.  Growth is compared with the device's own figures before the rollout and
 * with what devices that are not yet updated saw in the same minutes: what grows everywhere is not this publication.
 */
#pragma once

#include "json/json_in.h"

enum guard_verdict { GUARD_GOOD, GUARD_BAD, GUARD_INCONCLUSIVE };

struct guard_input {
    const json_t *before;     /* "health" when it was released; NULL none */
    const json_t *status;     /* its newest status document: "health", "conditions"; NULL none */
    int64_t sibling_deferred; /* mean growth of the deferred queue of devices not updated yet; -1 none */
};
/* How many more deferred messages than before; false: one of the two does not say. */
bool guard_growth(const json_t *before, const json_t *now, int64_t *ret);
/* why: the condition or figure that speaks against it, for people; "" when good. */
enum guard_verdict guard_judge(const struct guard_input *in, char *why, size_t size);
