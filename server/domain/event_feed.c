#include "domain/event_feed.h"

#include "base/clock.h"
#include "base/log.h"
#include "domain/role.h"
#include "domain/message.h"
#include "http/stream.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    TICK_MS = 50,          /* between two looks at the connection, for hints: no SQL */
    LINGER_MS = 30 * 1000, /* the connection is kept for so long after the last follower */
    BATCHES = 64,          /* read at once */
    EVENTS = 256,
    EVENT_MAX = 64 * 1024, /* a detail that is larger (numbers of a thousand digits) is left out */
    ROUND_EVENTS = 4096,   /* then the others are looked after */
    CATCH_UP = FEED_BUFFER_MAX / 2 /* room there must be for one that reads what was before */
};

struct follower {
    struct follower *next;
    struct stream *out;
    struct feed_filter filter;
    struct feed_place place; /* everything up to here was looked at for it */
    int64_t epoch;
    bool resume; /* its place is not looked at yet */
    bool live;   /* it has what the feed has */
    char account[37], credential[65];
    bool is_token;
    int64_t wrote_ms, full_ms; /* full_ms: since when its reader keeps it waiting; 0: it does not */
};

struct feed {
    struct app *app;
    char *conninfo;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    struct follower *fresh; /* lock: not taken over by the thread yet */
    struct follower *all;   /* lock to change; the thread reads it without */
    bool stop;
    /* the thread's own */
    struct db *db;
    struct feed_place head; /* everything up to here was given to those who are live */
    bool at_head;           /* head is known */
    int64_t look_ms, check_ms, idle_ms, complained_ms;
};

static _Atomic int64_t following, followed_total, sent_total, overflows_total, gaps_total;

/* --- words --- */

static void place_of(const struct follower *w, struct feed *f, char buf[FEED_PLACE_SIZE])
{
    feed_place_text(atomic_load(&f->app->epoch), &w->place, buf);
}

static bool say(struct follower *w, const struct strbuf *text)
{
    if (!strbuf_ok(text) || !stream_write(w->out, strbuf_slice(text)))
        return false;
    w->wrote_ms = clock_mono_ms();
    return true;
}

/* The last words of a stream: an event with why, and from where to go on. */
static void end(struct feed *f, struct follower *w, const char *event, const char *reason)
{
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(STREAM_LAST_MAX);
    char place[FEED_PLACE_SIZE];

    place_of(w, f, place);
    strbuf_printf(&text, "id: %s\nevent: %s\ndata: {\"reason\":\"%s\",\"resume\":\"%s\"}\n\n",
                  place, event, reason, place);
    stream_end(w->out, strbuf_slice(&text));
}

/* Also tells the client its place, which goes on when nothing of the filter comes. */
static void alive(struct feed *f, struct follower *w)
{
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(KIB);
    char place[FEED_PLACE_SIZE];

    place_of(w, f, place);
    strbuf_printf(&text, ": alive\nid: %s\n\n", place);
    if (stream_room(w->out) > CATCH_UP) /* one that does not read needs no sign of life */
        (void)say(w, &text);
}

static void gap(struct feed *f, struct follower *w, const char *reason)
{
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(KIB);
    char place[FEED_PLACE_SIZE];

    (void)atomic_fetch_add(&gaps_total, 1);
    place_of(w, f, place);
    strbuf_printf(&text, "id: %s\nevent: gap\ndata: {\"reason\":\"%s\",\"from\":\"%s\"}\n\n", place,
                  reason, place);
    (void)say(w, &text);
}

static void event_text(struct feed *f, const struct feed_place *place, const struct event_row *v,
                       struct strbuf *out)
{
    AUTO(json_free) json_t *j = NULL;
    AUTO_STR char *text = NULL;
    char id[FEED_PLACE_SIZE];

    feed_place_text(atomic_load(&f->app->epoch), place, id);
    j = event_json(v);
    (void)json_object_set_new(j, "id", json_string(id));
    text = j == NULL ? NULL : json_text(j, JSON_COMPACT);
    if (text != NULL && strlen(text) > EVENT_MAX) {
        (void)json_object_del(j, "detail");
        (void)json_object_set_new(j, "cut", json_true());
        free(text);
        text = json_text(j, JSON_COMPACT);
    }
    if (text == NULL)
        out->failed = true;
    else
        strbuf_printf(out, "id: %s\ndata: %s\n\n", id, text);
}

/* One event to one follower; made into text once.  The place goes on only when it was taken or is
 * not wanted.  false: there is no room; it has to catch up when its reader has read. */
