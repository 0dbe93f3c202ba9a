/*
 * target.h - which addresses messages may go to (security.md C34).  Threads: any; pure but for
 * target_resolve().
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#include <netdb.h>
#include <stdbool.h>
#include <sys/socket.h>

enum target_policy {
    TARGET_PUBLIC, /* webhooks: public addresses, and the networks that are allowed */
    TARGET_INNER,  /* smart hosts, trap sinks: also private ones and this host */
};
/* allowed: networks separated by blanks or commas; NULL: none. */
bool target_ok(const struct sockaddr *sa, enum target_policy policy, const char *allowed);
/* "192.0.2.1" or "2001:db8::1" of an address. */
enum { TARGET_TEXT_SIZE = 64 };
void target_text(const struct sockaddr *sa, char buf[TARGET_TEXT_SIZE]);
