/* What the stored figures say of the devices of a rollout: kept for some seconds, since the engine
 * asks twice a second and a minute becomes whole once a minute. */
#include "domain/rollout_private.h"

#include "domain/event_ingest.h"
#include "store/figure_store.h"

#include <stdlib.h>
#include <string.h>

enum {
    READ_MS = 5000,
    BACK_S = GUARD_ROWS * 60, /* as far as the rows of a status document go back */
    LAG_MS = 180 * 1000       /* three reports of an idle device */
};

struct rollout_figures {
    char rollout[37];
    uint64_t key; /* of the devices asked for */
    int64_t read_ms;
    struct guard_others others;
    struct rollout_figures_of *of; /* n of them, sorted by id: who says up to when */
    size_t n;
};

void rollout_figures_free(struct rollout_figures *f)
{
    if (f != NULL)
        free(f->of);
    free(f);
}

static bool watched(const struct rollout_device *d)
{
    return strcmp(d->state, "confirmed") == 0;
}

/* One of those that are compared with (app.h: figures_one_in): it comes with its rows. */
static bool compared(const struct rollout_device *d)
{
    return strcmp(d->state, "queued") == 0 &&
           json_object_get(json_object_get(d->status, "health"), "mail") != NULL;
}

static uint64_t key_of(const struct rollout_run *x)
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < x->n; i++) {
        if (!watched(&x->d[i]) && !compared(&x->d[i]))
            continue;
        for (const char *p = x->d[i].id; *p != '\0'; p++)
            h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
        h = (h ^ (uint64_t)x->d[i].ended_ms) * UINT64_C(1099511628211);
    }
    return h;
}

static int by_id(const void *a, const void *b)
{
    const struct rollout_figures_of *x = a, *y = b;

    return strcmp(x->id, y->id);
}

const struct rollout_figures_of *rollout_figures_of(const struct rollout_figures *f, const char *id)
{
    struct rollout_figures_of want = {0};

    text_copy(want.id, sizeof want.id, id);
    return f == NULL || f->n == 0 ? NULL : bsearch(&want, f->of, f->n, sizeof want, by_id);
}

static struct guard_mail mail_of(const struct figure_sums *s)
{
    struct guard_mail m = {.seen = true,
                           .accepted = s->accepted,
                           .rejected = s->refused,
                           .delivered = s->delivered,
                           .deferred = s->deferred,
                           .bounced = s->bounced};

    for (size_t i = 0; i < GUARD_LATENCIES; i++)
        m.latency[i] = json_integer_value(json_array_get(s->latency, i));
    return m;
}

static void add_span(json_t *spans, size_t n, const char *id, int64_t since_s, int64_t until_s)
{
    (void)json_array_append_new(spans, json_pack("{s:I,s:s,s:I,s:I}", "n", (json_int_t)n,
                                                 "device_id", id, "since", (json_int_t)since_s,
                                                 "until", (json_int_t)until_s));
}

/* --- whose log is counted, and up to when --- */

struct place {
    const struct rollout_device *d;
    int64_t until_ms;
};

static int by_device(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    return strcmp(x->d->id, y->d->id);
}

/* The devices asked for that say up to when their log is counted, sorted by id. */
static enum err_code counted(const struct rollout_run *x, struct place **ret, size_t *ret_n,
                             struct err *e)
{
    const char **ids = arena_alloc(x->a, (x->n + 1) * sizeof *ids), *list = NULL;
    struct place *p = arena_alloc(x->a, (x->n + 1) * sizeof *p);
    struct figure_until *u = NULL;
    size_t n = 0, n_u = 0, kept = 0;
    enum err_code rc =
        ids == NULL || p == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < x->n; i++) {
        if (watched(&x->d[i]) || compared(&x->d[i])) {
            ids[n] = x->d[i].id;
            p[n++].d = &x->d[i];
        }
    }
    if (rc == ERR_OK && n > 0 && (list = issue_id_array(ids, n, x->a)) == NULL)
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    if (rc == ERR_OK && n > 0)
        rc = figure_store_until(x->db, list, EVENT_STREAM_POSTFIX, x->a, &u, &n_u, e);
    if (rc != ERR_OK)
        return rc;
    qsort(p, n, sizeof *p, by_device); /* as the rows of u are */
    for (size_t i = 0, k = 0; i < n && k < n_u; i++) {
        int how;
        while ((how = strcmp(u[k].device_id, p[i].d->id)) < 0 && ++k < n_u)
            ;
        if (k == n_u || how != 0)
            continue;
        p[kept] = p[i];
        p[kept++].until_ms = u[k].until_ms;
    }
    *ret = p;
    *ret_n = kept;
    return ERR_OK;
}

