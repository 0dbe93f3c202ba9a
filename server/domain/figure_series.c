#include "domain/figure_series.h"

#include "base/rand.h"
#include "domain/figure.h"
#include "domain/page.h"
#include "store/device_store.h"
#include "store/figure_store.h"

enum { ROWS_MAX = 500000 /* of all devices together: what PostgreSQL adds up in about a second */ };

enum err_code figure_device(struct db *db, struct arena *a, const char *ref, const char **ret,
                            struct err *e)
{
    struct device d;
    enum err_code rc;

    *ret = NULL;
    if (ref == NULL)
        return ERR_OK;
    rc = device_store_get(db, ref, a, &d, e);
    if (rc == ERR_NOT_FOUND && uuid_is_valid(ref)) {
        *e = (struct err){0};
        *ret = ref;
        return ERR_OK;
    }
    *ret = rc == ERR_OK ? d.id : NULL;
    return rc == ERR_NOT_FOUND
               ? err_field(e, ERR_INVALID, "/query/device", "there is no device \"%.64s\"", ref)
               : rc;
}

/* Many devices times many steps: said before PostgreSQL is kept busy with it. */
static enum err_code affordable(struct db *db, const struct figure_span *span, struct err *e)
{
    int64_t n = 0;
    enum err_code rc =
        span->device_id != NULL ? ERR_OK : figure_store_rows(db, span, ROWS_MAX + 1, &n, e);

    if (rc != ERR_OK || n <= ROWS_MAX)
        return rc;
    return err_field(
        e, ERR_INVALID, "/query/step",
        "more than %d figures would have to be added up: take a larger step, a shorter "
        "time or one device",
        ROWS_MAX);
}

static json_t *named(const json_t *list, const char *const names[])
{
    json_t *out = json_object();

    for (size_t i = 0; names[i] != NULL && i < json_array_size(list); i++)
        if (json_integer_value(json_array_get(list, i)) != 0)
            (void)json_object_set(out, names[i], json_array_get(list, i));
    return out;
}

static json_t *classes(const json_t *list)
{
    json_t *out = json_array();

    for (size_t i = 0; i < FIGURE_LATENCIES; i++)
        (void)json_array_append_new(out, json_integer(json_integer_value(json_array_get(list, i))));
    return out;
}

static json_t *known(int64_t v)
{
    return v < 0 ? json_null() : json_integer(v);
}

static void gauges(json_t *j, const struct figure_point *p)
{
    const struct {
        const char *name;
        const json_t *list;
    } queues[] = {{"queue", p->queue}, {"queue_max", p->queue_max}};

    for (size_t i = 0; i < COUNT_OF(queues); i++) {
        json_t *q = p->gauge ? json_object() : json_null();
        for (size_t k = 0; p->gauge && k < FIGURE_QUEUES; k++)
            (void)json_object_set_new(
                q, figure_queues[k],
                json_integer(json_integer_value(json_array_get(queues[i].list, k))));
        (void)json_object_set_new(j, queues[i].name, q);
    }
    (void)json_object_set_new(j, "oldest_s", known(p->gauge ? p->oldest_s : -1));
    (void)json_object_set_new(j, "oldest_max_s", known(p->gauge ? p->oldest_max_s : -1));
}

static json_t *values(const struct figure_point *p)
{
    const struct {
        const char *name;
        int64_t v;
    } counts[] = {
        {"devices", p->devices},         {"accepted", p->accepted}, {"bytes", p->bytes},
        {"delivered", p->delivered},     {"deferred", p->deferred}, {"bounced", p->bounced},
        {"expired", p->expired},         {"refused", p->refused},   {"sessions", p->sessions},
        {"auth_failed", p->auth_failed}, {"fatal", p->fatal},       {"events", p->events},
        {"dropped", p->dropped},         {"unread", p->unread}};
    json_t *j = json_object();

    for (size_t i = 0; i < COUNT_OF(counts); i++)
        (void)json_object_set_new(j, counts[i].name, json_integer(counts[i].v));
    (void)json_object_set_new(j, "rejected", named(p->rejected, figure_reasons));
    (void)json_object_set_new(j, "deferred_why", named(p->deferred_why, figure_whys));
    (void)json_object_set_new(j, "latency", classes(p->latency));
    gauges(j, p);
    return j;
}

/* Every step of the span; null where nobody said anything. */
static json_t *points(const struct figure_span *span, const struct figure_point *p, size_t n)
{
    json_t *out = json_array();
    size_t i = 0;

    for (int64_t ms = span->since_ms; ms < span->until_ms; ms += span->step_s * 1000) {
        bool known = i < n && p[i].at_s * 1000 == ms;
        (void)json_array_append_new(out, json_pack("{s:o,s:o}", "at", time_json(ms), "values",
                                                   known ? values(&p[i]) : json_null()));
        i += known;
    }
    return out;
}

static json_t *limits(void)
{
    json_t *out = json_array();

    for (size_t i = 0; i < COUNT_OF(figure_latency_ms); i++)
        (void)json_array_append_new(out, json_integer(figure_latency_ms[i]));
    return out;
}

enum err_code figure_series(struct db *db, const struct figure_ask *ask, struct arena *a,
                            json_t **ret, struct err *e)
{
    struct figure_span span = {NULL, ask->step_s, ask->since_s * 1000, ask->until_s * 1000};
    struct figure_point *p = NULL;
    size_t n = 0;
    enum err_code rc = figure_device(db, a, ask->device, &span.device_id, e);

    if (rc == ERR_OK)
        rc = affordable(db, &span, e);
    if (rc == ERR_OK)
        rc = figure_store_points(db, &span, a, &p, &n, e);
    if (rc != ERR_OK)
        return rc;
    *ret =
        json_pack("{s:s?,s:I,s:o,s:o,s:o,s:o}", "device", span.device_id, "step_s",
                  (json_int_t)span.step_s, "since", time_json(span.since_ms), "until",
                  time_json(span.until_ms), "latency_ms", limits(), "points", points(&span, p, n));
    return *ret != NULL ? ERR_OK : err_set(e, ERR_NO_MEMORY, "out of memory");
}
