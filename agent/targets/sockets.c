#include "targets/sockets.h"

#include "base/clock.h"
#include "targets/process.h"
#include "targets/socket_cgroup.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct table {
    struct listener *v;
    unsigned long *inode;
    size_t n, unnamed;
};

static void hex_address(const char *hex, bool v6, char *out, size_t size)
{
    unsigned char raw[16];
    size_t words = v6 ? 4 : 1;

    for (size_t i = 0; i < words; i++) {
        char word[9];
        uint32_t x;
        memcpy(word, hex + i * 8, 8);
        word[8] = '\0';
        x = (uint32_t)strtoul(word, NULL, 16); /* as the kernel holds it in memory */
        memcpy(raw + i * 4, &x, 4);
    }
    (void)inet_ntop(v6 ? AF_INET6 : AF_INET, raw, out, (socklen_t)size);
}

static void read_table(const char *path, bool v6, struct arena *a, struct table *t)
{
    char line[512];
    FILE *f = fopen(path, "re");

    if (f == NULL)
        return;
    while (fgets(line, sizeof line, f) != NULL && t->n < LISTENERS_MAX) {
        char local[64], state[8], text[INET6_ADDRSTRLEN];
        unsigned long inode;
        char *colon;
        if (sscanf(line, " %*s %63s %*s %7s %*s %*s %*s %*s %*s %lu", local, state, &inode) != 3)
            continue;
        colon = strchr(local, ':');
        if (strcmp(state, "0A") != 0 || colon == NULL || (size_t)(colon - local) != (v6 ? 32 : 8))
            continue;
        hex_address(local, v6, text, sizeof text);
        t->v[t->n].address = arena_strdup(a, text);
        t->v[t->n].port = (int)strtol(colon + 1, NULL, 16);
        t->v[t->n].owner = "";
        t->inode[t->n++] = inode;
    }
    (void)fclose(f);
}

static void name_it(struct table *t, size_t i, pid_t pid, const struct process *p, struct arena *a)
{
    t->unnamed -= t->v[i].pid == 0;
    t->v[i].pid = pid;
    t->v[i].group = p->group;
    t->v[i].owner = strcmp(p->name, "master") == 0 || strcmp(p->name, "smtpd") == 0
                        ? "postfix"
                        : arena_strdup(a, p->name);
}

static void name_owner(struct table *t, unsigned long inode, pid_t pid, struct arena *a)
{
    struct process p;

    if (!process_look(pid, &p)) /* ended since; who holds the socket as well names it */
        return;
    for (size_t i = 0; i < t->n; i++) /* /proc is in order: the first is the oldest, the master
                                         before its children */
        if (t->inode[i] == inode && t->v[i].pid == 0)
            name_it(t, i, pid, &p, a);
}

static void scan_process(struct table *t, int pid, struct arena *a)
{
    char dir[64];
    struct dirent *f;
    DIR *d;

    (void)snprintf(dir, sizeof dir, "/proc/%d/fd", pid);
    d = opendir(dir);
    if (d == NULL)
        return;
    while ((f = readdir(d)) != NULL) {
        char path[400], to[64];
        ssize_t n;
        unsigned long inode;
        (void)snprintf(path, sizeof path, "%s/%s", dir, f->d_name);
        n = readlink(path, to, sizeof to - 1);
        if (n <= 0)
            continue;
        to[n] = '\0';
        if (sscanf(to, "socket:[%lu]", &inode) == 1)
            name_owner(t, inode, pid, a);
    }
    (void)closedir(d);
}

struct scan {
    struct table *t;
    struct arena *a;
    struct socket_cgroup *v;
    size_t n;
    bool *by_group; /* of each listener: its descriptor was not found */
};

static bool scan_one(void *ctx, pid_t pid)
{
    struct scan *s = ctx;

    scan_process(s->t, pid, s->a);
    return s->t->unnamed > 0;
}

/* The oldest of its control group names it, or Postfix's master if that is one of them. */
static bool scan_group(void *ctx, pid_t pid)
{
    struct scan *s = ctx;
    uint64_t id = process_cgroup(pid);
    struct process p;

    if (id == 0 || !process_look(pid, &p))
        return true;
    for (size_t k = 0; k < s->n; k++) {
        for (size_t i = 0; s->v[k].id == id && i < s->t->n; i++)
            if (s->by_group[i] && s->t->inode[i] == s->v[k].inode &&
                (s->t->v[i].pid == 0 || strcmp(p.name, "master") == 0))
                name_it(s->t, i, pid, &p, s->a);
    }
    return true;
}

/* A process with more capabilities than we have shows us no descriptor. */
static void name_by_group(struct scan *s)
{
    s->v = arena_alloc(s->a, LISTENERS_MAX * sizeof *s->v);
    s->by_group = arena_alloc(s->a, LISTENERS_MAX * sizeof *s->by_group);
    if (s->v == NULL || s->by_group == NULL)
        return;
    for (size_t i = 0; i < s->t->n; i++)
        s->by_group[i] = s->t->v[i].pid == 0;
    s->n = socket_cgroups(s->v, LISTENERS_MAX);
    if (s->n > 0)
        process_each(scan_group, s);
}