static bool give(struct feed *f, struct follower *w, const struct feed_place *place,
                 const struct event_row *v, struct strbuf *text)
{
    if (feed_place_compare(place, &w->place) <= 0 || stream_over(w->out))
        return true;
    if (feed_filter_takes(&w->filter, v)) {
        if (text->n == 0)
            event_text(f, place, v, text);
        if (!strbuf_ok(text)) {
            end(f, w, "overflow", "no-memory");
            return false;
        }
        if (!say(w, text))
            return false;
        (void)atomic_fetch_add(&sent_total, 1);
    }
    w->place = *place;
    return true;
}

/* --- reading --- */

static bool give_all(struct feed *f, struct follower *one, const struct feed_place *place,
                     const struct event_row *v)
{
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(FEED_BUFFER_MAX);

    if (one != NULL)
        return give(f, one, place, v, &text);
    for (struct follower *w = f->all; w != NULL; w = w->next)
        if (w->live)
            w->live = give(f, w, place, v, &text);
    return true;
}

/* Events of a batch behind after_n to one follower, or to all that are live.  *ret_n: how many
 * there were.  *ret_all: none is left; false: the one has no room. */
static enum err_code give_batch(struct feed *f, struct follower *one, const struct feed_batch *b,
                                int32_t after_n, size_t *ret_n, bool *ret_all, struct err *e)
{
    enum err_code rc = ERR_OK;
    size_t n = EVENTS;

    *ret_n = 0;
    *ret_all = true;
    while (rc == ERR_OK && n == EVENTS && *ret_all) {
        AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
        struct event_row *v = NULL;
        if (a == NULL)
            return err_set(e, ERR_NO_MEMORY, "out of memory");
        rc = feed_store_events(f->db, b->place.batch, after_n, EVENTS, a, &v, &n, e);
        for (size_t i = 0; rc == ERR_OK && i < n && *ret_all; i++) {
            struct feed_place place = {b->place.tx, b->place.batch, v[i].n};
            *ret_all = give_all(f, one, &place, &v[i]);
            after_n = v[i].n;
        }
        *ret_n += rc == ERR_OK ? n : 0;
        if (one != NULL && n == EVENTS && stream_room(one->out) < CATCH_UP)
            *ret_all = false; /* the rest in a later round */
    }
    return rc;
}

static void whole(struct follower *w, const struct feed_batch *b)
{
    struct feed_place place = {b->place.tx, b->place.batch, INT32_MAX};

    if (feed_place_compare(&place, &w->place) > 0 && !stream_over(w->out))
        w->place = place;
}

/* What was stored since the last look, to those who are live.  *ret_more: there may be more. */
static enum err_code look(struct feed *f, bool *ret_more, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(MIB);
    struct feed_batch *b = NULL;
    size_t n = 0, events = 0, some = 0;
    bool all;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;

    *ret_more = false;
    if (rc == ERR_OK && !f->at_head) {
        rc = feed_store_head(f->db, &f->head, e);
        f->at_head = rc == ERR_OK;
        return rc;
    }
    if (rc == ERR_OK)
        rc = feed_store_batches(f->db, &f->head, BATCHES, a, &b, &n, e);
    for (size_t i = 0; rc == ERR_OK && i < n && events < ROUND_EVENTS; i++) {
        rc = give_batch(f, NULL, &b[i], -1, &some, &all, e);
        if (rc != ERR_OK)
            break;
        events += some;
        f->head = (struct feed_place){b[i].place.tx, b[i].place.batch, INT32_MAX};
        for (struct follower *w = f->all; w != NULL; w = w->next)
            if (w->live)
                whole(w, &b[i]);
    }
    *ret_more = rc == ERR_OK && (n == BATCHES || events >= ROUND_EVENTS);
    return rc;
}

/* Where one that comes back begins. */
static enum err_code begin(struct feed *f, struct follower *w, struct err *e)
{
    struct feed_place before;
    struct feed_span span;
    bool same = w->epoch == atomic_load(&f->app->epoch);
    enum err_code rc = feed_store_span(f->db, &span, e);

    if (rc != ERR_OK)
        return rc;
    w->resume = false;
    if (!same || w->place.tx >= span.next_tx) {
        w->place = f->head; /* of before a restore, or invented: what it missed cannot be known */
        gap(f, w, "unknown");
        return ERR_OK;
    }
    /* Before the first event of the oldest batch that is left. */
    before = span.oldest.batch == 0
                 ? f->head
                 : (struct feed_place){span.oldest.tx, span.oldest.batch - 1, INT32_MAX};
    if (span.trimmed && feed_place_compare(&w->place, &before) < 0) {
        w->place = before;
        gap(f, w, "too-old");
    }
    return ERR_OK;
}

