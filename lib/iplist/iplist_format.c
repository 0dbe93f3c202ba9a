#include "iplist/iplist_private.h"

#include <endian.h>

_Static_assert(sizeof(struct iplist_head) == 32, "the file's head has no holes");
_Static_assert(sizeof(struct iplist_item) == 40, "a row of the file has no holes");
_Static_assert(BYTE_ORDER == LITTLE_ENDIAN, "lists are used as they are mapped");

struct iplist_parts iplist_parts(const struct iplist_head *h)
{
    struct iplist_parts p;

    p.key6 = sizeof *h;
    p.item = p.key6 + (size_t)h->segs6 * sizeof(struct iplist_key6);
    p.key4 = p.item + ((size_t)h->rows4 + h->rows6) * sizeof(struct iplist_item);
    p.seg4 = p.key4 + (size_t)h->segs4 * sizeof(uint32_t);
    p.seg6 = p.seg4 + (size_t)h->segs4 * sizeof(uint32_t);
    p.top4 = p.seg6 + (size_t)h->segs6 * sizeof(uint32_t);
    p.sum = p.top4 + (h->rows4 > 0 ? (size_t)IPLIST_TOPS * sizeof(uint32_t) : 0);
    p.sum = (p.sum + 7) / 8 * 8;
    p.size = p.sum + sizeof(uint64_t);
    return p;
}

struct iplist_key6 iplist_key(const struct iplist_addr *a)
{
    struct iplist_key6 k;

    memcpy(&k, a->b, sizeof k);
    return (struct iplist_key6){be64toh(k.hi), be64toh(k.lo)};
}

struct iplist_addr iplist_unkey(struct iplist_key6 k)
{
    struct iplist_addr a;

    k = (struct iplist_key6){htobe64(k.hi), htobe64(k.lo)};
    memcpy(a.b, &k, sizeof a.b);
    return a;
}

struct iplist_key6 iplist_tail(unsigned bits)
{
    struct iplist_key6 all = {UINT64_MAX, UINT64_MAX};

    if (bits < 64)
        all.hi >>= bits;
    else
        all.hi = 0;
    if (bits >= 128)
        all.lo = 0;
    else if (bits > 64)
        all.lo >>= bits - 64;
    return all;
}

bool iplist_key_is_v4(struct iplist_key6 k)
{
    return k.hi == 0 && k.lo >> 32 == 0xffff;
}

bool iplist_is_v4(const struct iplist_addr *a)
{
    return iplist_key_is_v4(iplist_key(a));
}

static uint64_t turn(uint64_t v, unsigned by)
{
    return v << by | v >> (64 - by);
}

uint64_t iplist_sum(const char *p, size_t n)
{
    static const uint64_t p1 = 0x9E3779B185EBCA87, p2 = 0xC2B2AE3D27D4EB4F, p3 = 0x165667B19E3779F9,
                          p4 = 0x85EBCA77C2B2AE63, p5 = 0x27D4EB2F165667C5;
    const uint64_t *w = (const uint64_t *)(const void *)p;
    const uint64_t *end = w + n / 8;
    uint64_t h = p5;

    if (n >= 32) {
        uint64_t v[4] = {p1 + p2, p2, 0, 0 - p1};
        for (; end - w >= 4; w += 4)
            for (int i = 0; i < 4; i++)
                v[i] = turn(v[i] + w[i] * p2, 31) * p1;
        h = turn(v[0], 1) + turn(v[1], 7) + turn(v[2], 12) + turn(v[3], 18);
        for (int i = 0; i < 4; i++)
            h = (h ^ turn(v[i] * p2, 31) * p1) * p1 + p4;
    }
    h += n;
    for (; w < end; w++)
        h = turn(h ^ turn(*w * p2, 31) * p1, 27) * p1 + p4;
    h = (h ^ h >> 33) * p2;
    h = (h ^ h >> 29) * p3;
    return h ^ h >> 32;
}
