#include "spool/spool_private.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4200 };

/* What is read of a segment beyond what was asked for, so that the mark is in it as a rule. */
enum { WINDOW_MORE = 128 * 1024, SEGMENT_READ_MAX = 2 * SPOOL_SEGMENT };

struct spool_reader {
    char *dir;
    bool look; /* changes nothing */
    int lock;
    struct spool_state s;
    uint64_t *seg; /* of the last look into the folder */
    size_t n_seg;
    /* Where the record behind number place_seq begins: in segment place_first, of inode place_ino.
     */
    uint64_t place_seq, place_first, place_at;
    ino_t place_ino;
};

struct walk { /* one spool_next() */
    uint64_t after;
    size_t max_n, max_bytes;
    spool_record_fn *fn;
    void *ctx;
    bool over_holes, stopped;
    struct spool_batch b;
};

static enum err_code begin_state(struct spool_reader *r, struct err *e)
{
    enum err_code rc = spool_state_open(r->dir, r->look, &r->s, e);
    bool damaged = rc == ERR_MALFORMED;

    if ((rc != ERR_NOT_FOUND && rc != ERR_MALFORMED) || r->look)
        return rc;
    r->s = (struct spool_state){.fd = -1, .begins = 1};
    uuid7(r->s.birth);
    rc = spool_state_create(r->dir, &r->s, e);
    if (rc == ERR_OK && damaged)
        log_event(LOG_LEVEL_ERROR, "spool.reborn", KV_STR("dir", r->dir),
                  KV_STR("birth", r->s.birth), KV_STR("why", "the file \"reader\" is damaged"));
    return rc;
}

static enum err_code begin(const char *dir, bool look, struct spool_reader **ret, struct err *e)
{
    AUTO(spool_reader_close) struct spool_reader *r = NULL;
    char path[PATH_SIZE];
    enum err_code rc;

