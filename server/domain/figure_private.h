/* figure_private.h - what figure.c and figure_rows.c share. */
#pragma once

#include "domain/figure.h"

enum { MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };

struct figure_row {
    int64_t step_s, at_s; /* step_s 0: a free place */
    int64_t accepted, bytes, delivered, deferred, bounced, expired, refused, sessions, auth_failed,
        fatal, events, dropped, unread;
    int64_t rejected[FIGURE_REASONS], why[FIGURE_WHYS], latency[FIGURE_LATENCIES];
    int64_t gauge_at_s; /* 0: none */
    int64_t queue[FIGURE_QUEUES], queue_max[FIGURE_QUEUES];
    int64_t oldest_s, oldest_max_s; /* -1: not said */
    int64_t disk_at_s;              /* 0: none */
    int64_t disk_free[FIGURE_DISKS], disk_size[FIGURE_DISKS];
};

/* Rows by step and time: open addressing, at most half full. */
struct figure_table {
    struct figure_row *place;
    size_t size, used;
};

struct figure_batch {
    struct figure_table minutes;
    size_t last;      /* where the event before went */
    int64_t until_ms; /* of the newest device.figures */
};

/* The row of that time, made when it is not there; NULL: out of memory.  ret_spot: its place, may be NULL. */
struct figure_row *figure_row_at(struct figure_table *t, int64_t step_s, int64_t at_s, size_t *ret_spot);