enum err_code sockets_listeners(struct arena *a, struct listener **ret, size_t *ret_n,
                                struct err *e)
{
    struct table t = {arena_alloc(a, LISTENERS_MAX * sizeof(struct listener)),
                      arena_alloc(a, LISTENERS_MAX * sizeof(unsigned long)), 0, 0};
    struct scan s = {.t = &t, .a = a};

    if (t.v == NULL || t.inode == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    read_table("/proc/self/net/tcp", false, a, &t);
    read_table("/proc/self/net/tcp6", true, a, &t);
    t.unnamed = t.n;
    if (t.n > 0)
        process_each(scan_one, &s);
    if (t.unnamed > 0)
        name_by_group(&s);
    *ret = t.v;
    *ret_n = t.n;
    return ERR_OK;
}

bool sockets_overlap(const char *a, const char *b)
{
    bool any_a = *a == '\0', any_b = *b == '\0';
    bool six_a = strchr(a, ':') != NULL, six_b = strchr(b, ':') != NULL;

    if (any_a || any_b)
        return true;
    if (six_a != six_b) /* Postfix sets IPV6_V6ONLY; others may not, which the live probe finds */
        return false;
    return strcmp(a, b) == 0 || strcmp(a, six_a ? "::" : "0.0.0.0") == 0 ||
           strcmp(b, six_a ? "::" : "0.0.0.0") == 0;
}

bool sockets_is_local(const char *address)
{
    struct ifaddrs *all, *i;
    bool found = strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;

    if (found || getifaddrs(&all) != 0)
        return found;
    for (i = all; i != NULL && !found; i = i->ifa_next) {
        char text[INET6_ADDRSTRLEN] = "";
        if (i->ifa_addr == NULL)
            continue;
        if (i->ifa_addr->sa_family == AF_INET) {
            struct sockaddr_in s4;
            memcpy(&s4, i->ifa_addr, sizeof s4);
            (void)inet_ntop(AF_INET, &s4.sin_addr, text, sizeof text);
            found = (i->ifa_flags & IFF_LOOPBACK) != 0 && strncmp(address, "127.", 4) == 0;
        } else if (i->ifa_addr->sa_family == AF_INET6) {
            struct sockaddr_in6 s6;
            memcpy(&s6, i->ifa_addr, sizeof s6);
            (void)inet_ntop(AF_INET6, &s6.sin6_addr, text, sizeof text);
        }
        found = found || strcmp(text, address) == 0;
    }
    freeifaddrs(all);
    return found;
}

static int finish_connect(int fd, const struct sockaddr *to, socklen_t n, int timeout_ms)
{
    struct pollfd p = {fd, POLLOUT, 0};
    int fault = 0;
    socklen_t size = sizeof fault;

    if (connect(fd, to, n) == 0)
        return fd;
    if (errno == EINPROGRESS && poll(&p, 1, timeout_ms) == 1 &&
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &fault, &size) == 0 && fault == 0)
        return fd;
    (void)close(fd);
    return -1;
}

int sockets_connect(const char *address, int port, int timeout_ms)
{
    struct sockaddr_in s4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 s6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    bool four = inet_pton(AF_INET, address, &s4.sin_addr) == 1;
    int fd;

    if (!four && inet_pton(AF_INET6, address, &s6.sin6_addr) != 1)
        return -1;
    fd = socket(four ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    return four ? finish_connect(fd, (const struct sockaddr *)(const void *)&s4, sizeof s4,
                                 timeout_ms)
                : finish_connect(fd, (const struct sockaddr *)(const void *)&s6, sizeof s6,
                                 timeout_ms);
}

int sockets_connect_unix(const char *path, int timeout_ms)
{
    struct sockaddr_un s = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof s.sun_path)
        return -1;
    memcpy(s.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 ? -1
                  : finish_connect(fd, (const struct sockaddr *)(const void *)&s, sizeof s,
                                   timeout_ms);
}

static bool complete(const char *buf, size_t n)
{
    size_t at = n;

    if (n < 5 || buf[n - 1] != '\n')
        return false;
    for (at = n - 1; at > 0 && buf[at - 1] != '\n'; at--)
        ;
    return n - at >= 4 && buf[at + 3] != '-';
}

int sockets_reply(int fd, char *buf, size_t size, int timeout_ms)
{
    int64_t until = clock_mono_ms() + timeout_ms;
    size_t n = 0;

    buf[0] = '\0';
    while (n + 1 < size && !complete(buf, n)) {
        struct pollfd p = {fd, POLLIN, 0};
        int64_t left = until - clock_mono_ms();
        ssize_t got;
        if (left <= 0 || poll(&p, 1, (int)left) < 1)
            return 0;
        got = read(fd, buf + n, size - 1 - n);
        if (got <= 0)
            return 0;
        n += (size_t)got;
        buf[n] = '\0';
    }
    return (int)strtol(buf, NULL, 10);
}

int sockets_free_port(const struct listener *v, size_t n, int start)
{
    for (int port = start; port < 65536; port++) {
        bool used = false;
        for (size_t i = 0; i < n && !used; i++)
            used = v[i].port == port;
        if (!used)
            return port;
    }
    return 0;
}
