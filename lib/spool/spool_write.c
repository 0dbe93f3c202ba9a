#include "spool/spool_private.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { PATH_SIZE = 4200, MARK_SIZE_MAX = SPOOL_HEADER + 8 + SPOOL_MARK_MAX };

struct spool_writer {
    char *dir;
    struct spool_limits limits;
    int lock, fd;   /* fd: the newest segment; -1: none yet */
    uint64_t first; /* its number */
    uint64_t end;   /* what of it is on the disk */
    uint64_t next;  /* number of the next record */
    uint64_t kept;  /* number that the mark in the file covers */
    size_t
        pending;   /* the begin of buf: written behind end with its mark, but not on the disk yet */
    bool new_one;  /* begin a new segment with the next sync */
    bool bad_once; /* the loud line about a volume has been said */
    char mark[SPOOL_MARK_MAX];
    size_t mark_n;
    size_t n; /* in buf; room for a mark is left behind what may be collected */
    char buf[SPOOL_UNSYNCED_MAX + MARK_SIZE_MAX];
};

static enum err_code volume(int error, const char *path, const char *what, struct err *e)
{
    return err_errno(e, ERR_STORAGE, error, "could not %s \"%s\"", what, path);
}

static enum err_code write_at(const struct spool_writer *w, int fd, uint64_t at, struct slice data,
                              struct err *e)
{
    while (data.n > 0) {
        ssize_t n = pwrite(fd, data.p, data.n, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return volume(errno, w->dir, "write to the spool", e);
        data.p += n;
        data.n -= (size_t)n;
        at += (uint64_t)n;
    }
    return ERR_OK;
}

/* --- the limit --- */

static uint64_t size_of(const char *dir, uint64_t first)
{
    char path[PATH_SIZE];
    struct stat st;

    spool_segment_path(dir, first, path, sizeof path);
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Oldest first, never the newest.  What cannot be removed now is tried again with the next segment.
 */
static void stay_within(const struct spool_writer *w)
{
    struct spool_state s = {.fd = -1};
    AUTO_FD int state_fd = -1;
    char path[PATH_SIZE];
    uint64_t total = 0, lost = 0, *seg = calloc(SPOOL_SEGMENTS_MAX, sizeof *seg);
    struct err e = {0};
    size_t n = 0, i = 0;

    if (seg == NULL || spool_segments(w->dir, seg, &n, &e) != ERR_OK) {
        free(seg);
        return;
    }
    for (size_t k = 0; k < n; k++)
        total += size_of(w->dir, seg[k]);
    if (spool_state_open(w->dir, true, &s, &e) == ERR_OK)
        state_fd = s.fd;
    for (; i + 1 < n && total + w->limits.segment_bytes > w->limits.bytes; i++) {
        total -= size_of(w->dir, seg[i]);
        spool_segment_path(w->dir, seg[i], path, sizeof path);
        if (unlink(path) != 0 && errno != ENOENT)
            break;
        if (seg[i + 1] - 1 > s.acked)
            lost += seg[i + 1] - (seg[i] > s.acked ? seg[i] : s.acked + 1);
    }
    if (lost > 0)
        log_event(LOG_LEVEL_ERROR, "spool.dropped", KV_STR("dir", w->dir), KV_INT("records", lost),
                  KV_INT("up_to", seg[i] - 1), KV_INT("limit_bytes", w->limits.bytes));
    free(seg);
}

/* --- segments --- */

/* A segment begins with the last mark, so the newest always has one, and has its name when that is
 * on the disk. */
static enum err_code begin_segment(struct spool_writer *w, struct err *e)
{
    char item[MARK_SIZE_MAX], new[PATH_SIZE], path[PATH_SIZE];
    struct slice mark = {w->mark, w->mark_n};
    size_t size = spool_item_size(SPOOL_MARK, mark.n);
    AUTO_FD int fd = -1;
    uint64_t first = w->kept + 1;
    enum err_code rc;

    (void)snprintf(new, sizeof new, "%s/segment.inari-tmp", w->dir);
    spool_segment_path(w->dir, first, path, sizeof path);
    (void)unlink(new);
    fd = open(new, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (fd < 0)
        return volume(errno, new, "create", e);
    spool_item_put(item, SPOOL_MARK, w->kept, clock_wall_ms(), mark);
    rc = write_at(w, fd, 0, (struct slice){item, size}, e);
    if (rc == ERR_OK && (fsync(fd) != 0 || rename(new, path) != 0))
        rc = volume(errno, path, "create", e);
    if (rc == ERR_OK)
        rc = file_fsync_dir(w->dir, e);
    if (rc != ERR_OK) {
        (void)unlink(new);
        return rc;
    }
    if (w->fd >= 0)
        (void)close(w->fd);
    w->fd = TAKE_FD(fd);
    w->first = first;
    w->end = size;
    w->new_one = false;
    stay_within(w);
    return ERR_OK;
}

/* Take up the newest segment that has a mark; cut off what is behind it. */
static enum err_code resume_segment(struct spool_writer *w, uint64_t first, struct err *e)
{
    AUTO_STR char *buf = NULL;
    char path[PATH_SIZE];
    struct spool_item mark = {0};
    AUTO_FD int fd = -1;
    enum err_code rc;
    size_t n = 0, end;

    spool_segment_path(w->dir, first, path, sizeof path);
    fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return volume(errno, path, "open", e);
    rc = spool_segment_read(fd, 0, 2 * SPOOL_SEGMENT, &buf, &n, e);
    if (rc != ERR_OK)
        return rc;
    end = spool_last_mark((struct slice){buf, n}, &mark);
    if (end == 0)
        return ERR_NOT_FOUND;
    if (end < n && (ftruncate(fd, (off_t)end) != 0 || fdatasync(fd) != 0))
        return volume(errno, path, "cut", e);
    w->fd = TAKE_FD(fd);
    w->first = first;
    w->end = end;
    w->kept = mark.seq;
    w->mark_n = mark.payload.n;
    if (mark.payload.n > 0)
        memcpy(w->mark, mark.payload.p, mark.payload.n);
    return ERR_OK;
}

/* Newest first; one without any good mark is damaged from end to end, and goes. */
static enum err_code resume(struct spool_writer *w, const uint64_t *seg, size_t n, struct err *e)
{
    uint64_t beyond = 0;
    char path[PATH_SIZE];
    enum err_code rc = ERR_NOT_FOUND;

    while (rc == ERR_NOT_FOUND && n > 0) {
        rc = resume_segment(w, seg[--n], e);
        if (rc != ERR_NOT_FOUND)
            break;
        beyond = beyond > seg[n] ? beyond : seg[n];
        spool_segment_path(w->dir, seg[n], path, sizeof path);
        log_event(LOG_LEVEL_ERROR, "spool.damaged", KV_STR("file", path));
        if (unlink(path) != 0)
            return volume(errno, path, "remove", e);
    }
    if (rc == ERR_NOT_FOUND)
        rc = ERR_OK;
    if (rc == ERR_OK && beyond > w->kept) {
        w->kept = beyond;
        w->new_one = true;
    }
    return rc;
}

static enum err_code load(struct spool_writer *w, struct err *e)
{
    uint64_t *seg = calloc(SPOOL_SEGMENTS_MAX, sizeof *seg);
    struct spool_state s = {.fd = -1};
    enum err_code rc;
    size_t n = 0;

    if (seg == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = spool_segments(w->dir, seg, &n, e);
    if (rc == ERR_OK)
        rc = resume(w, seg, n, e);
    free(seg);
    if (rc != ERR_OK)
        return rc;
    /* Never a number that the reader has: not after somebody removed the segments either. */
    rc = spool_state_open(w->dir, true, &s, e);
    if (rc == ERR_OK)
        (void)close(s.fd);
    if (rc == ERR_OK && s.acked > w->kept) {
        w->kept = s.acked;
        w->new_one = true;
    }
    w->next = w->kept + 1;
    return rc == ERR_NOT_FOUND || rc == ERR_MALFORMED ? ERR_OK : rc;
}

enum err_code spool_writer_open(const char *dir, const struct spool_limits *limits,
                                struct spool_writer **ret, struct err *e)
{
    AUTO(spool_writer_close) struct spool_writer *w = NULL;
    char path[PATH_SIZE];
    struct stat st;
    enum err_code rc;

    if (strlen(dir) > PATH_SIZE - 100)
        return err_set(e, ERR_INVALID, "cannot use a spool with a path so long");
    if ((w = calloc(1, sizeof *w)) == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    w->lock = w->fd = -1;
    w->limits = limits == NULL ? (struct spool_limits){0} : *limits;
    w->limits.bytes = w->limits.bytes == 0 ? SPOOL_BYTES : w->limits.bytes;
    if (w->limits.segment_bytes == 0 || w->limits.segment_bytes > SPOOL_SEGMENT)
        w->limits.segment_bytes = SPOOL_SEGMENT;
    w->limits.keep_free = w->limits.keep_free == 0 ? SPOOL_KEEP_FREE : w->limits.keep_free;
    if ((w->dir = strdup(dir)) == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (stat(dir, &st) != 0 && (rc = file_mkdirs(dir, 0700, e)) != ERR_OK)
        return rc;
    (void)snprintf(path, sizeof path, "%s/writer.lock", dir);
    w->lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (w->lock < 0)
        return volume(errno, path, "open", e);
    if (!file_lock(w->lock))
        return err_set(e, ERR_CONFLICT, "another process writes the spool \"%s\"", dir);
    rc = load(w, e);
    if (rc != ERR_OK)
        return rc;
    *ret = TAKE(w);
    return ERR_OK;
}

void spool_writer_close(struct spool_writer *w)
{
    if (w == NULL)
        return;
    if (w->fd >= 0)
        (void)close(w->fd);
    if (w->lock >= 0)
        (void)close(w->lock);
    free(w->dir);
    free(w);
}

/* --- records --- */

enum err_code spool_append(struct spool_writer *w, struct slice payload, struct err *e)
{
    size_t size = spool_item_size(SPOOL_RECORD, payload.n);

    if (payload.n == 0)
        return err_set(e, ERR_INVALID, "a record of the spool has at least one byte");
    if (payload.n > SPOOL_PAYLOAD_MAX)
        return err_set(e, ERR_TOO_LARGE, "a record of the spool has at most %d bytes",
                       SPOOL_PAYLOAD_MAX);
    if (w->n + size > SPOOL_UNSYNCED_MAX)
        return err_set(e, ERR_OVERLOADED, "the spool \"%s\" has not been synced", w->dir);
    spool_item_put(w->buf + w->n, SPOOL_RECORD, w->next, 0, payload);
    w->n += size;
    w->next++;
    return ERR_OK;
}

void spool_skip(struct spool_writer *w, uint64_t n)
{
    w->next += n;
}

/* What the volume must have left for others, mail above all. */
static enum err_code room(struct spool_writer *w, struct err *e)
{
    struct statvfs v;

    if (w->limits.keep_free <= 1 || statvfs(w->dir, &v) != 0)
        return ERR_OK;
    if ((uint64_t)v.f_bavail * v.f_frsize >= w->limits.keep_free + w->n)
        return ERR_OK;
    return err_errno(e, ERR_STORAGE, ENOSPC, "the volume of \"%s\" must keep %lld MiB free", w->dir,
                     (long long)(w->limits.keep_free >> 20));
}

static enum err_code make_durable(struct spool_writer *w, struct err *e)
{
    if (fdatasync(w->fd) != 0)
        return volume(errno, w->dir, "fsync the spool", e);
    w->end += w->pending;
    w->n -= w->pending;
    memmove(w->buf, w->buf + w->pending, w->n);
    w->pending = 0;
    return ERR_OK;
}

/* After an fdatasync that failed the kernel may count the pages as clean although the disk never
 * had them: another one would succeed and mean nothing.  So the very bytes are written once more,
 * where they were; a reader may have seen them. */
static enum err_code write_again(struct spool_writer *w, struct err *e)
{
    enum err_code rc = write_at(w, w->fd, w->end, (struct slice){w->buf, w->pending}, e);

    return rc == ERR_OK ? make_durable(w, e) : rc;
}

/* A segment without records is only begun anew when marks alone have filled it. */
static bool is_full(const struct spool_writer *w, uint64_t more)
{
    return w->end + more > w->limits.segment_bytes &&
           (w->kept >= w->first || w->end > w->limits.segment_bytes / 2);
}

/* Is there nothing to be kept that is not? */
static bool is_kept(const struct spool_writer *w, struct slice mark)
{
    return mark.p == w->mark && w->kept + 1 == w->next && w->fd >= 0 && w->pending == 0;
}

static enum err_code write_all(struct spool_writer *w, struct slice mark, struct err *e)
{
    size_t size = spool_item_size(SPOOL_MARK, mark.n);
    enum err_code rc = w->pending > 0 ? write_again(w, e) : ERR_OK;

    if (rc == ERR_OK && is_kept(w, mark))
        return ERR_OK;
    if (rc == ERR_OK)
        rc = room(w, e);
    if (rc == ERR_OK && (w->fd < 0 || w->new_one || is_full(w, w->n + size)))
        rc = begin_segment(w, e);
    if (rc != ERR_OK)
        return rc;
    spool_item_put(w->buf + w->n, SPOOL_MARK, w->next - 1, clock_wall_ms(), mark);
    rc = write_at(w, w->fd, w->end, (struct slice){w->buf, w->n + size}, e);
    if (rc != ERR_OK)
        return rc;
    w->n += size;
    w->pending = w->n;
    w->kept = w->next - 1;
    if (mark.p != w->mark) {
        w->mark_n = mark.n;
        if (mark.n > 0)
            memcpy(w->mark, mark.p, mark.n);
    }
    return make_durable(w, e);
}

enum err_code spool_sync(struct spool_writer *w, struct slice mark, struct err *e)
{
    bool same = mark.p == NULL || slice_eq(mark, (struct slice){w->mark, w->mark_n});
    enum err_code rc;

    if (!same && mark.n > SPOOL_MARK_MAX)
        return err_set(e, ERR_TOO_LARGE, "a mark of the spool has at most %d bytes",
                       SPOOL_MARK_MAX);
    if (same)
        mark = (struct slice){w->mark, w->mark_n};
    if (is_kept(w, mark))
        return ERR_OK;
    rc = write_all(w, mark, e);
    if ((rc != ERR_OK) != w->bad_once) {
        w->bad_once = rc != ERR_OK;
        log_event(rc != ERR_OK ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO,
                  rc != ERR_OK ? "spool.blocked" : "spool.unblocked", KV_STR("dir", w->dir),
                  KV_STR("why", rc != ERR_OK ? e->msg : ""));
    }
    return rc;
}

struct slice spool_mark(const struct spool_writer *w)
{
    return (struct slice){w->mark, w->mark_n};
}

uint64_t spool_last(const struct spool_writer *w)
{
    return w->next - 1;
}

size_t spool_unsynced(const struct spool_writer *w)
{
    return w->n;
}
