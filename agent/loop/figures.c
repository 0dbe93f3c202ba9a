#include "loop/figures.h"

#include "base/clock.h"
#include "loop/loop.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    FIGURES_READ = 1 << 20, /* bytes a turn: some 3 ms */
    READ_EVERY_MS = 2000,
    READ_RETRY_MS = 30000, /* a log that is not there or may not be read */
    REPORT_HOUR_MS = 3600 * 1000,
};

/* Test builds have shorter minutes: INARI_FIGURES_S. */
static int64_t step_s(void)
{
#ifdef INARI_TEST_HOOKS
    const char *s = getenv("INARI_FIGURES_S");
    int64_t v;
    if (s != NULL && parse_i64(slice_of(s), 1, MAILLOG_STEP_S, &v))
        return v;
#endif
    return MAILLOG_STEP_S;
}

void figures_begin(struct loop *l)
{
    char own[80];

    (void)snprintf(own, sizeof own, "%s.inari.invalid", l->id.device_id);
    maillog_follow_init(&l->figures.follow, l->settings->postfix_log);
    maillog_journal_init(&l->figures.entries, l->settings->postfix_journal[0] == '/'
                                                  ? l->settings->postfix_journal
                                                  : "");
    maillog_count_init(&l->figures.count, own, step_s());
    l->figures.next_report = clock_mono_ms() + l->figures.count.step_s * 1000;
}

void figures_clear(struct loop *l)
{
    maillog_follow_close(&l->figures.follow);
    maillog_journal_close(&l->figures.entries);
}

static void take(void *ctx, struct slice line)
{
    maillog_count_line(ctx, line, clock_wall_ms());
}

static bool take_entry(void *ctx, struct slice line)
{
    take(ctx, line);
    return true;
}

static enum err_code read_journal(struct loop_figures *f, bool *ret_more, struct err *e)
{
    bool gap;

    if (!f->entries_begun)
        maillog_journal_since(&f->entries, clock_wall_ms() - MAILLOG_ROWS * f->count.step_s * 1000);
    f->entries_begun = true;
    return maillog_journal_step(&f->entries, FIGURES_READ, take_entry, &f->count, ret_more, &gap,
                                e);
}

static void read_log(struct loop *l, int64_t now)
{
    struct loop_figures *f = &l->figures;
    struct err e = {0};
    bool more = false;
    enum err_code rc;

    f->journal = l->evidence.source.journal;
    rc = f->journal ? read_journal(f, &more, &e)
                    : maillog_follow_step(&f->follow, FIGURES_READ, take, &f->count, &more, &e);
    text_copy(f->problem, sizeof f->problem, rc == ERR_OK ? "" : e.msg);
    f->begun = f->begun || (rc == ERR_OK && !more);
    f->next_read = now + (rc != ERR_OK ? READ_RETRY_MS : more ? 0 : READ_EVERY_MS);
}

void figures_turn(struct loop *l)
{
    struct loop_figures *f = &l->figures;
    int64_t now = clock_mono_ms(), step_ms = f->count.step_s * 1000;
    bool watched = now < f->close_until;

    if (now >= f->next_read || f->journal != l->evidence.source.journal)
        read_log(l, now);
    loop_wake(l, f->next_read);
    if (now < f->next_report || l->parent.status_busy)
        return;
    if (f->count.counted == f->reported) { /* nothing new: looked at again when there may be */
        f->next_report = now + READ_EVERY_MS;
        return;
    }
    f->reported = f->count.counted;
    f->next_report = now + (watched ? step_ms : REPORT_HOUR_MS);
    l->report.force = true;
}

void figures_watched(struct loop *l, int64_t ms)
{
    int64_t now = clock_mono_ms(), step_ms = l->figures.count.step_s * 1000;

    if (l->figures.close_until < now + ms)
        l->figures.close_until = now + ms;
    if (l->figures.next_report > now + step_ms)
        l->figures.next_report = now + step_ms;
}

json_t *figures_json(const struct loop *l, size_t max)
{
    const struct loop_figures *f = &l->figures;
    int64_t now = clock_wall_ms(), offset_s = l->parent.offset_ms / 1000;
    json_t *rows = maillog_count_json(&f->count, now, offset_s, max);

    return json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:o?}", "state",
                     f->problem[0] != '\0' ? "unreadable"
                     : f->begun            ? "reading"
                                           : "catching-up",
                     "reason", f->problem, "step_s", (json_int_t)f->count.step_s, "until",
                     (json_int_t)(now / 1000 + offset_s), "lost", (json_int_t)f->follow.lost,
                     "lines", (json_int_t)f->count.lines, "minutes", rows);
}
