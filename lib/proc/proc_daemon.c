#include "proc/proc_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TELL_FD = 3 };

/* --- in the new process: nothing but system calls --- */

static bool keep_one_right(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    const uint32_t bit = 1u << CAP_NET_BIND_SERVICE;

    data[0] = (struct __user_cap_data_struct){bit, bit, bit};
    return syscall(SYS_capset, &head, data) == 0 &&
           prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0) == 0;
}

static bool become(uid_t uid, gid_t gid)
{
    return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 && setgroups(0, NULL) == 0 &&
           setresgid(gid, gid, gid) == 0 && setresuid(uid, uid, uid) == 0 && keep_one_right() &&
           prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

static _Noreturn void turn_into(const struct proc_daemon *d, int tell)
{
    static char *const envp[] = {(char *)(uintptr_t) "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                                 (char *)(uintptr_t) "LC_ALL=C", NULL};
    struct rlimit files;
    sigset_t none;
    int null = open("/dev/null", O_RDWR);

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    for (int sig = 1; sig < 32; sig++)
        (void)signal(sig, SIG_DFL);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    (void)umask(027);
    if (null < 0 || dup2(null, 0) < 0 || dup2(d->log, 1) < 0 || dup2(d->log, 2) < 0 ||
        chdir("/") != 0 || !become(d->uid, d->gid))
        _exit(126);
    if (tell != TELL_FD && dup3(tell, TELL_FD, O_CLOEXEC) < 0) /* closed by the exec, not before */
        _exit(126);
    (void)syscall(SYS_close_range, (unsigned)TELL_FD + 1, ~0u, 0u);
    (void)execve(d->argv[0], (char *const *)(uintptr_t)d->argv, envp);
    _exit(127);
}

/* The middle one ends at once, so that init gets the grandchild. */
static _Noreturn void middle(const struct proc_daemon *d, int tell)
{
    pid_t pid;

    (void)setsid();
    pid = fork();
    if (pid == 0)
        turn_into(d, tell);
    (void)!write(tell, &pid, sizeof pid);
    _exit(pid < 0);
}

/* --- in the caller --- */

enum err_code proc_daemon_start(const struct proc_daemon *d, pid_t *ret, struct err *e)
{
    pid_t pid, started = -1;
    int ends[2];
    char c;
    enum err_code rc = ERR_OK;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_errno(e, ERR_NO_MEMORY, errno, "could not start \"%s\"", d->argv[0]);
    pid = fork();
    if (pid == 0)
        middle(d, ends[1]);
    (void)close(ends[1]);
    if (pid < 0 || read(ends[0], &started, sizeof started) != sizeof started || started <= 1)
        rc = err_set(e, ERR_NO_MEMORY, "could not start a process for \"%s\"", d->argv[0]);
    (void)!read(ends[0], &c, 1); /* until it is the program, or has ended */
    (void)close(ends[0]);
    if (pid > 0)
        (void)waitpid(pid, NULL, 0);
    *ret = started;
    return rc;
}
