#include "domain/fleet_private.h"

#include "base/clock.h"
#include "base/rand.h"
#include "http/park.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    RETURN_MS = 90 * 1000, /* more than a poll apart: it was away */
    POLL_BURST = 30, /* polls of one device at once; then POLL_REFILL_MS for each further one */
    POLL_REFILL_MS = 1000,
    CLOCKS_DIFFER_MS = 2000,
    QUEUE_MAX = 200000, /* ids waiting to be woken; beyond it polls simply run out */
};

const char *const device_state_names[] = {"pending",  "rejected",    "observing", "managed",
                                          "held",     "quarantined", "revoked",   "retired",
                                          "reattach", NULL};

struct bundle_bytes *bundle_bytes_ref(struct bundle_bytes *b)
{
    if (b != NULL)
        atomic_fetch_add(&b->refs, 1);
    return b;
}

void bundle_bytes_unref(void *p)
{
    struct bundle_bytes *b = p;

    if (b != NULL && atomic_fetch_sub(&b->refs, 1) == 1)
        free(b);
}

void fleet_view_clear(struct fleet_view *v)
{
    bundle_bytes_unref(v->bundle);
    v->bundle = NULL;
}

/* --- the table --- */

static uint32_t hash_id(const char *id)
{
    uint32_t h = 2166136261u; /* FNV-1a: ids are ours, not an attacker's choice */
    size_t n = strlen(id);

    /* The last group of a UUIDv7 is random, and a poll looks its device up several times. */
    for (id += n > 12 ? n - 12 : 0; *id != '\0'; id++)
        h = (h ^ (unsigned char)*id) * 16777619u;
    return h;
}

struct shard *fleet_shard_of(struct fleet_cache *f, const char *id)
{
    return &f->shard[hash_id(id) % FLEET_SHARDS];
}

static struct entry **slot_of(struct shard *s, uint32_t hash, const char *id)
{
    struct entry **p = &s->bucket[hash / FLEET_SHARDS % FLEET_BUCKETS];

    while (*p != NULL && strcmp((*p)->v.id, id) != 0)
        p = &(*p)->next;
    return p;
}

struct entry **fleet_slot_of(struct shard *s, const char *id)
{
    return slot_of(s, hash_id(id), id);
}

/* The device's shard, locked, and its row there or NULL. */
static struct shard *lock_row(struct fleet_cache *f, const char *id, struct entry **ret)
{
    uint32_t hash = hash_id(id);
    struct shard *s = &f->shard[hash % FLEET_SHARDS];

    (void)pthread_mutex_lock(&s->lock);
    *ret = *slot_of(s, hash, id);
    return s;
}

void fleet_entry_free(struct entry *en)
{
    fleet_view_clear(&en->v);
    free(en);
}

struct fleet_cache *fleet_cache_new(void)
{
    struct fleet_cache *f = calloc(1, sizeof *f);
    pthread_condattr_t attr;

    if (f == NULL)
        return NULL;
    for (int i = 0; i < FLEET_SHARDS; i++)
        (void)pthread_mutex_init(&f->shard[i].lock, NULL);
    (void)pthread_mutex_init(&f->refresh, NULL);
    (void)pthread_mutex_init(&f->work, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&f->work_cond, &attr);
    (void)pthread_condattr_destroy(&attr);
    return f;
}

void fleet_cache_free(struct fleet_cache *f)
{
    if (f == NULL)
        return;
    for (int i = 0; i < FLEET_SHARDS; i++) {
        for (int b = 0; b < FLEET_BUCKETS; b++) {
            while (f->shard[i].bucket[b] != NULL) {
                struct entry *en = f->shard[i].bucket[b];
                f->shard[i].bucket[b] = en->next;
                fleet_entry_free(en);
            }
        }
        (void)pthread_mutex_destroy(&f->shard[i].lock);
    }
    (void)pthread_mutex_destroy(&f->refresh);
    (void)pthread_mutex_destroy(&f->work);
    (void)pthread_cond_destroy(&f->work_cond);
    free(f->wake.v);
    free(f->nudge.v);
    free(f->wanted.v);
    free(f->events.v);
    free(f);
}

/* --- queues for the job thread --- */

void fleet_idlist_add(struct idlist *l, const char *id)
{
    if (l->n == l->size) {
        size_t size = l->size == 0 ? 64 : l->size * 2;
        void *v = l->n >= QUEUE_MAX ? NULL : realloc(l->v, size * sizeof *l->v);
        if (v == NULL)
            return; /* that poll runs out and is repeated */
        l->v = v;
        l->size = size;
    }
    (void)snprintf(l->v[l->n++], sizeof l->v[0], "%s", id);
}