/* Some of what was stored before, to one follower, as far as its reader keeps up. */
static enum err_code catch_up(struct feed *f, struct follower *w, bool *ret_more, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(MIB);
    struct feed_place from;
    struct feed_batch *b = NULL;
    size_t n = 0, i = 0, events = 0, some = 0;
    bool all = true;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;

    if (rc == ERR_OK && w->resume)
        rc = begin(f, w, e);
    if (rc != ERR_OK || stream_room(w->out) < CATCH_UP)
        return rc;
    from = w->place;
    from.batch -= from.n != INT32_MAX && from.batch > 0; /* the rest of its batch first */
    rc = feed_store_batches(f->db, &from, BATCHES, a, &b, &n, e);
    while (rc == ERR_OK && i < n && all && events < EVENTS) {
        struct feed_place end_ = {b[i].place.tx, b[i].place.batch, INT32_MAX};
        bool its = end_.tx == w->place.tx && end_.batch == w->place.batch;
        if (feed_place_compare(&end_, &f->head) > 0)
            break;
        rc = give_batch(f, w, &b[i], its ? w->place.n : -1, &some, &all, e);
        events += some;
        if (rc == ERR_OK && all)
            whole(w, &b[i++]);
    }
    if (rc != ERR_OK || !all || events >= EVENTS || (i == n && n == BATCHES)) {
        *ret_more = *ret_more || (rc == ERR_OK && all);
        return rc;
    }
    w->live = true; /* has all up to the head; what is behind it is given to those who are live */
    return rc;
}

/* One that reads less than half a buffer in FEED_SLOW_MS while more waits for it. */
static void end_slow(struct feed *f, struct follower *w, int64_t now)
{
    if (stream_room(w->out) >= CATCH_UP) {
        w->full_ms = 0;
    } else if (w->full_ms == 0) {
        w->full_ms = now;
    } else if (now - w->full_ms >= FEED_SLOW_MS && !stream_over(w->out)) {
        (void)atomic_fetch_add(&overflows_total, 1);
        end(f, w, "overflow", "slow");
    }
}

/* --- who may go on --- */

static enum err_code check(struct feed *f, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(MIB);
    AUTO(json_free) json_t *asked = json_pack("{s:[],s:[]}", "session", "token");
    AUTO(json_free) json_t *held = json_object();
    uint64_t failed = json_failures();
    const json_t *holding = NULL, *v;
    enum err_code rc;
    size_t i;

    for (const struct follower *w = f->all; w != NULL; w = w->next)
        (void)json_array_append_new(json_object_get(asked, w->is_token ? "token" : "session"),
                                    json_string(w->credential));
    if (a == NULL || asked == NULL || held == NULL || json_failures() != failed)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = feed_store_holding(f->db, asked, clock_wall_ms(), clock_wall_ms() - SESSION_IDLE_MS, a,
                            &holding, e);
    if (rc != ERR_OK)
        return rc;
    json_array_foreach(holding, i, v)(void)
        json_object_set_new(held, json_string_value(v), json_true());
    if (json_failures() != failed)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (struct follower *w = f->all; w != NULL; w = w->next)
        if (json_object_get(held, w->credential) == NULL)
            end(f, w, "end", "signed-out");
    return ERR_OK;
}

/* --- the thread --- */

static void follower_free(struct follower *w)
{
    stream_release(w->out);
    free(w);
    (void)atomic_fetch_sub(&following, 1);
}

static void free_all(struct follower *w)
{
    for (struct follower *next; w != NULL; w = next) {
        next = w->next;
        follower_free(w);
    }
}

/* New ones come in, those that are over go.  false: nobody is left. */
static bool rearrange(struct feed *f)
{
    struct follower *gone = NULL;

    (void)pthread_mutex_lock(&f->lock);
    while (f->fresh != NULL) {
        struct follower *w = f->fresh;
        f->fresh = w->next;
        w->next = f->all;
        f->all = w;
        if (!w->resume && f->at_head) { /* from now on */
            w->place = f->head;
            w->live = true;
        }
    }
    for (struct follower **at = &f->all; *at != NULL;) {
        struct follower *w = *at;
        if (!stream_over(w->out)) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        w->next = gone;
        gone = w;
    }
    (void)pthread_mutex_unlock(&f->lock);
    free_all(gone);
    return f->all != NULL;
}

