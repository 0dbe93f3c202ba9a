/* reputation_private.h - what the parts of mail/reputation share.  reputation.h is the contract. */
#pragma once

#include "reputation/answer_cache.h"
#include "reputation/reputation.h"
#include "reputation/zone_health.h"

#include <pthread.h>

/* Settings that were in force at some time: immutable but for the counter and, of those in force,
 * the generation. */
struct reputation_set {
    struct reputation_conf conf;
    struct zone_health *health[REP_ZONES_MAX]; /* one reference each */
    uint64_t generation;                       /* another one: each loop makes its resolver anew */
    unsigned refs;
};

struct reputation {
    pthread_mutex_t lock;       /* everything below, and what it points to */
    struct reputation_set *set; /* NULL before the first reputation_configure() */
    struct answer_cache *cache;
    uint32_t zone_ids;
    uint64_t generation;
    int64_t reread_ms; /* when the system's resolvers were last read again */
};

/* What one zone has said in an ask. */
enum slot_state {
    SLOT_PENDING,
    SLOT_ANSWERED,
    SLOT_NOBODY /* not asked: down, switched off, too many under way */
};
struct reputation_slot {
    enum slot_state state;
    struct cached_answer cached;
};

/* All with the lock held. */
struct reputation_set *reputation_set_ref(struct reputation *r); /* NULL: no settings yet */
void reputation_set_unref(struct reputation_set *set);
void reputation_health_unref(struct zone_health *h);
/* What zone i has said means, REP_UNKNOWN while it cannot be believed; *ret_code: the address it is
 * by, or 0. */
enum rep_action reputation_meaning(const struct reputation_set *set, size_t i, bool ipv4,
                                   const struct dnsbl_answer *a, uint32_t *ret_code);
/* true: *ret is decided, whatever may still come.  final: nothing more is waited for, always true.
 */
bool reputation_decide(const struct reputation_set *set, const struct reputation_slot *slots,
                       bool ipv4, bool final, int64_t now_ms, struct reputation_verdict *ret);

/* A line of the log about a zone whose state has changed; taken with the lock held, written without
 * it. */
struct zone_news {
    char zone[REP_ZONE_NAME_SIZE], state[16], why[DNSBL_TEXT_SIZE];
    bool bad;
};
struct zone_news zone_news_of(const struct zone_health *h);
void zone_news_log(const struct zone_news *news);
