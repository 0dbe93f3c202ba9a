#include "loop/events.h"

#include "base/clock.h"
#include "base/log.h"
#include "loop/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>

/* Test builds have shorter minutes: INARI_FIGURES_S. */
static int64_t figures_ms(void)
{
#ifdef INARI_TEST_HOOKS
    const char *s = getenv("INARI_FIGURES_S");
    int64_t v;
    if (s != NULL && parse_i64(slice_of(s), 1, 60, &v))
        return v * 1000;
#endif
    return EVENTS_FIGURES_MS;
}

static void open_writer(struct loop *l, int64_t now)
{
    struct loop_events *v = &l->events;
    struct err e = {0};
    char dir[4200];

    v->open_next = now + EVENTS_RETRY_MS;
    (void)snprintf(dir, sizeof dir, "%s/spool/agent", l->settings->agent_state);
    if (spool_writer_open(dir, NULL, &v->w, &e) != ERR_OK) {
        log_event(LOG_LEVEL_ERROR, "events.spool", KV_STR("dir", dir), KV_STR("problem", e.msg));
        return;
    }
    spool_skip(v->w, v->lost);
    v->lost = 0;
}

void events_begin(struct loop *l)
{
    int64_t now = clock_mono_ms();

    open_writer(l, now);
    l->events.figures_next = now + figures_ms();
}

void events_clear(struct loop *l)
{
    struct err e = {0};

    if (l->events.w != NULL && spool_sync(l->events.w, (struct slice){NULL, 0}, &e) != ERR_OK)
        log_event(LOG_LEVEL_WARN, "events.lost", KV_STR("problem", e.msg));
    spool_writer_close(l->events.w);
    l->events.w = NULL;
}

static void lose(struct loop_events *v)
{
    if (v->w != NULL)
        spool_skip(v->w, 1);
    else
        v->lost++;
}

void events_say(struct loop *l, const char *kind, json_t *detail)
{
    struct loop_events *v = &l->events;
    AUTO(json_free) json_t *j = NULL;
    AUTO_STR char *text = NULL;
    struct err e = {0};

    if (detail != NULL)
        j = json_pack("{s:I,s:s,s:o}", "at", (json_int_t)loop_now_ms(l), "kind", kind, "detail",
                      detail);
    text = j == NULL ? NULL : json_text(j, JSON_COMPACT);
    if (v->w == NULL || text == NULL || spool_append(v->w, slice_of(text), &e) != ERR_OK) {
        lose(v);
        return;
    }
    if (v->sync_by == 0)
        v->sync_by = clock_mono_ms() + EVENTS_SYNC_MS;
    loop_wake(l, v->sync_by);
}

/* {"free_mb","size_mb"} of the volume of path; null: not known. */
static json_t *volume(const char *path)
{
    struct statvfs v;

    if (statvfs(path, &v) != 0)
        return json_null();
    return json_pack("{s:I,s:I}", "free_mb", (json_int_t)(v.f_bavail * v.f_frsize >> 20), "size_mb",
                     (json_int_t)(v.f_blocks * v.f_frsize >> 20));
}

int64_t events_queue_age(const struct loop *l)
{
    const json_t *since = json_object_get(l->work.running, "queue_since");
    int64_t at = json_integer_value(since), age = clock_wall_ms() / 1000 - at;

    return !json_is_integer(since) ? -1 : at == 0 || age < 0 ? 0 : age;
}

/* The queues as the helper counted them within the last minute, and up to when the parent has what
 * the log says: where no mail comes nothing else would tell it that there is none. */
static void say_figures(struct loop *l)
{
    json_t *queue = json_object_get(l->work.running, "queue"), *until = NULL;
    int64_t stored = evidence_stored(l), age = events_queue_age(l);
    double load = 0;

    if (stored > 0)
        until = json_pack("{s:I}", EVIDENCE_STREAM, (json_int_t)stored);
    (void)getloadavg(&load, 1);
    events_say(l, "device.figures",
               json_pack("{s:O?,s:o*,s:{s:o,s:o},s:f,s:o*}", "queue", queue, "oldest_s",
                         age < 0 ? NULL : json_integer((json_int_t)age), "disk", "state",
                         volume(l->settings->agent_state), "queue",
                         volume(l->settings->postfix_queue), "load", load, "until", until));
}

/* Conditions of which each change is an event; at the start only what is not as it should be. */
static void say_changes(struct loop *l)
{
    static const struct {
        enum condition_type type;
        const char *kind;
        enum condition_status good;
    } watched[] = {{COND_SERVICE_RUNNING, "device.service", COND_TRUE},
                   {COND_DRIFTED, "device.drift", COND_FALSE},
                   {COND_DRAINED, "device.drained", COND_FALSE}};
    static const char *const words[] = {"unknown", "true", "false"};

    for (size_t i = 0; i < COUNT_OF(watched); i++) {
        int was = l->events.said[i].status, is = (int)l->conditions.v[watched[i].type].status;
        const char *reason = l->conditions.v[watched[i].type].reason;

        if (was == is && strcmp(l->events.said[i].reason, reason) == 0)
            continue;
        l->events.said[i].status = is;
        text_copy(l->events.said[i].reason, sizeof l->events.said[i].reason, reason);
        if (was != COND_UNKNOWN || is != (int)watched[i].good)
            events_say(l, watched[i].kind,
                       json_pack("{s:s,s:s,s:s}", "status", words[is], "reason", reason, "text",
                                 l->conditions.v[watched[i].type].message));
    }
}

void events_turn(struct loop *l)
{
    struct loop_events *v = &l->events;
    int64_t now = clock_mono_ms();
    struct err e = {0};

    if (v->w == NULL && now >= v->open_next)
        open_writer(l, now);
    if (now >= v->figures_next) {
        v->figures_next = now + figures_ms();
        say_figures(l);
    }
    say_changes(l);
    if (v->w == NULL || v->sync_by == 0)
        return;
    if (now < v->sync_by) {
        loop_wake(l, v->sync_by);
        return;
    }
    /* A volume without room: tried again each second, the log says it once. */
    v->sync_by = spool_sync(v->w, (struct slice){NULL, 0}, &e) == ERR_OK ? 0 : now + 1000;
}
