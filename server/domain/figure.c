#include "domain/figure_private.h"

#include "base/clock.h"
#include "store/figure_store.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

const char *const figure_reasons[] = {"temporary", "relay", "recipient", "sender", "client",
                                      "helo",      "size",  "content",   "other",  NULL};
const char *const figure_whys[] = {"connect",    "timeout", "dns",          "tls",
                                   "greylisted", "quota",   "user-unknown", "policy",
                                   "size",       "content", "other",        NULL};
const char *const figure_queues[] = {"incoming", "active", "deferred", "hold", "corrupt", NULL};
const char *const figure_disks[] = {"state", "queue", NULL};
const int64_t figure_latency_ms[] = {100, 300, 1000, 3000, 10000, 30000, 100000, 300000};

enum { EXPIRE_ROWS = 20000, FRESH_S = 900 };

/* --- the table --- */

static size_t spot(const struct figure_table *t, int64_t step_s, int64_t at_s)
{
    uint64_t h = ((uint64_t)(at_s / step_s) + (uint64_t)step_s) * UINT64_C(0x9e3779b97f4a7c15);
    size_t i = (size_t)(h >> 32) & (t->size - 1);

    while (t->place[i].step_s != 0 && (t->place[i].step_s != step_s || t->place[i].at_s != at_s))
        i = (i + 1) & (t->size - 1);
    return i;
}

static bool grow(struct figure_table *t)
{
    struct figure_table more = {NULL, t->size == 0 ? 16 : t->size * 2, t->used};

    more.place = calloc(more.size, sizeof *more.place);
    if (more.place == NULL)
        return false;
    for (size_t i = 0; i < t->size; i++) {
        const struct figure_row *r = &t->place[i];
        if (r->step_s != 0)
            more.place[spot(&more, r->step_s, r->at_s)] = *r;
    }
    free(t->place);
    *t = more;
    return true;
}

struct figure_row *figure_row_at(struct figure_table *t, int64_t step_s, int64_t at_s,
                                 size_t *ret_spot)
{
    size_t i;

    if (t->used * 2 >= t->size && !grow(t))
        return NULL;
    i = spot(t, step_s, at_s - at_s % step_s);
    if (t->place[i].step_s == 0) {
        t->place[i] = (struct figure_row){
            .step_s = step_s, .at_s = at_s - at_s % step_s, .oldest_s = -1, .oldest_max_s = -1};
        t->used++;
    }
    if (ret_spot != NULL)
        *ret_spot = i;
    return &t->place[i];
}

struct figure_batch *figure_batch_new(void)
{
    return calloc(1, sizeof(struct figure_batch));
}

void figure_batch_free(struct figure_batch *b)
{
    if (b != NULL)
        free(b->minutes.place);
    free(b);
}

/* --- one event --- */

static int64_t bounded(int64_t v)
{
    return v < 0 ? 0 : v > FIGURE_NUMBER_MAX ? FIGURE_NUMBER_MAX : v;
}

static size_t index_of(const char *const names[], struct slice name)
{
    size_t i = 0;

    while (names[i + 1] != NULL && !slice_is(name, names[i]))
        i++;
    return i; /* the last one is "other" */
}

static bool loopback(struct slice client)
{
    return slice_starts(client, "127.") || slice_is(client, "::1");
}

static json_t *detail_of(const struct figure_event *ev)
{
    struct err e = {0};
    json_t *j = NULL;

    return ev->detail.n > 0 && json_in_parse(ev->detail, 64 * KIB, &j, &e) == ERR_OK ? j : NULL;
}

static int64_t latency_of(const struct figure_event *ev)
{
    AUTO(json_free) json_t *detail = detail_of(ev);
    const json_t *delays = json_object_get(detail, "delays");
    int64_t sum = 0;

    if (json_array_size(delays) != 4)
        return ev->delay_ms;
    for (size_t i = 1; i < 4; i++)
        sum += bounded(json_integer_value(json_array_get(delays, i)));
    return sum;
}

