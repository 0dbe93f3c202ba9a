/*
 * maillog_count.h - what Postfix did, minute by minute, counted from its log: a ring of the last
 * MAILLOG_ROWS steps.
 *
 * Counted is what came from and went to others: a message accepted is one that reached the queue
 * (not a transaction given up, not a retry); refusals and attempts count each recipient.  Left out
 * are loopback clients, what a filter of this host takes and hands back, and the agent's own probes
 * (names below its own domain). Steps are of the host's wall clock.  A line counts in the step of
 * the time it bears, so reading the same lines again after a restart gives the same rows.  Threads:
 * none.  Memory: fixed, about 60 KiB.
 */
#pragma once

#include "maillog/maillog_line.h"

#include "json/json_in.h"

enum { MAILLOG_ROWS = 30, MAILLOG_STEP_S = 60, MAILLOG_SETS = 128, MAILLOG_WAYS = 8 };
/* Upper ends of the classes of latency in ms; the last class has none. */
enum { MAILLOG_LATENCIES = 9 };
extern const int64_t maillog_latency_ms[MAILLOG_LATENCIES - 1];

struct maillog_row {
    int64_t at_s; /* begin of the step; 0: unused */
    int64_t accepted, rejected[MAILLOG_REASONS];
    int64_t delivered, deferred, bounced, fatal;
    int64_t latency[MAILLOG_LATENCIES]; /* of those delivered */
};

struct maillog_known { /* a queue id that a client was given */
    char id[25];
    int64_t used; /* for throwing out the one used longest ago; 0: free */
    int64_t at_s; /* step in which it was counted as accepted; 0: not yet */
};

struct maillog_count {
    char own[80]; /* domain of the agent's probes */
    int64_t step_s;
    struct maillog_row row[MAILLOG_ROWS]; /* by (at_s / step_s) % MAILLOG_ROWS */
    struct maillog_known known[MAILLOG_SETS][MAILLOG_WAYS];
    int64_t used;
    int64_t lines;   /* of Postfix */
    int64_t counted; /* events that changed a row */
};
/* own: "<device id>.inari.invalid".  step_s: MAILLOG_STEP_S but in tests. */
void maillog_count_init(struct maillog_count *c, const char *own, int64_t step_s);
void maillog_count_line(struct maillog_count *c, struct slice line, int64_t now_ms);
/* [{"at","accepted","rejected":{reason:n},"delivered","deferred","bounced","fatal","latency":[n,...]}],
 * oldest first, at most max of the newest steps that have anything; what is 0 is left out.  "at":
 * begin of the step in s plus offset_s. New reference; NULL without memory. */
json_t *maillog_count_json(const struct maillog_count *c, int64_t now_ms, int64_t offset_s,
                           size_t max);
