#include "maillog/maillog_source.h"

#include <stdio.h>
#include <unistd.h>

enum { ENTRY_BYTES = 200 /* a line of Postfix, about */ };

/* --- places --- */

void maillog_place_text(const struct maillog_place *p, char buf[MAILLOG_PLACE_TEXT])
{
    if (p->journal)
        (void)snprintf(buf, MAILLOG_PLACE_TEXT, "journal %s", p->cursor);
    else
        maillog_pos_text(&p->file, buf);
}

bool maillog_place_parse(struct slice text, struct maillog_place *ret)
{
    struct slice rest = text;

    *ret = (struct maillog_place){0};
    if (!slice_is(slice_cut(&rest, ' '), "journal"))
        return maillog_pos_parse(text, &ret->file);
    if (rest.n >= sizeof ret->cursor)
        return false;
    ret->journal = true;
    if (rest.n > 0)
        memcpy(ret->cursor, rest.p, rest.n);
    return true;
}

bool maillog_place_first(const struct maillog_place *p)
{
    return p->journal ? p->cursor[0] == '\0' : p->file.ino == 0;
}

bool maillog_place_reached(const struct maillog_place *a, const struct maillog_place *b)
{
    if (a->journal != b->journal)
        return false;
    return a->journal ? maillog_cursor_reached(a->cursor, b->cursor)
                      : maillog_pos_same(&a->file, &b->file) && a->file.at >= b->file.at;
}

/* --- which --- */

static bool journal_has_mail(const char *dir)
{
    struct maillog_journal j;
    char end[MAILLOG_CURSOR], back[MAILLOG_CURSOR];
    bool has;

    maillog_journal_init(&j, dir);
    has = maillog_journal_end(&j, 0, end, back);
    maillog_journal_close(&j);
    return has;
}

/* A log that is between two names, or is made anew with its next line, is there all the same. */
static bool rotated(const struct maillog_source *s, const struct maillog_place *kept)
{
    return kept != NULL && !maillog_place_first(kept) && maillog_trail_has(&s->trail, &kept->file);
}

void maillog_source_init(struct maillog_source *s, const char *path, const char *setting,
                         const struct maillog_place *kept)
{
    const char *dir = setting[0] == '/' ? setting : "";

    maillog_trail_init(&s->trail, path);
    maillog_journal_init(&s->entries, dir);
    s->journal = false;
    if (strcmp(setting, "auto") != 0)
        s->journal = strcmp(setting, "no") != 0;
    else if (kept != NULL && kept->journal)
        s->journal = journal_has_mail(dir);
    else if (access(path, F_OK) != 0 && !rotated(s, kept))
        s->journal = journal_has_mail(dir);
}

bool maillog_source_elsewhere(const struct maillog_source *s, const char *setting)
{
    return !s->journal && strcmp(setting, "auto") == 0 && access(s->trail.path, F_OK) != 0 &&
           journal_has_mail("");
}

void maillog_source_close(struct maillog_source *s)
{
    maillog_trail_close(&s->trail);
    maillog_journal_close(&s->entries);
}

/* --- going --- */

struct maillog_place maillog_source_place(const struct maillog_source *s)
{
    struct maillog_place p = {.journal = s->journal};

    if (s->journal)
        text_copy(p.cursor, sizeof p.cursor, s->entries.cursor);
    else
        p.file = s->trail.pos;
    return p;
}

void maillog_source_from(struct maillog_source *s, const struct maillog_place *p)
{
    if (s->journal)
        maillog_journal_from(&s->entries, p->cursor);
    else
        maillog_trail_from(&s->trail, &p->file);
}

bool maillog_source_has(struct maillog_source *s, const struct maillog_place *p)
{
    if (p->journal != s->journal)
        return false;
    return s->journal ? maillog_journal_has(&s->entries, p->cursor)
                      : maillog_trail_has(&s->trail, &p->file);
}

bool maillog_source_end(struct maillog_source *s, int64_t back, struct maillog_place *ret_end,
                        struct maillog_place *ret_back)
{
    *ret_end = *ret_back = (struct maillog_place){.journal = s->journal};
    return s->journal ? maillog_journal_end(&s->entries, (uint64_t)back / ENTRY_BYTES,
                                            ret_end->cursor, ret_back->cursor)
                      : maillog_trail_end(&s->trail, back, &ret_end->file, &ret_back->file);
}

struct maillog_place maillog_source_before(struct maillog_source *s, const struct maillog_place *p,
                                           int64_t back)
{
    struct maillog_place before = *p;

    if (s->journal)
        maillog_journal_before(&s->entries, p->cursor, (uint64_t)back / ENTRY_BYTES, before.cursor);
    else
        before.file.at = p->file.at > back ? p->file.at - back : 0;
    return before;
}

enum err_code maillog_source_step(struct maillog_source *s, size_t max, maillog_trail_fn *fn,
                                  void *ctx, bool *ret_more, bool *ret_gap, struct err *e)
{
    return s->journal ? maillog_journal_step(&s->entries, max, fn, ctx, ret_more, ret_gap, e)
                      : maillog_trail_step(&s->trail, max, fn, ctx, ret_more, ret_gap, e);
}
