#include "targets/foxproxy_spawn.h"

#include "base/file.h"
#include "proc/proc_daemon.h"
#include "targets/process.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOG_MAX = 1024 * 1024, PID_FILE_MAX = 64 };

static void state_path(const struct agent_settings *s, const char *name, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%s/%s", s->helper_state, name);
}

static enum err_code own_folder(const char *path, mode_t mode, const struct passwd *pw,
                                struct err *e)
{
    enum err_code rc = file_mkdirs(path, 0755, e);

    if (rc == ERR_OK && (chown(path, pw->pw_uid, pw->pw_gid) != 0 || chmod(path, mode) != 0))
        rc = err_errno(e, ERR_STORAGE, errno, "could not give \"%s\" to %s", path, pw->pw_name);
    return rc;
}

static enum err_code folders(const struct agent_settings *s, const struct passwd *pw, struct err *e)
{
    char run[4096];
    enum err_code rc = own_folder(s->foxproxy_state, 0750, pw, e);

    (void)snprintf(run, sizeof run, "%s", s->foxproxy_control);
    return rc == ERR_OK ? own_folder(dirname(run), 0755, pw, e) : rc;
}

static int open_log(const struct agent_settings *s)
{
    char path[4200];
    struct stat st;

    state_path(s, "foxproxy.log", path, sizeof path);
    return open(path,
                O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW |
                    (stat(path, &st) == 0 && st.st_size > LOG_MAX ? O_TRUNC : 0),
                0600);
}

static enum err_code note(const struct agent_settings *s, pid_t pid, struct err *e)
{
    char path[4200], text[PID_FILE_MAX];
    struct process p = {0};

    (void)process_look(pid, &p);
    state_path(s, "foxproxy.pid", path, sizeof path);
    (void)snprintf(text, sizeof text, "%d %llu\n", (int)pid, (unsigned long long)p.start);
    return file_write_atomic(path, slice_of(text), 0600, e);
}

pid_t foxproxy_spawned(const struct agent_settings *s, int64_t *ret_start)
{
    AUTO_STR char *text = NULL;
    char path[4200], *end;
    pid_t pid;

    state_path(s, "foxproxy.pid", path, sizeof path);
    if (file_read(path, PID_FILE_MAX, &text, NULL, NULL) != ERR_OK)
        return 0;
    pid = (pid_t)strtol(text, &end, 10);
    *ret_start = strtoll(end, NULL, 10);
    return pid > 1 ? pid : 0;
}

const char *foxproxy_last_words(const struct agent_settings *s, char *buf, size_t size)
{
    AUTO_STR char *text = NULL;
    char path[4200];
    size_t n = 0, at;

    buf[0] = '\0';
    state_path(s, "foxproxy.log", path, sizeof path);
    if (file_read(path, (size_t)2 * LOG_MAX, &text, &n, NULL) != ERR_OK)
        return buf;
    while (n > 0 && text[n - 1] == '\n')
        n--;
    for (at = n; at > 0 && text[at - 1] != '\n'; at--)
        ;
    (void)snprintf(buf, size, "%.*s", (int)(n - at), text + at);
    return buf;
}

enum err_code foxproxy_spawn(const struct agent_settings *s, struct err *e)
{
    const char *const argv[] = {s->foxproxy_program, "--config", s->foxproxy_config, "--control",
                                s->foxproxy_control, "--state",  s->foxproxy_state,  NULL};
    const struct passwd *pw = getpwnam(s->foxproxy_user);
    AUTO_FD int log = open_log(s);
    struct proc_daemon d = {.argv = argv, .log = log};
    pid_t pid;
    enum err_code rc;

    if (pw == NULL)
        return err_set(e, ERR_UNAVAILABLE, "cannot start foxproxy: there is no user \"%s\"",
                       s->foxproxy_user);
    if (log < 0)
        return err_errno(e, ERR_STORAGE, errno, "could not open the log of foxproxy");
    d.uid = pw->pw_uid;
    d.gid = pw->pw_gid;
    rc = folders(s, pw, e);
    if (rc == ERR_OK)
        rc = proc_daemon_start(&d, &pid, e);
    return rc == ERR_OK ? note(s, pid, e) : rc;
}
