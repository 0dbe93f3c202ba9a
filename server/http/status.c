#include "http/status.h"

#include "base/clock.h"
#include "http/http_private.h"
#include "http/stream.h"

#include <sys/resource.h>

static _Atomic(struct http *) serving;

void status_serve(struct http *h)
{
    atomic_store(&serving, h);
}

enum err_code health_get(struct req *rq, struct reply *rp, struct err *e)
{
    (void)rq;
    return reply_json(rp, 200, json_pack("{s:s}", "status", "ok"), e);
}

/* The word is for machines, the sentence for the log; people read the problem's own texts. */
static enum err_code not_ready(struct reply *rp, enum err_code code, const char *reason,
                               const char *why, struct err *e)
{
    rp->problem_extra = json_pack("{s:s}", "reason", reason);
    return err_set(e, code, "%s", why);
}

enum err_code ready_get(struct req *rq, struct reply *rp, struct err *e)
{
    struct http *h = atomic_load(&serving);

    (void)rq;
    if (h == NULL || !atomic_load(&h->ready))
        return not_ready(rp, ERR_OVERLOADED, "starting", "the database was not reached yet", e);
    if (atomic_load(&h->stopping))
        return not_ready(rp, ERR_MAINTENANCE, "stopping", "the parent is stopping", e);
    if (h->cfg.hooks.db_reached != NULL && !h->cfg.hooks.db_reached())
        return not_ready(rp, ERR_OVERLOADED, "database-away", "the database cannot be reached", e);
    if (h->cfg.hooks.usable != NULL && !h->cfg.hooks.usable(h->cfg.app))
        return not_ready(rp, ERR_OVERLOADED, "database-stale",
                         "nothing could be read from the database for minutes", e);
    return reply_json(rp, 200, json_pack("{s:s}", "status", "ready"), e);
}

static double cpu_seconds(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double open_connections(struct http *h)
{
    unsigned n;

    (void)pthread_mutex_lock(&h->conns.lock);
    n = h->conns.n;
    (void)pthread_mutex_unlock(&h->conns.lock);
    return n;
}

enum err_code metrics_get(struct req *rq, struct reply *rp, struct err *e)
{
    struct http *h = atomic_load(&serving);
    AUTO_STRBUF struct strbuf out = STRBUF_INIT(4 * MIB);

    (void)rq;
    if (h == NULL)
        return err_set(e, ERR_MAINTENANCE, "the parent is stopping");
    const struct metric_value more[] = {
        {"inari_http_connections", "gauge", "Connections open now.", open_connections(h)},
        {"inari_http_parked", "gauge", "Requests held now.", park_count()},
        {"inari_http_streams", "gauge", "Answers that are sent while they are written.",
         stream_count()},
        {"inari_http_parked_total", "counter", "Requests held since start.", (double)park_total()},
        {"inari_http_queue", "gauge", "Requests of children waiting for a worker.",
         pool_waiting(h->pool, POOL_CHILDREN)},
        {"inari_http_queue_people", "gauge", "Requests of people waiting for a worker.",
         pool_waiting(h->pool, POOL_PEOPLE)},
        {"inari_http_queue_events", "gauge", "Batches of events waiting for a worker.",
         pool_waiting(h->pool, POOL_EVENTS)},
        {"inari_http_running", "gauge", "Requests between request line and end of answer.",
         atomic_load(&h->running)},
        {"inari_db_statements_total", "counter", "SQL statements run.",
         h->cfg.hooks.db_statements == NULL ? 0 : (double)h->cfg.hooks.db_statements()},
        {"inari_db_request_statements_total", "counter", "SQL statements run for requests.",
         h->cfg.hooks.db_request_statements == NULL ? 0
                                                    : (double)h->cfg.hooks.db_request_statements()},
        {"inari_db_reached", "gauge", "1: the database answered when it was last tried.",
         h->cfg.hooks.db_reached == NULL || h->cfg.hooks.db_reached()},
        {"inari_ready", "gauge", "1: database and keys are there.", atomic_load(&h->ready)},
        {"process_cpu_seconds_total", "counter", "CPU time of the process.", cpu_seconds()},
    };
    metrics_write(h->metrics, more, COUNT_OF(more), &out);
    if (h->cfg.hooks.figures != NULL && atomic_load(&h->ready))
        h->cfg.hooks.figures(h->cfg.app, &out);
    if (strbuf_check(&out, e) != ERR_OK)
        return e->code;
    rp->text_n = out.n;
    rp->text = strbuf_take(&out);
    rp->content_type = "text/plain; version=0.0.4; charset=utf-8";
    return ERR_OK;
}
