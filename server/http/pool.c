#include "http/http_private.h"

#include <stdlib.h>

enum {
    WORKERS_MAX = 16, /* database connections are at most 20 (protocol.md 6.18) */
    EVENTS_RUNNING = 2,
    EVENTS_WAITING = 16, /* bodies of up to 1 MiB each */
};

struct lane {
    struct call *first, **last;
    unsigned waiting; /* reserved or queued */
    unsigned running; /* with a worker */
};

struct pool {
    const struct http_config *cfg;
    void (*run)(struct call *c, struct db *db);
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct lane lane[POOL_LANES];
    enum pool_lane served; /* last */
    bool stop;
    pthread_t thread[WORKERS_MAX];
    unsigned n;
};

/* One worker is kept free of people and one of children, so that neither waits for a crowd of the
 * other; of three or more one of each is kept free of events as well. */
static bool may_run(const struct pool *p, enum pool_lane lane)
{
    unsigned events = p->lane[POOL_EVENTS].running, children = p->lane[POOL_CHILDREN].running;

    if (p->lane[lane].first == NULL)
        return false;
    if (p->stop || p->n < 2)
        return true;
    if (lane == POOL_PEOPLE)
        return p->lane[lane].running < p->n - 1;
    if (lane == POOL_EVENTS && (events >= EVENTS_RUNNING || (p->n > 2 && events >= p->n - 2)))
        return false;
    return children + events < p->n - 1;
}

/* The lane of the next job: in turn when several have one; POOL_LANES: there is none. */
static enum pool_lane next_lane(const struct pool *p)
{
    for (unsigned i = 1; i <= POOL_LANES; i++) {
        enum pool_lane lane = (p->served + i) % POOL_LANES;

        if (may_run(p, lane))
            return lane;
    }
    return POOL_LANES;
}

/* served: the lane of the job that is done; POOL_LANES: none was. */
static struct call *next_job(struct pool *p, enum pool_lane *served)
{
    enum pool_lane lane;
    struct call *c = NULL;
    struct lane *l;

    (void)pthread_mutex_lock(&p->lock);
    if (*served != POOL_LANES)
        p->lane[*served].running--;
    while ((lane = next_lane(p)) == POOL_LANES && !p->stop)
        (void)pthread_cond_wait(&p->work, &p->lock);
    if (lane != POOL_LANES) {
        l = &p->lane[lane];
        c = l->first;
        l->first = c->next_job;
        if (l->first == NULL)
            l->last = &l->first;
        l->waiting--;
        l->running++;
        p->served = lane;
        if (next_lane(p) !=
            POOL_LANES) /* who was woken for it may have found that it could not run then */
            (void)pthread_cond_signal(&p->work);
    }
    *served = lane;
    (void)pthread_mutex_unlock(&p->lock);
    return c;
}

static void *worker(void *arg)
{
    struct pool *p = arg;
    struct db *db = p->cfg->hooks.db_open == NULL
                        ? NULL
                        : p->cfg->hooks.db_open(p->cfg->conninfo, "inarid worker");
    enum pool_lane served = POOL_LANES;
    struct call *c;

    while ((c = next_job(p, &served)) != NULL)
        p->run(c, db);
    if (db != NULL)
        p->cfg->hooks.db_close(db);
    return NULL;
}

struct pool *pool_start(const struct http_config *cfg, void (*run)(struct call *c, struct db *db))
{
    struct pool *p = calloc(1, sizeof *p);

    if (p == NULL)
        return NULL;
    p->cfg = cfg;
    p->run = run;
    for (int i = 0; i < POOL_LANES; i++)
        p->lane[i].last = &p->lane[i].first;
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->work, NULL);
    (void)pthread_mutex_lock(&p->lock); /* the first of them reads how many there are */
    while (p->n < cfg->workers && p->n < WORKERS_MAX &&
           pthread_create(&p->thread[p->n], NULL, worker, p) == 0)
        p->n++;
    (void)pthread_mutex_unlock(&p->lock);
    if (p->n > 0)
        return p;
    pool_stop(p);
    return NULL;
}

bool pool_reserve(struct pool *p, enum pool_lane lane)
{
    unsigned max = p->cfg->queue_max;
    bool ok;

    if (lane == POOL_EVENTS && max > EVENTS_WAITING)
        max = EVENTS_WAITING;
    (void)pthread_mutex_lock(&p->lock);
    ok = p->lane[lane].waiting < max && !p->stop;
    p->lane[lane].waiting += ok;
    (void)pthread_mutex_unlock(&p->lock);
    return ok;
}

void pool_submit(struct pool *p, enum pool_lane lane, struct call *c)
{
    struct lane *l = &p->lane[lane];

    c->next_job = NULL;
    (void)pthread_mutex_lock(&p->lock);
    *l->last = c;
    l->last = &c->next_job;
    (void)pthread_cond_signal(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
}

unsigned pool_waiting(struct pool *p, enum pool_lane lane)
{
    unsigned n;

    (void)pthread_mutex_lock(&p->lock);
    n = p->lane[lane].waiting;
    (void)pthread_mutex_unlock(&p->lock);
    return n;
}

void pool_stop(struct pool *p)
{
    if (p == NULL)
        return;
    (void)pthread_mutex_lock(&p->lock);
    p->stop = true;
    (void)pthread_cond_broadcast(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->n; i++)
        (void)pthread_join(p->thread[i], NULL);
    (void)pthread_cond_destroy(&p->work);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}