void fleet_work_add(struct fleet_cache *f, struct idlist *l, const char *id)
{
    (void)pthread_mutex_lock(&f->work);
    fleet_idlist_add(l, id);
    (void)pthread_cond_signal(&f->work_cond);
    (void)pthread_mutex_unlock(&f->work);
}

void fleet_want_bundle(struct fleet_cache *f, const char *id)
{
    fleet_work_add(f, &f->wanted, id);
}

void fleet_wait_work(struct fleet_cache *f, int64_t ms)
{
    int64_t until = clock_mono_ms() + ms;
    struct timespec ts = {until / 1000, until % 1000 * 1000000};

    (void)pthread_mutex_lock(&f->work);
    if (f->wake.n == 0 && f->nudge.n == 0 && f->wanted.n == 0)
        (void)pthread_cond_timedwait(&f->work_cond, &f->work, &ts);
    (void)pthread_mutex_unlock(&f->work);
}

bool fleet_usable(const struct fleet_cache *f, int64_t mono_ms)
{
    int64_t fresh = atomic_load(&f->fresh_ms);

    return fresh != 0 && mono_ms - fresh < FLEET_STALE_MS;
}

bool fleet_older_than(struct fleet_cache *f, int64_t wall_s)
{
    int64_t read_ms = clock_wall_ms() - (clock_mono_ms() - atomic_load(&f->fresh_ms));
    bool older = read_ms < wall_s * 1000 + CLOCKS_DIFFER_MS;

    if (older)
        atomic_store(&f->doubt, true);
    return older;
}

bool fleet_take_doubt(struct fleet_cache *f)
{
    return atomic_exchange(&f->doubt, false);
}

void fleet_cache_forget(struct fleet_cache *f)
{
    (void)pthread_mutex_lock(&f->refresh);
    f->loaded = false;
    (void)pthread_mutex_unlock(&f->refresh);
}

/* --- polls --- */

static void view_of(const struct entry *en, struct fleet_view *ret)
{
    *ret = en->v;
    (void)bundle_bytes_ref(ret->bundle);
}

bool fleet_get(struct fleet_cache *f, const char *id, struct fleet_view *ret)
{
    struct entry *en;
    struct shard *s = lock_row(f, id, &en);

    if (en != NULL)
        view_of(en, ret);
    (void)pthread_mutex_unlock(&s->lock);
    return en != NULL;
}

