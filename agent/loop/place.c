#include "loop/place.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

static const struct passwd *agent_user(const struct agent_settings *s)
{
    const struct passwd *pw = geteuid() == 0 ? getpwnam(s->agent_user) : NULL;

    return pw != NULL && pw->pw_uid != 0 ? pw : NULL;
}

/* Beside the state, which is nobody else's: the daemon in front of the mail reads them.  Where the
 * agent does not begin as root the folder is made by the installation, or by the helper when it
 * starts; without it the lists are not kept, which is said when some come. */
static enum err_code make_lists(const struct agent_settings *s, const struct passwd *pw,
                                struct err *e)
{
    char dir[512];
    enum err_code rc;

    (void)snprintf(dir, sizeof dir, "%s-lists", s->agent_state);
    rc = file_mkdirs(dir, 0755, e);
    if (rc == ERR_OK && pw != NULL && chown(dir, pw->pw_uid, pw->pw_gid) != 0)
        rc = err_errno(e, ERR_STORAGE, errno, "could not give \"%s\" to %s", dir, s->agent_user);
    return geteuid() == 0 ? rc : ERR_OK;
}

enum err_code place_make(const struct agent_settings *s, struct err *e)
{
    const struct passwd *pw = agent_user(s);
    enum err_code rc = file_mkdirs(s->agent_state, 0700, e);

    if (rc == ERR_OK && pw != NULL && chown(s->agent_state, pw->pw_uid, pw->pw_gid) != 0)
        rc = err_errno(e, ERR_STORAGE, errno, "could not give \"%s\" to %s", s->agent_state,
                       s->agent_user);
    return rc == ERR_OK ? make_lists(s, pw, e) : rc;
}

enum err_code place_drop_root(const struct agent_settings *s, struct err *e)
{
    const struct passwd *pw = agent_user(s);

    if (pw == NULL)
        return ERR_OK;
    if (initgroups(pw->pw_name, pw->pw_gid) != 0 ||
        setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
        setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
        return err_errno(e, ERR_INTERNAL, errno, "could not become user %s", s->agent_user);
    return ERR_OK;
}

enum err_code place_lock(const struct agent_settings *s, int *ret_fd, struct err *e)
{
    char path[512];
    AUTO_FD int fd = -1;

    (void)snprintf(path, sizeof path, "%s/lock", s->agent_state);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(e, ERR_STORAGE, errno, "could not open \"%s\"", path);
    if (!file_lock(fd))
        return err_set(e, ERR_CONFLICT, "another inari-agent holds \"%s\"", path);
    *ret_fd = TAKE_FD(fd);
    return ERR_OK;
}

void place_os(char *buf, size_t size)
{
    AUTO_STR char *text = NULL;
    size_t n = 0;
    struct slice rest;

    buf[0] = '\0';
    if (file_read("/etc/os-release", 64 * KIB, &text, &n, NULL) != ERR_OK)
        return;
    rest = (struct slice){text, n};
    while (rest.p != NULL && buf[0] == '\0') {
        struct slice line = slice_cut(&rest, '\n');
        if (!slice_starts(line, "PRETTY_NAME="))
            continue;
        line = slice_trim((struct slice){line.p + 12, line.n - 12});
        if (line.n >= 2 && line.p[0] == '"') {
            line.p++;
            line.n -= 2;
        }
        if (slice_is_text(line))
            (void)snprintf(buf, size, "%.*s", (int)line.n, line.p);
    }
}
