/* figure_store.h - SQL of the time series (domain/figure.h). */
#pragma once

#include "store/db.h"

extern const struct stmt *const figure_store_stmts[];

/* Add rows (array of objects with the table's columns but device_id; "at" and "gauge_at" in seconds)
 * to what is there, in the order of the array: two transactions that change the same rows must have
 * them in the same order.  Rows older than their step is kept are left out. */
MUST_USE enum err_code figure_store_add(struct db *db, const char *device_id, const json_t *rows,
                                        struct err *e);

struct figure_span {
    const char *device_id; /* NULL: the fleet */
    int64_t step_s;
    int64_t since_ms, until_ms; /* begin of the first step, begin of the first step not wanted */
};
struct figure_point {
    int64_t at_s;
    int64_t devices; /* how many had anything in this step */
    int64_t accepted, bytes, delivered, deferred, bounced, expired, refused, sessions, auth_failed,
        fatal, events, dropped, unread;
    const json_t *rejected, *deferred_why, *latency; /* arrays, [] is all zero */
    bool gauge;                                      /* the rest is known */
    const json_t *queue, *queue_max; /* of the fleet: sums of the devices' own */
    int64_t oldest_s, oldest_max_s;  /* of the fleet: the greatest; -1: nobody says */
};
/* In order of time; steps without a row are left out. */
MUST_USE enum err_code figure_store_points(struct db *db, const struct figure_span *span,
                                           struct arena *a, struct figure_point **ret,
                                           size_t *ret_n, struct err *e);

struct figure_until {
    const char *device_id;
    int64_t until_ms; /* its log is counted up to here */
};
/* Of the devices of whom it is known, sorted by id.  ids: array text. */
MUST_USE enum err_code figure_store_until(struct db *db, const char *ids, const char *stream,
                                          struct arena *a, struct figure_until **ret, size_t *ret_n,
                                          struct err *e);
struct figure_sums {
    int64_t n;    /* of the span; by_minute: 0 */
    int64_t at_s; /* by_minute: its begin */
    int64_t accepted, refused, delivered, deferred, bounced, dropped;
    const json_t *latency;
};
/* The minutes that lie wholly in each span; spans: array of {"n","device_id","since","until"} (s).  One row each, of those
 * that have any, whose dropped is of all the time since then; or by_minute one for each minute, of all spans together. */
MUST_USE enum err_code figure_store_sums(struct db *db, const json_t *spans, bool by_minute,
                                         struct arena *a, struct figure_sums **ret, size_t *ret_n,
                                         struct err *e);
/* How many rows the span has, counted no further than max. */
MUST_USE enum err_code figure_store_rows(struct db *db, const struct figure_span *span, int64_t max,
                                         int64_t *ret, struct err *e);
/* Delete at most max rows that are too old. */
MUST_USE enum err_code figure_store_expire(struct db *db, int64_t max, int64_t *ret_n,
                                           struct err *e);