    if (strlen(dir) > PATH_SIZE - 100)
        return err_set(e, ERR_INVALID, "cannot use a spool with a path so long");
    if ((r = calloc(1, sizeof *r)) == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    r->lock = r->s.fd = -1;
    r->look = look;
    if ((r->dir = strdup(dir)) == NULL ||
        (r->seg = calloc(SPOOL_SEGMENTS_MAX, sizeof *r->seg)) == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (!look) {
        (void)snprintf(path, sizeof path, "%s/reader.lock", dir);
        r->lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
        if (r->lock < 0)
            return err_errno(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_STORAGE, errno,
                             "could not open \"%s\"", path);
        if (!file_lock(r->lock))
            return err_set(e, ERR_CONFLICT, "another process reads the spool \"%s\"", dir);
    }
    rc = begin_state(r, e);
    if (rc == ERR_OK || (look && rc == ERR_NOT_FOUND)) {
        *ret = TAKE(r);
        return ERR_OK;
    }
    return rc;
}

enum err_code spool_reader_open(const char *dir, struct spool_reader **ret, struct err *e)
{
    return begin(dir, false, ret, e);
}

void spool_reader_close(struct spool_reader *r)
{
    if (r == NULL)
        return;
    if (r->s.fd >= 0)
        (void)close(r->s.fd);
    if (r->lock >= 0)
        (void)close(r->lock);
    free(r->seg);
    free(r->dir);
    free(r);
}

/* --- records --- */

/* Hand out what in has up to its last mark, of which *ret_end is the end; the first at file offset
 * at. */
static void hand_out(struct spool_reader *r, struct walk *w, struct slice in, size_t *ret_at)
{
    struct spool_item it;
    size_t at = 0;

    while (spool_item_find(in, &at, &it)) {
        size_t bytes = it.payload.n + 1;

        if (it.type == SPOOL_RECORD && it.seq > w->after) {
            bool hole = w->b.n > 0 && it.seq != w->b.last + 1;
            if ((hole && !w->over_holes) || w->b.n >= w->max_n ||
                (w->b.n > 0 && w->b.bytes + bytes > w->max_bytes) ||
                !w->fn(w->ctx, it.seq, it.payload)) {
                w->stopped = true;
                break;
            }
            w->b.first = w->b.n == 0 ? it.seq : w->b.first;
            w->b.last = w->after = it.seq;
            w->b.n++;
            w->b.bytes += bytes;
        }
        at += it.size;
    }
    *ret_at = at < in.n ? at : in.n;
    r->place_seq = w->after;
}

/* All of one segment that is wanted of it. newest: somebody may be writing it. */
static enum err_code read_segment(struct spool_reader *r, struct walk *w, uint64_t first,
                                  bool newest, struct err *e)
{
    char path[PATH_SIZE];
    struct spool_item mark;
    struct stat st;
    AUTO_FD int fd = -1;
    uint64_t at = 0;

    spool_segment_path(r->dir, first, path, sizeof path);
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return ERR_OK; /* over the limit a moment ago */
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_errno(e, ERR_STORAGE, errno, "could not open \"%s\"", path);
    if (r->place_first == first && r->place_ino == st.st_ino && r->place_seq == w->after &&
        r->place_at <= (uint64_t)st.st_size)
        at = r->place_at;
    for (size_t max = w->max_bytes + WINDOW_MORE; !w->stopped; max = SEGMENT_READ_MAX) {
        AUTO_STR char *buf = NULL;
        size_t n = 0, end, done = 0;
        enum err_code rc;

        max = max < SEGMENT_READ_MAX ? max : SEGMENT_READ_MAX;
        if (at >= (uint64_t)st.st_size)
            break;
        rc = spool_segment_read(fd, at, max, &buf, &n, e);
        if (rc != ERR_OK)
            return rc;
        end = spool_last_mark((struct slice){buf, n}, &mark);
        if (end == 0 && n == max && max < SEGMENT_READ_MAX)
            continue; /* one long turn without a mark */
        if (end == 0)
            break;
        if (newest && !r->look && fdatasync(fd) != 0)
            return err_errno(e, ERR_STORAGE, errno, "could not fsync \"%s\"", path);
        hand_out(r, w, (struct slice){buf, end}, &done);
        at += done;
        r->place_first = first;
        r->place_ino = st.st_ino;
        r->place_at = at;
        if (n < max)
            break;
    }
    return ERR_OK;
}

/* The segment where the record behind after is, or would be: the last that begins at or before it.
 */
static size_t segment_of(const struct spool_reader *r, uint64_t after)
{
    size_t i = 0;

    while (i + 1 < r->n_seg && r->seg[i + 1] <= after + 1)
        i++;
    return i;
}

static enum err_code walk(struct spool_reader *r, struct walk *w, struct err *e)
{
    enum err_code rc = spool_segments(r->dir, r->seg, &r->n_seg, e);

    for (size_t i = segment_of(r, w->after); rc == ERR_OK && i < r->n_seg && !w->stopped; i++)
        rc = read_segment(r, w, r->seg[i], i + 1 == r->n_seg, e);
    return rc;
}

enum err_code spool_next(struct spool_reader *r, uint64_t after, size_t max_n, size_t max_bytes,
                         spool_record_fn *fn, void *ctx, struct spool_batch *ret, struct err *e)
{
    struct walk w = {.after = after > r->s.acked ? after : r->s.acked,
                     .max_n = max_n,
                     .max_bytes = max_bytes,
                     .fn = fn,
                     .ctx = ctx};
    enum err_code rc = walk(r, &w, e);

    if (rc == ERR_OK)
        *ret = w.b;
    return rc;
}

/* --- acknowledgement --- */

/* Segments of which the next one begins at or before what is not acknowledged yet; never the
 * newest. */
static enum err_code remove_done(struct spool_reader *r, struct err *e)
{
    char path[PATH_SIZE];
    enum err_code rc = spool_segments(r->dir, r->seg, &r->n_seg, e);

    if (rc != ERR_OK || r->n_seg < 2 || r->seg[1] > r->s.acked + 1)
        return rc;
    rc = file_fsync_dir(r->dir, e); /* the newer one's name first */
    for (size_t i = 0; rc == ERR_OK && i + 1 < r->n_seg && r->seg[i + 1] <= r->s.acked + 1; i++) {
        spool_segment_path(r->dir, r->seg[i], path, sizeof path);
        if (unlink(path) != 0 && errno != ENOENT)
            rc = err_errno(e, ERR_STORAGE, errno, "could not remove \"%s\"", path);
    }
    return rc;
}

static enum err_code change(struct spool_reader *r, struct spool_state to, struct err *e)
{
    enum err_code rc = spool_state_write(&to, e);

    if (rc == ERR_OK)
        r->s = to;
    return rc;
}

enum err_code spool_ack(struct spool_reader *r, uint64_t first, uint64_t last, struct err *e)
{
    struct spool_state to = r->s;
    uint64_t hole = first > r->s.acked + 1 ? first - r->s.acked - 1 : 0;
    enum err_code rc;

    if (last <= r->s.acked)
        return ERR_OK;
    to.acked = last;
    to.dropped += hole;
    to.acked_ms = clock_wall_ms();
    rc = change(r, to, e);
    if (rc != ERR_OK)
        return rc;
    if (hole > 0)
        log_event(LOG_LEVEL_ERROR, "spool.hole", KV_STR("dir", r->dir), KV_INT("records", hole),
                  KV_INT("up_to", first - 1), KV_INT("dropped", to.dropped));
    return remove_done(r, e);
}

enum err_code spool_reborn(struct spool_reader *r, struct err *e)
{
    struct spool_state to = r->s;
    enum err_code rc;

    uuid7(to.birth);
    to.begins = to.acked + 1;
    to.dropped = 0;
    rc = change(r, to, e);
    if (rc == ERR_OK)
        log_event(LOG_LEVEL_WARN, "spool.reborn", KV_STR("dir", r->dir), KV_STR("birth", to.birth),
                  KV_INT("begins", to.begins));
    return rc;
}

const char *spool_birth(const struct spool_reader *r)
{
    return r->s.birth;
}

uint64_t spool_begins(const struct spool_reader *r)
{
    return r->s.begins;
}

uint64_t spool_acked(const struct spool_reader *r)
{
    return r->s.acked;
}

uint64_t spool_dropped(const struct spool_reader *r)
{
    return r->s.dropped;
}

/* --- looking --- */

/* The last mark of a segment, or (beyond > 0) the first that covers number beyond. */
static enum err_code find_mark(const char *dir, uint64_t first, uint64_t beyond, char **ret_buf,
                               struct spool_item *ret, uint64_t *ret_size, struct err *e)
{
    char path[PATH_SIZE];
    struct spool_item it;
    size_t n = 0, at = 0;
    AUTO_FD int fd = -1;
    enum err_code rc;

    *ret = (struct spool_item){0};
    spool_segment_path(dir, first, path, sizeof path);
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? ERR_OK
                               : err_errno(e, ERR_STORAGE, errno, "could not open \"%s\"", path);
    rc = spool_segment_read(fd, 0, SEGMENT_READ_MAX, ret_buf, &n, e);
    *ret_size = n;
    for (; rc == ERR_OK && spool_item_find((struct slice){*ret_buf, n}, &at, &it); at += it.size) {
        if (it.type != SPOOL_MARK)
            continue;
        *ret = it;
        if (beyond > 0 && it.seq >= beyond)
            break;
    }
    return rc;
}

static enum err_code fill_view(const struct spool_reader *r, struct spool_view *v, struct err *e)
{
    AUTO_STR char *newest = NULL, *oldest = NULL;
    uint64_t from, size = 0;
    struct spool_item mark;
    enum err_code rc;

    for (size_t i = 0; i < r->n_seg; i++) {
        char path[PATH_SIZE];
        struct stat st;
        spool_segment_path(r->dir, r->seg[i], path, sizeof path);
        v->bytes += stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
    }
    rc = find_mark(r->dir, r->seg[r->n_seg - 1], 0, &newest, &mark, &size, e);
    if (rc != ERR_OK)
        return rc;
    v->last = mark.seq;
    v->mark_n = mark.payload.n;
    if (mark.payload.n > 0)
        memcpy(v->mark, mark.payload.p, mark.payload.n);
    from = r->seg[0] > v->acked + 1 ? r->seg[0] : v->acked + 1;
    if (v->last < from)
        return ERR_OK;
    v->dropped += from - v->acked - 1;
    v->waiting = v->last - from + 1;
    rc = find_mark(r->dir, r->seg[segment_of(r, from - 1)], from, &oldest, &mark, &size, e);
    v->oldest_ms = rc == ERR_OK ? mark.at_ms : 0;
    return rc;
}

enum err_code spool_look(const char *dir, struct spool_view *ret, struct err *e)
{
    AUTO(spool_reader_close) struct spool_reader *r = NULL;
    struct spool_view v = {0};
    enum err_code rc = begin(dir, true, &r, e);

    if (rc == ERR_OK)
        rc = spool_segments(dir, r->seg, &r->n_seg, e);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(v.birth, sizeof v.birth, "%s", r->s.birth);
    v.begins = r->s.begins;
    v.acked = r->s.acked;
    v.dropped = r->s.dropped;
    v.acked_ms = r->s.acked_ms;
    rc = r->n_seg == 0 ? ERR_OK : fill_view(r, &v, e);
    if (rc == ERR_OK)
        *ret = v;
    return rc;
}

enum err_code spool_show(const char *dir, size_t max_n, spool_record_fn *fn, void *ctx,
                         struct err *e)
{
    AUTO(spool_reader_close) struct spool_reader *r = NULL;
    struct walk w = {
        .max_n = max_n, .max_bytes = SPOOL_SEGMENT, .fn = fn, .ctx = ctx, .over_holes = true};
    enum err_code rc = begin(dir, true, &r, e);

    if (rc != ERR_OK)
        return rc;
    w.after = r->s.acked;
    return walk(r, &w, e);
}
