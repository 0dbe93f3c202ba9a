/*
 * maillog_source.h - where Postfix's lines come from, a log file (maillog_trail.h) or the systemd
 * journal (maillog_journal.h), behind one kind of place that can be kept.  A place of the one means
 * nothing to the other.  Threads: none.
 */
#pragma once

#include "maillog/maillog_journal.h"
#include "maillog/maillog_trail.h"

enum { MAILLOG_PLACE_TEXT = MAILLOG_CURSOR + 16 };

struct maillog_place {
    bool journal;
    struct maillog_pos file;     /* of a file */
    char cursor[MAILLOG_CURSOR]; /* of the journal; "": before its first entry */
};
/* For keeping: one line of text. */
void maillog_place_text(const struct maillog_place *p, char buf[MAILLOG_PLACE_TEXT]);
MUST_USE bool maillog_place_parse(struct slice text, struct maillog_place *ret);
/* Before anything that either will ever have: there was nothing yet. */
bool maillog_place_first(const struct maillog_place *p);
/* Does a lie at or behind b?  false: also where nobody can say (another file). */
bool maillog_place_reached(const struct maillog_place *a, const struct maillog_place *b);

struct maillog_source {
    bool journal; /* which of the two is read */
    struct maillog_trail trail;
    struct maillog_journal entries;
};
/* setting: "no" the file, "yes" the journal, "/..." the journal files of that folder; "auto": the
 * journal when it was read before (kept, NULL: nothing is known), or when it has mail while there
 * is no file, nor a rotated one with that place.  path, setting: borrowed. */
void maillog_source_init(struct maillog_source *s, const char *path, const char *setting,
                         const struct maillog_place *kept);
void maillog_source_close(struct maillog_source *s); /* the place stays */
/* Under "auto", where the file is read: would the journal be chosen now? */
bool maillog_source_elsewhere(const struct maillog_source *s, const char *setting);
struct maillog_place maillog_source_place(const struct maillog_source *s);
/* Go on from there with the next step. */
void maillog_source_from(struct maillog_source *s, const struct maillog_place *p);
bool maillog_source_has(struct maillog_source *s, const struct maillog_place *p);
/* The end as it is now, and a place before it: back bytes of a file, back / 200 entries of the
 * journal.  false: there is nothing yet. */
bool maillog_source_end(struct maillog_source *s, int64_t back, struct maillog_place *ret_end,
                        struct maillog_place *ret_back);
/* So far before p, likewise; in the journal the place may be nearer. */
struct maillog_place maillog_source_before(struct maillog_source *s, const struct maillog_place *p,
                                           int64_t back);
/* maillog_trail_step(), maillog_journal_step(). */
MUST_USE enum err_code maillog_source_step(struct maillog_source *s, size_t max,
                                           maillog_trail_fn *fn, void *ctx, bool *ret_more,
                                           bool *ret_gap, struct err *e);
