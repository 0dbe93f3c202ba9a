#include "targets/queue_hold.h"

#include "base/clock.h"
#include "base/log.h"
#include "targets/process.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    READY_MS = 500,
    STOPPED_MS = 100,
    GONE_MS = 300,
    GUARD_MS = 500,
    GUARD_FD = 3,
    GUARD_QMGR = 4
};

static int signal_to(int pidfd, int sig)
{
    return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0u);
}

/* --- the queue manager --- */

/* State letter of pid when it is a queue manager started by master, else 0. */
static char qmgr_state(pid_t pid, pid_t master)
{
    struct process p;

    if (!process_look(pid, &p) || p.parent != master)
        return 0;
    return strcmp(p.name, "qmgr") == 0 || strcmp(p.name, "oqmgr") == 0 ||
                   strcmp(p.name, "nqmgr") == 0
               ? p.state
               : 0;
}

struct search {
    pid_t master, pid;
    int fd;
};

static bool is_it(void *ctx, pid_t pid)
{
    struct search *s = ctx;
    char state = qmgr_state(pid, s->master);

    if (state == 0 || state == 'Z')
        return true;
    s->fd = (int)syscall(SYS_pidfd_open, pid, 0u);
    if (s->fd >= 0 && qmgr_state(pid, s->master) == 0) { /* the number is another's by now */
        (void)close(s->fd);
        s->fd = -1;
    }
    s->pid = pid;
    return s->fd < 0;
}

/* A pidfd of the queue manager below master, -1: none runs. */
static int open_qmgr(pid_t master, pid_t *ret)
{
    struct search s = {.master = master, .fd = -1};

    process_each(is_it, &s);
    *ret = s.pid;
    return s.fd;
}

static bool wait_stopped(pid_t pid, pid_t master)
{
    int64_t until = clock_mono_ms() + STOPPED_MS;

    for (;;) {
        char state = qmgr_state(pid, master);
        if (state == 'T')
            return true;
        if (state == 0 || clock_mono_ms() >= until)
            return false;
        (void)poll(NULL, 0, 1);
    }
}

/* --- the guard --- */

/* In the new process: nothing but system calls.  It may do no more than what Postfix's own user
 * may, and it ends with us, or at its time. */
static _Noreturn void guard(int sock, int qmgr, const struct passwd *owner)
{
    struct pollfd p = {.fd = GUARD_FD, .events = POLLIN};
    int64_t until = clock_mono_ms() + QUEUE_HOLD_MAX_MS;
    sigset_t all;

    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL); /* asked to end, it first has to let go */
    if (dup2(sock, GUARD_FD) < 0 || dup2(qmgr, GUARD_QMGR) < 0)
        _exit(1);
    (void)close_range(0, 2, 0);
    (void)close_range(GUARD_QMGR + 1, ~0u, 0); /* the helper's lock and sockets are not ours */
    if (setgroups(0, NULL) != 0 || setresgid(owner->pw_gid, owner->pw_gid, owner->pw_gid) != 0 ||
        setresuid(owner->pw_uid, owner->pw_uid, owner->pw_uid) != 0 ||
        signal_to(GUARD_QMGR, 0) != 0 || write(GUARD_FD, "r", 1) != 1)
        _exit(1);
    for (int64_t now = clock_mono_ms(); now < until; now = clock_mono_ms())
        if (poll(&p, 1, (int)(until - now)) > 0)
            break;
    (void)signal_to(GUARD_QMGR, SIGCONT);
    _exit(0);
}

static bool start_guard(const struct passwd *owner, struct queue_hold *hold)
{
    struct pollfd p = {.events = POLLIN};
    int pair[2], qmgr, sock;
    char c = 0;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return false;
    /* Above the numbers the guard uses itself. */
    sock = fcntl(pair[1], F_DUPFD_CLOEXEC, GUARD_QMGR + 1);
    qmgr = fcntl(hold->qmgr, F_DUPFD_CLOEXEC, GUARD_QMGR + 1);
    (void)close(pair[1]);
    hold->guard = sock < 0 || qmgr < 0 ? -1 : fork();
    if (hold->guard == 0)
        guard(sock, qmgr, owner);
    if (sock >= 0)
        (void)close(sock);
    if (qmgr >= 0)
        (void)close(qmgr);
    hold->sock = p.fd = pair[0];
    return hold->guard > 0 && poll(&p, 1, READY_MS) == 1 && read(p.fd, &c, 1) == 1;
}

/* It sees the socket end.  It is Postfix's user's process as well: we do not wait for one that
 * somebody has stopped. */
static void end_guard(pid_t guard)
{
    int64_t until = clock_mono_ms() + GUARD_MS;

    while (waitpid(guard, NULL, WNOHANG) == 0) {
        if (clock_mono_ms() >= until)
            (void)kill(guard, SIGKILL);
        (void)poll(NULL, 0, 1);
    }
}

static void forget(struct queue_hold *hold)
{
    if (hold->sock >= 0)
        (void)close(hold->sock);
    if (hold->qmgr >= 0)
        (void)close(hold->qmgr);
    if (hold->guard > 0)
        end_guard(hold->guard);
    *hold = (struct queue_hold){.guard = 0, .qmgr = -1, .sock = -1};
}

/* --- a hold --- */

bool queue_hold_begin(const struct postfix *p, struct queue_hold *ret)
{
    struct queue_hold hold = {.guard = 0, .qmgr = -1, .sock = -1};
    pid_t master = postfix_pid(p->s->postfix_queue), pid = 0;
    const struct passwd *owner = getpwnam(p->owner);
    bool held = false;

    if (master > 1 && owner != NULL)
        hold.qmgr = open_qmgr(master, &pid);
    if (hold.qmgr >= 0 && start_guard(owner, &hold) && signal_to(hold.qmgr, SIGSTOP) == 0) {
        held = wait_stopped(pid, master);
        if (!held)
            (void)signal_to(hold.qmgr, SIGCONT);
    }
    if (!held) {
        log_event(LOG_LEVEL_INFO, "apply.queue-not-held",
                  KV_STR("reason", hold.qmgr < 0 ? "no queue manager runs"
                                                 : "the queue manager could not be stopped"));
        forget(&hold);
    }
    *ret = hold;
    return held;
}

/* One byte to its socket starts it: nothing may be left in its old wake-up calls. */
static void wake(const struct postfix *p)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int n = snprintf(a.sun_path, sizeof a.sun_path, "%s/public/qmgr", p->s->postfix_queue);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return;
    if (n > 0 && (size_t)n < sizeof a.sun_path &&
        connect(fd, (const struct sockaddr *)&a, sizeof a) == 0)
        (void)!write(fd, "I", 1); /* look through the incoming queue */
    (void)close(fd);
}

void queue_hold_end(const struct postfix *p, struct queue_hold *hold, bool reloaded)
{
    struct pollfd gone = {.fd = hold->qmgr, .events = POLLIN};

    if (hold->guard <= 0)
        return;
    (void)signal_to(hold->qmgr, SIGCONT);
    if (reloaded) {
        (void)poll(&gone, 1, GONE_MS);
        wake(p);
    }
    forget(hold);
}

void queue_hold_release_left(const struct postfix *p)
{
    pid_t master = postfix_pid(p->s->postfix_queue), pid = 0;
    int fd = master > 1 ? open_qmgr(master, &pid) : -1;

    if (fd < 0)
        return;
    if (qmgr_state(pid, master) == 'T' && signal_to(fd, SIGCONT) == 0)
        log_event(LOG_LEVEL_WARN, "helper.queue-released", KV_INT("pid", pid));
    (void)close(fd);
}
