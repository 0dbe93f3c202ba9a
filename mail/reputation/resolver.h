/*
 * resolver.h - DNS questions beside an epoll loop: the only place with c-ares.
 * Sockets live in one inner epoll descriptor.  Questions go out over several c-ares channels in
 * turn, each for a short time and then left to run dry, so that its sockets are closed and the next
 * ones have other, random source ports (c-ares 1.18 keeps one port for as long as anything is under
 * way).  Truncated answers are asked again over TCP by c-ares. A question ends by itself: after at
 * most 7 s.  A resolver that has not answered several questions first comes last. Threads: one.
 */
#pragma once

#include "reputation/dnsbl_answer.h"
#include "reputation/reputation_conf.h"

struct resolver;

enum { RESOLVER_OPEN_MAX = 2048 };

/* Exactly once a question, maybe before resolver_query() returns.  message: the whole answer,
 * whatever it says; borrowed. NULL: there is none, and error says why. */
typedef void resolver_done(void *user, enum dnsbl_error error, const uint8_t *message, size_t n);

/* conf: wait_ms and resolvers.  ERR_NO_MEMORY; ERR_INVALID: c-ares refuses them; ERR_STORAGE: no
 * descriptors. */
MUST_USE enum err_code resolver_new(const struct reputation_conf *conf, struct resolver **ret,
                                    struct err *e);
void resolver_free(struct resolver *r); /* open questions end (DNSBL_E_NETWORK); NULL: nothing */
int resolver_fd(const struct resolver *r);
size_t resolver_open(const struct resolver *r);
/* A record of name.  false: too many are under way, done is not called. */
MUST_USE bool resolver_query(struct resolver *r, const char *name, int64_t now_ms,
                             resolver_done *done, void *user);
int64_t resolver_wake_at(const struct resolver *r); /* INT64_MAX: nothing is under way */
void resolver_run(struct resolver *r, int64_t now_ms);
