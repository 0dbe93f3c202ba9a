/*
 * figure.h - time series: how much of what each device did in each minute, hour and day (docs/internals/events.md,
 * "Figures").  A batch of events becomes few rows, added in the transaction that stores the events: an event counts
 * exactly as often as it is stored, once.
 *
 * Counted is what came from and went to others: message.queued of a client that is not loopback (accepted), each
 * recipient of message.rejected (but warnings) and of message.delivery.  detail.internal (what a filter of the host hands
 * back, the agent's own probes) counts in events only.  latency is that of what was delivered, from the queue manager to
 * the answer (detail.delays in ms, all but the first); without them delay_ms.  A late event counts in its own minute.
 *
 * A device's numbers are foreign: each is bounded (FIGURE_NUMBER_MAX), no sum of them can overflow.
 * Threads: a batch belongs to one thread; figure_total() any.
 */
#pragma once

#include "base/slice.h"
#include "base/strbuf.h"
#include "store/db.h"

enum { FIGURE_REASONS = 9, FIGURE_WHYS = 11, FIGURE_LATENCIES = 9, FIGURE_QUEUES = 5, FIGURE_DISKS = 2 };
#define FIGURE_NUMBER_MAX INT64_C(10000000000)
/* NULL-terminated. */
extern const char *const figure_reasons[]; /* of figure.rejected; what is none of them counts as "other", the last */
extern const char *const figure_whys[];    /* of figure.deferred_why */
extern const char *const figure_queues[];  /* of figure.queue */
extern const char *const figure_disks[];   /* of figure.disk_free, disk_size (MiB; size 0: not known) */
/* Upper ends of the classes of figure.latency in ms; the last class has none. */
extern const int64_t figure_latency_ms[FIGURE_LATENCIES - 1];

struct figure_event { /* borrowed for the call; empty slices for what is not there */
    int64_t at_ms;    /* as stored */
    struct slice kind, status, reason, client;
    int64_t size, delay_ms; /* negative: not there */
    int64_t count;          /* of spool.gap: how many are lost */
    bool internal;
    struct slice detail; /* JSON text of the event's detail: delays, soft, queue, oldest_s are read out of it */
};

struct figure_batch;
struct figure_batch *figure_batch_new(void); /* NULL: out of memory */
void figure_batch_free(struct figure_batch *b);
DEFINE_CLEANUP(struct figure_batch, figure_batch_free);
/* false: out of memory; the batch must not be written. */
MUST_USE bool figure_batch_add(struct figure_batch *b, const struct figure_event *ev);
/* Up to which moment (ms) the device's log is in the events that are stored, as its own figures say; 0: they do not. */
int64_t figure_batch_until(const struct figure_batch *b);
/* How old the oldest message in its queue was (s) when the device looked last;
 * -1: this batch does not say, or says it of long ago. */
int64_t figure_batch_queue_age(const struct figure_batch *b);
/* Its rows: array of objects as figure_store_add() takes them, in the order of their step and time.  New reference; NULL:
 * out of memory. */
json_t *figure_batch_rows(const struct figure_batch *b);
/* Add them to the device's.  Inside the transaction of the events, as its last statement: the rows are locked until it ends,
 * and every transaction takes them in the same order. */
MUST_USE enum err_code figure_batch_write(struct db *db, const char *device_id, const struct figure_batch *b, struct err *e);
/* After the commit: adds to the totals of this process. */
void figure_batch_committed(const struct figure_batch *b);
/* Prometheus text of the totals since start. */
void figure_totals_write(struct strbuf *out);

/* Delete what is older than it is kept (60 s: 3 days, 3600 s: 60 days, 86400 s: 3 years), bounded: the rest goes the next
 * time. */
MUST_USE enum err_code figure_retention(struct db *db, struct err *e);
