/* The fleet table follows the database: everything once, then the change table by number; presence
 * in bulk. */
#include "domain/fleet_private.h"

#include "base/clock.h"
#include "base/rand.h"
#include "base/strbuf.h"
#include "http/park.h"
#include "store/fleet_store.h"
#include "store/look_store.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    FULL_AFTER_MS = 3600 * 1000, /* away from the change table for longer: read everything again */
    PRESENCE_CHUNK = 25000,      /* by one statement; its texts stay below 1 MiB */
    OVERLAP_MS =
        30 * 1000 /* longer than the transaction of a report, which bears the time of its begin */
};

bool fleet_take_trust_changed(struct fleet_cache *f)
{
    return atomic_exchange(&f->trust_changed, false);
}

bool fleet_take_lists_changed(struct fleet_cache *f)
{
    return atomic_exchange(&f->lists_changed, false);
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

/* What the database says of them: who was enrolled, what was decided.  A fork found here and not
 * stored yet stays. */
static void put_instances(struct instances *i, const struct fleet_row *r, bool new_key)
{
    /* another machine has the device's place: what the one before said is its own */
    if (new_key && strcmp(i->fingerprint, r->fingerprint) != 0)
        *i = (struct instances){0};
    text_copy(i->fingerprint, sizeof i->fingerprint, r->fingerprint);
    if (i->now.boot[0] == '\0' && i->now.seq < r->status_seq)
        i->now.seq = r->status_seq; /* from before this parent started */
    if ((i->event == INSTANCE_FORK && !r->forked) || (!r->forked && !i->forked))
        return;
    if (!r->forked) /* decided: from here on as if the other one had never spoken */
        i->before = (struct instance){0};
    i->forked = r->forked;
    text_copy(i->keep_machine, sizeof i->keep_machine, r->keep_machine);
    text_copy(i->keep_boot, sizeof i->keep_boot, r->keep_boot);
}

/* FNV-1a: who is revoked, as one number that does not depend on the order. */
static unsigned mark_of(const char *id)
{
    unsigned h = 2166136261U;

    for (; *id != '\0'; id++)
        h = (h ^ (unsigned char)*id) * 16777619U;
    return h;
}

static void note_revoked(struct fleet_cache *f, const char *id, bool was, bool is)
{
    if (is && !was)
        atomic_fetch_add(&f->revoked, mark_of(id));
    else if (was && !is)
        atomic_fetch_sub(&f->revoked, mark_of(id));
}

/* *ret_news: the held poll of this device has something to see. */
static enum err_code put_row(struct fleet_cache *f, const struct fleet_row *r, bool *ret_news,
                             struct err *e)
{
    struct shard *s = fleet_shard_of(f, r->id);
    enum device_state state = state_of(r->state);
    enum err_code rc = ERR_OK;
    struct entry **slot, *en;

    (void)pthread_mutex_lock(&s->lock);
    slot = fleet_slot_of(s, r->id);
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
                                  strcmp(en->v.etag, r->etag) != 0 || en->v.commands < r->commands);
        if (en->v.rev != r->rev || en->v.epoch != r->epoch)
            fleet_view_clear(&en->v);
        put_instances(&en->instances, r, en->v.gen != r->gen);
        note_revoked(f, r->id, en->v.state == DEV_REVOKED, state == DEV_REVOKED);
        en->v.state = state;
        en->v.gen = r->gen;
        en->v.epoch = r->epoch;
        en->v.rev = r->rev;
        en->v.commands = r->commands;
        (void)snprintf(en->v.etag, sizeof en->v.etag, "%s", r->etag);
        (void)snprintf(en->v.status_digest, sizeof en->v.status_digest, "%s", r->status_digest);
        en->round = f->round;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return rc;
}

static void drop(struct fleet_cache *f, const char *id)
{
    struct shard *s = fleet_shard_of(f, id);
    struct entry **slot, *en;

    (void)pthread_mutex_lock(&s->lock);
    slot = fleet_slot_of(s, id);
    en = *slot;
    if (en != NULL) {
        *slot = en->next;
        note_revoked(f, id, en->v.state == DEV_REVOKED, false);
        fleet_entry_free(en);
    }
    (void)pthread_mutex_unlock(&s->lock);
    fleet_work_add(f, &f->wake, id);
}

static void drop_old_rounds(struct fleet_cache *f)
{
    for (int i = 0; i < FLEET_SHARDS; i++) {
        struct shard *s = &f->shard[i];
        (void)pthread_mutex_lock(&s->lock);
        for (int b = 0; b < FLEET_BUCKETS; b++) {
            struct entry **p = &s->bucket[b];
            while (*p != NULL) {
                struct entry *en = *p;
                if (en->round == f->round) {
                    p = &en->next;
                    continue;
                }
                *p = en->next;
                note_revoked(f, en->v.id, en->v.state == DEV_REVOKED, false);
                fleet_entry_free(en);
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
            fleet_work_add(f, &f->wake, v[i].id);
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
        atomic_store(&f->lists_changed, true); /* what of them changed is not known */
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
        fleet_idlist_add(ids, c[i].id);
    }
    strbuf_putc(out, '}');
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct fleet_row *)a)->id, ((const struct fleet_row *)b)->id);
}

