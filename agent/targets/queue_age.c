#include "targets/queue_age.h"

#include "base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum {
    BASE = 52,
    SECONDS_MIN = 6, /* digits of a long id: seconds, then microseconds, 'z', inode */
    MICROS = 4,
    HEAD = 512,           /* the first two records of a queue file are in it */
    TIME_MIN = 946684800, /* 2000: Postfix has no older mail */
    DEPTH = 2             /* hash_queue_depth */
};
static const int64_t TIME_MAX = INT64_C(1) << 40;

/* --- when --- */

static int digit(char c)
{
    static const char digits[] = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
    const char *p = c == '\0' ? NULL : strchr(digits, c);

    return p == NULL ? -1 : (int)(p - digits);
}

static int64_t plausible(int64_t s)
{
    return s < TIME_MIN || s > TIME_MAX ? 0 : s;
}

int64_t queue_id_time_s(const char *id)
{
    const char *z = strrchr(id, 'z');
    int64_t s = 0;

    if (z == NULL || z - id < SECONDS_MIN + MICROS)
        return 0;
    for (const char *p = id; p < z - MICROS; p++) {
        int d = digit(*p);
        if (d < 0 || s > TIME_MAX)
            return 0;
        s = s * BASE + d;
    }
    return plausible(s);
}

/* Records: type, length in groups of seven bits, lowest first, data.  The time is the second one:
 * 'T', "seconds" or "seconds microseconds". */
int64_t queue_head_time_s(struct slice head)
{
    size_t at = 0;

    while (at + 2 <= head.n) {
        char type = head.p[at++];
        size_t n = 0;
        int shift = 0;
        unsigned char b;
        do {
            if (at == head.n || shift > 14)
                return 0;
            b = (unsigned char)head.p[at++];
            n |= (size_t)(b & 0x7f) << shift;
            shift += 7;
        } while ((b & 0x80) != 0);
        if (n > head.n - at)
            return 0;
        if (type == 'T') {
            struct slice data = {head.p + at, n}, s = slice_cut(&data, ' ');
            int64_t v;
            return parse_i64(s, 0, TIME_MAX, &v) ? plausible(v) : 0;
        }
        at += n;
    }
    return 0;
}

static int64_t read_time_s(int dir, const char *name, struct queue_look *to)
{
    char buf[HEAD];
    int64_t now = clock_mono_ms();
    ssize_t n;
    int fd;

    if (to->read_until_ms == 0)
        to->read_until_ms = now + QUEUE_AGE_MS;
    if (to->reads >= QUEUE_AGE_READS || now >= to->read_until_ms)
        return 0;
    to->reads++;
    fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return 0; /* delivered meanwhile */
    n = read(fd, buf, sizeof buf);
    (void)close(fd);
    return n <= 0 ? 0 : queue_head_time_s((struct slice){buf, (size_t)n});
}

/* --- the folders --- */

static void take(DIR *d, const char *name, bool age, struct queue_look *to)
{
    int64_t s = age ? queue_id_time_s(name) : 0;

    to->messages++;
    if (age && s == 0)
        s = read_time_s(dirfd(d), name, to);
    if (s != 0 && (to->oldest_s == 0 || s < to->oldest_s))
        to->oldest_s = s;
}

static void walk(const char *dir, int depth, bool age, int64_t max, struct queue_look *to)
{
    DIR *d = opendir(dir);
    const struct dirent *f;

    while (d != NULL && to->messages < max && (f = readdir(d)) != NULL) {
        char sub[4096];
        if (f->d_name[0] == '.')
            continue;
        if (f->d_type != DT_DIR) {
            take(d, f->d_name, age, to);
        } else if (depth > 0) {
            (void)snprintf(sub, sizeof sub, "%s/%s", dir, f->d_name);
            walk(sub, depth - 1, age, max, to);
        }
    }
    if (d != NULL)
        (void)closedir(d);
}

static void look(const char *queue_dir, const char *queue, bool age, struct queue_look *to)
{
    char dir[4096];

    (void)snprintf(dir, sizeof dir, "%s/%s", queue_dir, queue);
    walk(dir, DEPTH, age, to->messages + QUEUE_COUNT_MAX, to);
}

void queue_look(const char *queue_dir, const char *queue, struct queue_look *to)
{
    look(queue_dir, queue, true, to);
}

int64_t queue_count(const char *queue_dir, const char *queue)
{
    struct queue_look l = {0};

    look(queue_dir, queue, false, &l);
    return l.messages;
}