/* --- sums --- */

/* Spans 2i and 2i + 1 are of the i-th device: its minutes since the change, and before it. */
static enum err_code read_watched(struct rollout_run *x, struct rollout_figures *f,
                                  const struct place *p, struct err *e)
{
    AUTO(json_free) json_t *spans = json_array();
    int64_t oldest = x->now_ms / 1000 - BACK_S;
    struct figure_sums *s = NULL;
    size_t n_s = 0;
    enum err_code rc;

    for (size_t i = 0; i < f->n; i++) {
        const struct rollout_device *d = p[i].d;
        int64_t since = (d->ended_ms + 999) / 1000, before = d->released_ms / 1000;
        if (!watched(d))
            continue;
        add_span(spans, 2 * i, d->id, since > oldest ? since : oldest, p[i].until_ms / 1000);
        add_span(spans, 2 * i + 1, d->id, before - BACK_S, before);
    }
    rc = json_array_size(spans) == 0 ? ERR_OK
                                     : figure_store_sums(x->db, spans, false, x->a, &s, &n_s, e);
    for (size_t i = 0; rc == ERR_OK && i < n_s; i++) {
        struct rollout_figures_of *of = &f->of[s[i].n / 2];
        *(s[i].n % 2 == 0 ? &of->now : &of->before) = mail_of(&s[i]);
        if (s[i].dropped > 0)
            of->whole = false;
    }
    return rc;
}

static enum err_code read_compared(struct rollout_run *x, struct rollout_figures *f,
                                   const struct place *p, struct err *e)
{
    AUTO(json_free) json_t *spans = json_array();
    struct figure_sums *s = NULL;
    size_t n_s = 0;
    enum err_code rc;

    for (size_t i = 0; i < f->n; i++) {
        int64_t until = p[i].until_ms / 60000 * 60;
        if (!compared(p[i].d) || !f->of[i].whole)
            continue;
        add_span(spans, i, p[i].d->id, x->now_ms / 1000 - BACK_S, until);
        if (until > f->others.until_s)
            f->others.until_s = until;
        f->others.devices++;
        f->others.step_s = 60;
    }
    rc = f->others.devices == 0 ? ERR_OK : figure_store_sums(x->db, spans, true, x->a, &s, &n_s, e);
    for (size_t i = 0; rc == ERR_OK && i < n_s; i++) {
        struct guard_mail m = mail_of(&s[i]);
        guard_others_put(&f->others, s[i].at_s, &m);
    }
    return rc;
}

static enum err_code read_anew(struct rollout_run *x, struct rollout_figures *f, struct err *e)
{
    struct place *p = NULL;
    size_t n = 0;
    enum err_code rc = counted(x, &p, &n, e);

    free(f->of);
    *f = (struct rollout_figures){.key = key_of(x), .read_ms = x->now_ms, .n = n};
    if (rc == ERR_OK && (f->of = calloc(n + 1, sizeof *f->of)) == NULL)
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        text_copy(f->of[i].id, sizeof f->of[i].id, p[i].d->id);
        f->of[i].now.seen = f->of[i].before.seen = true;
        f->of[i].whole = p[i].until_ms >= x->now_ms - LAG_MS;
    }
    if (rc == ERR_OK)
        rc = read_watched(x, f, p, e);
    if (rc == ERR_OK)
        rc = read_compared(x, f, p, e);
    if (rc == ERR_OK)
        text_copy(f->rollout, sizeof f->rollout, x->row.id);
    else
        f->n = 0;
    return rc;
}

enum err_code rollout_figures_read(struct rollout_run *x, struct guard_others *others,
                                   const struct rollout_figures **ret, struct err *e)
{
    struct rollout_figures *f = x->app->figures;
    enum err_code rc = ERR_OK;

    if (f == NULL && (f = x->app->figures = calloc(1, sizeof *f)) == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (strcmp(f->rollout, x->row.id) != 0 || f->key != key_of(x) || x->now_ms < f->read_ms ||
        x->now_ms - f->read_ms >= READ_MS)
        rc = read_anew(x, f, e);
    *others = f->others;
    *ret = f;
    return rc;
}
