#include "domain/guard_mail.h"

#include <stdio.h>
#include <string.h>

enum { NUMBER_MAX = 100000000 };

/* Upper ends of the classes in tenths of a second; the last class has none. */
static const int64_t latency_ds[GUARD_LATENCIES] = {1, 3, 10, 30, 100, 300, 1000, 3000, 10000};

/* --- sums --- */

static int64_t number(const json_t *v)
{
    int64_t n = json_is_integer(v) ? json_integer_value(v) : 0;

    return n < 0 ? 0 : n > NUMBER_MAX ? NUMBER_MAX : n;
}

static void add_row(struct guard_mail *m, const json_t *row)
{
    const json_t *classes = json_object_get(row, "latency");
    const char *reason;
    json_t *v;

    m->accepted += number(json_object_get(row, "accepted"));
    m->delivered += number(json_object_get(row, "delivered"));
    m->deferred += number(json_object_get(row, "deferred"));
    m->bounced += number(json_object_get(row, "bounced"));
    json_object_foreach((json_t *)(uintptr_t)json_object_get(row, "rejected"), reason, v)
    {
        m->rejected += number(v);
    }
    for (size_t i = 0; i < GUARD_LATENCIES; i++)
        m->latency[i] += number(json_array_get(classes, i));
}

static void add(struct guard_mail *m, const struct guard_mail *more)
{
    m->seen = m->seen || more->seen;
    m->accepted += more->accepted;
    m->rejected += more->rejected;
    m->delivered += more->delivered;
    m->deferred += more->deferred;
    m->bounced += more->bounced;
    for (size_t i = 0; i < GUARD_LATENCIES; i++)
        m->latency[i] += more->latency[i];
}

/* "mail" of a device that counts; NULL: it does not, or cannot read its log. */
static const json_t *mail_of(const json_t *health, int64_t *ret_step_s)
{
    const json_t *mail = json_object_get(health, "mail");

    *ret_step_s = json_int(mail, "step_s", 60);
    return strcmp(json_str(mail, "state", "unreadable"), "unreadable") == 0 || *ret_step_s < 1 ||
                   *ret_step_s > 3600
               ? NULL
               : mail;
}

void guard_mail_add(struct guard_mail *m, const json_t *health, int64_t from_s, int64_t to_s)
{
    int64_t step;
    const json_t *mail = mail_of(health, &step), *rows = json_object_get(mail, "minutes");
    size_t n = json_array_size(rows);

    m->seen = m->seen || mail != NULL;
    for (size_t i = 0; i < n && i < GUARD_ROWS; i++) {
        const json_t *row = json_array_get(rows, i);
        int64_t at = json_int(row, "at", 0);
        if (at >= from_s && at < to_s && at <= to_s - step)
            add_row(m, row);
    }
}

static struct guard_mail *row_of(struct guard_others *o, int64_t at_s)
{
    for (size_t i = o->n; i > 0; i--) {
        if (o->row[i - 1].at_s == at_s)
            return &o->row[i - 1].m;
    }
    if (o->n == COUNT_OF(o->row))
        return NULL;
    o->row[o->n].at_s = at_s;
    o->row[o->n].m = (struct guard_mail){.seen = true};
    return &o->row[o->n++].m;
}

void guard_others_add(struct guard_others *o, const json_t *health)
{
    int64_t step;
    const json_t *mail = mail_of(health, &step), *rows = json_object_get(mail, "minutes");
    size_t n = json_array_size(rows);

    if (mail == NULL)
        return;
    o->devices++;
    if (json_int(mail, "until", 0) > o->until_s)
        o->until_s = json_int(mail, "until", 0);
    if (step > o->step_s)
        o->step_s = step;
    for (size_t i = 0; i < n && i < GUARD_ROWS; i++) {
        const json_t *row = json_array_get(rows, i);
        int64_t at = json_int(row, "at", 0);
        struct guard_mail *m = row_of(o, at - at % 60);
        if (m != NULL)
            add_row(m, row);
    }
}

void guard_others_put(struct guard_others *o, int64_t at_s, const struct guard_mail *m)
{
    struct guard_mail *to = row_of(o, at_s - at_s % 60);

    if (to != NULL)
        add(to, m);
}

void guard_others_since(const struct guard_others *o, int64_t from_s, struct guard_mail *ret)
{
    *ret = (struct guard_mail){.seen = o->devices > 0};
    for (size_t i = 0; i < o->n; i++) {
        if (o->row[i].at_s >= from_s - from_s % 60)
            add(ret, &o->row[i].m);
    }
}

/* --- words --- */

static void share_text(int64_t part, int64_t all, char *buf, size_t size)
{
    if (all == 0)
        (void)snprintf(buf, size, "-");
    else
        (void)snprintf(buf, size, "%lld/%lld (%lld%%)", (long long)part, (long long)all,
                       (long long)(part * 100 / all));
}

static void say(struct finding *why, enum finding_id id, const struct guard_mails *m)
{
    *why = (struct finding){.id = id};
    text_copy(why->pointer, sizeof why->pointer, m->figures ? "/figures" : "/health/mail");
}

/* --- shares --- */

struct share3 {
    int64_t part[3], all[3]; /* now, before, others */
};

static struct share3 rejected_of(const struct guard_mails *m)
{
    const struct guard_mail *v[] = {&m->now, &m->before, &m->others};
    struct share3 s;

    for (int i = 0; i < 3; i++) {
        s.part[i] = v[i]->rejected;
        s.all[i] = v[i]->rejected + v[i]->accepted;
    }
    return s;
}

