/*
 * memory.h - what the loop must still know after a crash: the highest revision it verified, what
 * failed and how often, the last attempt, the sequence number, when the parent last proved that it
 * is alive.  One file, replaced at once
 * (<agent.state>/state.json), beside the bundle's own bytes (bundle.jws).
 */
#pragma once

#include "loop/bundle.h"

enum { MEMORY_SEQ_BLOCK = 1000, MEMORY_FAILED_MAX = 32, MEMORY_TRIES = 2 };

struct memory {
    const char *dir;         /* borrowed */
    int64_t epoch, rev, pub; /* last verified bundle; 0: none */
    char etag[65], digest[65], jti[65];
    json_t *failed;       /* {digest: {"count","reason","agent","at"}} */
    json_t *last_attempt; /* as in the status document, or NULL */
    int64_t fresh_ms;     /* iat of the newest freshness proof */
    int64_t server_ms; /* newest time a parent told: lower bound of a clock that starts in 1970 */
    int64_t seq, seq_end; /* next number, first one that is not reserved */
    json_t *drift;        /* {item: {"since","tries","gave_up"}}, drift.h; NULL: nothing */
    json_t *hold;         /* {"reason","since_ms","until_ms"} or NULL */
    char proposal[65];    /* digest of the last proposal the parent took */
    char network[65];     /* apply_network_digest() of the last committed settings */
    bool degraded;        /* neither the newest configuration nor the one before it answered */
};
void memory_clear(struct memory *m);

/* Missing files are an empty memory.  Entries of other agent versions are forgotten: they may work
 * now. */
MUST_USE enum err_code memory_load(const char *dir, struct memory *ret, struct err *e);
MUST_USE enum err_code memory_save(const struct memory *m, struct err *e);

/* The next sequence number; a block of 1,000 is reserved on disk before its first is used, so that
 * a number never comes twice, whatever crashes. */
MUST_USE enum err_code memory_next_seq(struct memory *m, int64_t *ret, struct err *e);

/* Keep the bytes of a verified bundle, then remember it. */
MUST_USE enum err_code memory_keep_bundle(struct memory *m, struct slice text,
                                          const struct bundle *b, struct err *e);
/* The kept bytes; ERR_NOT_FOUND. */
MUST_USE enum err_code memory_read_bundle(const struct memory *m, char **ret, size_t *ret_n,
                                          struct err *e);
/* The second bundle of one revision, as evidence. */
void memory_keep_fork(const struct memory *m, struct slice text);

/* Count a failure of that content; the count after it. */
int64_t memory_failed(struct memory *m, const char *digest, const char *reason);
int64_t memory_failures(const struct memory *m, const char *digest);
void memory_forgive(struct memory *m, const char *digest);
