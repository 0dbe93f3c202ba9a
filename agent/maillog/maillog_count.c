#include "maillog/maillog_count.h"

#include <stdio.h>

const int64_t maillog_latency_ms[] = {100, 300, 1000, 3000, 10000, 30000, 100000, 300000};

void maillog_count_init(struct maillog_count *c, const char *own, int64_t step_s)
{
    *c = (struct maillog_count){.step_s = step_s};
    text_copy(c->own, sizeof c->own, own);
}

/* --- rows --- */

static int64_t step_of(const struct maillog_count *c, int64_t ms)
{
    int64_t s = ms / 1000;

    return s - s % c->step_s;
}

static struct maillog_row *slot(struct maillog_count *c, int64_t at_s)
{
    return &c->row[(at_s / c->step_s) % MAILLOG_ROWS];
}

/* The row of that time; NULL when it is older than the ring. */
static struct maillog_row *row_at(struct maillog_count *c, int64_t at_ms, int64_t now_ms)
{
    int64_t at = step_of(c, at_ms), now = step_of(c, now_ms);
    struct maillog_row *r;

    if (at > now) /* of a clock that was set back */
        at = now;
    if (at <= 0 || at <= now - MAILLOG_ROWS * c->step_s)
        return NULL;
    r = slot(c, at);
    if (r->at_s != at)
        *r = (struct maillog_row){.at_s = at};
    return r;
}

/* --- queue ids --- */

static struct maillog_known *set_of(struct maillog_count *c, struct slice id)
{
    uint32_t h = 2166136261U;

    for (size_t i = 0; i < id.n; i++)
        h = (h ^ (unsigned char)id.p[i]) * 16777619U;
    return c->known[h % MAILLOG_SETS];
}

static struct maillog_known *known(struct maillog_count *c, struct slice id)
{
    struct maillog_known *k = set_of(c, id);

    for (int i = 0; i < MAILLOG_WAYS; i++) {
        if (k[i].used != 0 && slice_is(id, k[i].id))
            return &k[i];
    }
    return NULL;
}

static void begun(struct maillog_count *c, struct slice id)
{
    struct maillog_known *k = set_of(c, id), *old = known(c, id);

    if (id.n >= sizeof k->id)
        return;
    for (int i = 0; i < MAILLOG_WAYS && (old == NULL || old->used != 0); i++) {
        if (old == NULL || k[i].used < old->used)
            old = &k[i];
    }
    *old = (struct maillog_known){.used = ++c->used};
    memcpy(old->id, id.p, id.n);
}

/* --- events --- */

static bool ends_with(struct slice s, const char *end)
{
    size_t n = strlen(end);

    return s.n >= n && n > 0 && memcmp(s.p + s.n - n, end, n) == 0;
}

static bool loopback(struct slice client) /* "name[address]" */
{
    const char *p = client.n == 0 ? NULL : memchr(client.p, '[', client.n);
    struct slice a = {p, p == NULL ? 0 : (size_t)(client.p + client.n - p)};

    return slice_starts(a, "[127.") || slice_is(a, "[::1]");
}

/* A service of this host's own mail path: ports 10020 to 10029 of loopback. */
static bool owned_relay(struct slice relay)
{
    return relay.n == 26 && slice_starts(relay, "127.0.0.1[127.0.0.1]:1002");
}

static void queued(struct maillog_count *c, const struct maillog_line *l, struct maillog_row *r)
{
    struct maillog_known *k = known(c, l->queue_id);

    if (k == NULL || k->at_s != 0)
        return; /* nobody's, or a retry */
    k->at_s = r->at_s;
    r->accepted++;
    c->counted++;
}

/* Our own test message was counted when it came in: undone. */
static void undo(struct maillog_count *c, struct slice id)
{
    struct maillog_known *k = known(c, id);
    struct maillog_row *r = k == NULL || k->at_s == 0 ? NULL : slot(c, k->at_s);

    if (r != NULL && r->at_s == k->at_s && r->accepted > 0)
        r->accepted--;
    if (k != NULL)
        *k = (struct maillog_known){0};
}

