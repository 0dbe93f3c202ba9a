/*
 * reattach.h - the parent lost this device's record (restored from an older backup, deleted by
 * mistake): the receipt of the enrolment is shown to it, once, and then a person is waited for
 * (protocol.md 6.14.8; docs/internals/wire.md). Nothing enrols by itself: without that person's
 * word the device keeps what it runs.
 */
#pragma once

#include "loop/backoff.h"

#include <stdint.h>

struct loop;

struct reattach {
    bool wanted;     /* the parent does not know us, as far as it says */
    bool waiting;    /* it took the receipt; a person decides */
    bool busy, post; /* a request is out; the nonce for the next one is here */
    int64_t next,
        again; /* monotonic: the next request; not before that shown anew after a refusal */
    char nonce[80];
    struct backoff backoff;
};

/* The parent does not know the device, or no key of it: show the receipt, unless it was refused
 * lately. */
void reattach_want(struct loop *l);
/* Is a person waited for?  Then no token is asked for. */
bool reattach_waits(const struct loop *l);
void reattach_turn(struct loop *l);
