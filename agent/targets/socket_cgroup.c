#include "targets/socket_cgroup.h"

#include <stdbool.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { ANSWER_MAX = 32 * 1024, WAIT_S = 1 };

static uint64_t cgroup_of(const struct nlmsghdr *h)
{
    const char *p = (const char *)NLMSG_DATA(h) + NLMSG_ALIGN(sizeof(struct inet_diag_msg));
    const char *end = (const char *)h + h->nlmsg_len;
    struct rtattr at;
    uint64_t id = 0;

    for (; end - p >= (ptrdiff_t)sizeof at; p += RTA_ALIGN(at.rta_len)) {
        memcpy(&at, p, sizeof at);
        if (at.rta_len < sizeof at || at.rta_len > end - p)
            break;
        if (at.rta_type == INET_DIAG_CGROUP_ID && RTA_PAYLOAD(&at) >= sizeof id)
            memcpy(&id, p + RTA_LENGTH(0), sizeof id);
        if (RTA_ALIGN(at.rta_len) > end - p)
            break;
    }
    return id;
}

/* One answer; false: it was the last, or none came. */
static bool take(int fd, struct socket_cgroup *v, size_t *n, size_t max)
{
    _Alignas(struct nlmsghdr) char buf[ANSWER_MAX];
    ssize_t got = recv(fd, buf, sizeof buf, 0);
    struct inet_diag_msg m;

    if (got <= 0)
        return false;
    for (struct nlmsghdr *h = (struct nlmsghdr *)buf; NLMSG_OK(h, got); h = NLMSG_NEXT(h, got)) {
        if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
            return false;
        if (h->nlmsg_len < NLMSG_LENGTH(sizeof m) || *n >= max)
            continue;
        memcpy(&m, NLMSG_DATA(h), sizeof m);
        v[(*n)++] = (struct socket_cgroup){m.idiag_inode, cgroup_of(h)};
    }
    return true;
}

size_t socket_cgroups(struct socket_cgroup *v, size_t max)
{
    static const unsigned char families[] = {AF_INET, AF_INET6};
    const struct timeval wait = {.tv_sec = WAIT_S};
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    size_t n = 0;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) != 0) {
        if (fd >= 0)
            (void)close(fd);
        return 0;
    }
    for (size_t i = 0; i < sizeof families; i++) {
        struct {
            struct nlmsghdr h;
            struct inet_diag_req_v2 r;
        } ask = {.h = {.nlmsg_len = sizeof ask,
                       .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
                 .r = {.sdiag_family = families[i],
                       .sdiag_protocol = IPPROTO_TCP,
                       .idiag_states = 1U << TCP_LISTEN}};
        if (send(fd, &ask, sizeof ask, 0) == (ssize_t)sizeof ask)
            while (take(fd, v, &n, max))
                ;
    }
    (void)close(fd);
    return n;
}
