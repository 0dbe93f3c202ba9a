#include "loop/evidence_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "loop/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { ROOM = 4 * SPOOL_PAYLOAD_MAX };

static void say_problem(struct loop_evidence *v, const char *problem)
{
    if (problem[0] != '\0' && strcmp(v->problem, problem) != 0)
        log_event(LOG_LEVEL_ERROR, "evidence.stuck", KV_STR("problem", problem));
    else if (problem[0] == '\0' && v->problem[0] != '\0')
        log_event(LOG_LEVEL_INFO, "evidence.goes-on");
    text_copy(v->problem, sizeof v->problem, problem);
}

void evidence_begin(struct loop *l)
{
    l->evidence.next = l->evidence.looked = clock_mono_ms();
    l->evidence.keep_next = l->evidence.next + EVIDENCE_KEEP_MS;
}

/* --- lines --- */

static bool append(struct loop *l, struct err *e)
{
    struct loop_evidence *v = &l->evidence;
    int64_t offset = loop_now_ms(l) - clock_wall_ms();

    for (size_t i = 0; i < v->events.n_out; i++) {
        AUTO_STRBUF struct strbuf s = STRBUF_INIT(MAILLOG_EVENT_MAX);
        maillog_event_json(&v->events.out[i], offset, &s);
        if (strbuf_check(&s, e) != ERR_OK || spool_append(v->w, strbuf_slice(&s), e) != ERR_OK)
            return false;
    }
    return true;
}

static bool take(void *ctx, struct slice line)
{
    struct loop *l = ctx;
    struct loop_evidence *v = &l->evidence;
    struct err e = {0};

    if (maillog_events_line(&v->events, line, clock_wall_ms(), &e) != ERR_OK) {
        v->failed = true;
        return false;
    }
    if (v->replaying) {
        struct maillog_place at = maillog_source_place(&v->source);
        v->replaying = !maillog_place_reached(&at, &v->until);
        /* A mark may be behind an entry of another program, which is not given here. */
        if (v->replaying || !at.journal || strcmp(at.cursor, v->until.cursor) == 0)
            return true;
    }
    v->failed = !append(l, &e);
    return !v->failed && spool_unsynced(v->w) < SPOOL_UNSYNCED_MAX - ROOM;
}

static void append_gap(struct loop *l)
{
    struct loop_evidence *v = &l->evidence;
    char text[200];
    struct err e;

    log_event(LOG_LEVEL_ERROR, "evidence.gap",
              KV_STR("log", v->source.journal ? "journal" : l->settings->postfix_log));
    (void)snprintf(text, sizeof text,
                   "{\"at\":%lld,\"kind\":\"log.gap\",\"text\":\"lines of the log were lost before "
                   "they could be read\"}",
                   (long long)loop_now_ms(l));
    v->failed = spool_append(v->w, slice_of(text), &e) != ERR_OK || v->failed;
}

static enum err_code sync_all(struct loop_evidence *v, struct err *e)
{
    struct maillog_place at = maillog_source_place(&v->source);
    char mark[MAILLOG_PLACE_TEXT];

    maillog_place_text(&at, mark);
    return spool_unsynced(v->w) == 0 ? ERR_OK : spool_sync(v->w, slice_of(mark), e);
}

/* What is new in the log, until it is kept.  *ret_more: there is more already. */
static enum err_code look(struct loop *l, bool *ret_more, struct err *e)
{
    struct loop_evidence *v = &l->evidence;
    bool gap = false, any;
    enum err_code rc = sync_all(v, e); /* of an earlier look that could not */

    *ret_more = false;
    if (rc != ERR_OK)
        return rc;
    rc = maillog_source_step(&v->source, EVIDENCE_BYTES, take, l, ret_more, &gap, e);
    if (v->replaying && rc == ERR_OK && !*ret_more) /* the end, and not met: it is behind us */
        v->replaying = false;
    if ((gap && !v->replaying) || v->other)
        append_gap(l);
    v->other = false;
    if (v->failed)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    any = spool_unsynced(v->w) > 0;
    if (any)
        loop_crash_at("evidence-taken");
    if (rc == ERR_OK || spool_unsynced(v->w) > 0) {
        struct err sync = {0};
        if (sync_all(v, &sync) != ERR_OK) {
            *e = sync;
            return sync.code;
        }
    }
    *ret_more = *ret_more || spool_unsynced(v->w) > 0;
    if (any)
        loop_crash_at("evidence-kept");
    return rc;
}

/* --- up to when --- */

static void settle_ends(struct loop *l)
{
    struct loop_evidence *v = &l->evidence;
    uint64_t acked = ship_acknowledged(l, EVIDENCE_STREAM);

    if (v->newest.at_ms != 0 && acked >= v->newest.last)
        v->stored_ms = v->newest.at_ms;
    else if (v->first.at_ms != 0 && acked >= v->first.last)
        v->stored_ms = v->first.at_ms;
    else
        return;
    v->first = v->newest; /* acknowledged too, or the next to wait for */
}

