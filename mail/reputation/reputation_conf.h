/*
 * reputation_conf.h - which zones are asked, whom, and what an answer means.
 * The parsers take one value of foxproxy.ini each; errors name what is wrong and what is possible.
 * No I/O, reentrant.
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#include <netinet/in.h>

/* In order of strength, the strongest last: what several zones (or several codes of one answer) say
 * together. */
enum rep_action { REP_PASS, REP_UNKNOWN, REP_LOG, REP_DEFER, REP_REJECT, REP_APPROVE };
/* What a zone does when it says nothing else: standard (a list of fixed addresses) rejects,
 * advanced (a list of what happens now, listings come and go) defers, allow approves. */
enum rep_profile { REP_STANDARD, REP_ADVANCED, REP_ALLOW };

enum {
    REP_ZONES_MAX = 16,
    REP_CODES_MAX = 32,
    REP_RESOLVERS_MAX = 3,
    REP_ZONE_NAME_MAX = 189, /* 253 less the 64 of an IPv6 address in nibbles */
    REP_ZONE_NAME_SIZE = REP_ZONE_NAME_MAX + 1,
    REP_RESOLVER_SIZE = INET6_ADDRSTRLEN + 10,
    REP_WAIT_MIN_MS = 50,
    REP_WAIT_MAX_MS = 5000,
};

struct rep_codes {
    struct rep_range {
        uint32_t from, to; /* host order, both included, within 127/8 */
        enum rep_action action;
    } range[REP_CODES_MAX];
    size_t n;
};

struct rep_zone_conf {
    char name[REP_ZONE_NAME_SIZE]; /* lower case, without a dot at the end */
    enum rep_profile profile;
    enum rep_action action; /* of codes that name none */
    struct rep_codes codes;
};

struct reputation_conf {
    int64_t wait_ms;
    char resolver[REP_RESOLVERS_MAX][REP_RESOLVER_SIZE]; /* "192.0.2.1:53", "[2001:db8::1]:53" */
    size_t resolvers;                                    /* 0: those of the system */
    struct rep_zone_conf zone[REP_ZONES_MAX];
    size_t zones;
};

void reputation_conf_init(struct reputation_conf *conf); /* 700 ms, nothing else */

MUST_USE enum err_code reputation_conf_zone_name(struct slice text, char ret[REP_ZONE_NAME_SIZE],
                                                 struct err *e);
MUST_USE enum err_code reputation_conf_profile(struct slice text, enum rep_profile *ret,
                                               struct err *e);
MUST_USE enum err_code reputation_conf_action(struct slice text, enum rep_action *ret,
                                              struct err *e);
/* "ADDRESS:PORT" or an address alone (port 53). */
MUST_USE enum err_code reputation_conf_resolver(struct slice text, char ret[REP_RESOLVER_SIZE],
                                                struct err *e);
enum rep_action reputation_conf_default(enum rep_profile profile);
/* "127.0.0.2-127.0.0.11 127.0.0.10=defer"; empty: 127.0.0.2-127.0.0.254.  Where ranges overlap the
 * narrowest counts, of two alike the later.  Codes that name no action have otherwise. */
MUST_USE enum err_code reputation_conf_codes(struct slice text, enum rep_action otherwise,
                                             struct rep_codes *ret, struct err *e);
/* What one answer means; REP_PASS for a code that is not listed here. */
enum rep_action rep_codes_action(const struct rep_codes *codes, uint32_t code);
const char *rep_action_name(enum rep_action action);
const char *rep_profile_name(enum rep_profile profile);
