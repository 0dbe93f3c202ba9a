/*
 * metrics.h - counters of the listener, written as Prometheus text by /metrics.  Threads: any.
 */
#pragma once

#include "base/strbuf.h"
#include "http/router.h"

struct metrics;

enum metric {
    METRIC_CONNECTIONS,     /* accepted */
    METRIC_REFUSED_ADDRESS, /* over the cap of an address */
    METRIC_REFUSED_GATE,    /* requests refused before routing */
    METRIC_REAPED,          /* connections past a deadline */
    METRIC_OVERLOADED,      /* 503 because the queue or body memory was full */
    METRIC_COUNT
};

struct metric_value {
    const char *name, *type, *help;
    double value;
};

MUST_USE struct metrics *metrics_new(const struct router *r); /* NULL: out of memory */
void metrics_free(struct metrics *m);
void metrics_count(struct metrics *m, enum metric what);
uint64_t metrics_read(const struct metrics *m, enum metric what);
/* route: index in the router; router_count() for what matched none (files, 404). */
void metrics_answer(struct metrics *m, size_t route, int status);
void metrics_write(const struct metrics *m, const struct metric_value *more, size_t n, struct strbuf *out);
