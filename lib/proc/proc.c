#include "proc/proc.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

void proc_result_clear(struct proc_result *r)
{
    free(r->output);
    *r = (struct proc_result){0};
}

static _Noreturn void child(const char *const argv[], const char *const env[], int in, int out)
{
    static const char *const base[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL};
    char *envp[32];
    sigset_t none;
    size_t n = 0;

    for (size_t i = 0; base[i] != NULL; i++)
        envp[n++] = (char *)(uintptr_t)base[i];
    for (size_t i = 0; env != NULL && env[i] != NULL && n + 1 < COUNT_OF(envp); i++)
        envp[n++] = (char *)(uintptr_t)env[i];
    envp[n] = NULL;
    (void)setpgid(0, 0);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    for (int sig = 1; sig < 32; sig++)
        (void)signal(sig, SIG_DFL);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
        _exit(126);
    (void)syscall(SYS_close_range, 3u, ~0u, 0u);
    if (chdir("/") != 0)
        _exit(126);
    (void)execve(argv[0], (char *const *)(uintptr_t)argv, envp);
    _exit(127);
}

struct run {
    pid_t pid;
    int in, out; /* our ends, -1 when closed */
    int end;     /* pidfd: readable when the program ended; -1: the kernel has none, look every 20 ms */
    struct slice input;
    struct strbuf text;
    int64_t deadline;
    bool timed_out;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void read_some(struct run *r)
{
    char buf[4096];
    ssize_t n = read(r->out, buf, sizeof buf);

    if (n <= 0) {
        if (n == 0 || (errno != EINTR && errno != EAGAIN))
            close_fd(&r->out);
        return;
    }
    for (ssize_t i = 0; i < n && r->text.n < PROC_OUTPUT_MAX; i++) {
        unsigned char c = (unsigned char)buf[i];
        strbuf_putc(&r->text, c == '\n' || c == '\t' || (c >= 0x20 && c != 0x7f) ? (char)c : '?');
    }
}

/* Until both pipes are done, or the program is gone although a daemon it left behind holds the output open. */
static int pump(struct run *r)
{
    int status = 0;
    bool gone = false;

    while (!gone || r->out >= 0) {
        struct pollfd p[3] = {{r->out, POLLIN, 0}, {r->in, POLLOUT, 0}, {gone ? -1 : r->end, POLLIN, 0}};
        int64_t left = r->deadline - clock_mono_ms();
        if (left <= 0 && !gone) {
            r->timed_out = true;
            (void)kill(-r->pid, SIGKILL);
            (void)kill(r->pid, SIGKILL);
            (void)waitpid(r->pid, &status, 0);
            return status;
        }
        (void)poll(p, 3, gone ? 0 : r->end >= 0 || left < 20 ? (int)left : 20);
        if ((p[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
            read_some(r);
        else if (gone)
            break; /* nothing left to read */
        if ((p[1].revents & (POLLOUT | POLLERR | POLLHUP)) != 0) {
            ssize_t n = write(r->in, r->input.p, r->input.n);
            if (n > 0) {
                r->input.p += n;
                r->input.n -= (size_t)n;
            }
            if (r->input.n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
                close_fd(&r->in);
        }
        if (!gone && waitpid(r->pid, &status, WNOHANG) == r->pid)
            gone = true;
    }
    return status;
}

enum err_code proc_run_file(const char *const argv[], const char *const env[], int out_fd, int timeout_ms,
                            struct proc_result *ret, struct err *e)
{
    struct run r = {.in = -1, .out = -1, .end = -1, .deadline = clock_mono_ms() + timeout_ms};
    AUTO_FD int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int status;

    if (in < 0)
        return err_errno(e, ERR_STORAGE, errno, "could not open \"/dev/null\"");
    r.pid = fork();
    if (r.pid == 0)
        child(argv, env, in, out_fd);
    if (r.pid < 0)
        return err_errno(e, ERR_NO_MEMORY, errno, "could not start \"%s\"", argv[0]);
    r.end = (int)syscall(SYS_pidfd_open, r.pid, 0u);
    status = pump(&r);
    close_fd(&r.end);
    *ret = (struct proc_result){.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
                                .timed_out = r.timed_out};
    return ERR_OK;
}

enum err_code proc_run(const char *const argv[], const char *const env[], struct slice input, int timeout_ms,
                       struct proc_result *ret, struct err *e)
{
    struct run r = {.in = -1, .out = -1, .end = -1, .input = input, .text = STRBUF_INIT(PROC_OUTPUT_MAX + 1)};
    AUTO_FD int in = -1;
    AUTO_FD int out = -1;
    int p[2], status;

    if (input.n == 0) {
        in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    } else if (pipe2(p, O_CLOEXEC) == 0) {
        in = p[0];
        r.in = p[1];
        (void)fcntl(r.in, F_SETFL, O_NONBLOCK);
    }
    if (in < 0 || pipe2(p, O_CLOEXEC) != 0) {
        close_fd(&r.in);
        return err_errno(e, ERR_STORAGE, errno, "could not make a pipe");
    }
    r.out = p[0];
    out = p[1];
    (void)fcntl(r.out, F_SETFL, O_NONBLOCK);
    r.deadline = clock_mono_ms() + timeout_ms;
    r.pid = fork();
    if (r.pid == 0)
        child(argv, env, in, out);
    (void)close(TAKE_FD(in));
    (void)close(TAKE_FD(out));
    if (r.pid < 0) {
        close_fd(&r.in);
        close_fd(&r.out);
        return err_errno(e, ERR_NO_MEMORY, errno, "could not start \"%s\"", argv[0]);
    }
    r.end = (int)syscall(SYS_pidfd_open, r.pid, 0u); /* close-on-exec by itself */
    status = pump(&r);
    close_fd(&r.end);
    close_fd(&r.in);
    close_fd(&r.out);
    ret->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    ret->timed_out = r.timed_out;
    ret->output_n = r.text.n;
    ret->output = strbuf_take(&r.text);
    return ret->output == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}
