#include "domain/fleet_cache.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/rand.h"
#include "http/park.h"
#include "store/fleet_store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SHARDS = 16,
    BUCKETS = 1024,  /* a shard */
    POLL_BURST = 30, /* polls of one device at once; then POLL_REFILL_MS for each further one */
    POLL_REFILL_MS = 1000,
    QUEUE_MAX = 200000,          /* ids waiting to be woken; beyond it polls simply run out */
    FULL_AFTER_MS = 3600 * 1000, /* away from the change table for longer: read everything again */
    PRESENCE_CHUNK = 5000
};

const char *const device_state_names[] = {"pending",     "rejected", "observing", "managed", "held",
                                          "quarantined", "revoked",  "retired",   NULL};

struct entry {
    struct entry *next;
    struct fleet_view v; /* v.bundle: the table's own reference */
    int64_t bucket_ms;   /* mono time at which the poll bucket is full again */
    bool seen_dirty;     /* not in the presence table yet */
    unsigned round;      /* of the full load that saw it */
};

struct shard {
    pthread_mutex_t lock;
    struct entry *bucket[BUCKETS];
};

struct idlist {
    char (*v)[37];
    size_t n, size;
};

struct fleet_cache {
    struct shard shard[SHARDS];
    pthread_mutex_t refresh; /* one refresh at a time; guards last_seq, loaded, round */
    int64_t last_seq;
    bool loaded;
    unsigned round;
    atomic_llong fresh_ms; /* mono time of the last good refresh */
    atomic_bool trust_changed;
    pthread_mutex_t work; /* guards the queues */
    pthread_cond_t work_cond;
    struct idlist wake, wanted;
};

/* --- bundle bytes --- */

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

static struct bundle_bytes *bundle_bytes_new(const struct fleet_bundle *s)
{
    size_t n = strlen(s->jws);
    struct bundle_bytes *b = malloc(sizeof *b + n + 1);

    if (b == NULL)
        return NULL;
    atomic_init(&b->refs, 1);
    b->epoch = s->epoch;
    b->rev = s->rev;
    b->pub = s->pub;
    (void)snprintf(b->etag, sizeof b->etag, "%s", s->etag);
    (void)snprintf(b->content_digest, sizeof b->content_digest, "%s", s->content_digest);
    b->n = n;
    memcpy(b->jws, s->jws, n + 1);
    return b;
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

static struct shard *shard_of(struct fleet_cache *f, const char *id)
{
    return &f->shard[hash_id(id) % SHARDS];
}

/* Slot of an id in a locked shard; *slot is NULL when it is not there. */
static struct entry **slot_of(struct shard *s, const char *id)
{
    struct entry **p = &s->bucket[hash_id(id) / SHARDS % BUCKETS];

    while (*p != NULL && strcmp((*p)->v.id, id) != 0)
        p = &(*p)->next;
    return p;
}

static void entry_free(struct entry *en)
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
    for (int i = 0; i < SHARDS; i++)
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
    for (int i = 0; i < SHARDS; i++) {
        for (int b = 0; b < BUCKETS; b++) {
            while (f->shard[i].bucket[b] != NULL) {
                struct entry *en = f->shard[i].bucket[b];
                f->shard[i].bucket[b] = en->next;
                entry_free(en);
            }
        }
        (void)pthread_mutex_destroy(&f->shard[i].lock);
    }
    (void)pthread_mutex_destroy(&f->refresh);
    (void)pthread_mutex_destroy(&f->work);
    (void)pthread_cond_destroy(&f->work_cond);
    free(f->wake.v);
    free(f->wanted.v);
    free(f);
}

/* --- work for the job thread --- */

static void idlist_add(struct idlist *l, const char *id)
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

static void work_add(struct fleet_cache *f, struct idlist *l, const char *id)
{
    (void)pthread_mutex_lock(&f->work);
    idlist_add(l, id);
    (void)pthread_cond_signal(&f->work_cond);
    (void)pthread_mutex_unlock(&f->work);
}