static void delivery(struct figure_row *r, const struct figure_event *ev)
{
    int64_t ms;
    size_t i = 0;

    if (slice_is(ev->status, "deferred")) {
        r->deferred++;
        r->why[index_of(figure_whys, ev->reason)]++;
    } else if (slice_is(ev->status, "bounced")) {
        r->bounced++;
    } else if (slice_is(ev->status, "expired")) {
        r->expired++;
    } else if (slice_is(ev->status, "sent")) {
        r->delivered++;
        if ((ms = latency_of(ev)) < 0)
            return;
        while (i < FIGURE_LATENCIES - 1 && ms > figure_latency_ms[i])
            i++;
        r->latency[i]++;
    }
}

static void rejection(struct figure_row *r, const struct figure_event *ev)
{
    AUTO(json_free) json_t *detail = detail_of(ev);

    if (loopback(ev->client) || json_bool(detail, "soft", false))
        return;
    r->refused++;
    r->rejected[index_of(figure_reasons, ev->reason)]++;
}

static void disks(struct figure_row *r, const json_t *detail, int64_t at_s)
{
    const json_t *disk = json_object_get(detail, "disk");

    if (!json_is_object(disk) || at_s < r->disk_at_s)
        return;
    r->disk_at_s = at_s;
    for (size_t i = 0; i < FIGURE_DISKS; i++) {
        const json_t *v = json_object_get(disk, figure_disks[i]);
        r->disk_free[i] = bounded(json_int(v, "free_mb", 0));
        r->disk_size[i] = bounded(json_int(v, "size_mb", 0));
    }
}

static void gauges(struct figure_row *r, const struct figure_event *ev, int64_t *until_ms)
{
    AUTO(json_free) json_t *detail = detail_of(ev);
    const json_t *queue = json_object_get(detail, "queue");
    const json_t *age = json_object_get(detail, "oldest_s");
    int64_t oldest = json_is_integer(age) ? bounded(json_integer_value(age)) : -1;
    int64_t until = json_int(json_object_get(detail, "until"), "postfix", 0);
    bool newer = ev->at_ms / 1000 >= r->gauge_at_s;

    if (until > *until_ms)
        *until_ms = until;
    disks(r, detail, ev->at_ms / 1000);
    if (!json_is_object(queue))
        return;
    for (size_t i = 0; i < FIGURE_QUEUES; i++) {
        int64_t v = bounded(json_int(queue, figure_queues[i], 0));
        r->queue[i] = newer ? v : r->queue[i];
        r->queue_max[i] = v > r->queue_max[i] ? v : r->queue_max[i];
    }
    r->oldest_s = newer ? oldest : r->oldest_s;
    r->oldest_max_s = oldest > r->oldest_max_s ? oldest : r->oldest_max_s;
    r->gauge_at_s = newer ? ev->at_ms / 1000 : r->gauge_at_s;
}

static void mail(struct figure_row *r, const struct figure_event *ev)
{
    if (slice_is(ev->kind, "message.delivery")) {
        delivery(r, ev);
    } else if (slice_is(ev->kind, "message.rejected")) {
        rejection(r, ev);
    } else if (slice_is(ev->kind, "message.expired")) {
        r->expired++;
    } else if (slice_is(ev->kind, "message.queued") && ev->client.n > 0 && !loopback(ev->client)) {
        r->accepted++;
        r->bytes += bounded(ev->size);
    } else if (slice_is(ev->kind, "session")) {
        r->sessions += !loopback(ev->client);
    } else if (slice_is(ev->kind, "auth.failed")) {
        r->auth_failed++;
    }
}

bool figure_batch_add(struct figure_batch *b, const struct figure_event *ev)
{
    int64_t at_s = ev->at_ms / 1000, minute = at_s - at_s % MINUTE_S;
    struct figure_row *r;

    if (ev->at_ms <= 0)
        return true; /* before 1970 there is no mail */
    if (b->minutes.used > 0 && b->minutes.place[b->last].at_s == minute)
        r = &b->minutes.place[b->last];
    else if ((r = figure_row_at(&b->minutes, MINUTE_S, at_s, &b->last)) == NULL)
        return false;
    r->events++;
    if (slice_is(ev->kind, "spool.gap"))
        r->dropped += bounded(ev->count);
    else if (slice_is(ev->kind, "unreadable") || slice_is(ev->kind, "raw"))
        r->unread++;
    else if (slice_is(ev->kind, "fatal") || slice_is(ev->kind, "panic"))
        r->fatal++;
    else if (slice_is(ev->kind, "device.figures"))
        gauges(r, ev, &b->until_ms);
    else if (!ev->internal)
        mail(r, ev);
    return true;
}

