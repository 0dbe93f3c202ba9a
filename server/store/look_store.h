/*
 * look_store.h - the one statement of a parent that has nothing to do: who was seen goes in, and out comes whether
 * anything is to be done.  Hints (db.h) say the same at once, but may get lost.
 */
#pragma once

#include "store/db.h"

extern const struct stmt *const look_store_stmts[];

struct look_ask {
    const char *ids, *times; /* who was seen and when (ms): array texts of the same length */
    int64_t since_ms;        /* reports received since, by the database's clock; 0: none are wanted */
    int64_t token_age_s;     /* a token key older than that is old */
    int64_t wall_ms;         /* the parent's time */
};
struct look {
    int64_t now_ms;      /* the database's clock */
    int64_t last_change; /* highest number in the change table */
    bool rollouts;       /* rollout_store_open() would give some */
    bool unended;        /* so would rollout_store_unended() */
    bool token_key_old;
    int64_t hold_in_ms, command_in_ms; /* until the next hold ends, the next command expires; -1: none will */
    int64_t alert_in_ms;     /* until the alert engine has something to do; -1: nothing is to be seen */
    int64_t notice_in_ms;    /* until a notice is to be sent; -1: none is */
    int64_t n_reports;                 /* devices with a stored status */
    const json_t *digests;             /* {device id: digest} of the reports asked for; the arena's */
};
/* The database's clock, ms since the epoch. */
MUST_USE enum err_code look_store_time(struct db *db, int64_t *ret, struct err *e);
MUST_USE enum err_code look_store_run(struct db *db, const struct look_ask *ask, struct arena *a, struct look *ret,
                                      struct err *e);