static void latency(struct maillog_row *r, int64_t ms)
{
    size_t i = 0;

    while (i < MAILLOG_LATENCIES - 1 && ms > maillog_latency_ms[i])
        i++;
    r->latency[i]++;
}

static void attempted(struct maillog_count *c, const struct maillog_line *l, struct maillog_row *r)
{
    if (ends_with(l->to, c->own)) {
        undo(c, l->queue_id);
        return;
    }
    if (l->status == MAILLOG_STATUS_OTHER || (l->status == MAILLOG_SENT && owned_relay(l->relay)))
        return;
    r->delivered += l->status == MAILLOG_SENT;
    r->deferred += l->status == MAILLOG_DEFERRED;
    r->bounced += l->status == MAILLOG_BOUNCED;
    if (l->status == MAILLOG_SENT && l->latency_ms >= 0)
        latency(r, l->latency_ms);
    c->counted++;
}

static void rejected(struct maillog_count *c, const struct maillog_line *l, struct maillog_row *r)
{
    if (loopback(l->client) || ends_with(l->helo, c->own))
        return;
    r->rejected[l->reason]++;
    c->counted++;
}

void maillog_count_line(struct maillog_count *c, struct slice line, int64_t now_ms)
{
    struct maillog_line l;
    struct maillog_row *r;

    maillog_line_read(line, now_ms, &l);
    if (l.kind == MAILLOG_FOREIGN)
        return;
    c->lines++;
    if (l.kind == MAILLOG_BEGUN && !l.again && !loopback(l.client))
        begun(c, l.queue_id);
    if (l.kind == MAILLOG_OTHER || l.kind == MAILLOG_BEGUN ||
        (r = row_at(c, l.at_ms, now_ms)) == NULL)
        return;
    if (l.kind == MAILLOG_QUEUED) {
        queued(c, &l, r);
    } else if (l.kind == MAILLOG_REJECTED) {
        rejected(c, &l, r);
    } else if (l.kind == MAILLOG_ATTEMPTED) {
        attempted(c, &l, r);
    } else {
        r->fatal++;
        c->counted++;
    }
}

/* --- for the parent --- */

static void put(json_t *j, const char *name, int64_t v)
{
    if (v != 0)
        (void)json_object_set_new(j, name, json_integer((json_int_t)v));
}

static json_t *row_json(const struct maillog_row *r, int64_t offset_s)
{
    json_t *j = json_object(), *why = json_object(), *slow = NULL;

    for (int i = 0; i < MAILLOG_REASONS; i++)
        put(why, maillog_reason_names[i], r->rejected[i]);
    put(j, "accepted", r->accepted);
    put(j, "delivered", r->delivered);
    put(j, "deferred", r->deferred);
    put(j, "bounced", r->bounced);
    put(j, "fatal", r->fatal);
    if (json_object_size(why) > 0)
        (void)json_object_set(j, "rejected", why);
    json_decref(why);
    if (r->delivered > 0) {
        slow = json_array();
        for (int i = 0; i < MAILLOG_LATENCIES; i++)
            (void)json_array_append_new(slow, json_integer((json_int_t)r->latency[i]));
        (void)json_object_set_new(j, "latency", slow);
    }
    if (json_object_size(j) > 0)
        put(j, "at", r->at_s + offset_s);
    return j;
}

json_t *maillog_count_json(const struct maillog_count *c, int64_t now_ms, int64_t offset_s,
                           size_t max)
{
    json_t *out = json_array();
    int64_t now = step_of(c, now_ms);

    for (int64_t i = MAILLOG_ROWS - 1; i >= 0 && out != NULL; i--) {
        int64_t at = now - i * c->step_s;
        const struct maillog_row *r = at <= 0 ? NULL : &c->row[(at / c->step_s) % MAILLOG_ROWS];
        json_t *j;
        if (r == NULL || r->at_s != at)
            continue;
        j = row_json(r, offset_s);
        if (json_object_size(j) > 0)
            (void)json_array_append(out, j);
        json_decref(j);
    }
    while (json_array_size(out) > max)
        (void)json_array_remove(out, 0);
    return out;
}
