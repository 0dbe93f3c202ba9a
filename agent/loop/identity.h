/*
 * identity.h - who this child is: keys, device id, fleet, what it trusts; one file, written at once
 * (<agent.state>/identity.json, 0600).  While an enrolment is not answered yet the new keys stand
 * in pending.json, so that every repetition shows the same key and gives the same device. Secrets:
 * private keys never leave these two files; nothing here is logged.
 */
#pragma once

#include "loop/trust.h"

/* Keyed hashes; "" where the machine does not say. */
struct machine {
    char id[65];       /* machine-id: made anew by a reinstallation, or with a clone */
    char hardware[65]; /* outlives both, where the hypervisor does not copy it */
    char whole[65];    /* both together: what the parent knows it by */
};

struct key_pair {
    struct jose_key *sig, *enc; /* owned; both or neither */
};

struct identity {
    char device_id[37], fleet[37], name[128];
    json_t *addresses;    /* owned: https:// addresses of the parent, preferred first */
    char *trust_text;     /* owned: newest trust document as it came */
    char *receipt;        /* owned: compact JWS, presented when a parent lost us */
    struct trust *trust;  /* owned */
    struct key_pair key;  /* in force, as far as this device knows */
    struct key_pair next; /* offered or about to be, not proven accepted yet; empty: none */
    char *next_receipt;   /* owned: for next, once it is offered; or NULL */
    struct key_pair old; /* the one before: a parent restored from an older backup knows no other */
    int64_t wait_s, interval_s;
    int64_t joined_ms;
    int64_t key_ms;         /* since when key is in force */
    struct machine machine; /* what it was enrolled on */
    char rotated_for[37];   /* the order that next, or else key, was made for; "" none */
};
void identity_clear(struct identity *id);

/* ERR_NOT_FOUND: not joined. */
MUST_USE enum err_code identity_load(const char *state_dir, struct identity *ret, struct err *e);
MUST_USE enum err_code identity_save(const char *state_dir, const struct identity *id,
                                     struct err *e);
/* Rename identity.json to identity.<time>.<why>: nothing is deleted, nothing is used any more. */
MUST_USE enum err_code identity_put_aside(const char *state_dir, const char *why, struct err *e);
/* Remove what this host has to tell and nobody has heard yet: it belongs to the device it was, not
 * to the one it becomes. ERR_STORAGE. */
MUST_USE enum err_code identity_forget_events(const char *state_dir, struct err *e);
/* Remove all that makes this host a device (for an image of it): identity, keys, bundle, numbers.
 * What could not be removed is named in *e. */
void identity_wipe(const char *state_dir, struct err *e);
/* Take a successor of the trust document in force into use and store it. */
MUST_USE enum err_code identity_trust_next(const char *state_dir, struct identity *id,
                                           struct slice text, struct err *e);

/* Renewal (rotate.h): each is one atomic write, so that after a kill one of the steps is the one in
 * force. Make the next keys, unless there are some, for an order ("" none). */
MUST_USE enum err_code identity_next_begin(const char *state_dir, struct identity *id,
                                           const char *order, struct err *e);
/* The parent has heard of them; receipt "": it gave none. */
MUST_USE enum err_code identity_next_offered(const char *state_dir, struct identity *id,
                                             const char *receipt, struct err *e);
/* They are accepted: in force since now_ms.  Also when it could not be stored: then the file still
 * leads here. */
MUST_USE enum err_code identity_next_done(const char *state_dir, struct identity *id,
                                          int64_t now_ms, struct err *e);
/* Nobody took them. */
MUST_USE enum err_code identity_next_drop(const char *state_dir, struct identity *id,
                                          struct err *e);
/* The parent accepts the key before only: it is in force again, and ours is offered anew. */
MUST_USE enum err_code identity_old_again(const char *state_dir, struct identity *id,
                                          struct err *e);

/* The keys of an enrolment that is under way, made and stored at the first call. */
MUST_USE enum err_code identity_pending_keys(const char *state_dir, struct jose_key **ret_sig,
                                             struct jose_key **ret_enc, struct err *e);
void identity_pending_done(const char *state_dir);

/* What this machine is now: the same after every start of it.  Reads what only root may read, so
 * call it before privileges are given up. */
void identity_machine(struct machine *ret);
/* Is there nothing in common with the machine of the enrolment: is this a copy of its disk? */
bool identity_foreign(const struct identity *id, const struct machine *here);
/* The identity is this machine's from now on. */
MUST_USE enum err_code identity_moved(const char *state_dir, struct identity *id,
                                      const struct machine *here, struct err *e);
