/*
 * proxy.h - the PROXY protocol: reading versions 1 and 2 from balancers, writing version 2 for
 * Postfix. Source:   haproxy.org doc/proxy-protocol.txt (2020). Rules:    what is written is always
 * the command PROXY with the peer's true family: LOCAL and UNKNOWN make Postfix take the proxy's
 * own address, from which it relays.
 */
#pragma once

#include "foxproxy/addr.h"

enum {
    PROXY_V2_MAX = 52,   /* of what proxy_write() makes */
    PROXY_READ_MAX = 536 /* of what is read, as Postfix has it; TLVs are looked over, not used */
};

struct proxy_peers {
    struct addr_port src, dst;
    bool
        local; /* LOCAL or UNKNOWN: the connection is the balancer's own, src and dst are not set */
};

enum proxy_result { PROXY_MORE, PROXY_DONE, PROXY_BAD };

/* Look for a header at the start of in.  PROXY_DONE: *ret and *used (bytes of the header; the rest
 * is the client's). PROXY_MORE: all that is there could be the beginning of one.  PROXY_BAD: it is
 * none, is longer than PROXY_READ_MAX, or is not about TCP.  Nothing is written but with
 * PROXY_DONE.  IPv4-mapped addresses come out as IPv4; one mapped and one that is not: PROXY_BAD.
 */
enum proxy_result proxy_read(struct slice in, struct proxy_peers *ret, size_t *used);
/* The header of src and dst into buf; they must be of one family (an IPv4 src: dst is IPv4).
 * Returns its length. */
size_t proxy_write(const struct addr_port *src, const struct addr_port *dst,
                   char buf[PROXY_V2_MAX]);
