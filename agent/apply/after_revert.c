#include "apply/after_revert.h"

#include "apply/apply.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "targets/postfix_cf.h"
#include "targets/postfix_stage.h"

#include <stdio.h>

/* After the one within the revert; a session lasts at most minutes. */
static const int64_t later_ms[] = {1000, 4000, 15 * 1000, 60 * 1000, 240 * 1000};
enum { RESUME_MS = 5 * 60 * 1000, FLUSH_LOOKS = 3 };

static void filter_in(const char *path, char *buf)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
    AUTO_STR char *text = NULL;
    const char *value = NULL;
    struct cf_param *v;
    size_t n, len;

    if (a != NULL && file_read(path, CF_FILE_MAX, &text, &len, NULL) == ERR_OK &&
        main_cf_parse((struct slice){text, len}, a, &v, &n, NULL) == ERR_OK)
        value = cf_param_value(v, n, "content_filter");
    (void)snprintf(buf, REQUEUE_FILTER_SIZE, "%s", value == NULL ? "" : value);
}

void after_revert_note(struct helper *h)
{
    struct requeue_request *rq = &h->after.rq;
    char old[REQUEUE_FILTER_SIZE], path[4300], stage[4200];

    *rq = (struct requeue_request){0};
    stage_path(h->s, h->j.s.to, stage, sizeof stage);
    (void)snprintf(path, sizeof path, "%s/etc/main.cf", stage);
    filter_in(path, rq->filters[0]);
    (void)snprintf(path, sizeof path, "%s/main.cf", h->s->postfix_config);
    filter_in(path, rq->filters[1]);
    (void)snprintf(path, sizeof path, "%s/undo/main.cf", h->s->helper_state);
    filter_in(path, old);
    for (size_t i = 0; i < COUNT_OF(rq->filters); i++)
        if (strcmp(rq->filters[i], old) == 0) /* that one is right */
            rq->filters[i][0] = '\0';
}

static void look(struct helper *h)
{
    struct after_revert *a = &h->after;
    size_t requeued = 0, flushed = 0;
    struct err e = {0};
    enum err_code rc;

    a->rq.flush = a->done < FLUSH_LOOKS;
    rc = postfix_requeue(&h->pf, &a->rq, &requeued, &flushed, &e);
    if (rc != ERR_OK)
        log_event(LOG_LEVEL_WARN, "apply.requeue-failed", KV_STR("reason", e.msg));
    if (requeued + flushed > 0)
        log_event(LOG_LEVEL_WARN, "apply.requeued", KV_INT("requeued", requeued),
                  KV_INT("tried-at-once", flushed));
    a->next_ms = a->done < COUNT_OF(later_ms) ? clock_mono_ms() + later_ms[a->done] : 0;
    a->done++;
}

void after_revert_begin(struct helper *h)
{
    struct after_revert *a = &h->after;

    a->next_ms = 0;
    a->done = 0;
    a->rq.since_ms = h->j.s.switched_ms;
    a->rq.until_ms = clock_wall_ms();
    if (h->j.s.switched_ms > 0 && h->j.s.was_running)
        look(h);
}

void after_revert_resume(struct helper *h)
{
    const struct journal_state *s = &h->j.s;

    if (h->after.next_ms != 0 || s->switched_ms <= 0 || !s->was_running ||
        (strcmp(s->last_result, "reverted") != 0 && strcmp(s->last_result, "interrupted") != 0) ||
        clock_wall_ms() - s->last_at_ms > RESUME_MS)
        return;
    h->after.rq = (struct requeue_request){.since_ms = s->switched_ms, .until_ms = s->last_at_ms};
    h->after.next_ms = clock_mono_ms();
    h->after.done = 0;
}

void after_revert_tick(struct helper *h)
{
    if (h->after.next_ms != 0 && clock_mono_ms() >= h->after.next_ms && !apply_is_open(h))
        look(h);
}
