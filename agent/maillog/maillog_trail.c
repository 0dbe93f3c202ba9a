#include "maillog/maillog_trail.h"

#include "base/macros.h"
#include "maillog/maillog_head.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 128, PRINT_ENOUGH = 32 /* for a file that has another inode */ };

/* --- positions --- */

void maillog_pos_text(const struct maillog_pos *p, char buf[MAILLOG_POS_TEXT])
{
    (void)snprintf(buf, MAILLOG_POS_TEXT, "1 %llu %llu %lld %u %llu %lld",
                   (unsigned long long)p->dev, (unsigned long long)p->ino, (long long)p->at,
                   p->n_print, (unsigned long long)p->print, (long long)p->time_ns);
}

bool maillog_pos_parse(struct slice text, struct maillog_pos *ret)
{
    struct maillog_pos p = {0};
    uint64_t n;

    if (!slice_is(slice_cut(&text, ' '), "1") ||
        !parse_u64(slice_cut(&text, ' '), 0, UINT64_MAX, &p.dev) ||
        !parse_u64(slice_cut(&text, ' '), 0, UINT64_MAX, &p.ino) ||
        !parse_i64(slice_cut(&text, ' '), 0, INT64_MAX, &p.at) ||
        !parse_u64(slice_cut(&text, ' '), 0, MAILLOG_PRINT, &n) ||
        !parse_u64(slice_cut(&text, ' '), 0, UINT64_MAX, &p.print) ||
        !parse_i64(text, INT64_MIN, INT64_MAX, &p.time_ns))
        return false;
    p.n_print = (uint32_t)n;
    *ret = p;
    return true;
}

bool maillog_pos_same(const struct maillog_pos *a, const struct maillog_pos *b)
{
    if (a->n_print == b->n_print && a->n_print >= PRINT_ENOUGH)
        return a->print == b->print; /* also in a copy */
    return a->dev == b->dev && a->ino == b->ino;
}

