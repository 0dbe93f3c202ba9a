/*
 * maillog_follow.h - the lines that are added to a log file, across rotation (a new file under the
 * name: the old one is read to its end first) and truncation.  Reads only; needs no root, only
 * leave to read the file.
 *
 * It begins MAILLOG_BACK before the end, at the first whole line.  When it falls further behind
 * than MAILLOG_BEHIND it goes on MAILLOG_BACK before the end and counts what it passed over.  Lines
 * longer than MAILLOG_LINE are passed over. Threads: none.
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#include <sys/types.h>

enum { MAILLOG_BACK = 4 << 20, MAILLOG_BEHIND = 64 << 20, MAILLOG_LINE = 8192 };

struct maillog_follow {
    const char *path; /* borrowed */
    int fd;           /* -1: not open */
    dev_t dev;
    ino_t ino;
    int64_t at;   /* read up to here */
    bool begun;   /* it was open before: a file that comes is read from its first byte */
    bool passing; /* up to the next line end */
    int64_t lost; /* bytes passed over */
    size_t have;  /* of an unfinished line in buf */
    char buf[65536];
};
void maillog_follow_init(struct maillog_follow *f, const char *path);
void maillog_follow_close(struct maillog_follow *f);
typedef void maillog_line_fn(void *ctx, struct slice line);
/* What is there now, at most about max bytes; *ret_more: there is more already.  Errors:
 * ERR_NOT_FOUND no such file yet (a socket, a folder: none either), ERR_FORBIDDEN no leave to read
 * it, ERR_STORAGE; asked again later it goes on. */
MUST_USE enum err_code maillog_follow_step(struct maillog_follow *f, size_t max,
                                           maillog_line_fn *fn, void *ctx, bool *ret_more,
                                           struct err *e);
