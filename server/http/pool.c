#include "http/http_private.h"

#include <stdlib.h>

enum { WORKERS_MAX = 16 /* database connections are at most 20 (protocol.md 6.18) */ };

struct pool {
    const struct http_config *cfg;
    void (*run)(struct call *c, struct db *db);
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct call *first, **last;
    unsigned waiting; /* reserved or queued */
    bool stop;
    pthread_t thread[WORKERS_MAX];
    unsigned n;
};

static struct call *next_job(struct pool *p)
{
    struct call *c;

    (void)pthread_mutex_lock(&p->lock);
    while (p->first == NULL && !p->stop)
        (void)pthread_cond_wait(&p->work, &p->lock);
    c = p->first;
    if (c != NULL) {
        p->first = c->next_job;
        if (p->first == NULL)
            p->last = &p->first;
        p->waiting--;
    }
    (void)pthread_mutex_unlock(&p->lock);
    return c;
}

static void *worker(void *arg)
{
    struct pool *p = arg;
    struct db *db = p->cfg->hooks.db_open == NULL
                        ? NULL
                        : p->cfg->hooks.db_open(p->cfg->conninfo, "inarid worker");
    struct call *c;

    while ((c = next_job(p)) != NULL)
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
    p->last = &p->first;
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->work, NULL);
    while (p->n < cfg->workers && p->n < WORKERS_MAX &&
           pthread_create(&p->thread[p->n], NULL, worker, p) == 0)
        p->n++;
    if (p->n > 0)
        return p;
    pool_stop(p);
    return NULL;
}

bool pool_reserve(struct pool *p)
{
    bool ok;

    (void)pthread_mutex_lock(&p->lock);
    ok = p->waiting < p->cfg->queue_max && !p->stop;
    p->waiting += ok;
    (void)pthread_mutex_unlock(&p->lock);
    return ok;
}

void pool_submit(struct pool *p, struct call *c)
{
    c->next_job = NULL;
    (void)pthread_mutex_lock(&p->lock);
    *p->last = c;
    p->last = &c->next_job;
    (void)pthread_cond_signal(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
}

unsigned pool_waiting(struct pool *p)
{
    unsigned n;

    (void)pthread_mutex_lock(&p->lock);
    n = p->waiting;
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