void fleet_wait_work(struct fleet_cache *f, int64_t ms)
{
    int64_t until = clock_mono_ms() + ms;
    struct timespec ts = {until / 1000, until % 1000 * 1000000};

    (void)pthread_mutex_lock(&f->work);
    if (f->wake.n == 0 && f->wanted.n == 0)
        (void)pthread_cond_timedwait(&f->work_cond, &f->work, &ts);
    (void)pthread_mutex_unlock(&f->work);
}

size_t fleet_wake_queued(struct fleet_cache *f, size_t max)
{
    size_t left = 0;

    for (size_t i = 0; i < max; i++) {
        char key[FLEET_PARK_KEY_SIZE] = "";
        (void)pthread_mutex_lock(&f->work);
        if (f->wake.n > 0) { /* in random order, so that no device is always last */
            size_t pick = (size_t)rand_below(f->wake.n);
            fleet_park_key(f->wake.v[pick], key);
            memcpy(f->wake.v[pick], f->wake.v[--f->wake.n], sizeof f->wake.v[0]);
        }
        left = f->wake.n;
        (void)pthread_mutex_unlock(&f->work);
        if (key[0] == '\0')
            return 0;
        (void)park_wake(key);
    }
    return left;
}

static void set_bundle(struct fleet_cache *f, const char *id, struct bundle_bytes *b)
{
    struct shard *s = shard_of(f, id);
    struct entry *en;

    (void)pthread_mutex_lock(&s->lock);
    en = *slot_of(s, id);
    if (en != NULL && en->v.rev == b->rev && en->v.epoch == b->epoch) {
        bundle_bytes_unref(en->v.bundle);
        en->v.bundle = bundle_bytes_ref(b);
    }
    (void)pthread_mutex_unlock(&s->lock);
}

