/*
 * apply.h - one bundle onto this host: stage, validate, trial conversations, switch, live probes;
 * then, when the loop has confirmed it with the parent, commit; at any fault revert and prove that
 * too.  The helper does the writing, this decides (docs/internals/helper.md; protocol 6.9).  The
 * journal is the helper's: a loop that dies here changes nothing about the outcome. Threads: one
 * loop.  apply_start() blocks for the length of the transaction: typically under half a second, at
 * most the sum of the helper's and probes' limits.
 */
#pragma once

#include "common/agent_settings.h"
#include "loop/bundle.h"
#include "loop/identity.h"
#include "loop/helper_link.h"
#include "loop/probe_smtp.h"
#include "loop/sink_lmtp.h"

enum { /* loopback services, docs/internals/helper.md */
       APPLY_PORT_PROBE = 10027,
       APPLY_PORT_SINK = 10028,
       APPLY_PORT_DIGEST = 10029,
};

enum apply_outcome {
    APPLY_AWAY,     /* the helper does not answer; nothing was changed by us, try again later */
    APPLY_FINISHED, /* observed, rejected, committed or reverted: see result; the host runs what it
                       should */
    APPLY_PROBED,   /* switched and proven: now apply_commit() or apply_revert() */
    APPLY_DEGRADED, /* neither the new nor the old configuration passes its probes */
};

struct apply {
    const struct agent_settings *settings;
    struct helper_link *helper;
    struct sink *sink;
    const char *device_id;
    const struct identity *id; /* whose keys open a bundle's secrets */
    /* The attempt, for status.last_attempt. */
    char digest[65], jti[65];
    int64_t rev, pub;
    const char *phase; /* verified staged validated switching probing confirming committed reverting
                          reverted */
    const char *result; /* words of wire.md; NULL: under way */
    json_t *problem;    /* owned, or NULL */
    int64_t started_ms, ended_ms, started_mono_ms, duration_ms;
    char times[160]; /* "staged 21 validated 310 ...": ms since the start at which each was reached
                      */
    struct probe_clients clients; /* whom the relay probes of this attempt ask as */
    json_t *listeners;            /* owned: what the new configuration listens on */
    json_t *would_change;         /* owned: of the last observing run */
};
void apply_clear(struct apply *a);

/* mode observe: only diff.  mode dry-run: up to the trial.  mode manage: everything up to the live
 * probes. */
enum apply_outcome apply_start(struct apply *a, const struct bundle *b);
/* The attempt has nothing to do: this content runs already (read back just now). */
void apply_same(struct apply *a, const struct bundle *b);
enum apply_outcome apply_commit(struct apply *a);
/* Put the previous configuration back because of why (its code and message become the problem). */
enum apply_outcome apply_revert(struct apply *a, const struct err *why);
/* An attempt that was not made at all: held, or refused before it began. */
void apply_refuse(struct apply *a, const struct bundle *b, const char *result,
                  const struct err *why);
/* The open or just closed transaction a dead process left behind.  *ret_interrupted: a change was
 * cut short and the old configuration is back; a->digest says which. */
enum apply_outcome apply_recover(struct apply *a, bool *ret_interrupted);

/* Live checks of what runs now: digest banner, and with relay a foreign recipient as IPv4 and IPv6
 * client. */
bool apply_check_running(struct apply *a, const char *digest, bool relay, char *ret_problem,
                         size_t size);
/* Both digests of the banner, "" where it shows none. */
void apply_read_banner(struct apply *a, char ret_main[65], char ret_master[65]);

/* status.last_attempt; new reference. */
json_t *apply_to_json(const struct apply *a);
/* Digest over the settings that decide where this host listens and from where it speaks: only a
 * change of these can cut it off from its parent. */
void apply_network_digest(const json_t *settings, char ret[65]);
