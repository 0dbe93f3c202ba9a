/*
 * killpoint.c - a library for LD_PRELOAD: SIGKILL at the n-th call that makes something last
 * (fsync, fdatasync, rename, link, unlink) or that tells the database something (send on a unix
 * socket).
 *
 * INARI_KILL_IN    program that may be killed (its file name); every other one passes
 * INARI_KILL_FILE  "n files|sends before|after": read at each such call, so that a running daemon
 * is armed by writing it and disarmed by removing it.  The file is renamed to "<file>.hit" (the
 * call is in it) right before the kill.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *path;
static long count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void)
{
    const char *in = getenv("INARI_KILL_IN");

    if (in != NULL && strcmp(in, program_invocation_short_name) == 0)
        path = getenv("INARI_KILL_FILE");
}

static void die(const char *call)
{
    char hit[512];
    int fd;

    (void)snprintf(hit, sizeof hit, "%s.hit", path);
    fd = open(hit, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd >= 0)
        (void)!write(fd, call, strlen(call));
    (void)syscall(SYS_unlink, path);
    (void)kill(getpid(), SIGKILL);
    (void)pause();
}

static void point(const char *call, const char *kind, const char *when)
{
    char text[64] = "", kinds[16], whens[16];
    int saved = errno, fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    long n;

    (void)pthread_mutex_lock(&lock);
    if (fd < 0) {
        count = 0;
    } else {
        (void)!read(fd, text, sizeof text - 1);
        (void)close(fd);
        if (sscanf(text, "%ld %15s %15s", &n, kinds, whens) == 3 && strcmp(kinds, kind) == 0 &&
            strcmp(whens, when) == 0 && ++count == n)
            die(call);
    }
    (void)pthread_mutex_unlock(&lock);
    errno = saved;
}

#define WRAP(name, params, args)                                                                   \
    int name params                                                                                \
    {                                                                                              \
        static int(*real) params;                                                                  \
        int rc;                                                                                    \
        if (real == NULL)                                                                          \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                                             \
        point(#name, "files", "before");                                                           \
        rc = real args;                                                                            \
        point(#name, "files", "after");                                                            \
        return rc;                                                                                 \
    }
WRAP(fsync, (int fd), (fd))
WRAP(fdatasync, (int fd), (fd))
WRAP(rename, (const char *from, const char *to), (from, to))
WRAP(renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
WRAP(renameat2, (int a, const char *from, int b, const char *to, unsigned flags),
     (a, from, b, to, flags))
WRAP(link, (const char *from, const char *to), (from, to))
WRAP(unlink, (const char *name), (name))

static bool local(int fd)
{
    struct sockaddr_storage a = {0};
    socklen_t n = sizeof a;

    return getpeername(fd, (struct sockaddr *)&a, &n) == 0 && a.ss_family == AF_UNIX;
}

ssize_t send(int fd, const void *data, size_t n, int flags)
{
    static ssize_t (*real)(int, const void *, size_t, int);
    ssize_t rc;

    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "send");
    if (path != NULL && local(fd))
        point("send", "sends", "before");
    rc = real(fd, data, n, flags);
    if (path != NULL && local(fd))
        point("send", "sends", "after");
    return rc;
}