static enum err_code load_one(struct fleet_cache *f, struct db *db, const char *id, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(32 * MIB);
    struct fleet_view v;
    struct fleet_bundle s;
    struct bundle_bytes *b;
    bool need;
    enum err_code rc;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (!fleet_get(f, id, &v))
        return ERR_OK;
    need = v.bundle == NULL && v.rev > 0;
    fleet_view_clear(&v);
    if (!need)
        return ERR_OK;
    rc = fleet_store_bundle(db, id, v.epoch, v.rev, a, &s, e);
    if (rc != ERR_OK)
        return rc == ERR_NOT_FOUND ? ERR_OK : rc; /* replaced meanwhile */
    b = bundle_bytes_new(&s);
    if (b == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    set_bundle(f, id, b);
    bundle_bytes_unref(b);
    return ERR_OK;
}

enum err_code fleet_load_wanted(struct fleet_cache *f, struct db *db, struct err *e)
{
    for (;;) {
        char id[37] = "", key[FLEET_PARK_KEY_SIZE];
        enum err_code rc;
        (void)pthread_mutex_lock(&f->work);
        if (f->wanted.n > 0)
            memcpy(id, f->wanted.v[--f->wanted.n], sizeof id);
        (void)pthread_mutex_unlock(&f->work);
        if (id[0] == '\0')
            return ERR_OK;
        rc = load_one(f, db, id, e);
        if (rc != ERR_OK)
            return rc; /* the poll runs out and asks again */
        fleet_park_key(id, key);
        (void)park_wake(key);
    }
}

void fleet_want_bundle(struct fleet_cache *f, const char *id)
{
    work_add(f, &f->wanted, id);
}

bool fleet_take_trust_changed(struct fleet_cache *f)
{
    return atomic_exchange(&f->trust_changed, false);
}

/* --- following the database --- */

static enum device_state state_of(const char *word)
{
    for (int i = 0; device_state_names[i] != NULL; i++) {
        if (strcmp(device_state_names[i], word) == 0)
            return (enum device_state)i;
    }
    return DEV_REVOKED; /* a state of a later version: nothing is given to it */
}

/* *ret_news: the held poll of this device has something to see. */
static enum err_code put_row(struct fleet_cache *f, const struct fleet_row *r, bool *ret_news,
                             struct err *e)
{
    struct shard *s = shard_of(f, r->id);
    enum device_state state = state_of(r->state);
    enum err_code rc = ERR_OK;
    struct entry **slot, *en;

    (void)pthread_mutex_lock(&s->lock);
    slot = slot_of(s, r->id);
    en = *slot;
    *ret_news = en != NULL;
    if (en == NULL) {
        en = *slot = calloc(1, sizeof *en);
        if (en == NULL)
            rc = err_set(e, ERR_NO_MEMORY, "out of memory");
        else
            (void)snprintf(en->v.id, sizeof en->v.id, "%s", r->id);
    }
    if (en != NULL) {
        *ret_news = *ret_news && (en->v.state != state || en->v.gen != r->gen ||
                                  strcmp(en->v.etag, r->etag) != 0);
        if (en->v.rev != r->rev || en->v.epoch != r->epoch)
            fleet_view_clear(&en->v);
        en->v.state = state;
        en->v.gen = r->gen;
        en->v.epoch = r->epoch;
        en->v.rev = r->rev;
        (void)snprintf(en->v.etag, sizeof en->v.etag, "%s", r->etag);
        (void)snprintf(en->v.status_digest, sizeof en->v.status_digest, "%s", r->status_digest);
        en->round = f->round;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return rc;
}

static void drop(struct fleet_cache *f, const char *id)
{
    struct shard *s = shard_of(f, id);
    struct entry **slot, *en;

    (void)pthread_mutex_lock(&s->lock);
    slot = slot_of(s, id);
    en = *slot;
    if (en != NULL) {
        *slot = en->next;
        entry_free(en);
    }
    (void)pthread_mutex_unlock(&s->lock);
    work_add(f, &f->wake, id);
}

static void drop_old_rounds(struct fleet_cache *f)
{
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &f->shard[i];
        (void)pthread_mutex_lock(&s->lock);
        for (int b = 0; b < BUCKETS; b++) {
            struct entry **p = &s->bucket[b];
            while (*p != NULL) {
                struct entry *en = *p;
                if (en->round == f->round) {
                    p = &en->next;
                    continue;
                }
                *p = en->next;
                entry_free(en);
            }
        }
        (void)pthread_mutex_unlock(&s->lock);
    }
}

static enum err_code put_rows(struct fleet_cache *f, const struct fleet_row *v, size_t n,
                              struct err *e)
{
    enum err_code rc = ERR_OK;

    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        bool news = false;
        rc = put_row(f, &v[i], &news, e);
        if (rc == ERR_OK && news)
            work_add(f, &f->wake, v[i].id);
    }
    return rc;
}

static enum err_code load_all(struct fleet_cache *f, struct db *db, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(256 * MIB);
    struct fleet_row *v = NULL;
    size_t n = 0;
    int64_t last = 0;
    enum err_code rc;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = fleet_store_last_change(db, &last, e); /* first: what changes while we read comes again */
    if (rc == ERR_OK)
        rc = fleet_store_rows(db, NULL, a, &v, &n, e);
    f->round++;
    if (rc == ERR_OK)
        rc = put_rows(f, v, n, e);
    if (rc == ERR_OK) {
        drop_old_rounds(f);
        f->last_seq = last;
        f->loaded = true;
    }
    return rc;
}

/* "{a,b}" of the distinct device ids among changes; *ret_n of them. */
static void changed_ids(const struct fleet_change *c, size_t n, struct strbuf *out,
                        struct idlist *ids)
{
    strbuf_putc(out, '{');
    for (size_t i = 0; i < n; i++) {
        bool again = false;
        if (strcmp(c[i].kind, "device") != 0 || !uuid_is_valid(c[i].id))
            continue;
        for (size_t k = ids->n; k > 0 && ids->n - k < 64 && !again;
             k--) /* twice is only slower, never wrong */
            again = strcmp(ids->v[k - 1], c[i].id) == 0;
        if (again)
            continue;
        if (ids->n > 0)
            strbuf_putc(out, ',');
        strbuf_puts(out, c[i].id);
        idlist_add(ids, c[i].id);
    }
    strbuf_putc(out, '}');
}