static enum err_code open_db(struct feed *f, struct err *e)
{
    if (f->db == NULL && (f->db = db_open(f->conninfo, "inarid feed")) == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return db_listen(f->db, "inari_event", e);
}

static enum err_code work(struct feed *f, bool *ret_more, struct err *e)
{
    int64_t now = clock_mono_ms();
    enum err_code rc = f->at_head ? ERR_OK : open_db(f, e);
    bool first = !f->at_head;

    if (rc == ERR_OK && (now >= f->look_ms || first)) {
        rc = look(f, ret_more, e);
        f->look_ms = *ret_more ? now : now + FEED_LOOK_MS;
    }
    for (struct follower *w = f->all; rc == ERR_OK && w != NULL; w = w->next) {
        if (!w->resume && !w->live && first) { /* came before anything was known */
            w->place = f->head;
            w->live = true;
        }
        if (!w->live && !stream_over(w->out))
            rc = catch_up(f, w, ret_more, e);
        end_slow(f, w, now);
    }
    if (rc == ERR_OK && now >= f->check_ms) {
        rc = check(f, e);
        f->check_ms = now + FEED_CHECK_MS;
    }
    return rc;
}

/* A hint that something was stored, or a new one who follows: look at once. */
static void wait_for_hint(struct feed *f)
{
    struct db_hint hint;
    struct err e = {0};
    bool got = true, any = false;

    if (f->db == NULL || db_wait(f->db, TICK_MS, &hint, &got, &e) != ERR_OK) {
        struct timespec t = {0, TICK_MS * 1000000L};
        (void)nanosleep(&t, NULL);
        return;
    }
    for (any = got; got && db_wait(f->db, 0, &hint, &got, &e) == ERR_OK;)
        ;
    if (any)
        f->look_ms = 0;
}

static void complain(struct feed *f, const struct err *e)
{
    int64_t now = clock_mono_ms();

    f->look_ms = now + FEED_LOOK_MS;
    if (now - f->complained_ms < 60 * 1000 && f->complained_ms != 0)
        return;
    f->complained_ms = now;
    log_event(LOG_LEVEL_WARN, "feed.waiting", KV_STR("error", e->msg));
}

/* Sleep until somebody follows.  The connection goes after a while. */
static void sleep_until_wanted(struct feed *f)
{
    int64_t until_s = clock_mono_ms() / 1000 + LINGER_MS / 1000;
    const struct timespec t = {.tv_sec = until_s};

    f->at_head = false; /* whoever comes next begins then */
    (void)pthread_mutex_lock(&f->lock);
    while (!f->stop && f->fresh == NULL) {
        if (f->db == NULL) {
            (void)pthread_cond_wait(&f->wanted, &f->lock);
        } else if (pthread_cond_timedwait(&f->wanted, &f->lock, &t) != 0) {
            (void)pthread_mutex_unlock(&f->lock);
            db_close(TAKE(f->db));
            (void)pthread_mutex_lock(&f->lock);
        }
    }
    (void)pthread_mutex_unlock(&f->lock);
}

static bool stopping(struct feed *f)
{
    bool stop;

    (void)pthread_mutex_lock(&f->lock);
    stop = f->stop;
    (void)pthread_mutex_unlock(&f->lock);
    return stop;
}

static void *run(void *feed)
{
    struct feed *f = feed;

    while (!stopping(f)) {
        struct err e = {0};
        bool more = false;
        if (!rearrange(f)) {
            sleep_until_wanted(f);
            continue;
        }
        if (work(f, &more, &e) != ERR_OK)
            complain(f, &e);
        for (struct follower *w = f->all; w != NULL; w = w->next)
            if (clock_mono_ms() - w->wrote_ms >= FEED_ALIVE_MS && !w->resume)
                alive(f, w);
        if (!more)
            wait_for_hint(f);
    }
    return NULL;
}

/* --- from outside --- */

enum err_code feed_start(struct app *app, const char *conninfo, struct feed **ret, struct err *e)
{
    struct feed *f = calloc(1, sizeof *f);
    pthread_condattr_t attr;

