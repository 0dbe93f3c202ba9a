#include "foxproxy/listen.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

enum { BACKLOG = 4096, SETS_MAX = 4096 };

static uint64_t next_id = 1;

static bool append(struct listen_set *s, struct listener one)
{
    struct listener *v = s->n < SETS_MAX ? realloc(s->v, (s->n + 1) * sizeof *v) : NULL;

    if (v == NULL)
        return false;
    s->v = v;
    s->v[s->n++] = one;
    return true;
}

void listen_close(struct listen_set *s)
{
    for (size_t i = 0; i < s->n; i++)
        (void)close(s->v[i].fd);
    free(s->v);
    *s = (struct listen_set){0};
}

static bool contains(const struct listen_set *s, uint64_t id)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].id == id)
            return true;
    return false;
}

void listen_drop(struct listen_set *old, const struct listen_set *now)
{
    for (size_t i = 0; i < old->n; i++)
        if (!contains(now, old->v[i].id))
            (void)close(old->v[i].fd);
    free(old->v);
    *old = (struct listen_set){0};
}

/* Accepted sockets inherit it: no call for each of them. */
static void no_delay(int fd)
{
    int one = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

void listen_take_given(struct listen_set *ret)
{
    int n = sd_listen_fds(1);

    *ret = (struct listen_set){0};
    for (int i = 0; i < n; i++) {
        int fd = SD_LISTEN_FDS_START + i, flags = fcntl(fd, F_GETFL);
        struct sockaddr_storage ss;
        socklen_t size = sizeof ss;
        struct listener one = {.id = next_id++, .fd = fd};
        if (flags < 0 || sd_is_socket_inet(fd, 0, SOCK_STREAM, 1, 0) <= 0 ||
            getsockname(fd, (struct sockaddr *)&ss, &size) != 0 ||
            !addr_of_sockaddr(&ss, &one.at) || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
            fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || !append(ret, one)) {
            log_event(LOG_LEVEL_WARN, "listener.given", KV_INT("fd", fd),
                      KV_STR("problem", "not a listening TCP socket"));
            (void)close(fd);
            continue;
        }
        no_delay(fd);
    }
}

static enum err_code open_one(const struct addr_port *at, int *ret, struct err *e)
{
    struct sockaddr_storage ss;
    socklen_t n = addr_to_sockaddr(at, &ss);
    AUTO_FD int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    char text[ADDR_TEXT_SIZE];
    int one = 1;

    addr_port_text(at, text);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0 ||
        (ss.ss_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) != 0) ||
        bind(fd, (const struct sockaddr *)&ss, n) != 0 || listen(fd, BACKLOG) != 0)
        return err_errno(e, ERR_UNAVAILABLE, errno, "could not listen on %s", text);
    no_delay(fd);
    *ret = TAKE_FD(fd);
    return ERR_OK;
}

static bool same(const struct addr_port *a, const struct addr_port *b)
{
    return a->port == b->port && addr_eq(&a->addr, &b->addr);
}

/* The i-th of those at this address, counted round; NULL: there is none. */
static const struct listener *nth_at(const struct listen_set *s, const struct addr_port *at,
                                     size_t i)
{
    size_t n = 0;

    for (size_t k = 0; k < s->n; k++)
        n += same(&s->v[k].at, at);
    if (n == 0)
        return NULL;
    i %= n;
    for (size_t k = 0; k < s->n; k++)
        if (same(&s->v[k].at, at) && i-- == 0)
            return &s->v[k];
    return NULL;
}

static size_t count_at(const struct listen_set *s, const struct addr_port *at)
{
    size_t n = 0;

    for (size_t k = 0; k < s->n; k++)
        n += same(&s->v[k].at, at);
    return n;
}

static enum err_code at_address(const struct addr_port *at, const struct listen_set *given,
                                unsigned loops, struct listen_set *fresh, struct err *e)
{
    size_t there = given == NULL ? 0 : count_at(given, at), n = there > loops ? there : loops;

    for (size_t i = 0; i < n; i++) {
        struct listener one = {.id = next_id++, .at = *at, .loop = (unsigned)(i % loops), .fd = -1};
        if (there > 0) /* a copy: several loops may share one */
            one.fd = fcntl(nth_at(given, at, i)->fd, F_DUPFD_CLOEXEC, 0);
        else if (open_one(at, &one.fd, e) != ERR_OK)
            return e->code;
        if (one.fd < 0 || !append(fresh, one)) {
            if (one.fd >= 0)
                (void)close(one.fd);
            return err_set(e, ERR_NO_MEMORY, "out of memory");
        }
    }
    return ERR_OK;
}

enum err_code listen_make(const struct ini *ini, const struct listen_set *have,
                          struct listen_set *given, unsigned loops, struct listen_set *ret,
                          struct err *e)
{
    struct listen_set all = {0}, fresh = {0};
    enum err_code rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < ini->listens; i++) {
        if (count_at(have, &ini->listen[i]) == 0) {
            rc = at_address(&ini->listen[i], given, loops, &fresh, e);
            continue;
        }
        for (size_t k = 0; rc == ERR_OK && k < have->n; k++)
            if (same(&have->v[k].at, &ini->listen[i]) && !append(&all, have->v[k]))
                rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    }
    for (size_t i = 0; rc == ERR_OK && i < fresh.n; i++)
        if (!append(&all, fresh.v[i]))
            rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    if (rc != ERR_OK) {
        listen_close(&fresh);
        free(all.v);
        return rc;
    }
    free(fresh.v);
    if (given != NULL)
        listen_close(given);
    *ret = all;
    return ERR_OK;
}
