/* What the reader keeps, in two slots that are written in turn: a torn write leaves the other, and
 * a full volume cannot stop it. */
#include "spool/spool_private.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { SLOT = 256, PATH_SIZE = 4200 };

/* A slot: 8 digits of CRC-32C, a blank, a line of text, blanks to the end. */
static void put_slot(const struct spool_state *s, char buf[SLOT + 1])
{
    char text[SLOT];
    int n = snprintf(text, sizeof text,
                     "%020" PRIu64 " %s %020" PRIu64 " %020" PRIu64 " %020" PRIu64 " %020" PRId64,
                     s->version, s->birth, s->begins, s->acked, s->dropped, s->acked_ms);

    (void)snprintf(buf, SLOT + 1, "%08" PRIx32 " %-*s\n", spool_crc(0, text, (size_t)n), SLOT - 10,
                   text);
}

static bool read_slot(int fd, int slot, char buf[SLOT])
{
    size_t n = 0;

    while (n < SLOT) {
        ssize_t got = pread(fd, buf + n, SLOT - n, (off_t)slot * SLOT + (off_t)n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        if (got == 0) {
            memset(buf + n, 0, SLOT - n); /* too short: it will not be a good one */
            break;
        }
        n += (size_t)got;
    }
    return true;
}

static bool parse_slot(char buf[SLOT + 1], struct spool_state *s)
{
    char want[SLOT + 1];

    buf[SLOT] = '\0';
    if (sscanf(buf, "%*8s %" SCNu64 " %36s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNd64,
               &s->version, s->birth, &s->begins, &s->acked, &s->dropped, &s->acked_ms) != 6)
        return false;
    put_slot(s, want);
    return memcmp(buf, want, SLOT) == 0 && uuid_is_valid(s->birth);
}

enum err_code spool_state_open(const char *dir, bool look, struct spool_state *ret, struct err *e)
{
    struct spool_state s[2];
    char path[PATH_SIZE], buf[SLOT + 1];
    bool ok[2];
    AUTO_FD int fd = -1;

    (void)snprintf(path, sizeof path, "%s/reader", dir);
    fd = open(path, (look ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_STORAGE, errno,
                         "could not open \"%s\"", path);
    for (int i = 0; i < 2; i++) {
        if (!read_slot(fd, i, buf))
            return err_errno(e, ERR_STORAGE, errno, "could not read \"%s\"", path);
        ok[i] = parse_slot(buf, &s[i]);
    }
    if (!ok[0] && !ok[1])
        return err_set(e, ERR_MALFORMED, "\"%s\" is damaged in both slots", path);
    *ret = ok[1] && (!ok[0] || s[1].version > s[0].version) ? s[1] : s[0];
    ret->fd = TAKE_FD(fd);
    return ERR_OK;
}

enum err_code spool_state_write(struct spool_state *s, struct err *e)
{
    char buf[SLOT + 1];

    s->version++;
    put_slot(s, buf);
    if (pwrite(s->fd, buf, SLOT, (off_t)(s->version % 2) * SLOT) == SLOT && fdatasync(s->fd) == 0)
        return ERR_OK;
    s->version--; /* the same slot again, never the good one */
    return err_errno(e, ERR_STORAGE, errno, "could not write what of the spool is acknowledged");
}

enum err_code spool_state_create(const char *dir, struct spool_state *s, struct err *e)
{
    char path[PATH_SIZE], new[PATH_SIZE + 16];
    enum err_code rc;

    (void)snprintf(path, sizeof path, "%s/reader", dir);
    (void)snprintf(new, sizeof new, "%s.inari-tmp", path);
    (void)unlink(new);
    s->fd = open(new, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (s->fd < 0)
        return err_errno(e, ERR_STORAGE, errno, "could not create \"%s\"", new);
    rc = spool_state_write(s, e);
    if (rc == ERR_OK)
        rc = spool_state_write(s, e);
    if (rc == ERR_OK && (fsync(s->fd) != 0 || rename(new, path) != 0))
        rc = err_errno(e, ERR_STORAGE, errno, "could not create \"%s\"", path);
    if (rc == ERR_OK)
        rc = file_fsync_dir(dir, e);
    if (rc != ERR_OK) {
        (void)unlink(new);
        (void)close(s->fd);
        s->fd = -1;
    }
    return rc;
}
