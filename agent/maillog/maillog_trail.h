/*
 * maillog_trail.h - every line of a log file once, over restarts and rotations: a position that can
 * be kept, and what follows it.  (maillog_follow.h is for what is only counted: it may pass over.)
 *
 * A position names the file by device, inode and a fingerprint of its first bytes.  Going on from
 * one looks for that file under the name of the log and among its rotated ones beside it
 * ("NAME.*", "NAME-*"), so lines written while nobody read are found after a rename as well as in
 * the copy that copytruncate leaves; files between that one and today's are read in the order of
 * their times.  What cannot be read any more (compressed, deleted) is said: ret_gap.
 *
 * A line longer than MAILLOG_TRAIL_LINE is given cut.  A last line without its end waits for it.
 * Reads only.  Threads: none.
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#include <sys/types.h>

enum { MAILLOG_TRAIL_LINE = 8192, MAILLOG_PRINT = 256, MAILLOG_POS_TEXT = 200 };

struct maillog_pos {
    uint64_t dev, ino;
    int64_t at;       /* read up to here: the begin of a line */
    uint32_t n_print; /* bytes that the fingerprint covers; 0: nothing was read yet */
    uint64_t print;
    int64_t time_ns; /* when the file was last written, as we saw it */
};
/* For keeping: one line of text. */
void maillog_pos_text(const struct maillog_pos *p, char buf[MAILLOG_POS_TEXT]);
MUST_USE bool maillog_pos_parse(struct slice text, struct maillog_pos *ret);
/* Of the same file. */
bool maillog_pos_same(const struct maillog_pos *a, const struct maillog_pos *b);

struct maillog_trail {
    const char *path; /* borrowed */
    int fd;           /* -1: not open */
    struct maillog_pos pos;
    bool begun;   /* pos says where to go on; else at the first byte of what comes */
    bool cut;     /* the rest of a line that was given cut goes by */
    size_t have;  /* bytes behind pos.at that are in buf */
    int64_t gaps; /* times at which lines were lost */
    char buf[64 * 1024];
};
void maillog_trail_init(struct maillog_trail *t, const char *path);
void maillog_trail_close(struct maillog_trail *t); /* the position stays */
/* Go on from there with the next step. */
void maillog_trail_from(struct maillog_trail *t, const struct maillog_pos *pos);
/* Is that place still there? */
bool maillog_trail_has(const struct maillog_trail *t, const struct maillog_pos *pos);
/* The end of the log as it is now, and the begin of a line at most back bytes before it.  false:
 * there is no log yet. */
bool maillog_trail_end(const struct maillog_trail *t, int64_t back, struct maillog_pos *ret_end,
                       struct maillog_pos *ret_back);

/* false: no further; t->pos stands behind the line. */
typedef bool maillog_trail_fn(void *ctx, struct slice line);
/* What is there now, at most about max bytes; *ret_more: there is more already; *ret_gap: before
 * the lines given, others were lost.  Errors: ERR_NOT_FOUND no such file yet, ERR_FORBIDDEN no
 * leave to read it, ERR_STORAGE; asked again later it goes on. */
MUST_USE enum err_code maillog_trail_step(struct maillog_trail *t, size_t max, maillog_trail_fn *fn,
                                          void *ctx, bool *ret_more, bool *ret_gap, struct err *e);
