/* Where evidence.c goes on after a start: the context on disk, the mark of the spool, the file or
 * the journal. */
#include "loop/evidence_private.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "loop/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT_MAX = 16 * MIB };

static void path_of(const struct loop *l, const char *name, char buf[4200])
{
    (void)snprintf(buf, 4200, "%s/%s", l->settings->agent_state, name);
}

/* --- the context on disk: "1 <number of the last event> <position>\n", then what it is --- */

void evidence_keep_context(struct loop *l, int64_t now)
{
    struct loop_evidence *v = &l->evidence;
    AUTO_STRBUF struct strbuf s = STRBUF_INIT(CONTEXT_MAX);
    char path[4200], pos[MAILLOG_PLACE_TEXT];
    struct maillog_place at = maillog_source_place(&v->source);
    struct err e = {0};

    v->keep_next = now + EVIDENCE_KEEP_MS;
    v->lines_kept = v->events.lines;
    maillog_events_settle(&v->events);
    maillog_place_text(&at, pos);
    strbuf_printf(&s, "1 %llu %s\n", (unsigned long long)spool_last(v->w), pos);
    maillog_context_save(&v->events.context, &s);
    path_of(l, "postfix.context", path);
    if (strbuf_check(&s, &e) != ERR_OK ||
        file_write_atomic(path, strbuf_slice(&s), 0600, &e) != ERR_OK)
        log_event(LOG_LEVEL_WARN, "evidence.context", KV_STR("problem", e.msg));
}

/* *ret_last, *ret_pos: what it belongs to.  false: there is none that is good. */
static bool load_context(struct loop *l, uint64_t *ret_last, struct maillog_place *ret_pos)
{
    char path[4200];
    AUTO_STR char *text = NULL;
    size_t n = 0;
    struct err e = {0};
    struct slice rest, line;
    enum err_code rc;

    path_of(l, "postfix.context", path);
    rc = file_read(path, CONTEXT_MAX, &text, &n, &e);
    if (rc != ERR_OK)
        return false;
    rest = (struct slice){text, n};
    line = slice_cut(&rest, '\n');
    if (slice_is(slice_cut(&line, ' '), "1") &&
        parse_u64(slice_cut(&line, ' '), 0, UINT64_MAX, ret_last) &&
        maillog_place_parse(line, ret_pos) &&
        maillog_context_load(&l->evidence.events.context, rest, &e) == ERR_OK)
        return true;
    log_event(LOG_LEVEL_WARN, "evidence.context", KV_STR("problem", e.msg));
    return false;
}

/* --- opening --- */

void evidence_forget(struct loop_evidence *v)
{
    spool_writer_close(v->w);
    v->w = NULL;
    maillog_events_clear(&v->events);
    maillog_source_close(&v->source);
}

/* The lines from one place to another are read without giving events. */
static void replay(struct loop_evidence *v, const struct maillog_place *from,
                   const struct maillog_place *until)
{
    v->until = *until;
    v->replaying = !maillog_place_reached(from, until);
    maillog_source_from(&v->source, from);
}

/* A first start: what stands in the log is what led to what comes.  Where it began is kept at once,
 * so that what is logged before the next start is not taken for old. */
static void begin_at_end(struct loop_evidence *v)
{
    struct maillog_place back, until;

    if (maillog_source_end(&v->source, EVIDENCE_BACK, &until, &back))
        replay(v, &back, &until);
    v->keep_next = 0;
    v->lines_kept = -1;
}

static void begin_at_mark(struct loop_evidence *v, const struct maillog_place *mark,
                          const struct maillog_place *kept)
{
    struct maillog_place back;

    if (!maillog_source_has(&v->source, mark)) {
        maillog_source_from(&v->source, mark);
    } else if (kept != NULL && maillog_source_has(&v->source, kept)) {
        replay(v, kept, mark);
    } else {
        back = maillog_source_before(&v->source, mark, EVIDENCE_BACK);
        replay(v, &back, mark);
    }
}

/* A place of the one source says nothing about the other. */
static void choose(struct loop *l, const struct maillog_place *mark,
                   const struct maillog_place *kept)
{
    struct loop_evidence *v = &l->evidence;
    const struct maillog_place *known = mark != NULL ? mark : kept;

    maillog_source_init(&v->source, l->settings->postfix_log, l->settings->postfix_journal, known);
    v->other = known != NULL && known->journal != v->source.journal &&
               (known == mark || !maillog_place_first(kept));
    if (v->other)
        log_event(LOG_LEVEL_WARN, "evidence.other",
                  KV_STR("from", v->source.journal ? "journal" : "file"));
}

/* The context is of this moment when no event was kept since it was written: the lines that came
 * after it, up to a mark or not, gave none. */
static enum err_code begin(struct loop *l, struct err *e)
{
    struct loop_evidence *v = &l->evidence;
    struct maillog_place kept = {0}, mark = {0};
    uint64_t last = 0, now = spool_last(v->w);
    bool good = load_context(l, &last, &kept),
         marked = maillog_place_parse(spool_mark(v->w), &mark);

    choose(l, marked ? &mark : NULL, good ? &kept : NULL);
    marked = marked && mark.journal == v->source.journal;
    good = good && kept.journal == v->source.journal && !v->other;
    v->lines_kept = v->events.lines;
    if (good && last > now) { /* of events that are not there any more */
        char own[80];
        text_copy(own, sizeof own, v->events.own);
        maillog_events_clear(&v->events);
        good = false;
        if (maillog_events_init(&v->events, own, e) != ERR_OK)
            return e->code;
    }
    if (good && last == now && maillog_place_first(&kept))
        return ERR_OK; /* there was no log yet: from its first byte */
    if (good && last == now)
        maillog_source_from(&v->source, &kept);
    else if (marked)
        begin_at_mark(v, &mark, good ? &kept : NULL);
    else if (v->source.journal && v->nothing_ms != 0)
        maillog_journal_since(&v->source.entries, v->nothing_ms); /* it had nothing then */
    else
        begin_at_end(v);
    return ERR_OK;
}

enum err_code evidence_open(struct loop *l, struct err *e)
{
    struct loop_evidence *v = &l->evidence;
    char dir[4200], own[80];
    enum err_code rc;

    path_of(l, "spool/" EVIDENCE_STREAM, dir);
    (void)snprintf(own, sizeof own, "%s.inari.invalid", l->id.device_id);
    v->first = v->newest = (struct evidence_end){0};
    v->failed = v->replaying = false;
    rc = maillog_events_init(&v->events, own, e);
    if (rc == ERR_OK)
        rc = spool_writer_open(dir, NULL, &v->w, e);
    if (rc == ERR_OK)
        rc = begin(l, e);
    if (rc != ERR_OK)
        evidence_forget(v);
    return rc;
}
