/*
 * iplist_private.h - the file of a list.
 *
 *   head | key6[segs6] | row[rows4 + rows6] | key4[segs4] | seg4[segs4] | seg6[segs6] | top4[65536,
 * if rows4] | pad | XXH64
 *
 * Each family's addresses are cut into segments at which the innermost row changes: key = first
 * address of the segment, ascending, the first is 0; seg = its row or NONE.  A row knows the one
 * around it (out), which comes before it: that is the way back when the inner one has expired.
 * top4[h] = the segment that holds the address h * 65536.
 */
#pragma once

#include "iplist/iplist.h"

#define IPLIST_MAGIC "INARIPL1"
#define IPLIST_NONE  UINT32_MAX
enum { IPLIST_ORDER = 0x01020304, IPLIST_TOPS = 65536 };

struct iplist_head {
    char magic[8];
    uint32_t order; /* IPLIST_ORDER in the byte order of the file */
    uint32_t rows4;
    uint32_t rows6;
    uint32_t segs4; /* 0 without rows of that family, else 1..2 * rows + 1 */
    uint32_t segs6;
    uint32_t zero;
};

struct iplist_key6 {
    uint64_t hi, lo;
};

struct iplist_item {
    struct iplist_key6 net;
    int64_t expires_ms;
    uint64_t id;
    uint32_t out; /* index of the row around this one, or NONE */
    uint8_t bits;
    uint8_t zero[3];
};

/* Where the parts of a file with this head are. */
struct iplist_parts {
    size_t key6, item, key4, seg4, seg6, top4, sum, size;
};

struct iplist_parts iplist_parts(const struct iplist_head *h);
/* XXH64 of n bytes, n a multiple of 8 and p aligned to it, seed 0. */
uint64_t iplist_sum(const char *p, size_t n);
struct iplist_key6 iplist_key(const struct iplist_addr *a);
struct iplist_addr iplist_unkey(struct iplist_key6 k);
/* Bits behind the first bits (0..128), all set. */
struct iplist_key6 iplist_tail(unsigned bits);
bool iplist_key_is_v4(struct iplist_key6 k);
static inline int iplist_key_order(struct iplist_key6 a, struct iplist_key6 b)
{
    if (a.hi != b.hi)
        return a.hi < b.hi ? -1 : 1;
    return a.lo < b.lo ? -1 : a.lo > b.lo;
}
