/* The guards over the devices of a rollout: who is compared with whom, over which minutes. */
#include "domain/rollout_private.h"

#include <stdio.h>
#include <string.h>

enum { OTHERS_SOON_MS = 180 * 1000 }; /* by then the others have been asked and have answered */

struct watch {
    int64_t deferred; /* mean growth of queues where the publication is not; -1 nobody is left */
    struct guard_others others; /* their mail */
    const struct rollout_figures *figures;
};

static enum err_code look_at_others(struct rollout_run *x, struct watch *w, struct err *e)
{
    int64_t sum = 0, n = 0, growth;
    const struct rollout_figures_of *of;
    enum err_code rc;

    *w = (struct watch){0};
    rc = rollout_figures_read(x, &w->others, &w->figures, e);
    for (size_t i = 0; i < x->n; i++) {
        const json_t *health = json_object_get(x->d[i].status, "health");
        if (strcmp(x->d[i].state, "queued") != 0)
            continue;
        of = rollout_figures_of(w->figures, x->d[i].id);
        if (of == NULL || !of->whole)
            guard_others_add(&w->others, health);
        if (!guard_growth(x->d[i].health, health, &growth))
            continue;
        sum += growth;
        n++;
    }
    w->deferred = n == 0 ? -1 : sum < 0 ? 0 : sum / n;
    return rc;
}

static int64_t traffic(const struct guard_mail *m)
{
    return m->accepted + m->rejected + m->delivered + m->deferred;
}

/* Before: all minutes that ended before it was released, from the stored figures, from the newest
 * report, which goes back half an hour, or from what it had said by then: whichever knows of most.
 * Since: all that began after it was seen running; of the stored figures those that are wholly
 * counted, or, when its events do not come, of its newest report. */
static void mails_of(const struct rollout_run *x, const struct rollout_device *d,
                     const struct watch *w, struct guard_mails *ret)
{
    const json_t *docs[] = {json_object_get(d->status, "health"), d->health};
    const struct rollout_figures_of *of = rollout_figures_of(w->figures, d->id);
    int64_t since_s = (d->ended_ms + 999) / 1000, until_s = d->released_ms / 1000;

    *ret = (struct guard_mails){.figures = of != NULL && of->whole};
    if (of != NULL)
        ret->before = of->before;
    if (ret->figures)
        ret->now = of->now;
    else
        guard_mail_add(&ret->now, docs[0], since_s, INT64_MAX);
    ret->now.seen = ret->now.seen || of != NULL; /* it counts, and has not told yet */
    for (size_t i = 0; i < COUNT_OF(docs); i++) {
        struct guard_mail then = {0};
        guard_mail_add(&then, docs[i], 0, until_s);
        if (traffic(&then) > traffic(&ret->before))
            ret->before = then;
    }
    guard_others_since(&w->others, since_s, &ret->others);
    ret->others_soon = w->others.devices > 0 && w->others.until_s < since_s + w->others.step_s &&
                       x->now_ms - d->ended_ms < OTHERS_SOON_MS;
}

static bool said_already(const struct rollout_device *d, const json_t *problem)
{
    return json_equal(json_object_get(d->problem, "args"), json_object_get(problem, "args")) &&
           strcmp(json_str(d->problem, "detail", ""), json_str(problem, "detail", "")) == 0;
}

/* Why it goes on being watched, with the device; nothing once it is well. */
static enum err_code tell(struct rollout_run *x, const struct rollout_device *d,
                          enum guard_verdict v, const struct finding *why, struct err *e)
{
    AUTO(json_free) json_t *problem = v == GUARD_GOOD ? json_null() : guard_problem(why);

    if (v == GUARD_GOOD ? d->problem == NULL : said_already(d, problem))
        return ERR_OK;
    return rollout_device_store_tell(x->db, x->row.id, d->id, problem, e);
}

enum err_code rollout_guard(struct rollout_run *x, bool late, enum guard_verdict *ret,
                            struct err *e)
{
    AUTO(json_free) json_t *rows = json_array();
    struct watch w;
    enum err_code rc = look_at_others(x, &w, e);

    *ret = GUARD_GOOD;
    for (size_t i = 0; i < x->n && rc == ERR_OK; i++) {
        const struct rollout_device *d = &x->d[i];
        struct guard_input in = {.before = d->health,
                                 .status = d->status,
                                 .sibling_deferred = w.deferred,
                                 .limits = &x->s.guard};
        enum guard_verdict v;
        struct finding why;
        if (strcmp(d->state, "confirmed") != 0)
            continue;
        mails_of(x, d, &w, &in.mail);
        v = guard_judge(&in, &why);
        if (v == GUARD_BAD)
            (void)json_array_append_new(rows, json_pack("{s:s,s:s,s:s,s:o}", "device_id", d->id,
                                                        "state", "unhealthy", "reason", "guard",
                                                        "problem", guard_problem(&why)));
        else if (late || d->problem != NULL)
            rc = tell(x, d, v, &why, e);
        if (v == GUARD_BAD || *ret != GUARD_BAD)
            *ret = v == GUARD_GOOD ? *ret : v;
    }
    return rc == ERR_OK ? rollout_devices_set(x, rows, e) : rc;
}

/* --- for people --- */

static void tell_list(json_t *rows, enum lang lang)
{
    json_t *row, *said;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        said = guard_problem_in(json_object_get(row, "problem"), lang);
        if (said != NULL)
            (void)json_object_set_new(row, "problem", said);
    }
}

void rollout_tell_in(json_t *answer, enum lang lang)
{
    tell_list(json_object_get(answer, "devices"), lang);
    tell_list(json_object_get(answer, "items"), lang);
}