int64_t figure_batch_until(const struct figure_batch *b)
{
    return b->until_ms;
}

int64_t figure_batch_queue_age(const struct figure_batch *b)
{
    const struct figure_row *newest = NULL;

    for (size_t i = 0; i < b->minutes.size; i++) {
        const struct figure_row *r = &b->minutes.place[i];
        if (r->step_s != 0 && (newest == NULL || r->gauge_at_s > newest->gauge_at_s))
            newest = r;
    }
    return newest != NULL && clock_wall_s() - newest->gauge_at_s < FRESH_S ? newest->oldest_s : -1;
}

/* --- totals --- */

static const char *const total_names[] = {"accepted", "delivered", "deferred",    "bounced",
                                          "expired",  "sessions",  "auth_failed", "fatal"};
static _Atomic int64_t totals[COUNT_OF(total_names)], total_rejected[FIGURE_REASONS], total_events,
    total_dropped, total_unread, total_bytes;

void figure_batch_committed(const struct figure_batch *b)
{
    for (size_t i = 0; i < b->minutes.size; i++) {
        const struct figure_row *r = &b->minutes.place[i];
        const int64_t v[] = {r->accepted, r->delivered, r->deferred,    r->bounced,
                             r->expired,  r->sessions,  r->auth_failed, r->fatal};
        if (r->step_s == 0)
            continue;
        for (size_t k = 0; k < COUNT_OF(v); k++)
            atomic_fetch_add(&totals[k], v[k]);
        for (size_t k = 0; k < FIGURE_REASONS; k++)
            atomic_fetch_add(&total_rejected[k], r->rejected[k]);
        atomic_fetch_add(&total_events, r->events);
        atomic_fetch_add(&total_dropped, r->dropped);
        atomic_fetch_add(&total_unread, r->unread);
        atomic_fetch_add(&total_bytes, r->bytes);
    }
}

static void one(struct strbuf *out, const char *name, const char *help, int64_t v)
{
    strbuf_printf(out, "# HELP %s %s\n# TYPE %s counter\n%s %lld\n", name, help, name, name,
                  (long long)v);
}

void figure_totals_write(struct strbuf *out)
{
    strbuf_puts(out,
                "# HELP inari_mail_total What the fleet's mail did, stored by this parent since "
                "it started.\n# TYPE inari_mail_total counter\n");
    for (size_t i = 0; i < COUNT_OF(total_names); i++)
        strbuf_printf(out, "inari_mail_total{what=\"%s\"} %lld\n", total_names[i],
                      (long long)atomic_load(&totals[i]));
    strbuf_puts(out, "# HELP inari_mail_rejected_total Recipients refused, by reason.\n"
                     "# TYPE inari_mail_rejected_total counter\n");
    for (size_t i = 0; i < FIGURE_REASONS; i++)
        strbuf_printf(out, "inari_mail_rejected_total{reason=\"%s\"} %lld\n", figure_reasons[i],
                      (long long)atomic_load(&total_rejected[i]));
    one(out, "inari_mail_bytes_total", "Bytes of the messages accepted.",
        atomic_load(&total_bytes));
    one(out, "inari_events_total", "Events stored.", atomic_load(&total_events));
    one(out, "inari_events_dropped_total", "Events that devices lost before they could be stored.",
        atomic_load(&total_dropped));
    one(out, "inari_events_unread_total", "Lines that nobody could read.",
        atomic_load(&total_unread));
}

/* --- retention --- */

enum err_code figure_retention(struct db *db, struct err *e)
{
    int64_t n = 0;

    return figure_store_expire(db, EXPIRE_ROWS, &n, e);
}
