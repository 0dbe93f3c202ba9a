#include "power.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The calls themselves, past the wrapping. */
int __real_open(const char *path, int flags, ...);
ssize_t __real_pread(int fd, void *p, size_t n, off_t at);
ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t at);
int __real_rename(const char *from, const char *to);
int __real_link(const char *from, const char *to);
int __real_unlink(const char *path);
int __real_ftruncate(int fd, off_t n);
void *__real_malloc(size_t n);

enum { DIRTY_MAX = 256, NAMES_MAX = 1024, LONG = 300 };

struct dirty { /* contents as they were at the last fsync */
    dev_t dev;
    ino_t ino;
    int fd;
    char *old;
    size_t n;
};
struct name { /* a change of a name, newest last */
    enum { CREATED, RENAMED, REMOVED } what;
    dev_t dev;
    ino_t dir;
    char from[LONG], to[LONG], kept[LONG]; /* kept "": there was nothing of that name */
};

static char keep_dir[LONG];
static struct dirty dirty[DIRTY_MAX];
static struct name names[NAMES_MAX];
static size_t n_dirty, n_names, n_kept;

static void fail(const char *why)
{
    (void)fprintf(stderr, "power.c: %s\n", why);
    _exit(70);
}

void power_begin(const char *keep)
{
    (void)snprintf(keep_dir, sizeof keep_dir, "%s", keep);
    n_dirty = n_names = n_kept = 0;
}

void power_before_write(int fd)
{
    struct dirty *d = &dirty[n_dirty];
    char path[64];
    struct stat st;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    for (size_t i = 0; i < n_dirty; i++)
        if (dirty[i].dev == st.st_dev && dirty[i].ino == st.st_ino)
            return;
    if (n_dirty == DIRTY_MAX)
        fail("too many files without fsync");
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    *d = (struct dirty){st.st_dev, st.st_ino, __real_open(path, O_RDWR | O_CLOEXEC), NULL,
                        (size_t)st.st_size};
    d->old = __real_malloc(d->n + 1);
    if (d->fd < 0 || d->old == NULL || __real_pread(d->fd, d->old, d->n, 0) != (ssize_t)d->n)
        fail("could not read what the file was");
    n_dirty++;
}

static struct name *note(int what, const char *from, const char *to)
{
    struct name *c = &names[n_names++];
    char copy[LONG];
    struct stat st;

    if (n_names == NAMES_MAX)
        fail("too many names without fsync");
    (void)snprintf(copy, sizeof copy, "%s", to);
    if (stat(dirname(copy), &st) != 0)
        fail("no such folder");
    *c = (struct name){.what = what, .dev = st.st_dev, .dir = st.st_ino};
    (void)snprintf(c->from, sizeof c->from, "%s", from);
    (void)snprintf(c->to, sizeof c->to, "%s", to);
    return c;
}

static void save(struct name *c, const char *path)
{
    char kept[LONG * 2];

    (void)snprintf(kept, sizeof kept, "%s/%zu", keep_dir, n_kept++);
    if (__real_link(path, kept) == 0)
        (void)snprintf(c->kept, sizeof c->kept, "%s", kept);
}

void power_before_create(const char *path)
{
    if (access(path, F_OK) != 0)
        (void)note(CREATED, "", path);
}

void power_before_rename(const char *from, const char *to)
{
    save(note(RENAMED, from, to), to);
}

void power_before_unlink(const char *path)
{
    if (access(path, F_OK) == 0)
        save(note(REMOVED, "", path), path);
}

void power_after_fsync(int fd)
{
    struct stat st;
    size_t left = 0;

    if (fstat(fd, &st) != 0)
        return;
    for (size_t i = 0; i < n_dirty; i++)
        if (dirty[i].dev != st.st_dev || dirty[i].ino != st.st_ino)
            dirty[left++] = dirty[i];
        else
            (void)close(dirty[i].fd);
    n_dirty = left;
    left = 0;
    for (size_t i = 0; i < n_names; i++)
        if (names[i].dev != st.st_dev || names[i].dir != st.st_ino)
            names[left++] = names[i];
    n_names = left;
}

static void undo(const struct name *c)
{
    if (c->what == CREATED)
        (void)__real_unlink(c->to);
    if (c->what == RENAMED)
        (void)__real_rename(c->to, c->from);
    if (c->what != CREATED && c->kept[0] != '\0')
        (void)__real_rename(c->kept, c->to);
}

void power_cut(int variant)
{
    if (variant != POWER_NAMES) {
        for (size_t i = 0; i < n_dirty; i++)
            if (__real_ftruncate(dirty[i].fd, 0) != 0 ||
                __real_pwrite(dirty[i].fd, dirty[i].old, dirty[i].n, 0) != (ssize_t)dirty[i].n)
                fail("could not put back what the file was");
    }
    if (variant != POWER_DATA) {
        while (n_names > 0)
            undo(&names[--n_names]);
    }
}
