/*
 * listen.h - the sockets foxproxy listens on: one for each address and loop (SO_REUSEPORT), made
 * here or given by who started it (LISTEN_FDS), so that they outlive this process. Threads: the
 * main thread.
 */
#pragma once

#include "foxproxy/snapshot.h"

struct listen_set {
    struct listener *v;
    size_t n;
};

/* Sockets given by the service manager, which is then forgotten (LISTEN_FDS is removed).  Closed:
 * what is no listening TCP socket. */
void listen_take_given(struct listen_set *ret);
/* Listeners for every address of ini and each of `loops` loops: those of have that fit, then those
 * of given (may be NULL), then new ones.  On success *ret is the whole, have is not touched and
 * given is emptied into *ret or closed. ERR_UNAVAILABLE names the address that cannot be had;
 * nothing is changed then. */
MUST_USE enum err_code listen_make(const struct ini *ini, const struct listen_set *have,
                                   struct listen_set *given, unsigned loops, struct listen_set *ret,
                                   struct err *e);
/* Close what is in old and not in now; frees old. */
void listen_drop(struct listen_set *old, const struct listen_set *now);
void listen_close(struct listen_set *s);
