#include "domain/fleet_instance.h"

#include <string.h>

enum {
    BACKS = 4, /* a request sent twice by the network is none; twins go on for ever */
    BACKS_MS = 15 * 60 * 1000,
};

bool instances_set_aside(const struct instances *i, const char *boot, const char *machine)
{
    if (!i->forked)
        return false;
    if (i->keep_boot[0] != '\0')
        return strcmp(boot, i->keep_boot) != 0;
    return i->keep_machine[0] == '\0' || strcmp(machine, i->keep_machine) != 0;
}

/* Of two that live, the one on the machine that was enrolled goes on, if that tells them apart. */
static void fork_found(struct instances *i)
{
    bool now = strcmp(i->now.machine, i->fingerprint) == 0;
    bool before = strcmp(i->before.machine, i->fingerprint) == 0;

    i->forked = true;
    i->event = INSTANCE_FORK;
    i->keep_boot[0] = i->keep_machine[0] = '\0';
    if (i->fingerprint[0] != '\0' && now != before)
        memcpy(i->keep_machine, i->fingerprint, sizeof i->keep_machine);
}

/* While they are told apart: who was heard last, for people to see. */
static void keep_track(struct instances *i, const struct instance *seen)
{
    bool is_now = strcmp(seen->boot, i->now.boot) == 0;
    bool is_before = strcmp(seen->boot, i->before.boot) == 0;

    if (!is_now && !is_before) { /* one of them started again */
        is_now = strcmp(i->now.machine, i->before.machine) != 0
                     ? strcmp(seen->machine, i->now.machine) == 0
                     : i->now.seen_ms < i->before.seen_ms;
    }
    *(is_now ? &i->now : &i->before) = *seen;
}

static void same_start(struct instances *i, const struct instance *seen, int64_t mono_ms)
{
    /* The same number again is the same poll again: an HTTP client sends it anew where something on
     * the way cut the connection it was held on (A7), and twins do not keep step for long. */
    if (seen->seq >= i->now.seq) {
        i->now = *seen;
        return;
    }
    if (i->backs == 0 || mono_ms - i->back_ms > BACKS_MS) {
        i->back_ms = mono_ms;
        i->backs = 0;
    }
    i->before = i->now;
    i->now = *seen;
    if (++i->backs >= BACKS)
        fork_found(i);
}

void instances_note(struct instances *i, const struct instance *seen, int64_t mono_ms)
{
    if (seen->boot[0] == '\0' || seen->seq <= 0)
        return; /* an agent that does not say */
    if (i->forked) {
        keep_track(i, seen);
        return;
    }
    if (strcmp(seen->boot, i->now.boot) == 0) {
        same_start(i, seen, mono_ms);
        return;
    }
    if (strcmp(seen->boot, i->before.boot) == 0) {
        struct instance other = i->now;
        bool alike = strcmp(seen->machine, other.machine) == 0;
        i->now = *seen;
        i->before = other;
        /* Once, on one machine: a request of before its restart that something on the way held
         * back. */
        if (!alike || i->returned)
            fork_found(i);
        i->returned = true;
        return;
    }
    /* A start nobody has heard of: a restart, or a snapshot, or a copy whose original will speak
     * again. */
    if (seen->seq <= i->now.seq)
        i->event = INSTANCE_REVERTED;
    if (i->now.boot[0] != '\0')
        i->before = i->now;
    i->now = *seen;
    i->backs = 0;
    i->returned = false;
}
