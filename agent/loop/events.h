/*
 * events.h - what the agent itself did or saw, as events of the stream "agent": device.applied,
 * device.refused ... and, each minute, device.figures (docs/internals/events.md).
 * A volume without room costs events, which are counted, and nothing else. Threads: the loop's.
 */
#pragma once

#include "json/json_in.h"
#include "spool/spool.h"

struct loop;

enum { EVENTS_FIGURES_MS = 60 * 1000, EVENTS_RETRY_MS = 30 * 1000, EVENTS_SYNC_MS = 200 };

struct loop_events {
    struct spool_writer *w;                   /* NULL: could not be opened yet */
    int64_t open_next, figures_next, sync_by; /* monotonic; sync_by 0: nothing to sync */
    struct {
        int status;
        char reason[48];
    } said[3];     /* of the conditions that are events */
    uint64_t lost; /* said while there was no writer */
};

void events_begin(struct loop *l);
void events_clear(struct loop *l);
void events_turn(struct loop *l);
/* Age in seconds of the oldest message that waits in Postfix's queues (held ones do not count), as
 * of now by the helper's last look; 0: none waits, -1: not known. */
int64_t events_queue_age(const struct loop *l);
/* One event now, by the parent's clock.  detail: new reference, taken over; NULL: out of memory,
 * the event is counted as lost.  kind: "device.applied". */
void events_say(struct loop *l, const char *kind, json_t *detail);