    if (f == NULL || (f->conninfo = strdup(conninfo)) == NULL) {
        free(f);
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    }
    f->app = app;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&f->lock, NULL);
    (void)pthread_cond_init(&f->wanted, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (pthread_create(&f->thread, NULL, run, f) != 0) {
        free(f->conninfo);
        free(f);
        return err_set(e, ERR_NO_MEMORY, "could not start a thread");
    }
    *ret = f;
    return ERR_OK;
}

void feed_stop(struct feed *f)
{
    if (f == NULL)
        return;
    (void)pthread_mutex_lock(&f->lock);
    f->stop = true;
    (void)pthread_cond_signal(&f->wanted);
    (void)pthread_mutex_unlock(&f->lock);
    (void)pthread_join(f->thread, NULL);
    free_all(f->all);
    free_all(f->fresh);
    if (f->db != NULL)
        db_close(f->db);
    free(f->conninfo);
    (void)pthread_cond_destroy(&f->wanted);
    (void)pthread_mutex_destroy(&f->lock);
    free(f);
}

/* Lock held. */
static enum err_code admit(const struct feed *f, const struct who *who, struct err *e)
{
    const struct follower *const lists[] = {f->all, f->fresh};
    int all = 0, own = 0;

    for (size_t i = 0; i < COUNT_OF(lists); i++)
        for (const struct follower *w = lists[i]; w != NULL; w = w->next) {
            if (stream_over(w->out))
                continue;
            all++;
            own += strcmp(w->account, who->account) == 0;
        }
    if (f->stop)
        return err_set(e, ERR_OVERLOADED, "the parent is stopping");
    if (own >= FEED_ACCOUNT_MAX)
        return err_set(e, ERR_TOO_MANY_STREAMS, "this account follows %d streams already", own);
    return all < FEED_FOLLOWERS_MAX
               ? ERR_OK
               : err_set(e, ERR_OVERLOADED,
                         "all %d event streams of this parent are taken: follow at another parent, "
                         "or read GET /api/v1/events",
                         all);
}

enum err_code feed_follow(struct feed *f, const struct feed_ask *ask, struct stream **ret,
                          struct err *e)
{
    static const char last[] = "event: end\ndata: {\"reason\":\"stopping\"}\n\n";
    AUTO_STRBUF struct strbuf hello = STRBUF_INIT(KIB);
    struct follower *w = calloc(1, sizeof *w);
    enum err_code rc;

    if (w == NULL || (w->out = stream_new(FEED_BUFFER_MAX, slice_of(last))) == NULL) {
        free(w);
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    }
    w->filter = ask->filter;
    w->place = ask->place;
    w->epoch = ask->epoch;
    w->resume = ask->resume;
    w->is_token = ask->who->kind == WHO_TOKEN;
    text_copy(w->account, sizeof w->account, ask->who->account);
    text_copy(w->credential, sizeof w->credential, ask->credential);
    strbuf_printf(&hello, "retry: %d\n\n", FEED_RETRY_MS);
    *ret = w->out;
    (void)pthread_mutex_lock(&f->lock);
    rc = admit(f, ask->who, e);
    if (rc == ERR_OK && !say(w, &hello))
        rc = err_set(e, ERR_OVERLOADED, "the parent is stopping");
    w->wrote_ms = 0; /* its place is said at once */
    if (rc == ERR_OK) {
        (void)atomic_fetch_add(&following, 1);
        (void)atomic_fetch_add(&followed_total, 1);
        w->next = f->fresh;
        f->fresh = w;
        (void)pthread_cond_signal(&f->wanted);
    }
    (void)pthread_mutex_unlock(&f->lock);
    if (rc == ERR_OK)
        return rc;
    stream_unread(w->out);
    stream_release(w->out);
    free(w);
    *ret = NULL;
    return rc;
}

void feed_figures(struct strbuf *out)
{
    const struct {
        const char *name, *type, *help;
        int64_t v;
    } all[] = {{"inari_event_followers", "gauge", "Streams of events that are followed now.",
                atomic_load(&following)},
               {"inari_event_followers_total", "counter", "Streams of events since start.",
                atomic_load(&followed_total)},
               {"inari_event_stream_sent_total", "counter", "Events given to followers.",
                atomic_load(&sent_total)},
               {"inari_event_stream_overflows_total", "counter",
                "Streams closed because their reader was too slow.", atomic_load(&overflows_total)},
               {"inari_event_stream_gaps_total", "counter",
                "Streams that could not go on where their reader was.", atomic_load(&gaps_total)}};

    for (size_t i = 0; i < COUNT_OF(all); i++)
        strbuf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %lld\n", all[i].name, all[i].help,
                      all[i].name, all[i].type, all[i].name, (long long)all[i].v);
}