static void drop_missing(struct fleet_cache *f, const struct idlist *ids, const struct fleet_row *v,
                         size_t n)
{
    for (size_t i = 0; i < ids->n; i++) {
        bool found = false;
        for (size_t k = 0; k < n && !found; k++)
            found = strcmp(v[k].id, ids->v[i]) == 0;
        if (!found)
            drop(f, ids->v[i]);
    }
}

static enum err_code load_changes(struct fleet_cache *f, struct db *db, size_t *ret_n,
                                  struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(1 * MIB);
    struct idlist ids = {0};
    struct fleet_change *c = NULL;
    struct fleet_row *v = NULL;
    size_t n = 0, n_rows = 0;
    enum err_code rc;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = fleet_store_changes(db, f->last_seq, a, &c, &n, e);
    *ret_n = n;
    if (rc != ERR_OK || n == 0)
        return rc;
    changed_ids(c, n, &text, &ids);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(c[i].kind, "trust") == 0)
            atomic_store(&f->trust_changed, true);
    }
    rc = strbuf_check(&text, e);
    if (rc == ERR_OK && ids.n > 0)
        rc = fleet_store_rows(db, strbuf_str(&text), a, &v, &n_rows, e);
    if (rc == ERR_OK)
        rc = put_rows(f, v, n_rows, e);
    if (rc == ERR_OK) {
        drop_missing(f, &ids, v, n_rows);
        f->last_seq = c[n - 1].seq;
    }
    free(ids.v);
    return rc;
}

enum err_code fleet_cache_refresh(struct fleet_cache *f, struct db *db, struct err *e)
{
    enum err_code rc = ERR_OK;
    size_t n = 0;

    (void)pthread_mutex_lock(&f->refresh);
    if (!f->loaded || clock_mono_ms() - atomic_load(&f->fresh_ms) > FULL_AFTER_MS)
        rc = load_all(f, db, e);
    do {
        if (rc == ERR_OK)
            rc = load_changes(f, db, &n, e);
    } while (rc == ERR_OK && n == 5000);
    if (rc == ERR_OK)
        atomic_store(&f->fresh_ms, clock_mono_ms());
    (void)pthread_mutex_unlock(&f->refresh);
    return rc;
}

enum err_code fleet_cache_refresh_status(struct fleet_cache *f, struct db *db, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
    struct fleet_row *v = NULL;
    size_t n = 0;
    enum err_code rc;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = fleet_store_digests(db, a, &v, &n, e);
    for (size_t i = 0; i < n && rc == ERR_OK; i++)
        fleet_set_status(f, v[i].id, v[i].status_digest);
    return rc;
}

bool fleet_usable(const struct fleet_cache *f, int64_t mono_ms)
{
    int64_t fresh = atomic_load(&f->fresh_ms);

    return fresh != 0 && mono_ms - fresh < FLEET_STALE_MS;
}

/* --- presence --- */

