/*
 * queue_age.h - how much waits in Postfix's queues, and since when, from the queue folders alone:
 * no program is started, no file is locked or changed.
 *
 * A long queue id begins with the time it was given, so a name says when its message arrived.  Of a
 * short one the file's own first records do; of at most QUEUE_AGE_READS files a look, within
 * QUEUE_AGE_MS, so 100,000 of them do not make it slow: what was not read does not count.  Needs
 * leave to read the queue folders (root).  Threads: any.
 */
#pragma once

#include "base/slice.h"

enum {
    QUEUE_COUNT_MAX = 200000, /* entries looked at of each queue */
    QUEUE_AGE_READS = 500,
    QUEUE_AGE_MS = 200
};

struct queue_look {
    int64_t messages;
    int64_t oldest_s;             /* seconds since 1970 when the oldest arrived; 0: none is known */
    int64_t reads, read_until_ms; /* of files with short names: how many, and by when (monotonic; 0:
                                     not begun) */
};
/* Add what one queue ("deferred") has.  Start with zeros; several queues may be added up. */
void queue_look(const char *queue_dir, const char *queue, struct queue_look *to);
/* Only how many. */
int64_t queue_count(const char *queue_dir, const char *queue);
/* When a message with that queue id arrived, in seconds since 1970; 0: it is a short id, or none.
 */
int64_t queue_id_time_s(const char *id);
/* The same, from the first bytes of its queue file. */
int64_t queue_head_time_s(struct slice head);
