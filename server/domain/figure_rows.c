/* What a batch did as rows of the table: minutes, hours and days, as figure_store_add() takes them.
 */
#include "domain/figure_private.h"

#include "store/figure_store.h"

#include <stdlib.h>
#include <string.h>

static void add_list(int64_t *to, const int64_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += from[i];
}

static void add_gauges(struct figure_row *to, const struct figure_row *r)
{
    if (r->disk_at_s != 0 && r->disk_at_s >= to->disk_at_s) {
        memcpy(to->disk_free, r->disk_free, sizeof to->disk_free);
        memcpy(to->disk_size, r->disk_size, sizeof to->disk_size);
        to->disk_at_s = r->disk_at_s;
    }
    if (r->gauge_at_s == 0)
        return;
    if (r->gauge_at_s >= to->gauge_at_s) {
        memcpy(to->queue, r->queue, sizeof to->queue);
        to->oldest_s = r->oldest_s;
        to->gauge_at_s = r->gauge_at_s;
    }
    for (size_t i = 0; i < FIGURE_QUEUES; i++)
        if (r->queue_max[i] > to->queue_max[i])
            to->queue_max[i] = r->queue_max[i];
    if (r->oldest_max_s > to->oldest_max_s)
        to->oldest_max_s = r->oldest_max_s;
}

static void add_row(struct figure_row *to, const struct figure_row *r)
{
    to->accepted += r->accepted;
    to->bytes += r->bytes;
    to->delivered += r->delivered;
    to->deferred += r->deferred;
    to->bounced += r->bounced;
    to->expired += r->expired;
    to->refused += r->refused;
    to->sessions += r->sessions;
    to->auth_failed += r->auth_failed;
    to->fatal += r->fatal;
    to->events += r->events;
    to->dropped += r->dropped;
    to->unread += r->unread;
    add_list(to->rejected, r->rejected, FIGURE_REASONS);
    add_list(to->why, r->why, FIGURE_WHYS);
    add_list(to->latency, r->latency, FIGURE_LATENCIES);
    add_gauges(to, r);
}

static json_t *list_json(const int64_t *v, size_t n, bool trim)
{
    json_t *out = json_array();

    for (; trim && n > 0 && v[n - 1] == 0; n--)
        ;
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(out, json_integer(v[i]));
    return out;
}

static json_t *row_json(const struct figure_row *r)
{
    const struct {
        const char *name;
        int64_t v;
    } counts[] = {{"step_s", r->step_s},
                  {"at", r->at_s},
                  {"accepted", r->accepted},
                  {"bytes", r->bytes},
                  {"delivered", r->delivered},
                  {"deferred", r->deferred},
                  {"bounced", r->bounced},
                  {"expired", r->expired},
                  {"refused", r->refused},
                  {"sessions", r->sessions},
                  {"auth_failed", r->auth_failed},
                  {"fatal", r->fatal},
                  {"events", r->events},
                  {"dropped", r->dropped},
                  {"unread", r->unread}};
    json_t *j = json_object();

    for (size_t i = 0; i < COUNT_OF(counts); i++)
        (void)json_object_set_new(j, counts[i].name, json_integer(counts[i].v));
    (void)json_object_set_new(j, "rejected", list_json(r->rejected, FIGURE_REASONS, true));
    (void)json_object_set_new(j, "deferred_why", list_json(r->why, FIGURE_WHYS, true));
    (void)json_object_set_new(j, "latency", list_json(r->latency, FIGURE_LATENCIES, true));
    if (r->disk_at_s != 0) {
        (void)json_object_set_new(j, "disk_at", json_integer(r->disk_at_s));
        (void)json_object_set_new(j, "disk_free", list_json(r->disk_free, FIGURE_DISKS, false));
        (void)json_object_set_new(j, "disk_size", list_json(r->disk_size, FIGURE_DISKS, false));
    }
    if (r->gauge_at_s == 0)
        return j;
    (void)json_object_set_new(j, "gauge_at", json_integer(r->gauge_at_s));
    (void)json_object_set_new(j, "queue", list_json(r->queue, FIGURE_QUEUES, false));
    (void)json_object_set_new(j, "queue_max", list_json(r->queue_max, FIGURE_QUEUES, false));
    if (r->oldest_s >= 0)
        (void)json_object_set_new(j, "oldest_s", json_integer(r->oldest_s));
    if (r->oldest_max_s >= 0)
        (void)json_object_set_new(j, "oldest_max_s", json_integer(r->oldest_max_s));
    return j;
}

static int by_step_and_time(const void *a, const void *b)
{
    const struct figure_row *x = a, *y = b;

    if (x->step_s != y->step_s)
        return x->step_s < y->step_s ? -1 : 1;
    return (x->at_s > y->at_s) - (x->at_s < y->at_s);
}

/* Minutes, hours and days of the batch, sorted, in the places of *ret from the first on. */
static bool all_steps(const struct figure_batch *b, struct figure_table *ret)
{
    static const int64_t steps[] = {MINUTE_S, HOUR_S, DAY_S};
    size_t n = 0;

    for (size_t i = 0; i < b->minutes.size; i++) {
        const struct figure_row *m = &b->minutes.place[i];
        for (size_t s = 0; m->step_s != 0 && s < COUNT_OF(steps); s++) {
            struct figure_row *r = figure_row_at(ret, steps[s], m->at_s, NULL);
            if (r == NULL)
                return false;
            add_row(r, m);
        }
    }
    for (size_t i = 0; i < ret->size; i++)
        if (ret->place[i].step_s != 0)
            ret->place[n++] = ret->place[i];
    if (n > 0)
        qsort(ret->place, n, sizeof *ret->place, by_step_and_time);
    return true;
}

json_t *figure_batch_rows(const struct figure_batch *b)
{
    uint64_t failed = json_failures();
    struct figure_table all = {0};
    json_t *out = json_array();
    bool ok = out != NULL && all_steps(b, &all);

    for (size_t i = 0; ok && i < all.used; i++)
        (void)json_array_append_new(out, row_json(&all.place[i]));
    free(all.place);
    if (ok && json_failures() == failed)
        return out;
    json_decref(out);
    return NULL;
}

enum err_code figure_batch_write(struct db *db, const char *device_id, const struct figure_batch *b,
                                 struct err *e)
{
    AUTO(json_free) json_t *rows = b->minutes.used == 0 ? NULL : figure_batch_rows(b);

    if (b->minutes.used == 0)
        return ERR_OK;
    return rows == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                        : figure_store_add(db, device_id, rows, e);
}
