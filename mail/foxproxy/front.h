/*
 * front.h - what the main thread and the loops share.
 * Threads: `lock` guards `snap` only and is held for a pointer's copy; the rest is atomic.  Loops
 * never wait for the main thread; front_publish() waits for them.
 */
#pragma once

#include "foxproxy/snapshot.h"
#include "reputation/reputation.h"

#include <pthread.h>

/* One figure each; written by its loop alone, read by anybody. */
#define LOOP_COUNTERS(X)                                                                           \
    X(accepted)      /* connections */                                                             \
    X(approved)      /* by the list */                                                             \
    X(approved_log)  /* would have been: the list only logs */                                     \
    X(blocked_log)   /* likewise */                                                                \
    X(sessions)      /* handed to the backend */                                                   \
    X(asked)         /* waited for DNS */                                                          \
    X(unanswered)    /* let pass by reputation because not every zone has answered */              \
    X(listed_allow)  /* approved by a zone */                                                      \
    X(listed_log)    /* listed by a zone that only logs, or reputation only logs */                \
    X(hung_up)       /* before that */                                                             \
    X(idle)          /* ended because nobody said anything for too long */                         \
    X(bytes_in)      /* of clients */                                                              \
    X(bytes_out)     /* to clients */                                                              \
    X(no_descriptor) /* accept() had none left, or there was no memory */                          \
    X(unlogged)      /* refusals without a line of their own in the log */

struct loop_counters {
#define X(name) atomic_uint_fast64_t name;
    LOOP_COUNTERS(X)
#undef X
    atomic_uint_fast64_t refused[REPLIES];
    atomic_uint_fast64_t lingering, linger_cut; /* the first is a gauge */
};

static inline void count_add(atomic_uint_fast64_t *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

struct loop;

struct front {
    pthread_mutex_t lock;
    struct snapshot *snap; /* the newest */
    struct reputation *rep; /* borrowed; of all loops */
    atomic_uint_fast64_t generation;
    atomic_int_fast64_t held;    /* clients in some session, with a backend or on the way there */
    atomic_int_fast64_t backend; /* sessions that have or want a backend: max_sessions */
    atomic_bool stop;
    struct loop **loop;
    unsigned loops;
};

/* Threads with a loop each, n of them, with snap in force.  On error none runs. */
MUST_USE enum err_code front_start(struct front *f, unsigned n, struct snapshot *snap,
                                   struct reputation *rep, struct err *e);
/* Put snap (one reference, taken over) in force.  true: each loop has gone over to it.  false: one
 * has not within 2 s; it will, but who wants to close a listener must not. */
bool front_publish(struct front *f, struct snapshot *snap);
/* End: all sessions are cut, threads are joined, everything is freed. */
void front_stop(struct front *f);
/* A loop has not turned for this long, at most. */
int64_t front_stalled_ms(const struct front *f, int64_t now_ms);
/* Sums over the loops. */
void front_counters(const struct front *f, struct loop_counters *ret);
