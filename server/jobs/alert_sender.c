#include "jobs/alert_sender.h"

#include "base/clock.h"
#include "base/log.h"
#include "domain/alert_send.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { SEND_MS = 45 * 1000, CLAIM_S = 120, ARENA_MAX = 8 * 1024 * 1024 };

/* After the first, second ... failed try. */
static const int64_t pauses_s[ALERT_NOTICE_TRIES - 1] = {30, 120, 600, 1800};

struct alert_sender {
    const struct app *app;
    char *conninfo;
    pthread_t thread;
    pthread_mutex_t lock; /* guards woken, outage, newer, away_s */
    pthread_cond_t cond;
    bool woken;
    struct alert_outage *newer; /* takes the place of outage before the next one; NULL: none */
    int64_t away_s;
    struct alert_outage *outage; /* the thread's */
    atomic_bool stop;
};

static int64_t pause_s(const struct alert_notice *n)
{
    size_t i = n->tries < 1 ? 0 : (size_t)n->tries - 1;

    return i < COUNT_OF(pauses_s) ? pauses_s[i] : 0;
}

/* A crash of this program at a named moment (tests). */
static void may_die(const char *where)
{
#ifdef INARI_TEST_HOOKS
    const char *at = getenv("INARI_ALERT_DIE");

    if (at != NULL && strcmp(at, where) == 0)
        (void)raise(SIGKILL);
#else
    (void)where;
#endif
}

static enum err_code try_one(struct alert_sender *s, struct db *db, const struct alert_notice *n,
                             struct err *e)
{
    const struct notify_run run = {.limit_ms = SEND_MS, .stop = &s->stop};
    struct err problem = {0};
    enum err_code rc = n->enabled ? alert_send(s->app, n, &run, &problem)
                                  : err_set(&problem, ERR_CONFLICT, "the channel is switched off");
    bool dead = rc != ERR_OK && (n->tries >= ALERT_NOTICE_TRIES || !n->enabled);
    int64_t now = clock_wall_ms();

    if (rc == ERR_OK) {
        may_die("sent");
        log_event(LOG_LEVEL_INFO, "alert.sent", KV_STR("notice", n->id),
                  KV_STR("channel", n->channel), KV_INT("try", n->tries));
        return alert_engine_store_settle(db, n, "sent", now, now, "", e);
    }
    /* One that is tried again is no error yet. */
    log_event(dead ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, dead ? "alert.given_up" : "alert.not_sent",
              KV_STR("notice", n->id), KV_STR("channel", n->channel), KV_INT("try", n->tries),
              KV_STR("problem", problem.msg));
    return alert_engine_store_settle(db, n, dead ? "dead" : "queued", now, now + pause_s(n) * 1000,
                                     problem.msg, e);
}

static void send_all(struct alert_sender *s)
{
    AUTO(db_close) struct db *db = db_open(s->conninfo, "inarid alerts");
    AUTO(arena_free) struct arena *a = arena_new(ARENA_MAX);
    struct err e = {0};
    bool got = db != NULL && a != NULL;

    while (got && !atomic_load(&s->stop)) {
        struct alert_notice n;
        enum err_code rc = alert_engine_store_claim(db, clock_wall_ms(), CLAIM_S, a, &n, &got, &e);
        if (rc == ERR_OK && got)
            rc = try_one(s, db, &n, &e);
        if (rc != ERR_OK) { /* the job thread's next look wakes us again */
            log_event(LOG_LEVEL_WARN, "alert.sender_waits", KV_STR("error", e.msg));
            return;
        }
        arena_reset(a);
    }
}

/* While the database is away nothing else can be sent.  What is remembered stays the same for one
 * outage: nobody is told twice. */
static void tell_outage(struct alert_sender *s)
{
    const struct notify_run run = {.limit_ms = SEND_MS, .stop = &s->stop};
    int64_t away_s;

    (void)pthread_mutex_lock(&s->lock);
    away_s = s->away_s;
    if (away_s == 0 && s->newer != NULL) {
        alert_outage_free(s->outage);
        s->outage = TAKE(s->newer);
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (away_s > 0)
        alert_outage_tell(s->outage, s->app, away_s, &run);
}

static void *run(void *arg)
{
    struct alert_sender *s = arg;

    (void)pthread_mutex_lock(&s->lock);
    while (!atomic_load(&s->stop)) {
        while (!s->woken && !atomic_load(&s->stop))
            (void)pthread_cond_wait(&s->cond, &s->lock);
        s->woken = false;
        (void)pthread_mutex_unlock(&s->lock);
        if (!atomic_load(&s->stop))
            tell_outage(s);
        if (!atomic_load(&s->stop) && db_reached())
            send_all(s);
        (void)pthread_mutex_lock(&s->lock);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

enum err_code alert_sender_start(const struct app *app, const char *conninfo,
                                 struct alert_sender **ret, struct err *e)
{
    struct alert_sender *s = calloc(1, sizeof *s);

    if (s == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    s->app = app;
    s->conninfo = strdup(conninfo);
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->cond, NULL);
    if (s->conninfo == NULL || pthread_create(&s->thread, NULL, run, s) != 0) {
        free(s->conninfo);
        free(s);
        return err_set(e, ERR_NO_MEMORY, "could not start the thread that sends notices");
    }
    *ret = s;
    return ERR_OK;
}

void alert_sender_wake(struct alert_sender *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->woken = true;
    (void)pthread_cond_signal(&s->cond);
    (void)pthread_mutex_unlock(&s->lock);
}

void alert_sender_remember(struct alert_sender *s, struct alert_outage *o)
{
    (void)pthread_mutex_lock(&s->lock);
    alert_outage_free(s->newer);
    s->newer = o;
    (void)pthread_mutex_unlock(&s->lock);
    alert_sender_wake(s);
}

void alert_sender_away(struct alert_sender *s, int64_t away_s)
{
    bool ended;

    (void)pthread_mutex_lock(&s->lock);
    ended = s->away_s != 0 && away_s == 0;
    s->away_s = away_s;
    (void)pthread_mutex_unlock(&s->lock);
    if (away_s > 0 || ended)
        alert_sender_wake(s);
}

void alert_sender_stop(struct alert_sender *s)
{
    if (s == NULL)
        return;
    atomic_store(&s->stop, true);
    alert_sender_wake(s);
    (void)pthread_join(s->thread, NULL);
    (void)pthread_cond_destroy(&s->cond);
    (void)pthread_mutex_destroy(&s->lock);
    alert_outage_free(s->outage);
    alert_outage_free(s->newer);
    free(s->conninfo);
    free(s);
}
