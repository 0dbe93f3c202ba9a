/* The spools that ship.c sends from: which there are, what is new in them, what the conditions say
 * of them. */
#include "loop/ship_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "loop/loop.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { DROPPED_SHOWN_MS = 24 * 3600 * 1000 };

/* --- streams --- */

static bool is_stream_name(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz");

    return n > 0 && n <= SHIP_STREAM_NAME && s[n] == '\0';
}

void ship_stream_open(struct loop *l, struct ship_stream *s, int64_t now)
{
    struct err e = {0};

    s->next = now + SHIP_REOPEN_MS;
    if (spool_reader_open(s->dir, &s->r, &e) != ERR_OK) {
        if (strcmp(s->problem, e.msg) != 0)
            log_event(LOG_LEVEL_ERROR, "events.spool", KV_STR("stream", s->name),
                      KV_STR("problem", e.msg));
        text_copy(s->problem, sizeof s->problem, e.msg);
        return;
    }
    if (l->ship.fd >= 0 && s->watch < 0)
        s->watch =
            inotify_add_watch(l->ship.fd, s->dir, IN_MODIFY | IN_MOVED_TO | IN_CREATE | IN_ONLYDIR);
    s->problem[0] = '\0';
    s->dropped = spool_dropped(s->r);
    s->since = s->next = now;
}

static void add_stream(struct loop *l, const char *name, const char *dir, int64_t now)
{
    struct ship *p = &l->ship;
    struct ship_stream *s = &p->stream[p->n];

    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->stream[i].name, name) == 0)
            return;
    if (p->n == SHIP_STREAMS || strlen(dir) >= sizeof s->dir)
        return;
    *s = (struct ship_stream){.watch = -1, .lines = SHIP_LINES, .bytes = SHIP_BYTES};
    text_copy(s->name, sizeof s->name, name);
    text_copy(s->dir, sizeof s->dir, dir);
    p->n++;
    ship_stream_open(l, s, now);
}

/* Folders of ours, then those of daemons: paths with a colon between them. */
void ship_streams_look(struct loop *l, int64_t now)
{
    char path[4200], dir[4200];
    struct slice rest = slice_of(l->settings->events_spools);
    const struct dirent *entry;
    DIR *d;

    (void)snprintf(path, sizeof path, "%s/spool", l->settings->agent_state);
    d = opendir(path);
    while (d != NULL && (entry = readdir(d)) != NULL) {
        (void)snprintf(dir, sizeof dir, "%s/%s", path, entry->d_name);
        if (is_stream_name(entry->d_name))
            add_stream(l, entry->d_name, dir, now);
    }
    if (d != NULL)
        (void)closedir(d);
    while (rest.n > 0) {
        struct slice one = slice_trim(slice_cut(&rest, ':'));
        const char *base;

        (void)snprintf(dir, sizeof dir, "%.*s", (int)one.n, one.p);
        base = strrchr(dir, '/');
        if (base != NULL && is_stream_name(base + 1) && access(dir, F_OK) == 0)
            add_stream(l, base + 1, dir, now);
    }
}

/* Only segments: what the reader itself writes is no news. */
static bool is_segment(const struct inotify_event *ev)
{
    return (ev->mask & IN_Q_OVERFLOW) != 0 || (ev->len > 0 && strstr(ev->name, ".seg") != NULL);
}

void ship_streams_hints(struct ship *p, int64_t now)
{
    _Alignas(struct inotify_event) char buf[16 * KIB];
    ssize_t n;

    while (p->fd >= 0 && (n = read(p->fd, buf, sizeof buf)) > 0) {
        for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
            const struct inotify_event *ev = (const struct inotify_event *)(const void *)(buf + at);
            for (size_t i = 0; i < p->n && is_segment(ev); i++)
                if ((p->stream[i].watch == ev->wd || ev->wd < 0) && p->stream[i].since == 0)
                    p->stream[i].since = now;
            at += (ssize_t)(sizeof *ev + ev->len);
        }
    }
}

/* --- what the conditions say --- */

/* Behind is by the monotonic clock: what was there ten minutes ago is not acknowledged. */
static void look_at_spool(struct ship_stream *s, int64_t now)
{
    struct spool_view v;
    struct err e = {0};

    if (spool_look(s->dir, &v, &e) != ERR_OK)
        return;
    if (s->goal_ms == 0 || v.acked >= s->goal) {
        s->goal = v.last;
        s->goal_ms = v.waiting > 0 ? now : 0;
    }
    if (v.dropped > s->dropped)
        s->dropped_ms = clock_wall_ms();
    s->dropped = v.dropped;
}

void ship_streams_judge(struct loop *l, int64_t now)
{
    struct ship *p = &l->ship;
    const struct ship_stream *behind = NULL, *dropped = NULL;
    bool changed;

    for (size_t i = 0; i < p->n; i++) {
        struct ship_stream *s = &p->stream[i];
        look_at_spool(s, now);
        if (s->goal_ms != 0 && now - s->goal_ms >= SHIP_BEHIND_MS)
            behind = s;
        if (s->dropped_ms != 0 && clock_wall_ms() - s->dropped_ms < DROPPED_SHOWN_MS)
            dropped = s;
    }
    if (p->unknown)
        changed = condition_set(&l->conditions, COND_EVENTS_BEHIND, COND_TRUE, "ParentTooOld", "%s",
                                "the parent does not know of events; it is asked again each hour");
    else if (behind != NULL)
        changed = condition_set(&l->conditions, COND_EVENTS_BEHIND, COND_TRUE, "Behind",
                                "events of \"%s\" wait for more than %d minutes%s%s", behind->name,
                                SHIP_BEHIND_MS / 60000, behind->problem[0] != '\0' ? ": " : "",
                                behind->problem);
    else
        changed =
            condition_set(&l->conditions, COND_EVENTS_BEHIND, COND_FALSE, "Current", "%s", "");
    if (dropped != NULL)
        changed = condition_set(&l->conditions, COND_EVENTS_DROPPED, COND_TRUE, "Dropped",
                                "%llu events of \"%s\" were lost so far: its spool was full, had "
                                "no room on its volume, or was damaged",
                                (unsigned long long)dropped->dropped, dropped->name) ||
                  changed;
    else
        changed =
            condition_set(&l->conditions, COND_EVENTS_DROPPED, COND_FALSE, "None", "%s", "") ||
            changed;
    if (changed)
        loop_touch(l);
}