static struct share3 deferred_of(const struct guard_mails *m)
{
    const struct guard_mail *v[] = {&m->now, &m->before, &m->others};
    struct share3 s;

    for (int i = 0; i < 3; i++) {
        s.part[i] = v[i]->deferred;
        s.all[i] = v[i]->deferred + v[i]->delivered + v[i]->bounced;
    }
    return s;
}

static int64_t enough(const struct guard_limits *l)
{
    return l->messages > 0 ? l->messages : GUARD_ENOUGH;
}

/* Are the odds now factor times those of i?  One is added everywhere: none of few is not never. */
static bool worse(const struct share3 *s, int i, int64_t factor)
{
    double now = (double)(s->part[0] + 1) / (double)(s->all[0] - s->part[0] + 1),
           then = (double)(s->part[i] + 1) / (double)(s->all[i] - s->part[i] + 1);

    return now >= (double)factor * then;
}

static enum guard_verdict judge_share(const struct guard_limits *l, const struct guard_mails *m,
                                      struct share3 s, int64_t percent, enum finding_id id,
                                      struct finding *why)
{
    bool before = s.all[1] >= enough(l), others = s.all[2] >= enough(l);

    if (percent == 0 || s.all[0] < enough(l) || s.part[0] * 100 < percent * s.all[0] ||
        (before && !worse(&s, 1, l->factor)) || (others && !worse(&s, 2, l->factor)))
        return GUARD_GOOD;
    say(why, id, m);
    for (int i = 0; i < 3; i++)
        share_text(s.part[i], s.all[i], why->arg[i], sizeof why->arg[i]);
    return (!before && !others) || m->others_soon ? GUARD_INCONCLUSIVE : GUARD_BAD;
}

/* --- latency --- */

/* The class that nine of ten are in or below; -1: too few. */
static int slow_class(const struct guard_mail *m, int64_t least)
{
    int64_t all = 0, sum = 0;

    for (int i = 0; i < GUARD_LATENCIES; i++)
        all += m->latency[i];
    if (all < least)
        return -1;
    for (int i = 0; i < GUARD_LATENCIES; i++) {
        sum += m->latency[i];
        if (sum * 10 >= all * 9)
            return i;
    }
    return -1;
}

static void latency_text(int class, char *buf, size_t size)
{
    if (class < 0)
        (void)snprintf(buf, size, "-");
    else if (class == GUARD_LATENCIES - 1)
        (void)snprintf(buf, size, "> 300 s");
    else
        (void)snprintf(buf, size, "%lld.%lld s", (long long)(latency_ds[class] / 10),
                       (long long)(latency_ds[class] % 10));
}

static enum guard_verdict judge_latency(const struct guard_limits *l, const struct guard_mails *m,
                                        struct finding *why)
{
    int c[] = {slow_class(&m->now, enough(l)), slow_class(&m->before, enough(l)),
               slow_class(&m->others, enough(l))};

    /* The upper end of its class must lie above the limit: the class that ends at the limit is
     * within it. */
    if (l->latency_s == 0 || c[0] < 0 || latency_ds[c[0]] <= l->latency_s * 10)
        return GUARD_GOOD;
    for (int i = 1; i < 3; i++) {
        if (c[i] >= 0 && latency_ds[c[0]] < l->factor * latency_ds[c[i]])
            return GUARD_GOOD;
    }
    say(why, F_GUARD_LATENCY, m);
    for (int i = 0; i < 3; i++)
        latency_text(c[i], why->arg[i], sizeof why->arg[i]);
    return (c[1] < 0 && c[2] < 0) || m->others_soon ? GUARD_INCONCLUSIVE : GUARD_BAD;
}

/* --- all --- */

/* Less mail than can prove anything.  Where there was none before and is none now, none is missing.
 */
static enum guard_verdict judge_traffic(const struct guard_limits *l, const struct guard_mails *m,
                                        struct finding *why)
{
    int64_t now = m->now.accepted + m->now.rejected,
            before = m->before.accepted + m->before.rejected,
            tries = m->now.delivered + m->now.deferred + m->now.bounced;
    bool in = now < l->messages, out = m->now.accepted >= l->messages && tries < l->messages;

    if (l->messages == 0 || (!in && !out) || now + before == 0)
        return GUARD_GOOD;
    say(why, F_GUARD_TRAFFIC, m);
    (void)snprintf(why->arg[0], sizeof why->arg[0], "%lld", (long long)(in ? now : tries));
    (void)snprintf(why->arg[1], sizeof why->arg[1], "%lld", (long long)l->messages);
    return GUARD_INCONCLUSIVE;
}

enum guard_verdict guard_mail_judge(const struct guard_limits *l, const struct guard_mails *m,
                                    struct finding *why)
{
    enum guard_verdict all = GUARD_GOOD;

    if (!m->now.seen)
        return GUARD_GOOD;
    for (int i = 0; i < 4; i++) {
        struct finding one;
        enum guard_verdict v =
            i == 0   ? judge_share(l, m, rejected_of(m), l->rejected, F_GUARD_REJECTED, &one)
            : i == 1 ? judge_share(l, m, deferred_of(m), l->deferred, F_GUARD_DEFERRED, &one)
            : i == 2 ? judge_latency(l, m, &one)
                     : judge_traffic(l, m, &one);
        if (v == GUARD_GOOD || (v != GUARD_BAD && all != GUARD_GOOD))
            continue;
        *why = one;
        all = v;
        if (all == GUARD_BAD)
            break;
    }
    return all;
}
