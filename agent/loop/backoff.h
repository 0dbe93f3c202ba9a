/*
 * backoff.h - how long to wait before asking the parent again, and how often an answer may make us
 * ask at once. Source:   docs/internals/wire.md; protocol: full jitter, uniform(0, min(300 s, 2 s *
 * 2^n)), a counter for each kind of request; Retry-After is honoured plus up to 20 %, never beyond
 * an hour; a token bucket against a parent whose answers always differ. Threads:  none of it is
 * shared.
 */
#pragma once

#include "base/slice.h"

enum { BACKOFF_BASE_MS = 2000, BACKOFF_MAX_MS = 300 * 1000, RETRY_AFTER_MAX_MS = 3600 * 1000 };

struct backoff {
    unsigned failures; /* in a row */
};

/* Count one failure and say how long to wait, in milliseconds. */
int64_t backoff_next(struct backoff *b);
static inline void backoff_reset(struct backoff *b)
{
    b->failures = 0;
}

/* The wait a Retry-After header asks for (delta-seconds or an HTTP date against now_ms), with
 * jitter and capped; -1 when it is absent, not understood, negative or past: then the own backoff
 * counts. */
int64_t backoff_retry_after(struct slice value, int64_t now_ms);

/* When, after the machine's boot, a device that has a configuration asks for the first time: by its id
 * and nothing else, 0 to BOOT_SLOT_MS - 1, so that a site whose power returns does not ask as one. */
enum { BOOT_SLOT_MS = 60 * 1000 };
int64_t backoff_boot_slot_ms(const char *device_id);

/* Loop guard: burst 2, one more each 5 s.  Spent by answers that came in under a second and brought
 * no new content. */
struct loop_guard {
    double tokens;
    int64_t at_mono_ms; /* when tokens was right; 0: never used, full */
};
enum { LOOP_GUARD_BURST = 2, LOOP_GUARD_REFILL_MS = 5000 };

/* Take one token.  0: go on at once; else the milliseconds until the next token is there (it is
 * then taken). */
int64_t loop_guard_take(struct loop_guard *g, int64_t mono_ms);

/* A parent whose every answer differs from the one before: real changes go on at once, up to
 * CHURN_BURST quick ones; beyond, one a second.  What came a few answers ago is nothing new. */
enum {
    CHURN_BURST = 20,
    CHURN_REFILL_MS = 5000,
    CHURN_WAIT_MS = 1000,
    CHURN_SHOWN = 3,
    CHURN_RECENT = 4
};
struct churn {
    struct loop_guard same, fresh;
    char recent[CHURN_RECENT][65]; /* content digests, newest last */
    unsigned paced;                /* answers in a row that had to wait */
};
/* A bundle with that content came; quick: in under a second.  How long to wait before the next
 * question, in milliseconds. */
int64_t churn_took(struct churn *c, const char *digest, bool quick, int64_t mono_ms);
/* Three answers in a row had to be waited for (true stays so until is_over). */
static inline bool churn_seen(const struct churn *c)
{
    return c->paced >= CHURN_SHOWN;
}
/* Nothing has come too fast for long enough that all tokens are back. */
bool churn_over(const struct churn *c, int64_t mono_ms);
