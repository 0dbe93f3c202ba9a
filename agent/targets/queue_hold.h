/*
 * queue_hold.h - no delivery between the first byte of a new configuration on disk and the moment
 * the bytes a reload was made with have been compared (apply/compare.h).  Delivery agents are
 * started anew at any time and read main.cf as it is then; one wrong look at an emptied file and
 * Postfix gives a message back to its sender as undeliverable.
 *
 * How: the queue manager is stopped (SIGSTOP).  master(8) runs one qmgr at most and starts none
 * while the old one has not ended, which after a reload it does as soon as it is continued.  Mail
 * is taken in meanwhile and waits in the incoming queue; deliveries under way come to their end.
 *
 * A process of its own with Postfix's user holds the other end of a socket and continues the queue
 * manager when we die or take longer than QUEUE_HOLD_MAX_MS.  Threads: one; one hold at a time.
 */
#pragma once

#include "targets/postfix.h"

enum { QUEUE_HOLD_MAX_MS = 8000 };

struct queue_hold {
    pid_t guard; /* 0: nothing is held */
    int qmgr;    /* pidfd */
    int sock;
};

/* false: nothing is held, as without a queue manager that runs, or without the means to guarantee
 * that it goes on; then deliveries go on as they always do over a reload. */
bool queue_hold_begin(const struct postfix *p, struct queue_hold *ret);
/* Go on.  reloaded: the old queue manager is expected to end now; a new one is woken then. */
void queue_hold_end(const struct postfix *p, struct queue_hold *hold, bool reloaded);
/* What an earlier life left stopped goes on: at start, before anything is served. */
void queue_hold_release_left(const struct postfix *p);
