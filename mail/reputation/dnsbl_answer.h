/*
 * dnsbl_answer.h - the name under which a zone is asked about an address, and what comes back.
 * Sources:  RFC 5782 2.1, 2.4 (names), 2.3 (answers), RFC 1035 4.1 (messages), RFC 2308 5 (how long
 * "no" holds). Pure: no I/O, no allocation, reentrant.  The message is foreign bytes and may be
 * anything.
 */
#pragma once

#include "base/slice.h"

#include <netinet/in.h>

enum { DNSBL_NAME_SIZE = 256, DNSBL_CODES_MAX = 8, DNSBL_TEXT_SIZE = 128 };

enum dnsbl_kind { DNSBL_NOT_LISTED, DNSBL_LISTED, DNSBL_ERROR };
enum dnsbl_error {
    DNSBL_E_NONE,
    DNSBL_E_ZONE,      /* 127.255.255.0/24: the zone does not serve us */
    DNSBL_E_OUTSIDE,   /* an address outside of 127/8: not a list any more */
    DNSBL_E_MALFORMED, /* not a DNS answer, or cut off */
    DNSBL_E_SERVFAIL,
    DNSBL_E_REFUSED,
    DNSBL_E_RCODE, /* another one */
    DNSBL_E_TIMEOUT,
    DNSBL_E_NETWORK, /* nobody listens there, no route, no memory */
};

struct dnsbl_answer {
    enum dnsbl_kind kind;
    enum dnsbl_error error;
    uint32_t detail; /* the address of E_ZONE and E_OUTSIDE, the number of E_RCODE */
    uint32_t codes[DNSBL_CODES_MAX]; /* host order, each once; more than fit are left out */
    uint8_t n;
    bool has_ttl; /* false: no SOA said how long "not listed" holds, or an error */
    uint32_t ttl_s;
};

/* 2.0.0.127.zone, or the 32 nibbles where it is an IPv6 address or is to be asked about as one
 * (test points).  zone: at most REP_ZONE_NAME_MAX characters. */
void dnsbl_name(const uint8_t addr[16], bool nibbles, const char *zone, char ret[DNSBL_NAME_SIZE]);
bool dnsbl_is_ipv4(const uint8_t addr[16]);
/* Always fills *ret; what cannot be read is an error answer. */
void dnsbl_answer_parse(const uint8_t *message, size_t n, struct dnsbl_answer *ret);
struct dnsbl_answer dnsbl_answer_error(enum dnsbl_error error);
/* "not listed", "listed: 127.0.0.2 127.0.0.10", "the zone refuses us (127.255.255.254)" */
void dnsbl_answer_text(const struct dnsbl_answer *a, char ret[DNSBL_TEXT_SIZE]);
