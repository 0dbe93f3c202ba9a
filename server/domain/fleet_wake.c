/* Giving the children their news: bundle bytes come into memory in bulk, then the polls that wait
 * for them are woken in bulk. */
#include "domain/fleet_private.h"

#include "base/clock.h"
#include "base/rand.h"
#include "base/strbuf.h"
#include "http/park.h"
#include "store/fleet_store.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    BATCH = 256,         /* devices whose bytes are read by one statement, and woken together */
    THERE_MS = 90 * 1000 /* a child that asked this lately is there to take its bundle */
};

/* --- bundle bytes --- */

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

static void set_bundle(struct fleet_cache *f, const char *id, struct bundle_bytes *b)
{
    struct shard *s = fleet_shard_of(f, id);
    struct entry *en;

    (void)pthread_mutex_lock(&s->lock);
    en = *fleet_slot_of(s, id);
    if (en != NULL && en->v.rev == b->rev && en->v.epoch == b->epoch) {
        bundle_bytes_unref(en->v.bundle);
        en->v.bundle = bundle_bytes_ref(b);
    }
    (void)pthread_mutex_unlock(&s->lock);
}

/* Has this device an offer whose bytes are not here? */
static bool needs_bytes(struct fleet_cache *f, const char *id, bool only_there)
{
    struct fleet_view v;
    bool need;

    if (!fleet_get(f, id, &v))
        return false;
    need = v.bundle == NULL && v.rev > 0 &&
           (!only_there || (v.seen_mono_ms != 0 && clock_mono_ms() - v.seen_mono_ms < THERE_MS));
    fleet_view_clear(&v);
    return need;
}

/* What is not found was replaced meanwhile: the poll asks again. */
static enum err_code load_bytes(struct fleet_cache *f, struct db *db, char (*ids)[37], size_t n,
                                bool only_there, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(1024 * MIB);
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(64 * KIB);
    struct fleet_bundle *v = NULL;
    size_t wanted = 0, got = 0;
    enum err_code rc;

    for (size_t i = 0; i < n; i++)
        if (needs_bytes(f, ids[i], only_there))
            strbuf_printf(&text, "%s%s", wanted++ == 0 ? "{" : ",", ids[i]);
    if (wanted == 0)
        return ERR_OK;
    strbuf_putc(&text, '}');
    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = strbuf_check(&text, e);
    if (rc == ERR_OK)
        rc = fleet_store_bundles(db, strbuf_str(&text), a, &v, &got, e);
    for (size_t i = 0; i < got && rc == ERR_OK; i++) {
        struct bundle_bytes *b = bundle_bytes_new(&v[i]);
        if (b == NULL)
            return err_set(e, ERR_NO_MEMORY, "out of memory");
        set_bundle(f, v[i].device_id, b);
        bundle_bytes_unref(b);
    }
    return rc;
}

/* --- queues --- */

/* In random order, so that no device is always last. */
static size_t take(struct fleet_cache *f, struct idlist *l, char (*ids)[37], size_t max,
                   size_t *ret_left)
{
    size_t n = 0;

    (void)pthread_mutex_lock(&f->work);
    for (; n < max && l->n > 0; n++) {
        size_t pick = (size_t)rand_below(l->n);
        memcpy(ids[n], l->v[pick], sizeof ids[n]);
        memcpy(l->v[pick], l->v[--l->n], sizeof l->v[0]);
    }
    *ret_left = l->n;
    (void)pthread_mutex_unlock(&f->work);
    return n;
}

static void wake(char (*ids)[37], size_t n)
{
    char keys[BATCH][FLEET_PARK_KEY_SIZE];

    for (size_t i = 0; i < n; i++)
        fleet_park_key(ids[i], keys[i]);
    park_wake_many(keys, n);
}

enum err_code fleet_load_wanted(struct fleet_cache *f, struct db *db, struct err *e)
{
    char ids[BATCH][37];
    size_t n, left = 0;

    while ((n = take(f, &f->wanted, ids, BATCH, &left)) > 0) {
        enum err_code rc = load_bytes(f, db, ids, n, false, e);
        if (rc != ERR_OK)
            return rc; /* the polls run out and ask again */
        wake(ids, n);
    }
    return ERR_OK;
}

enum err_code fleet_wake_queued(struct fleet_cache *f, struct db *db, size_t max, size_t *ret_left,
                                struct err *e)
{
    char ids[BATCH][37];
    size_t n, nudges = 0;
    enum err_code rc = ERR_OK, one;

    do {
        n = take(f, &f->nudge, ids, max < BATCH ? max : BATCH, &nudges);
        wake(ids, n);
        max -= n;
    } while (n > 0 && max > 0);
    do {
        n = take(f, &f->wake, ids, max < BATCH ? max : BATCH, ret_left);
        /* With the bytes here first, one run of the handler is enough; without, it asks for them.
         */
        one = load_bytes(f, db, ids, n, true, e);
        rc = rc == ERR_OK ? one : rc;
        wake(ids, n);
        max -= n;
        /* Polls that came by themselves meanwhile wait for their bytes only for a few seconds. */
        one = n == 0 ? ERR_OK : fleet_load_wanted(f, db, e);
        rc = rc == ERR_OK ? one : rc;
    } while (n > 0 && max > 0);
    *ret_left += nudges;
    return rc;
}
