/*
 * maillog_journal.h - what Postfix says in the systemd journal, each entry once, over restarts and
 * vacuuming: a place that can be kept (the journal's cursor), and what follows it, as lines of the
 * shape that rsyslog would write.  For hosts without a log file (Debian 12 without rsyslog);
 * maillog_trail.h is for those with one.
 *
 * Read are entries of facility mail whose SYSLOG_IDENTIFIER begins with "postfix".  A place that
 * was vacuumed away is said (ret_gap): reading goes on with the oldest that is behind it.  Bytes
 * below 0x20 become blanks, as one entry is one line. Needs leave to read the journal (group
 * systemd-journal or adm).  Threads: none; one place a journal.
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"

enum { MAILLOG_CURSOR = 400, MAILLOG_JOURNAL_LINE = 8192 };

struct sd_journal;
struct maillog_journal {
    const char *dir;             /* borrowed; "": this host's own */
    struct sd_journal *j;        /* NULL: not open */
    char cursor[MAILLOG_CURSOR]; /* of the last entry that was given; "": from the first there is */
    bool placed;                 /* the journal stands there, */
    bool standing;               /* or on the one that is to be given next */
};
void maillog_journal_init(struct maillog_journal *t, const char *dir);
void maillog_journal_close(struct maillog_journal *t); /* the place stays */
/* Go on behind that entry; "": with the first there is. */
void maillog_journal_from(struct maillog_journal *t, const char *cursor);
/* Is that entry still there?  Of a journal that cannot be read: no. */
bool maillog_journal_has(struct maillog_journal *t, const char *cursor);
/* The newest entry, and one at most back entries (of Postfix) before it.  false: there is none, or
 * it cannot be read.  The place is as before. */
bool maillog_journal_end(struct maillog_journal *t, uint64_t back, char ret_end[MAILLOG_CURSOR],
                         char ret_back[MAILLOG_CURSOR]);
/* The entry at most back entries before that one; the same when there is none. */
void maillog_journal_before(struct maillog_journal *t, const char *cursor, uint64_t back,
                            char ret[MAILLOG_CURSOR]);
/* Go on with the first entry of that time (ms since 1970) or later. */
void maillog_journal_since(struct maillog_journal *t, int64_t at_ms);
/* Does the entry with cursor a come at or behind that with cursor b? */
bool maillog_cursor_reached(const char *a, const char *b);

/* What to wait for; -1: nothing (it is not open). */
int maillog_journal_wait_fd(const struct maillog_journal *t);
/* Was something written since the last call, or step? */
bool maillog_journal_hint(struct maillog_journal *t);

typedef bool
maillog_journal_fn(void *ctx,
                   struct slice line); /* false: no further; t->cursor is of that entry */
/* What is there now, at most about max bytes; *ret_more: there is more already; *ret_gap: before
 * the lines given, others were lost. ERR_NOT_FOUND: there is no journal; ERR_FORBIDDEN no leave to
 * read it; ERR_STORAGE; asked again later it goes on. */
MUST_USE enum err_code maillog_journal_step(struct maillog_journal *t, size_t max,
                                            maillog_journal_fn *fn, void *ctx, bool *ret_more,
                                            bool *ret_gap, struct err *e);
