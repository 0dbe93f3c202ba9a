/*
 * addr.h - addresses of peers as foxproxy sees them: 16 bytes, IPv4 as ::ffff:a.b.c.d, whatever
 * family they came in.
 */
#pragma once

#include "base/slice.h"
#include "iplist/iplist.h"

#include <sys/socket.h>

enum { ADDR_TEXT_SIZE = 64 }; /* "[ffff:...]:65535" */

struct addr_port {
    struct iplist_addr addr;
    uint16_t port; /* host order */
};

struct addr_net {
    struct iplist_addr net;
    uint8_t bits; /* 0..128; IPv4 /n is 96 + n */
};

static inline bool addr_eq(const struct iplist_addr *a, const struct iplist_addr *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

/* "192.0.2.1", "2001:db8::1"; no brackets, no zone.  An IPv4-mapped text is the IPv4 address. */
MUST_USE bool addr_parse(struct slice s, struct iplist_addr *ret);
/* "192.0.2.1:25", "[2001:db8::1]:25"; an IPv4-mapped IPv6 address is refused (write the IPv4 one).
 */
MUST_USE bool addr_port_parse(struct slice s, struct addr_port *ret);
/* "192.0.2.0/24", "2001:db8::/32" or one address; bits behind the prefix must be zero. */
MUST_USE bool addr_net_parse(struct slice s, struct addr_net *ret);
bool addr_net_has(const struct addr_net *n, const struct iplist_addr *a);
/* IPv4 as IPv4. */
void addr_text(const struct iplist_addr *a, char buf[ADDR_TEXT_SIZE]);
void addr_port_text(const struct addr_port *a, char buf[ADDR_TEXT_SIZE]);
/* Of AF_INET and AF_INET6; false: another family. */
MUST_USE bool addr_of_sockaddr(const struct sockaddr_storage *ss, struct addr_port *ret);
/* The true family: AF_INET for IPv4.  Returns the length. */
socklen_t addr_to_sockaddr(const struct addr_port *a, struct sockaddr_storage *ret);
/* Nobody outside of this host can have it: loopback, unspecified, this network (0/8), multicast,
 * broadcast, IPv4 hidden in ::/96. */
bool addr_is_nobody(const struct iplist_addr *a);
