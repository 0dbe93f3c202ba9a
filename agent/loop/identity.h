/*
 * identity.h - who this child is: keys, device id, fleet, what it trusts; one file, written at once
 * (<agent.state>/identity.json, 0600).  While an enrolment is not answered yet the new keys stand
 * in pending.json, so that every repetition shows the same key and gives the same device. Secrets:
 * private keys never leave these two files; nothing here is logged.
 */
#pragma once

#include "loop/trust.h"

struct identity {
    char device_id[37], fleet[37], name[128];
    char fingerprint[65];
    json_t *addresses;          /* owned: https:// addresses of the parent, preferred first */
    char *trust_text;           /* owned: newest trust document as it came */
    char *receipt;              /* owned: compact JWS, presented when a parent lost us */
    struct trust *trust;        /* owned */
    struct jose_key *sig, *enc; /* owned */
    int64_t wait_s, interval_s;
    int64_t joined_ms;
};
void identity_clear(struct identity *id);

/* ERR_NOT_FOUND: not joined. */
MUST_USE enum err_code identity_load(const char *state_dir, struct identity *ret, struct err *e);
MUST_USE enum err_code identity_save(const char *state_dir, const struct identity *id,
                                     struct err *e);
/* Rename identity.json to identity.<time>.<why>: nothing is deleted, nothing is used any more. */
MUST_USE enum err_code identity_put_aside(const char *state_dir, const char *why, struct err *e);
/* Take a successor of the trust document in force into use and store it. */
MUST_USE enum err_code identity_trust_next(const char *state_dir, struct identity *id,
                                           struct slice text, struct err *e);

/* The keys of an enrolment that is under way, made and stored at the first call. */
MUST_USE enum err_code identity_pending_keys(const char *state_dir, struct jose_key **ret_sig,
                                             struct jose_key **ret_enc, struct err *e);
void identity_pending_done(const char *state_dir);

/* Keyed hash over machine id and hardware id: the same after every start of this machine.
 * Reads what only root may read, so call it before privileges are given up. */
void identity_fingerprint(char ret[65]);