/* Everything is read and kept. */
static void note_end(struct loop *l, int64_t at_ms)
{
    struct loop_evidence *v = &l->evidence;

    settle_ends(l);
    v->newest = (struct evidence_end){spool_last(v->w), at_ms};
    if (v->first.at_ms == 0 || v->first.last == v->newest.last || v->first.at_ms == v->stored_ms)
        v->first = v->newest;
}

int64_t evidence_until(const struct loop *l, uint64_t last)
{
    const struct loop_evidence *v = &l->evidence;

    if (v->newest.at_ms != 0 && last >= v->newest.last)
        return v->newest.at_ms;
    return v->first.at_ms != 0 && last >= v->first.last ? v->first.at_ms : v->stored_ms;
}

int64_t evidence_stored(struct loop *l)
{
    settle_ends(l);
    return l->evidence.stored_ms;
}

/* --- when --- */

static void watch(struct loop *l)
{
    struct loop_evidence *v = &l->evidence;

    if (v->fd < 0)
        v->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (v->source.journal || v->fd < 0 || v->source.trail.fd < 0 ||
        (v->watch >= 0 && v->watched == v->source.trail.pos.ino))
        return;
    if (v->watch >= 0)
        (void)inotify_rm_watch(v->fd, v->watch);
    v->watch = inotify_add_watch(v->fd, l->settings->postfix_log, IN_MODIFY | IN_MOVE_SELF);
    v->watched = v->source.trail.pos.ino;
}

static void drain_hints(struct loop_evidence *v)
{
    _Alignas(struct inotify_event) char buf[4 * KIB];

    ssize_t n;

    if (v->source.journal && maillog_journal_hint(&v->source.entries))
        v->hinted = true;
    while (v->fd >= 0 && (n = read(v->fd, buf, sizeof buf)) > 0) {
        v->hinted = true;
        for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
            const struct inotify_event *ev = (const struct inotify_event *)(const void *)(buf + at);
            if ((ev->mask & IN_IGNORED) != 0 && ev->wd == v->watch)
                v->watch = -1;
            at += (ssize_t)(sizeof *ev + ev->len);
        }
    }
}

int evidence_fd(const struct loop *l)
{
    const struct loop_evidence *v = &l->evidence;

    /* Between two looks a busy log would wake the loop for nothing. */
    return v->hinted ? -1 : v->source.journal ? maillog_journal_wait_fd(&v->source.entries) : v->fd;
}

static void try_look(struct loop *l, int64_t now)
{
    struct loop_evidence *v = &l->evidence;
    struct err e = {0};
    int64_t at_ms = loop_now_ms(l) - EVIDENCE_SLACK_MS;
    bool more = false;
    enum err_code rc = v->w != NULL ? ERR_OK : evidence_open(l, &e);

    if (rc == ERR_OK)
        rc = look(l, &more, &e);
    if (rc == ERR_OK && !more && !v->replaying && !v->failed)
        note_end(l, at_ms);
    v->looked = now;
    v->hinted = false;
    if (rc == ERR_NOT_FOUND && v->w != NULL && now >= v->choose_next) {
        int64_t wall = clock_wall_ms();
        v->choose_next = now + EVIDENCE_CHOOSE_MS;
        if (maillog_source_elsewhere(&v->source, l->settings->postfix_journal))
            v->failed = true; /* opened anew, it is chosen */
        else
            v->nothing_ms = wall;
    }
    if (v->failed &&
        v->w != NULL) /* what was made since the mark is thrown away, and made again from it */
        evidence_forget(v);
    watch(l);
    say_problem(v, rc == ERR_OK || rc == ERR_NOT_FOUND ? "" : e.msg);
    v->next = rc == ERR_OK          ? now + (more ? 0 : EVIDENCE_LOOK_MS)
              : rc == ERR_NOT_FOUND ? now + EVIDENCE_LOOK_MS
                                    : now + EVIDENCE_RETRY_MS;
    if ((rc == ERR_OK || (rc == ERR_NOT_FOUND && v->w != NULL)) && !v->replaying && !more &&
        v->events.lines != v->lines_kept &&
        (now >= v->keep_next || v->events.lines - v->lines_kept >= EVIDENCE_KEEP_LINES))
        evidence_keep_context(l, now);
}

void evidence_turn(struct loop *l)
{
    struct loop_evidence *v = &l->evidence;
    int64_t now = clock_mono_ms();

    drain_hints(v);
    if (now >= v->next ||
        (v->hinted && v->problem[0] == '\0' && now >= v->looked + EVIDENCE_PAUSE_MS))
        try_look(l, now);
    loop_wake(l, v->next);
    if (v->hinted && v->problem[0] == '\0')
        loop_wake(l, v->looked + EVIDENCE_PAUSE_MS);
}

void evidence_clear(struct loop *l)
{
    struct loop_evidence *v = &l->evidence;
    struct err e = {0};

    if (v->w != NULL && !v->failed && !v->replaying && sync_all(v, &e) == ERR_OK)
        evidence_keep_context(l, 0);
    evidence_forget(v);
    if (v->fd >= 0)
        (void)close(v->fd);
    v->fd = v->watch = -1;
}
