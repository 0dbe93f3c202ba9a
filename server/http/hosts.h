/*
 * hosts.h - the names this parent answers to: the Host allow-list (421 for others: DNS rebinding) and the names in a
 * certificate we make ourselves.
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"

enum { HOSTS_MAX = 64, HOSTS_NAME_MAX = 254 };

struct hosts {
    char name[HOSTS_MAX][HOSTS_NAME_MAX]; /* lower case; addresses as inet_ntop() writes them */
    size_t n;
    size_t first_address; /* entries from here on are addresses */
};

/* configured: words separated by commas or blanks (may be NULL), then FQDN, host name, localhost and every local
 * address.  ERR_INVALID names a configured word that is no host name. */
MUST_USE enum err_code hosts_collect(const char *configured, struct hosts *ret, struct err *e);
bool hosts_has(const struct hosts *h, const char *name); /* name as gate_host() makes it */
