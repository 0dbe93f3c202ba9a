/*
 * ipnet.h - IP addresses and networks as values: parsed once, written in one way only.
 * Source: RFC 4291 2.2, RFC 4632 3.1, RFC 5952 (inet_ntop's form).
 */
#pragma once

#include "base/slice.h"

#include <stdbool.h>

enum { IPNET_TEXT_MAX = 64 };

struct ipnet {
    bool v6;
    unsigned bits;          /* 0..32 or 0..128 */
    unsigned char addr[16]; /* network order; IPv4 uses the first four */
};

enum ipnet_fault {
    IPNET_OK,
    IPNET_SYNTAX,
    IPNET_MAPPED,    /* ::ffff:a.b.c.d: one address must not have two names */
    IPNET_HOST_BITS, /* bits behind the prefix are set; *ret holds the network without them */
};

/* An address alone (bits is 32 or 128).  No zone ids, no leading zeros. */
MUST_USE enum ipnet_fault ipnet_address(struct slice s, struct ipnet *ret);
/* "a.b.c.d", "a.b.c.d/n", "a.b.c.d/m.m.m.m", "a.b.c.d:m.m.m.m" (the form of imported lists), "v6",
 * "v6/n". */
MUST_USE enum ipnet_fault ipnet_parse(struct slice s, struct ipnet *ret);
/* "192.0.2.0/24"; an address alone without its /32 or /128. */
void ipnet_format(const struct ipnet *n, char out[IPNET_TEXT_MAX]);
/* The same, always with the prefix length: "192.0.2.1/32". */
void ipnet_format_prefix(const struct ipnet *n, char out[IPNET_TEXT_MAX]);
bool ipnet_contains(const struct ipnet *net, const struct ipnet *inner);
bool ipnet_is_loopback(const struct ipnet *a); /* lies in 127.0.0.0/8 or is ::1 */
