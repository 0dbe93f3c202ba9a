/*
 * fleet_instance.h - how many machines live under one device's identity, told from what polls say (protocol.md 6.14.7).
 *
 * An agent sends a number that grows over its restarts, an id for each of its starts, and the keyed hash of its machine.
 * - A start that another one had followed speaks again (on what looks like the same machine: twice), or one start goes
 *   back in its numbers again and again: two are alive, a fork.  The one on the machine the device was enrolled on goes on as if nothing were; the other one is set aside.
 *   When the machines do not tell them apart both keep what they run until an administrator decides.
 * - A new start whose number is not above the last one: an older snapshot came back.  It is taken in and noted.
 * No SQL, no clock: pure rules on a struct, which the fleet table holds under its lock.
 */
#pragma once

#include "base/slice.h"

#include <stdint.h>

enum instance_event { INSTANCE_USUAL, INSTANCE_REVERTED, INSTANCE_FORK };

struct instance {
    char boot[37]; /* "" nothing was heard yet */
    char machine[65]; /* "" it does not say */
    int64_t seq, seen_ms; /* seen_ms: wall clock */
};

struct instances {
    struct instance now, before; /* the start that speaks; the one it followed, or that speaks beside it */
    char fingerprint[65];        /* of the machine the device was enrolled on */
    int64_t back_ms;             /* monotonic: first of the repeats that are counted */
    int backs;
    bool returned; /* the start before spoke again, once, on the same machine */
    bool forked;
    char keep_machine[65], keep_boot[37]; /* while forked: who goes on; both "": nobody */
    enum instance_event event;   /* not dealt with by the job thread yet */
};

/* A poll came; mono_ms: the monotonic clock.  Sets i->event when there is one. */
void instances_note(struct instances *i, const struct instance *seen, int64_t mono_ms);
/* Gets this one nothing now? */
bool instances_set_aside(const struct instances *i, const char *boot, const char *machine);