static bool print_of(int fd, uint32_t n, uint64_t *ret)
{
    unsigned char b[MAILLOG_PRINT];
    uint64_t h = 14695981039346656037U;

    if (n > 0 && pread(fd, b, n, 0) != (ssize_t)n)
        return false;
    for (uint32_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 1099511628211U;
    *ret = h;
    return true;
}

static int64_t time_of(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static int open_log(const char *path, struct stat *st)
{
    /* Not blocking: what stands there may be a pipe. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd >= 0 && (fstat(fd, st) != 0 || !S_ISREG(st->st_mode))) {
        (void)close(fd);
        errno = ENXIO;
        return -1;
    }
    return fd;
}

/* --- the files --- */

struct log_file {
    char path[PATH_MAX];
    int64_t time_ns;
    bool packed, today;
};

static bool packed(const char *name)
{
    static const char *const ends[] = {".gz", ".xz", ".bz2", ".zst", ".lz4", ".Z"};

    for (size_t i = 0; i < COUNT_OF(ends); i++)
        if (ml_ends(slice_of(name), ends[i]))
            return true;
    return false;
}

static int by_time(const void *a, const void *b)
{
    const struct log_file *x = a, *y = b;

    if (x->today != y->today)
        return x->today ? 1 : -1;
    return (x->time_ns > y->time_ns) - (x->time_ns < y->time_ns);
}

static bool add_file(struct log_file *f, const char *dir, size_t dir_n, const char *name,
                     bool today)
{
    struct stat st;

    if (snprintf(f->path, sizeof f->path, "%.*s%s", (int)dir_n, dir, name) >= (int)sizeof f->path ||
        stat(f->path, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    f->time_ns = time_of(&st);
    f->packed = packed(name);
    f->today = today;
    return true;
}

/* The log and its rotated ones, oldest first, today's last; heap, NULL without memory. */
static struct log_file *files_of(const char *path, size_t *ret_n)
{
    struct log_file *all = calloc(FILES_MAX, sizeof *all);
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    size_t dir_n = (size_t)(name - path), name_n = strlen(name);
    char dir[PATH_MAX];
    const struct dirent *de;
    DIR *d;

    *ret_n = 0;
    if (all == NULL)
        return NULL;
    (void)snprintf(dir, sizeof dir, "%.*s", (int)dir_n, path);
    d = opendir(dir_n == 0 ? "." : dir);
    while (d != NULL && (de = readdir(d)) != NULL && *ret_n < FILES_MAX - 1)
        if (strncmp(de->d_name, name, name_n) == 0 &&
            (de->d_name[name_n] == '.' || de->d_name[name_n] == '-'))
            *ret_n += add_file(&all[*ret_n], path, dir_n, de->d_name, false);
    if (d != NULL)
        (void)closedir(d);
    *ret_n += add_file(&all[*ret_n], path, dir_n, name, true);
    qsort(all, *ret_n, sizeof *all, by_time);
    return all;
}

/* How well that file is the one of pos: 0 not, 1 a copy that ends before it, 2 a copy, 3 itself. */
static int match(const char *path, const struct maillog_pos *pos)
{
    struct stat st;
    uint64_t print = 0;
    int fd = open_log(path, &st), how = 0;
    bool itself;

    if (fd < 0)
        return 0;
    itself = st.st_dev == pos->dev && st.st_ino == pos->ino;
    if (st.st_size >= (off_t)pos->n_print && print_of(fd, pos->n_print, &print) &&
        (pos->n_print == 0 || print == pos->print) && (itself || pos->n_print >= PRINT_ENOUGH))
        how = st.st_size < pos->at ? (itself ? 0 : 1) : itself ? 3 : 2;
    (void)close(fd);
    return how;
}

/* Index of the file that pos is of; n: none of them. */
static size_t find(const struct log_file *all, size_t n, const struct maillog_pos *pos,
                   int *ret_how)
{
    size_t best = n;

    *ret_how = 0;
    for (size_t i = 0; i < n; i++) {
        int how = all[i].packed ? 0 : match(all[i].path, pos);
        if (how > *ret_how) {
            *ret_how = how;
            best = i;
        }
    }
    return best;
}

/* --- opening --- */

void maillog_trail_init(struct maillog_trail *t, const char *path)
{
    t->path = path;
    t->fd = -1;
    t->pos = (struct maillog_pos){0};
    t->begun = t->cut = false;
    t->have = 0;
    t->gaps = 0;
}

void maillog_trail_close(struct maillog_trail *t)
{
    if (t->fd >= 0)
        (void)close(t->fd);
    t->fd = -1;
    t->have = 0;
}

void maillog_trail_from(struct maillog_trail *t, const struct maillog_pos *pos)
{
    maillog_trail_close(t);
    t->pos = *pos;
    t->begun = true;
    t->cut = false;
}

static enum err_code open_at(struct maillog_trail *t, const char *path, int64_t at, struct err *e)
{
    struct stat st;
    int fd = open_log(path, &st);

    if (fd < 0)
        return err_errno(e,
                         errno == ENOENT || errno == ENXIO ? ERR_NOT_FOUND
                         : errno == EACCES                 ? ERR_FORBIDDEN
                                                           : ERR_STORAGE,
                         errno, "could not open \"%s\"", path);
    maillog_trail_close(t);
    t->fd = fd;
    if (at == 0 || st.st_dev != t->pos.dev || st.st_ino != t->pos.ino)
        t->pos.n_print = 0;
    t->pos.dev = st.st_dev;
    t->pos.ino = st.st_ino;
    t->pos.at = at;
    t->pos.time_ns = time_of(&st);
    t->begun = true;
    return ERR_OK;
}

/* The fingerprint grows with what was read, up to its full length. */
static void take_print(struct maillog_trail *t)
{
    int64_t seen = t->pos.at + (int64_t)t->have;
    uint32_t n = seen < MAILLOG_PRINT ? (uint32_t)seen : MAILLOG_PRINT;

    if (t->fd >= 0 && n > t->pos.n_print && print_of(t->fd, n, &t->pos.print))
        t->pos.n_print = n;
}

/* Where pos is now; when it is nowhere, the oldest file that was written since. */
static enum err_code resume(struct maillog_trail *t, bool *ret_gap, struct err *e)
{
    struct maillog_pos pos = t->pos;
    size_t n, at;
    int how;
    struct log_file *all;
    enum err_code rc;

    if (!t->begun)
        return open_at(t, t->path, 0, e);
    if (match(t->path, &pos) == 3)
        return open_at(t, t->path, pos.at, e);
    all = files_of(t->path, &n);
    if (all == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    at = find(all, n, &pos, &how);
    if (at == n) {
        for (at = 0;
             at < n && (all[at].packed || all[at].time_ns <= pos.time_ns) && !all[at].today;)
            at++;
        how = 0;
    }
    if (at == n)
        rc = err_set(e, ERR_NOT_FOUND, "could not find \"%s\"", t->path);
    else
        rc = open_at(t, all[at].path, how >= 2 ? pos.at : 0, e);
    if (rc == ERR_OK && how == 1) /* of what is in the copy we have everything */
        t->pos.at = lseek(t->fd, 0, SEEK_END);
    *ret_gap = *ret_gap || (rc == ERR_OK && how == 0);
    free(all);
    return rc;
}

/* The file behind the one that was read to its end.  *ret_go_on: there is one. */
static enum err_code next_file(struct maillog_trail *t, bool *ret_go_on, bool *ret_gap,
                               struct err *e)
{
    struct stat here, there;
    enum err_code rc = ERR_OK;
    size_t n = 0, i = 0;
    struct log_file *all;

    *ret_go_on = false;
    if (stat(t->path, &there) != 0 || there.st_size == 0 || fstat(t->fd, &here) != 0 ||
        (there.st_dev == here.st_dev && there.st_ino == here.st_ino))
        return ERR_OK; /* it is today's, or today's has nothing yet and who writes may be at the old
                        */
    if (here.st_size > t->pos.at + (int64_t)t->have)
        return ERR_OK; /* something came just now: with the next step */
    all = files_of(t->path, &n);
    if (all == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    while (i < n && !all[i].today && (all[i].time_ns <= time_of(&here) || all[i].packed)) {
        *ret_gap = *ret_gap || (all[i].packed && all[i].time_ns > time_of(&here));
        i++;
    }
    if (i < n) {
        rc = open_at(t, all[i].path, 0, e);
        t->cut = false;
        *ret_go_on = rc == ERR_OK;
    }
    free(all);
    return rc;
}

/* --- reading --- */

/* Was it truncated, maybe written anew since? */
static bool is_another(const struct maillog_trail *t)
{
    struct stat st;
    uint64_t print;

    if (fstat(t->fd, &st) != 0 || st.st_size < t->pos.at + (int64_t)t->have)
        return true;
    return time_of(&st) != t->pos.time_ns && t->pos.n_print > 0 &&
           (!print_of(t->fd, t->pos.n_print, &print) || print != t->pos.print);
}

/* The whole lines in buf; false: the reader wants no more. */
static bool give(struct maillog_trail *t, maillog_trail_fn *fn, void *ctx)
{
    struct slice rest = {t->buf, t->have};
    bool go_on = true;

    while (go_on && rest.n > 0) {
        const char *end = memchr(rest.p, '\n', rest.n);
        struct slice line = {rest.p, end == NULL ? rest.n : (size_t)(end - rest.p)};
        bool was_cut = t->cut;
        if (end == NULL && !t->cut && line.n <= MAILLOG_TRAIL_LINE)
            break;
        t->cut = end == NULL;
        rest = ml_from(rest, line.n + (end != NULL));
        t->pos.at += (int64_t)(line.n + (end != NULL));
        if (!was_cut)
            go_on = fn(ctx, ml_first(line, MAILLOG_TRAIL_LINE));
    }
    t->have = rest.n;
    if (rest.n > 0)
        memmove(t->buf, rest.p, rest.n);
    return go_on;
}

enum err_code maillog_trail_step(struct maillog_trail *t, size_t max, maillog_trail_fn *fn,
                                 void *ctx, bool *ret_more, bool *ret_gap, struct err *e)
{
    enum err_code rc = ERR_OK;
    size_t done = 0;
    bool go_on = true;

    *ret_more = *ret_gap = false;
    if (t->fd >= 0 && is_another(t))
        maillog_trail_close(t);
    if (t->fd < 0)
        rc = resume(t, ret_gap, e);
    while (rc == ERR_OK && go_on && !*ret_gap && done < max) {
        ssize_t n =
            pread(t->fd, t->buf + t->have, sizeof t->buf - t->have, t->pos.at + (int64_t)t->have);
        if (n < 0 && errno != EINTR)
            rc = err_errno(e, ERR_STORAGE, errno, "could not read \"%s\"", t->path);
        if (n == 0)
            rc = next_file(t, &go_on, ret_gap, e);
        if (n > 0) {
            struct stat st;
            t->have += (size_t)n;
            done += (size_t)n;
            if (fstat(t->fd, &st) == 0)
                t->pos.time_ns = time_of(&st);
            take_print(t);
            go_on = give(t, fn, ctx);
        }
    }
    if (*ret_gap)
        t->gaps++;
    if (rc == ERR_STORAGE)
        maillog_trail_close(t);
    *ret_more = rc == ERR_OK && (done >= max || *ret_gap);
    return rc;
}

/* --- places --- */

bool maillog_trail_has(const struct maillog_trail *t, const struct maillog_pos *pos)
{
    size_t n = 0;
    int how = 0;
    struct log_file *all = files_of(t->path, &n);

    if (all != NULL)
        (void)find(all, n, pos, &how);
    free(all);
    return how >= 2;
}

/* The begin of the line that byte at is in. */
static int64_t line_begin(int fd, int64_t at)
{
    char b[MAILLOG_TRAIL_LINE];

    while (at > 0) {
        int64_t from = at > (int64_t)sizeof b ? at - (int64_t)sizeof b : 0;
        ssize_t n = pread(fd, b, (size_t)(at - from), from);
        const char *end = n <= 0 ? NULL : memrchr(b, '\n', (size_t)n);
        if (end != NULL)
            return from + (end - b) + 1;
        at = n <= 0 ? 0 : from;
    }
    return 0;
}

bool maillog_trail_end(const struct maillog_trail *t, int64_t back, struct maillog_pos *ret_end,
                       struct maillog_pos *ret_back)
{
    struct stat st;
    int fd = open_log(t->path, &st);
    struct maillog_pos p = {0};

    if (fd < 0)
        return false;
    p.dev = st.st_dev;
    p.ino = st.st_ino;
    p.at = line_begin(fd, st.st_size);
    p.time_ns = time_of(&st);
    p.n_print = st.st_size < MAILLOG_PRINT ? (uint32_t)st.st_size : MAILLOG_PRINT;
    if (!print_of(fd, p.n_print, &p.print))
        p.n_print = 0;
    *ret_end = *ret_back = p;
    ret_back->at = p.at > back ? line_begin(fd, p.at - back) : 0;
    (void)close(fd);
    return true;
}
