#include "maillog/maillog_follow.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

void maillog_follow_init(struct maillog_follow *f, const char *path)
{
    *f = (struct maillog_follow){.path = path, .fd = -1};
}

void maillog_follow_close(struct maillog_follow *f)
{
    if (f->fd >= 0)
        (void)close(f->fd);
    f->fd = -1;
}

static void go_to(struct maillog_follow *f, int64_t at)
{
    f->at = at;
    f->have = 0;
    f->passing = at > 0;
}

static enum err_code open_it(struct maillog_follow *f, struct err *e)
{
    struct stat st;

    /* Not blocking: what stands there may be a pipe. */
    f->fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (f->fd < 0)
        return err_errno(e,
                         errno == ENOENT || errno == ENXIO ? ERR_NOT_FOUND
                         : errno == EACCES                 ? ERR_FORBIDDEN
                                                           : ERR_STORAGE,
                         errno, "could not open \"%s\"", f->path);
    if (fstat(f->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        maillog_follow_close(f);
        return err_set(e, ERR_NOT_FOUND, "\"%s\" is not a file", f->path);
    }
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    go_to(f, f->begun || st.st_size <= MAILLOG_BACK ? 0 : st.st_size - MAILLOG_BACK);
    f->begun = true;
    return ERR_OK;
}

/* The end was reached: is there another file under the name, or does this one begin anew?  Who
 * writes the log goes on with the old file until it is told (logrotate makes the new one first): as
 * long as there is nothing in the new one, and whatever was added to the old one until then. */
static enum err_code at_end(struct maillog_follow *f, bool *ret_go_on, struct err *e)
{
    struct stat here, there;
    bool other = stat(f->path, &there) == 0 && there.st_size > 0 &&
                 (there.st_dev != f->dev || there.st_ino != f->ino);

    *ret_go_on = false;
    if (fstat(f->fd, &here) != 0)
        return ERR_OK;
    if (here.st_size < f->at) {
        go_to(f, 0);
        *ret_go_on = here.st_size > 0;
        return ERR_OK;
    }
    if (!other || here.st_size > f->at)
        return ERR_OK; /* between two names, or nothing new; what came just now: with the next step
                        */
    maillog_follow_close(f);
    *ret_go_on = true;
    return open_it(f, e);
}

static void too_far_behind(struct maillog_follow *f)
{
    struct stat st;

    if (fstat(f->fd, &st) != 0 || st.st_size - f->at <= MAILLOG_BEHIND)
        return;
    f->lost += st.st_size - MAILLOG_BACK - f->at;
    go_to(f, st.st_size - MAILLOG_BACK);
}

static void give_lines(struct maillog_follow *f, size_t n, maillog_line_fn *fn, void *ctx)
{
    struct slice rest = {f->buf, f->have + n};

    while (rest.n > 0) {
        const char *end = memchr(rest.p, '\n', rest.n);
        struct slice line = {rest.p, end == NULL ? rest.n : (size_t)(end - rest.p)};
        if (end == NULL)
            break;
        if (!f->passing && line.n <= MAILLOG_LINE)
            fn(ctx, line);
        f->passing = false;
        rest = (struct slice){end + 1, rest.n - line.n - 1};
    }
    if (rest.n > MAILLOG_LINE) {
        f->passing = true;
        rest.n = 0;
    }
    f->have = rest.n;
    memmove(f->buf, rest.p, rest.n);
}

enum err_code maillog_follow_step(struct maillog_follow *f, size_t max, maillog_line_fn *fn,
                                  void *ctx, bool *ret_more, struct err *e)
{
    enum err_code rc = f->fd >= 0 ? ERR_OK : open_it(f, e);
    size_t done = 0;
    bool go_on = true;

    *ret_more = false;
    if (rc == ERR_OK)
        too_far_behind(f);
    while (rc == ERR_OK && go_on && done < max) {
        ssize_t n = pread(f->fd, f->buf + f->have, sizeof f->buf - f->have, f->at);
        if (n < 0 && errno != EINTR)
            rc = err_errno(e, ERR_STORAGE, errno, "could not read \"%s\"", f->path);
        if (n == 0)
            rc = at_end(f, &go_on, e);
        if (n > 0) {
            f->at += n;
            done += (size_t)n;
            give_lines(f, (size_t)n, fn, ctx);
        }
    }
    if (rc == ERR_STORAGE)
        maillog_follow_close(f);
    *ret_more = rc == ERR_OK && done >= max;
    return rc;
}
