/*
 * rotate.h - renewal of this device's own key (protocol 6.14.4; docs/internals/wire.md, "Renewing the key"): by age, when
 * an administrator orders it, when somebody at the host does.
 *
 * New keys are written down, offered with a proof by the old one, tried for a token, and only then in force; each step is
 * one atomic write (identity.h).  A kill or a lost answer leaves keys of which the parent accepts one: whichever that is,
 * the loop finds it and goes on from there.
 * Threads: the loop's.  rotate_run() blocks for at most two requests; callbacks of others fire meanwhile.
 */
#pragma once

#include "base/err.h"
#include "loop/backoff.h"

struct loop;
struct jose_key;

enum rotate_key { ROTATE_CURRENT, ROTATE_NEXT, ROTATE_OLD };
struct rotate {
    enum rotate_key tries; /* the key the next token is asked for with */
    int64_t next;          /* monotonic: not before */
    struct backoff backoff;
};

/* Do it now, for an order (its id, "" for none).  An order that was carried out already is not again.
 * Errors: rotate_goes_on(), or the parent refused. */
MUST_USE enum err_code rotate_run(struct loop *l, const char *order, struct err *e);
/* Does it go on by itself after this error? */
bool rotate_goes_on(enum err_code rc);
/* What is due by age or unfinished. */
void rotate_turn(struct loop *l);
/* Wall time (the parent's) from which on the key is renewed by age; INT64_MAX: never. */
int64_t rotate_due_ms(const struct loop *l);

/* --- for the token request --- */
const struct jose_key *rotate_signer(const struct loop *l);
/* The parent took the key rotate_signer() gave. */
void rotate_accepted(struct loop *l);
/* It did not.  true: there is another one to try at once. */
bool rotate_another(struct loop *l);
