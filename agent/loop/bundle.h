/*
 * bundle.h - is this bundle ours, new and something we understand?  Everything that can be said
 * before anything is written, in the order of docs/internals/wire.md: size, signature and key,
 * fleet and device, epoch and revision, fork, "crit", schema.  Hold, catalog and planner come
 * after, in apply.c and in the helper. Pure: no clock, no files.  Fuzzed
 * (tests/fuzz/fuzz_bundle.c).
 */
#pragma once

#include "loop/trust.h"

enum bundle_mode { BUNDLE_OBSERVE, BUNDLE_MANAGE, BUNDLE_DRY_RUN };
enum bundle_drift { BUNDLE_DRIFT_REPORT, BUNDLE_DRIFT_ENFORCE, BUNDLE_DRIFT_ADOPT };

/* What of a bundle counts later; the strings live in json. */
struct bundle {
    json_t *payload; /* owned */
    int64_t epoch, rev, pub;
    const char *jti;
    char etag[65];   /* SHA-256 of the bytes as they came */
    char digest[65]; /* content digest, computed here and equal to the one it names */
    enum bundle_mode mode;
    enum bundle_drift drift;   /* of every item that has no word of its own */
    const json_t *drift_items; /* {"main.cf:myhostname":"report"}, or NULL */
    const json_t *settings;    /* of section postfix */
    const json_t *sealed;      /* {id of a secret: JWE to this device's key}, or NULL; no part of the content */
    const char *placement;     /* device_facts, or NULL */
    int64_t apply_deadline_s, probe_soak_s, confirm_window_s;
};
void bundle_clear(struct bundle *b);
/* What is to be done when that item differs. */
enum bundle_drift bundle_drift_of(const struct bundle *b, const char *item);

/* What the device knows already. */
struct bundle_known {
    const struct trust *trust;
    const char *fleet, *device;
    int64_t now_ms;     /* corrected clock, for keys with an end */
    int64_t epoch, rev; /* highest ever verified; 0 0: none */
    const char *etag;   /* of that one, or "" */
};

/* The word under which a refusal is reported (status: conditions[].reason). */
enum bundle_refusal {
    BUNDLE_OK,
    BUNDLE_SIZE,
    BUNDLE_MALFORMED,
    BUNDLE_SIGNATURE,
    BUNDLE_OTHER_DEVICE,
    BUNDLE_ROLLBACK,
    BUNDLE_FORK,
    BUNDLE_CRITICAL,
    BUNDLE_AGENT_TOO_OLD,
    BUNDLE_SCHEMA,
    BUNDLE_DIGEST,
    BUNDLE_REFUSALS
};
const char *bundle_refusal_word(enum bundle_refusal r); /* "RevisionFork" */

/* text: the bytes of the answer.  BUNDLE_OK: *ret is written (clear it); else *e says what was
 * wrong. */
MUST_USE enum bundle_refusal bundle_verify(struct slice text, const struct bundle_known *known,
                                           struct bundle *ret, struct err *e);

/* A freshness proof (compact JWS): valid for this device at now_ms?  *ret_iat_ms: when it was made.
 */
MUST_USE enum err_code bundle_fresh(struct slice text, const struct bundle_known *known,
                                    int64_t *ret_iat_ms, struct err *e);
