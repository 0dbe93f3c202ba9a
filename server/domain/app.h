/*
 * app.h - what the whole parent shares: made in main(), passed to every handler as rq->app.
 */
#pragma once

#include "base/slice.h"

#include <stdatomic.h>

struct fleet_cache; /* server/domain/fleet_cache.h: devices in memory, for polls without SQL */
struct rollout_figures; /* server/domain/rollout_figures.c */
struct feed;        /* server/domain/event_feed.h: who follows events */
struct list_give;   /* server/domain/list_give.h: the lists of addresses as devices get them */
struct keyring;     /* server/domain/keyring.h: bundle, receipt and token keys, trust document */

struct app {
    struct fleet_cache *fleet;
    struct list_give *lists;
    struct keyring *keys;
    struct feed *feed;      /* set before anything but healthz is served */
    char fleet_id[37];
    char issuer[256];       /* "https://parent.example:8445": aud of client assertions */
    _Atomic int64_t epoch;  /* of what is issued; another parent, or inarid new-epoch, may raise it */
    const char *state_dir;  /* parent's own files */
    const char *const *tls_pins; /* base64url SPKI hashes: current and backup; NULL-terminated; swapped whole */
    const char *const *addresses;/* https:// addresses for join strings; NULL-terminated */
    int64_t (*certificate_end_ms)(void); /* end of the listener's certificate; 0: not known */
    int64_t enrol_rate;     /* enrolments a second */
    int64_t wake_rate;      /* held polls woken a second; 0: all at once */
    bool lab;               /* first password need not be changed */
    int64_t started_ms;    /* wall clock: whoever was not seen since then may still be there */
    atomic_bool fenced;     /* nothing is given to devices: this parent may not know who was revoked (recovery.h) */
    int64_t started_mono_ms;
    int64_t silence_due_ms; /* the job thread's: when it next asks whether the fleet is heard, and what it found */
    bool silent;
    atomic_bool suspect;    /* the database lacks something this parent has seen: the job thread fences (recovery.h) */
    /* Until a rollout has ended one device in so many, by the last 16 bits of its id, is asked for its figures every minute: those
     * that are compared with (guard_mail.h).  0: nobody is. */
    atomic_int figures_one_in;
    struct rollout_figures *figures; /* the job thread's: what was read last, for the guards (rollout.h) */
    atomic_bool alerts_doubt; /* a device said something new: the job thread looks soon whether a rule is about it */
    const char *alert_networks; /* networks that webhooks may reach although they are no public ones; NULL: none */
    atomic_bool event_policy_changed; /* the job thread follows it at once (event_policy.h) */
    int64_t ahead_seen, ahead_epoch_seen; /* the job thread's: the highest revision and epoch of a device it has looked into, */
    int64_t watched_epoch;  /* while this was our epoch (recovery.h) */
};