bool fleet_state(struct fleet_cache *f, const char *id, enum device_state *ret_state,
                 int64_t *ret_gen)
{
    struct entry *en;
    struct shard *s = lock_row(f, id, &en);

    if (en != NULL) {
        *ret_state = en->v.state;
        *ret_gen = en->v.gen;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return en != NULL;
}

/* The row's bucket and presence. */
static enum fleet_poll_result poll_row(struct entry *en, const struct fleet_poll *p,
                                       bool *ret_event)
{
    enum instance_event before = en->instances.event;
    int64_t full = en->bucket_ms > p->mono_ms ? en->bucket_ms : p->mono_ms;

    if (!p->again && full + POLL_REFILL_MS - p->mono_ms > (int64_t)POLL_BURST * POLL_REFILL_MS) {
        en->v.limited++;
        return FLEET_POLL_SOON;
    }
    if (!p->again)
        en->bucket_ms = full + POLL_REFILL_MS;
    if (!p->again)
        instances_note(&en->instances, &p->instance, p->mono_ms);
    *ret_event = en->instances.event != before;
    if (instances_set_aside(&en->instances, p->instance.boot, p->instance.machine))
        return FLEET_POLL_FORK;
    en->v.seen_wall_ms = p->wall_ms;
    en->v.seen_mono_ms = p->mono_ms;
    en->seen_dirty = true;
    return FLEET_POLL_OK;
}

enum fleet_poll_result fleet_poll(struct fleet_cache *f, const char *id, const struct fleet_poll *p,
                                  struct fleet_view *ret)
{
    struct entry *en;
    struct shard *s = lock_row(f, id, &en);
    bool event = false;
    int64_t before_ms = en == NULL ? 0 : en->v.seen_wall_ms;
    enum fleet_poll_result rc = en == NULL ? FLEET_POLL_UNKNOWN : poll_row(en, p, &event);

    if (rc == FLEET_POLL_OK)
        view_of(en, ret);
    (void)pthread_mutex_unlock(&s->lock);
    if (rc == FLEET_POLL_OK && p->wall_ms - before_ms > RETURN_MS)
        atomic_store(&f->returned, true);
    if (event) {
        fleet_work_add(f, &f->events, id);
        fleet_work_add(f, &f->wake, id); /* the other one's poll may be held */
    }
    return rc;
}

int64_t fleet_heard_ms(struct fleet_cache *f, const char *id)
{
    struct entry *en;
    struct shard *s = lock_row(f, id, &en);
    int64_t ms = en == NULL ? 0 : en->v.seen_mono_ms;

    (void)pthread_mutex_unlock(&s->lock);
    return ms;
}

bool fleet_take_returned(struct fleet_cache *f)
{
    return atomic_load(&f->returned) && atomic_exchange(&f->returned, false);
}

static bool in_service(enum device_state s)
{
    return s == DEV_OBSERVING || s == DEV_MANAGED || s == DEV_HELD;
}

void fleet_count_heard(struct fleet_cache *f, int64_t mono_ms, int64_t late_ms, int64_t window_ms,
                       int64_t *ret_of, int64_t *ret_gone)
{
    *ret_of = *ret_gone = 0;
    for (int i = 0; i < FLEET_SHARDS; i++) {
        struct shard *s = &f->shard[i];
        (void)pthread_mutex_lock(&s->lock);
        for (int b = 0; b < FLEET_BUCKETS; b++) {
            for (const struct entry *en = s->bucket[b]; en != NULL; en = en->next) {
                int64_t age = mono_ms - en->v.seen_mono_ms;
                if (en->v.seen_mono_ms == 0 || age >= late_ms + window_ms ||
                    !in_service(en->v.state))
                    continue;
                ++*ret_of;
                *ret_gone += age >= late_ms;
            }
        }
        (void)pthread_mutex_unlock(&s->lock);
    }
}

bool fleet_instances(struct fleet_cache *f, const char *id, struct instances *ret)
{
    struct entry *en;
    struct shard *s = lock_row(f, id, &en);

    if (en != NULL)
        *ret = en->instances;
    (void)pthread_mutex_unlock(&s->lock);
    return en != NULL;
}

bool fleet_take_event(struct fleet_cache *f, char ret_id[37], struct instances *ret)
{
    struct entry *en;
    struct shard *s;
    bool any;

    do {
        (void)pthread_mutex_lock(&f->work);
        any = f->events.n > 0;
        if (any)
            memcpy(ret_id, f->events.v[--f->events.n], 37);
        (void)pthread_mutex_unlock(&f->work);
        if (!any)
            return false;
        s = lock_row(f, ret_id, &en);
        any = en != NULL && en->instances.event != INSTANCE_USUAL;
        if (any)
            *ret = en->instances;
        (void)pthread_mutex_unlock(&s->lock);
    } while (!any);
    return true;
}

void fleet_event_done(struct fleet_cache *f, const char *id, enum instance_event what,
                      bool dealt_with)
{
    struct entry *en;
    struct shard *s;

    if (!dealt_with) {
        fleet_work_add(f, &f->events, id);
        return;
    }
    s = lock_row(f, id, &en);
    if (en != NULL &&
        en->instances.event == what) /* or it went on meanwhile, and is queued again */
        en->instances.event = INSTANCE_USUAL;
    (void)pthread_mutex_unlock(&s->lock);
}

void fleet_confirmed(struct fleet_cache *f, const char *id, const char *etag)
{
    struct entry *en;
    struct shard *s = lock_row(f, id, &en);

    if (en != NULL && en->v.bundle != NULL && strcmp(en->v.bundle->etag, etag) == 0)
        fleet_view_clear(&en->v);
    (void)pthread_mutex_unlock(&s->lock);
}

void fleet_set_status(struct fleet_cache *f, const char *id, const char *digest)
{
    struct entry *en;
    struct shard *s = lock_row(f, id, &en);

    if (en != NULL)
        text_copy(en->v.status_digest, sizeof en->v.status_digest, digest);
    (void)pthread_mutex_unlock(&s->lock);
}

void fleet_set_queue_age(struct fleet_cache *f, const char *id, int64_t age_s)
{
    struct entry *en;
    struct shard *s = lock_row(f, id, &en);

    if (en != NULL) {
        en->queue_age_s = age_s;
        en->queue_age_ms = clock_mono_ms();
    }
    (void)pthread_mutex_unlock(&s->lock);
}

void fleet_park_key(const char *id, char out[FLEET_PARK_KEY_SIZE])
{
    (void)snprintf(out, FLEET_PARK_KEY_SIZE, "d:%s", id);
}

int64_t fleet_next_poll_s(const char *id, int64_t interval_s, int64_t wall_ms)
{
    int64_t slot = (int64_t)(hash_id(id) % (uint32_t)interval_s);
    int64_t wait = (slot - wall_ms / 1000 % interval_s + interval_s) % interval_s;

    if (wait < 5) /* this very slot: the next one */
        wait += interval_s;
    return wait + (int64_t)rand_below((uint64_t)(interval_s / 10) + 1);
}

/* --- the whole fleet --- */

static void each(struct fleet_cache *f, void (*fn)(const struct fleet_view *v, void *ctx),
                 void *ctx)
{
    for (int i = 0; i < FLEET_SHARDS; i++) {
        struct shard *s = &f->shard[i];
        (void)pthread_mutex_lock(&s->lock);
        for (int b = 0; b < FLEET_BUCKETS; b++) {
            for (const struct entry *en = s->bucket[b]; en != NULL; en = en->next)
                fn(&en->v, ctx);
        }
        (void)pthread_mutex_unlock(&s->lock);
    }
}

static void max_rev(const struct fleet_view *v, void *ctx)
{
    int64_t *max = ctx;

    if (v->rev > *max)
        *max = v->rev;
}

int64_t fleet_highest_rev(struct fleet_cache *f)
{
    int64_t max = 0;

    each(f, max_rev, &max);
    return max;
}

static void add_revoked(const struct fleet_view *v, void *ctx)
{
    if (v->state == DEV_REVOKED && json_array_size(ctx) < 1000)
        (void)json_array_append_new(ctx, json_string(v->id));
}

json_t *fleet_revoked(struct fleet_cache *f)
{
    json_t *a = json_array();

    if (a != NULL)
        each(f, add_revoked, a);
    return a;
}

int64_t fleet_notice_n(const struct fleet_cache *f)
{
    return atomic_load(&f->revoked) & INT32_MAX;
}

bool fleet_cut_off(const struct fleet_cache *f)
{
    (void)f;
    return !db_reached();
}

static void raise_to(atomic_llong *at, long long value)
{
    long long seen = atomic_load(at);

    while (value > seen && !atomic_compare_exchange_weak(at, &seen, value))
        ;
}

void fleet_note_ahead(struct fleet_cache *f, const char *id, int64_t epoch, int64_t rev,
                      int64_t here)
{
    struct entry *en;
    struct shard *s = lock_row(f, id, &en);

    if (en != NULL) {
        en->v.ahead_epoch = epoch;
        en->v.ahead_rev = rev;
    }
    (void)pthread_mutex_unlock(&s->lock);
    atomic_store(&f->doubt, true);
    if (epoch < here)
        return; /* of before the epoch that counts now */
    raise_to(&f->ahead_epoch, epoch);
    raise_to(&f->ahead, rev);
}

int64_t fleet_highest_ahead(struct fleet_cache *f, int64_t *ret_epoch)
{
    *ret_epoch = atomic_load(&f->ahead_epoch);
    return atomic_load(&f->ahead);
}

void fleet_forget_ahead(struct fleet_cache *f)
{
    atomic_store(&f->ahead, 0);
    atomic_store(&f->ahead_epoch, 0);
}

static void add_ahead(const struct fleet_view *v, void *ctx)
{
    bool ahead = v->ahead_epoch > v->epoch || (v->ahead_epoch == v->epoch && v->ahead_rev > v->rev);

    if (ahead && json_array_size(ctx) < 1000)
        (void)json_array_append_new(
            ctx, json_pack("{s:s,s:I,s:I,s:I}", "id", v->id, "epoch", (json_int_t)v->ahead_epoch,
                           "rev", (json_int_t)v->ahead_rev, "offered", (json_int_t)v->rev));
}

json_t *fleet_ahead(struct fleet_cache *f)
{
    json_t *a = json_array();

    if (a != NULL)
        each(f, add_ahead, a);
    return a;
}

static void count_one(const struct fleet_view *v, void *ctx)
{
    (void)v;
    (*(size_t *)ctx)++;
}

size_t fleet_count(struct fleet_cache *f)
{
    size_t n = 0;

    each(f, count_one, &n);
    return n;
}

static void count_report(const struct fleet_view *v, void *ctx)
{
    *(int64_t *)ctx += v->status_digest[0] != '\0';
}

int64_t fleet_count_reports(struct fleet_cache *f)
{
    int64_t n = 0;

    each(f, count_report, &n);
    return n;
}

void fleet_wake(struct fleet_cache *f, const char *id)
{
    fleet_work_add(f, &f->nudge, id);
}

static void add_id(const struct fleet_view *v, void *ctx)
{
    fleet_idlist_add(ctx, v->id);
}

void fleet_wake_all(struct fleet_cache *f)
{
    struct idlist ids = {0};

    each(f, add_id, &ids); /* first: the work lock is taken alone */
    (void)pthread_mutex_lock(&f->work);
    for (size_t i = 0; i < ids.n; i++)
        fleet_idlist_add(&f->nudge, ids.v[i]);
    (void)pthread_cond_signal(&f->work_cond);
    (void)pthread_mutex_unlock(&f->work);
    free(ids.v);
}
