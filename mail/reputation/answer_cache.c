#include "reputation/answer_cache.h"

#include "base/rand.h"

#include <stdlib.h>

enum {
    WAYS = 8,
    LISTED_MIN_S = 30, /* a sender that connects again and again is asked about at most so often */
    LISTED_MAX_S =
        3600, /* who was taken from a list is free after an hour, whatever the zone says */
    FREE_MIN_S = 30,
    FREE_MAX_S = 3600,
    FREE_S = 300, /* without a SOA */
    ERROR_S = 5,  /* the same question again at once would hardly fare better */
};

struct place {
    uint8_t addr[16];
    uint32_t zone; /* 0: empty */
    struct cached_answer a;
};

struct answer_cache {
    uint64_t key[2];
    size_t sets; /* a power of two */
    struct place place[];
};

struct answer_cache *answer_cache_new(size_t places)
{
    struct answer_cache *c;
    size_t sets = 1;

    while (sets * WAYS < places)
        sets *= 2;
    c = calloc(1, sizeof *c + sets * WAYS * sizeof c->place[0]);
    if (c == NULL)
        return NULL;
    rand_bytes(c->key, sizeof c->key);
    c->sets = sets;
    return c;
}

void answer_cache_free(struct answer_cache *c)
{
    free(c);
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 m = (unsigned __int128)a * b;

    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static size_t first_of_set(const struct answer_cache *c, uint32_t zone, const uint8_t addr[16])
{
    uint64_t half[2], h;

    memcpy(half, addr, sizeof half);
    h = mix(half[0] ^ c->key[0], half[1] ^ c->key[1]);
    h = mix(h ^ c->key[0] ^ zone, c->key[1] | 1);
    return (size_t)(h >> 20 & (c->sets - 1)) * WAYS;
}

static bool place_is(const struct place *p, uint32_t zone, const uint8_t addr[16])
{
    return p->zone == zone && memcmp(p->addr, addr, 16) == 0;
}

bool answer_cache_find(const struct answer_cache *c, uint32_t zone, const uint8_t addr[16],
                       int64_t now_ms, struct cached_answer *ret)
{
    const struct place *p = &c->place[first_of_set(c, zone, addr)];

    for (size_t i = 0; i < WAYS; i++, p++) {
        if (place_is(p, zone, addr)) {
            if (p->a.expires_ms <= now_ms)
                return false;
            *ret = p->a;
            return true;
        }
    }
    return false;
}

/* The smaller, the sooner it is given up. */
static int64_t worth(const struct place *p, int64_t now_ms)
{
    if (p->zone == 0 || p->a.expires_ms <= now_ms)
        return -1;
    return p->a.expires_ms - now_ms + (p->a.answer.kind == DNSBL_LISTED ? (int64_t)1 << 40 : 0);
}

void answer_cache_put(struct answer_cache *c, uint32_t zone, const uint8_t addr[16], int64_t now_ms,
                      int64_t ttl_ms, const struct dnsbl_answer *answer)
{
    struct place *set = &c->place[first_of_set(c, zone, addr)], *to = set;

    for (size_t i = 0; i < WAYS; i++) {
        if (place_is(&set[i], zone, addr)) {
            to = &set[i];
            break;
        }
        if (worth(&set[i], now_ms) < worth(to, now_ms))
            to = &set[i];
    }
    memcpy(to->addr, addr, 16);
    to->zone = zone;
    to->a = (struct cached_answer){*answer, now_ms, now_ms + ttl_ms};
}

static int64_t within(int64_t v, int64_t min, int64_t max)
{
    return v < min ? min : v > max ? max : v;
}

int64_t answer_ttl_ms(const struct dnsbl_answer *a)
{
    int64_t s = ERROR_S;

    if (a->kind == DNSBL_LISTED)
        s = within(a->ttl_s, LISTED_MIN_S, LISTED_MAX_S);
    else if (a->kind == DNSBL_NOT_LISTED)
        s = a->has_ttl ? within(a->ttl_s, FREE_MIN_S, FREE_MAX_S) : FREE_S;
    return s * 1000;
}