static void collect_seen(struct fleet_cache *f, struct shard *s, struct strbuf *ids,
                         struct strbuf *times, size_t *n)
{
    (void)f;
    (void)pthread_mutex_lock(&s->lock);
    for (int b = 0; b < BUCKETS; b++) {
        for (struct entry *en = s->bucket[b]; en != NULL && *n < PRESENCE_CHUNK; en = en->next) {
            if (!en->seen_dirty)
                continue;
            strbuf_printf(ids, "%s%s", *n == 0 ? "{" : ",", en->v.id);
            strbuf_printf(times, "%s%lld", *n == 0 ? "{" : ",", (long long)en->v.seen_wall_ms);
            en->seen_dirty = false;
            (*n)++;
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
}

enum err_code fleet_cache_flush_presence(struct fleet_cache *f, struct db *db, struct err *e)
{
    for (;;) {
        AUTO_STRBUF struct strbuf ids = STRBUF_INIT(1 * MIB);
        AUTO_STRBUF struct strbuf times = STRBUF_INIT(1 * MIB);
        size_t n = 0;
        enum err_code rc;
        for (int i = 0; i < SHARDS; i++)
            collect_seen(f, &f->shard[i], &ids, &times, &n);
        if (n == 0)
            return ERR_OK;
        strbuf_putc(&ids, '}');
        strbuf_putc(&times, '}');
        rc = strbuf_check(&ids, e);
        if (rc == ERR_OK)
            rc = strbuf_check(&times, e);
        if (rc == ERR_OK)
            rc = fleet_store_presence(db, strbuf_str(&ids), strbuf_str(&times), e);
        if (rc != ERR_OK || n < PRESENCE_CHUNK)
            return rc;
    }
}

/* --- polls --- */

bool fleet_get(struct fleet_cache *f, const char *id, struct fleet_view *ret)
{
    struct shard *s = shard_of(f, id);
    struct entry *en;

    (void)pthread_mutex_lock(&s->lock);
    en = *slot_of(s, id);
    if (en != NULL) {
        *ret = en->v;
        (void)bundle_bytes_ref(ret->bundle);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return en != NULL;
}

void fleet_seen(struct fleet_cache *f, const char *id, const char *boot, int64_t seq)
{
    struct shard *s = shard_of(f, id);
    struct entry *en;

    (void)pthread_mutex_lock(&s->lock);
    en = *slot_of(s, id);
    if (en != NULL) {
        en->v.seen_wall_ms = clock_wall_ms();
        en->v.seen_mono_ms = clock_mono_ms();
        en->seen_dirty = true;
        if (boot != NULL)
            (void)snprintf(en->v.boot, sizeof en->v.boot, "%s", boot);
        if (seq > en->v.seq)
            en->v.seq = seq;
    }
    (void)pthread_mutex_unlock(&s->lock);
}

bool fleet_poll_allowed(struct fleet_cache *f, const char *id, int64_t mono_ms)
{
    struct shard *s = shard_of(f, id);
    struct entry *en;
    bool ok = true;

    (void)pthread_mutex_lock(&s->lock);
    en = *slot_of(s, id);
    if (en != NULL) {
        int64_t full = en->bucket_ms > mono_ms ? en->bucket_ms : mono_ms;
        ok = full + POLL_REFILL_MS - mono_ms <= (int64_t)POLL_BURST * POLL_REFILL_MS;
        if (ok)
            en->bucket_ms = full + POLL_REFILL_MS;
        else
            en->v.limited++;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return ok;
}

void fleet_confirmed(struct fleet_cache *f, const char *id, const char *etag)
{
    struct shard *s = shard_of(f, id);
    struct entry *en;

    (void)pthread_mutex_lock(&s->lock);
    en = *slot_of(s, id);
    if (en != NULL && en->v.bundle != NULL && strcmp(en->v.bundle->etag, etag) == 0)
        fleet_view_clear(&en->v);
    (void)pthread_mutex_unlock(&s->lock);
}

void fleet_set_status(struct fleet_cache *f, const char *id, const char *digest)
{
    struct shard *s = shard_of(f, id);
    struct entry *en;

    (void)pthread_mutex_lock(&s->lock);
    en = *slot_of(s, id);
    if (en != NULL)
        (void)snprintf(en->v.status_digest, sizeof en->v.status_digest, "%s", digest);
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
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &f->shard[i];
        (void)pthread_mutex_lock(&s->lock);
        for (int b = 0; b < BUCKETS; b++) {
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

void fleet_put_for_test(struct fleet_cache *f, const char *id, enum device_state state, int64_t gen)
{
    bool news;
    struct fleet_row r = {
        .id = id, .state = device_state_names[state], .gen = gen, .etag = "", .status_digest = ""};

    (void)!put_row(f, &r, &news, NULL);
    atomic_store(&f->fresh_ms, clock_mono_ms());
}