/* v is put in order. */
static void drop_missing(struct fleet_cache *f, const struct idlist *ids, struct fleet_row *v,
                         size_t n)
{
    if (n > 0)
        qsort(v, n, sizeof *v, by_id);
    for (size_t i = 0; i < ids->n; i++) {
        const struct fleet_row key = {.id = ids->v[i]};
        if (n == 0 || bsearch(&key, v, n, sizeof *v, by_id) == NULL)
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
        if (strcmp(c[i].kind, "lists") == 0)
            atomic_store(&f->lists_changed, true);
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

/* --- the look --- */

static void collect_seen(struct fleet_cache *f, struct shard *s, struct strbuf *ids,
                         struct strbuf *times, size_t *n)
{
    (void)f;
    (void)pthread_mutex_lock(&s->lock);
    for (int b = 0; b < FLEET_BUCKETS; b++) {
        for (struct entry *en = s->bucket[b]; en != NULL && *n < PRESENCE_CHUNK; en = en->next) {
            if (!en->seen_dirty)
                continue;
            strbuf_printf(ids, "%s%s", *n == 0 ? "" : ",", en->v.id);
            strbuf_printf(times, "%s%lld", *n == 0 ? "" : ",", (long long)en->v.seen_wall_ms);
            en->seen_dirty = false;
            (*n)++;
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
}

/* Each report is as the database has it: one that was deleted behind our back is asked for again.
 */
static enum err_code compare_reports(struct fleet_cache *f, struct db *db, struct err *e)
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

/* What other parents took in since the last look. */
static enum err_code follow_reports(struct fleet_cache *f, struct db *db, const struct look *l,
                                    struct err *e)
{
    const char *id;
    json_t *digest;

    json_object_foreach((json_t *)(uintptr_t)l->digests, id, digest)
        fleet_set_status(f, id, json_string_value(digest));
    f->looked_ms = l->now_ms;
    return fleet_count_reports(f) == l->n_reports ? ERR_OK : compare_reports(f, db, e);
}

/* Is there nothing in the change table that we have not seen? */
static bool up_to_date(struct fleet_cache *f, const struct look *l)
{
    bool same;

    (void)pthread_mutex_lock(&f->refresh);
    same = f->loaded && l->last_change <= f->last_seq &&
           clock_mono_ms() - atomic_load(&f->fresh_ms) <= FULL_AFTER_MS;
    if (same)
        atomic_store(&f->fresh_ms, clock_mono_ms());
    (void)pthread_mutex_unlock(&f->refresh);
    return same;
}

enum err_code fleet_cache_look(struct fleet_cache *f, struct db *db, int64_t token_age_s,
                               struct fleet_news *ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
    struct look l = {0};
    size_t n = PRESENCE_CHUNK;
    int64_t asked_ms;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;

    while (rc == ERR_OK && n == PRESENCE_CHUNK) {
        AUTO_STRBUF struct strbuf ids = STRBUF_INIT(1 * MIB);
        AUTO_STRBUF struct strbuf times = STRBUF_INIT(1 * MIB);
        struct look_ask ask = {.since_ms = f->looked_ms == 0 ? 0 : f->looked_ms - OVERLAP_MS,
                               .token_age_s = token_age_s,
                               .wall_ms = clock_wall_ms()};
        n = 0;
        strbuf_putc(&ids, '{');
        strbuf_putc(&times, '{');
        for (int i = 0; i < FLEET_SHARDS; i++)
            collect_seen(f, &f->shard[i], &ids, &times, &n);
        strbuf_putc(&ids, '}');
        strbuf_putc(&times, '}');
        rc = strbuf_check(&ids, e);
        if (rc == ERR_OK)
            rc = strbuf_check(&times, e);
        ask.ids = strbuf_str(&ids);
        ask.times = strbuf_str(&times);
        asked_ms = clock_mono_ms();
        if (rc == ERR_OK)
            rc = look_store_run(db, &ask, a, &l, e);
        if (rc == ERR_OK) /* it is the time at which the statement began */
            clock_follow(l.now_ms, asked_ms);
    }
    if (rc == ERR_OK)
        rc = follow_reports(f, db, &l, e);
    if (rc == ERR_OK)
        *ret = (struct fleet_news){!up_to_date(f, &l), l.rollouts, l.token_key_old, l.hold_in_ms,
                                   l.command_in_ms,    l.unended,  l.alert_in_ms,   l.notice_in_ms};
    return rc;
}

void fleet_put_for_test(struct fleet_cache *f, const char *id, enum device_state state, int64_t gen)
{
    bool news;
    struct fleet_row r = {.id = id,
                          .state = device_state_names[state],
                          .gen = gen,
                          .etag = "",
                          .status_digest = "",
                          .fingerprint = "",
                          .keep_machine = "",
                          .keep_boot = ""};

    (void)!put_row(f, &r, &news, NULL);
    atomic_store(&f->fresh_ms, clock_mono_ms());
}
