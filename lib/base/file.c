#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum err_code file_read(const char *path, size_t max, char **ret, size_t *ret_n, struct err *e)
{
    AUTO_STR char *buf = NULL;
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    size_t n = 0, size;

    if (fd < 0)
        return err_errno(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_STORAGE, errno,
                         "could not open \"%s\"", path);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return err_set(e, ERR_STORAGE, "cannot read \"%s\": not a regular file", path);
    if ((uintmax_t)st.st_size > max)
        return err_set(e, ERR_TOO_LARGE, "cannot read \"%s\": over %zu bytes", path, max);
    size = (size_t)st.st_size + 1;
    buf = malloc(size + 1);
    if (buf == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (;;) {
        ssize_t got = read(fd, buf + n, size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(e, ERR_STORAGE, errno, "could not read \"%s\"", path);
        if (got == 0)
            break;
        n += (size_t)got;
        if (n == size) { /* it grew while we read */
            char *more;
            if (n > max)
                return err_set(e, ERR_TOO_LARGE, "cannot read \"%s\": over %zu bytes", path, max);
            size *= 2;
            more = realloc(buf, size + 1);
            if (more == NULL)
                return err_set(e, ERR_NO_MEMORY, "out of memory");
            buf = more;
        }
    }
    buf[n] = '\0';
    *ret = TAKE(buf);
    if (ret_n != NULL)
        *ret_n = n;
    return ERR_OK;
}

enum err_code file_fsync_dir(const char *path, struct err *e)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) != 0)
        return err_errno(e, ERR_STORAGE, errno, "could not fsync \"%s\"", path);
    return ERR_OK;
}

static enum err_code write_all(int fd, struct slice data, const char *path, struct err *e)
{
    while (data.n > 0) {
        ssize_t n = write(fd, data.p, data.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, ERR_STORAGE, errno, "could not write \"%s\"", path);
        data.p += n;
        data.n -= (size_t)n;
    }
    return ERR_OK;
}

enum err_code file_write_atomic(const char *path, struct slice data, mode_t mode, struct err *e)
{
    char tmp[4096], dir[4096];
    enum err_code rc;
    int n = snprintf(tmp, sizeof tmp, "%s.inari-tmp", path);

    if (n < 0 || (size_t)n >= sizeof tmp)
        return err_set(e, ERR_STORAGE, "cannot write \"%s\": path too long", path);
    (void)snprintf(dir, sizeof dir, "%s", path);
    (void)unlink(tmp);
    {
        AUTO_FD int fd =
            open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode & 0700);
        if (fd < 0)
            return err_errno(e, ERR_STORAGE, errno, "could not create \"%s\"", tmp);
        if (fchmod(fd, mode) != 0)
            rc = err_errno(e, ERR_STORAGE, errno, "could not set the mode of \"%s\"", tmp);
        else
            rc = write_all(fd, data, tmp, e);
        if (rc == ERR_OK && fsync(fd) != 0)
            rc = err_errno(e, ERR_STORAGE, errno, "could not fsync \"%s\"", tmp);
    }
    if (rc == ERR_OK && rename(tmp, path) != 0)
        rc = err_errno(e, ERR_STORAGE, errno, "could not rename to \"%s\"", path);
    if (rc != ERR_OK) {
        (void)unlink(tmp);
        return rc;
    }
    return file_fsync_dir(dirname(dir), e);
}

enum err_code file_mkdirs(const char *path, mode_t mode, struct err *e)
{
    char buf[4096];
    int n = snprintf(buf, sizeof buf, "%s", path);

    if (n <= 0 || (size_t)n >= sizeof buf)
        return err_set(e, ERR_STORAGE, "cannot create \"%s\"", path);
    for (char *p = buf + 1;; p++) {
        if (*p == '/' || *p == '\0') {
            char c = *p;
            *p = '\0';
            if (mkdir(buf, mode) != 0 && errno != EEXIST)
                return err_errno(e, ERR_STORAGE, errno, "could not create \"%s\"", buf);
            *p = c;
            if (c == '\0')
                return ERR_OK;
        }
    }
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path) != 0 && errno != ENOENT ? -1 : 0;
}

enum err_code file_remove_tree(const char *path, struct err *e)
{
    struct stat st;

    if (lstat(path, &st) != 0)
        return errno == ENOENT ? ERR_OK
                               : err_errno(e, ERR_STORAGE, errno, "could not look at \"%s\"", path);
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        return err_errno(e, ERR_STORAGE, errno, "could not remove \"%s\"", path);
    return ERR_OK;
}

bool file_lock(int fd)
{
    enum { TRIES = 100, TRY_MS = 20 };

    for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
        if (i == TRIES)
            return false;
        (void)poll(NULL, 0, TRY_MS);
    }
    return true;
}
