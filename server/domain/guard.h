/*
 * guard.h - is a device that confirmed a publication still well (protocol.md 6.12)?  Pure: judges figures, asks nobody.
 *
 * A figure that is not reported judges nothing.  Growth is compared with the device's own figures before the rollout and
 * with what devices that are not yet updated saw in the same minutes: what grows everywhere is not this publication.
 */
#pragma once

#include "domain/guard_mail.h"

struct guard_input {
    const json_t *before;     /* "health" when it was released; NULL none */
    const json_t *status;     /* its newest status document: "health", "conditions"; NULL none */
    int64_t sibling_deferred; /* mean growth of the deferred queue of devices not updated yet; -1 none */
    const struct guard_limits *limits;
    struct guard_mails mail;
};
/* How many more deferred messages than before; false: one of the two does not say. */
bool guard_growth(const json_t *before, const json_t *now, int64_t *ret);
/* why: the condition or figure that speaks against it; filled unless good. */
enum guard_verdict guard_judge(const struct guard_input *in, struct finding *why);

/* What is kept with the device: {"title","detail","errors":[{"id","pointer","message","remedy"}],"args":[...]} in English,
 * new reference. */
json_t *guard_problem(const struct finding *why);
/* The same in lang, new reference; NULL: it is no problem of a guard. */
json_t *guard_problem_in(const json_t *problem, enum lang lang);
