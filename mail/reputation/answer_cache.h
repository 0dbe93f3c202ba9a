/*
 * answer_cache.h - what zones said about addresses, for as long as it holds, in memory that never
 * grows. Sets of eight places; where an entry goes is keyed by a random number, so that nobody can
 * choose addresses that fall on one another.  A full set gives up what is over, then what is not
 * listed, then what is over soonest: a flood of addresses that nobody knows does not push out what
 * is known to be bad. Threads: none of its own; the caller's lock.
 */
#pragma once

#include "reputation/dnsbl_answer.h"

struct answer_cache;

struct cached_answer {
    struct dnsbl_answer answer;
    int64_t stored_ms, expires_ms;
};

/* places: rounded up to a power of two.  NULL: out of memory. */
MUST_USE struct answer_cache *answer_cache_new(size_t places);
void answer_cache_free(struct answer_cache *c);
bool answer_cache_find(const struct answer_cache *c, uint32_t zone, const uint8_t addr[16],
                       int64_t now_ms, struct cached_answer *ret);
void answer_cache_put(struct answer_cache *c, uint32_t zone, const uint8_t addr[16], int64_t now_ms,
                      int64_t ttl_ms, const struct dnsbl_answer *answer);
/* How long an answer is kept: its own time to live within our bounds. */
int64_t answer_ttl_ms(const struct dnsbl_answer *a);
