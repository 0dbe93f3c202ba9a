/*
 * reputation.h - is an address listed in DNS (DNSBL, RFC 5782), asked beside an epoll loop that is
 * never blocked. Sources:  RFC 5782 (names, answers, test points), RFC 2308 (how long "not listed"
 * holds).
 *
 * What it promises
 *   An ask ends within wait_ms, answered or not.  An answer in 127.255.255.0/24 or outside of
 * 127/8, SERVFAIL, REFUSED and a time-out are errors, never listings.  A zone counts only while its
 * test points prove it (127.0.0.1 is not listed); one that lists everything is switched off and
 * says so.  A zone that fails is left alone and tried again by itself every few seconds, for ever
 * (zone_health.h); meanwhile nobody waits for it.  An answer that comes too late is kept: the next
 *   ask, or reputation_cached(), has it.
 *
 * Parts
 *   struct reputation       one a process: settings, cache, health of the zones.  Any thread; one
 * mutex, held for less than a microsecond.  The cache is shared by all loops, since a kernel that
 * spreads connections over listeners (SO_REUSEPORT) brings one sender to all of them, and since
 * whoever answers RCPT later is another thread still. struct reputation_loop  one an epoll loop:
 * sockets and open questions.  Belongs to that loop's thread.  The same question asked twice in a
 * loop meanwhile is one question; two loops may ask it once each.
 *
 * Addresses are 16 bytes; IPv4 is ::ffff:a.b.c.d.  now_ms is clock_mono_ms().
 */
#pragma once

#include "reputation/reputation_conf.h"

#include <jansson.h>

struct reputation;
struct reputation_loop;
struct reputation_ask;

struct reputation_verdict {
    enum rep_action action; /* REP_UNKNOWN: nothing listed it, but not every zone has answered */
    char zone[REP_ZONE_NAME_SIZE]; /* what decided; "" for pass and unknown */
    char code[INET_ADDRSTRLEN];    /* "127.0.0.2"; "" likewise */
    uint32_t ttl_s;                /* how long that answer still holds */
    uint32_t age_s;                /* how old it is */
    bool cached;                   /* nothing was asked for it */
    bool complete;                 /* every zone in force has answered */
};

/* Called once an ask, from reputation_loop_run(); may ask and cancel.  verdict is borrowed. */
typedef void reputation_done(void *user, const struct reputation_verdict *verdict);

/* NULL: out of memory.  Without zones until reputation_configure(). */
MUST_USE struct reputation *reputation_new(void);
void reputation_free(struct reputation *r); /* after its loops; NULL: nothing */
DEFINE_CLEANUP(struct reputation, reputation_free);
/* Start and each reload: conf is copied.  Asks under way go on by the settings they began with; the
 * cache and the figures of a zone that stays are kept; each zone is proven again.  ERR_NO_MEMORY,
 * ERR_INVALID: the old settings stay. */
MUST_USE enum err_code reputation_configure(struct reputation *r,
                                            const struct reputation_conf *conf, int64_t now_ms,
                                            struct err *e);

/* ERR_NO_MEMORY; ERR_STORAGE: no descriptors. */
MUST_USE enum err_code reputation_loop_new(struct reputation *r, struct reputation_loop **ret,
                                           struct err *e);
void reputation_loop_free(
    struct reputation_loop *l); /* open asks end without their callback; NULL: nothing */
/* One descriptor for the loop's epoll (EPOLLIN, level-triggered); it is the same for ever. */
int reputation_loop_fd(const struct reputation_loop *l);
/* How long the loop may sleep; -1: for ever. */
int reputation_loop_timeout_ms(struct reputation_loop *l, int64_t now_ms);
/* When the descriptor is readable or that time is over; more often does no harm. */
void reputation_loop_run(struct reputation_loop *l, int64_t now_ms);

/* true: *ret is the verdict, nothing is under way (all known, or nobody can be asked).
 * false: done(user, ...) follows within the settings' wait_ms; *ret_ask is good until then. */
MUST_USE bool reputation_ask(struct reputation_loop *l, const uint8_t addr[16], int64_t now_ms,
                             reputation_done *done, void *user, struct reputation_verdict *ret,
                             struct reputation_ask **ret_ask);
/* What its callback gets, when that is known only now. */
void reputation_ask_for(struct reputation_ask *ask, void *user);
/* The client is gone: no callback.  What was asked is still remembered when the answer comes. */
void reputation_ask_cancel(struct reputation_ask *ask);

/* What is known now, late answers too; asks nobody.  Any thread. */
void reputation_cached(struct reputation *r, const uint8_t addr[16], int64_t now_ms,
                       struct reputation_verdict *ret);

/* Somebody was refused because of that zone: for its figures.  Any thread. */
void reputation_count_refused(struct reputation *r, const char *zone);

/* {"ZONE": {state, figures, last error, test}}: new reference; NULL: out of memory.  Any thread. */
MUST_USE json_t *reputation_status_json(struct reputation *r, int64_t now_ms);
/* What each zone has said about addr, as far as it is known: [{"zone", "answer", "codes", "action",
 * ...}].  Any thread. */
MUST_USE json_t *reputation_explain_json(struct reputation *r, const uint8_t addr[16],
                                         int64_t now_ms);
