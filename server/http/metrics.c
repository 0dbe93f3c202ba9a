#include "http/metrics.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Statuses told apart; others are counted under the first of their class. */
static const int statuses[] = {200, 201, 202, 204, 300, 304, 400, 401, 403, 404, 405, 409, 410,
                               412, 413, 415, 421, 422, 425, 428, 429, 431, 500, 503, 504};
enum { STATUSES = sizeof statuses / sizeof statuses[0] };

struct metrics {
    const struct router *router;
    size_t routes;
    _Atomic uint64_t plain[METRIC_COUNT];
    _Atomic uint64_t answer[]; /* (routes + 1) x STATUSES */
};

static const struct {
    const char *name, *help;
} texts[METRIC_COUNT] = {
    [METRIC_CONNECTIONS] = {"inari_http_connections_total", "TCP connections accepted."},
    [METRIC_REFUSED_ADDRESS] = {"inari_http_refused_address_total",
                                "Connections refused: too many from one address."},
    [METRIC_REFUSED_GATE] = {"inari_http_refused_requests_total",
                             "Requests refused before routing."},
    [METRIC_REAPED] = {"inari_http_reaped_total",
                       "Connections closed because a deadline had passed."},
    [METRIC_OVERLOADED] = {"inari_http_overloaded_total",
                           "Requests answered 503 because a queue was full."},
};

struct metrics *metrics_new(const struct router *r)
{
    size_t n = router_count(r);
    struct metrics *m = calloc(1, sizeof *m + (n + 1) * STATUSES * sizeof m->answer[0]);

    if (m != NULL) {
        m->router = r;
        m->routes = n;
    }
    return m;
}

void metrics_free(struct metrics *m)
{
    free(m);
}

void metrics_count(struct metrics *m, enum metric what)
{
    (void)atomic_fetch_add_explicit(&m->plain[what], 1, memory_order_relaxed);
}

uint64_t metrics_read(const struct metrics *m, enum metric what)
{
    return atomic_load_explicit(&m->plain[what], memory_order_relaxed);
}

static size_t status_index(int status)
{
    for (size_t i = 0; i < STATUSES; i++)
        if (statuses[i] == status)
            return i;
    for (size_t i = 0; i < STATUSES; i++)
        if (statuses[i] / 100 == status / 100)
            return i;
    return STATUSES - 1;
}

void metrics_answer(struct metrics *m, size_t route, int status)
{
    size_t i = (route < m->routes ? route : m->routes) * STATUSES + status_index(status);

    (void)atomic_fetch_add_explicit(&m->answer[i], 1, memory_order_relaxed);
}

static void write_answers(const struct metrics *m, struct strbuf *out)
{
    strbuf_puts(out, "# HELP inari_http_requests_total Requests answered.\n# TYPE "
                     "inari_http_requests_total counter\n");
    for (size_t r = 0; r <= m->routes; r++)
        for (size_t s = 0; s < STATUSES; s++) {
            uint64_t n = atomic_load_explicit(&m->answer[r * STATUSES + s], memory_order_relaxed);
            const struct route *route = r < m->routes ? router_route(m->router, r) : NULL;
            if (n > 0)
                strbuf_printf(
                    out,
                    "inari_http_requests_total{route=\"%s\",method=\"%s\",status=\"%d\"} %llu\n",
                    route == NULL ? "other" : route->path, route == NULL ? "" : route->method,
                    statuses[s], (unsigned long long)n);
        }
}

void metrics_write(const struct metrics *m, const struct metric_value *more, size_t n,
                   struct strbuf *out)
{
    write_answers(m, out);
    for (size_t i = 0; i < METRIC_COUNT; i++)
        strbuf_printf(out, "# HELP %s %s\n# TYPE %s counter\n%s %llu\n", texts[i].name,
                      texts[i].help, texts[i].name, texts[i].name,
                      (unsigned long long)metrics_read(m, (enum metric)i));
    for (size_t i = 0; i < n; i++)
        strbuf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", more[i].name, more[i].help,
                      more[i].name, more[i].type, more[i].name, more[i].value);
}
