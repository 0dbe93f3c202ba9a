/* fleet_private.h - the fleet table from inside: fleet_cache.c serves polls from it, fleet_follow.c keeps it like the
 * database. */
#pragma once

#include "domain/fleet_cache.h"

#include <pthread.h>

enum {
    FLEET_SHARDS = 16,
    FLEET_BUCKETS = 1024, /* a shard */
};

struct entry {
    struct entry *next;
    struct fleet_view v; /* v.bundle: the table's own reference */
    struct instances instances;
    int64_t bucket_ms;   /* mono time at which the poll bucket is full again */
    int64_t queue_age_s, queue_age_ms; /* of its oldest message, and when that was told (mono; 0: never) */
    bool seen_dirty;     /* not in the presence table yet */
    unsigned round;      /* of the full load that saw it */
};

struct shard {
    pthread_mutex_t lock;
    struct entry *bucket[FLEET_BUCKETS];
};

struct idlist {
    char (*v)[37];
    size_t n, size;
};

struct fleet_cache {
    struct shard shard[FLEET_SHARDS];
    pthread_mutex_t refresh; /* one refresh at a time; guards last_seq, loaded, round */
    int64_t last_seq;
    int64_t looked_ms;       /* the database's clock at the last look; the job thread's */
    bool loaded;
    unsigned round;
    atomic_llong fresh_ms; /* mono time of the last good refresh */
    atomic_uint revoked; /* who is, as one number */
    atomic_bool trust_changed, lists_changed;
    atomic_bool returned; /* a device polled that had not for some time */
    atomic_bool doubt; /* a device knows of something that is not in this table */
    atomic_llong ahead, ahead_epoch; /* highest revision and epoch a device claimed above what it is offered */
    pthread_mutex_t work; /* guards the queues */
    pthread_cond_t work_cond;
    struct idlist wake, nudge, wanted, events; /* nudge: as wake, but no bundle is awaited */
};

struct shard *fleet_shard_of(struct fleet_cache *f, const char *id);
/* Slot of an id in a locked shard; *slot is NULL when it is not there. */
struct entry **fleet_slot_of(struct shard *s, const char *id);
void fleet_entry_free(struct entry *en);
/* Devices whose status is known to be stored. */
int64_t fleet_count_reports(struct fleet_cache *f);
void fleet_idlist_add(struct idlist *l, const char *id);
/* Put an id into one of the queues and wake the job thread. */
void fleet_work_add(struct fleet_cache *f, struct idlist *l, const char *id);
