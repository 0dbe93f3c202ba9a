/*
 * accept.c - connections as they come: most are refused here, with five system calls and no memory.
 */
#include "base/clock.h"
#include "base/log.h"
#include "foxproxy/decide.h"
#include "foxproxy/session.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    ACCEPT_BATCH = 64,    /* then the sessions have their turn */
    ACCEPT_REST_MS = 50,  /* without descriptors */
    ACCEPT_LEFT = 100000, /* of a listener that goes: more than any backlog holds */
    REFUSED_LINES = 20    /* of the log, each second and loop */
};

/* The counters have them all. */
bool accept_may_log(struct loop *l)
{
    if (l->now_ms / 1000 != l->log_second) {
        l->log_second = l->now_ms / 1000;
        l->log_lines = 0;
    }
    if (l->log_lines++ < REFUSED_LINES)
        return true;
    count_add(&l->count.unlogged, 1);
    return false;
}

static void say_refused(struct loop *l, const struct iplist_addr *a, enum reply_id why,
                        const struct decision *d)
{
    char text[ADDR_TEXT_SIZE];

    if (!accept_may_log(l))
        return;
    addr_text(a, text);
    log_event(LOG_LEVEL_INFO, "client.refused", KV_STR("client", text),
              KV_STR("reason", snapshot_reason(why)),
              KV_INT("row", d == NULL ? 0 : (int64_t)d->row));
}

void accept_refuse(struct loop *l, int fd, enum reply_id why)
{
    accept_refuse_with(l, fd, why, &l->snap->reply[why]);
}

void accept_refuse_with(struct loop *l, int fd, enum reply_id why, const struct reply *r)
{
    count_add(&l->count.refused[why], 1);
    /* Text and end in one packet.  A fresh connection has room for the line; if not, its end says
     * enough. */
    (void)!send(fd, r->p, r->n, MSG_NOSIGNAL | MSG_MORE | MSG_DONTWAIT);
    (void)shutdown(fd, SHUT_WR);
    linger_add(&l->linger, fd, l->now_ms);
}

void accept_decide(struct loop *l, struct session *s, int fd, const struct addr_port *peer)
{
    struct decision d = decide_address(l->snap, &peer->addr, l->wall_ms);

    if (d.would == DECIDE_APPROVED)
        count_add(&l->count.approved_log, 1);
    if (d.would == DECIDE_BLOCKED)
        count_add(&l->count.blocked_log, 1);
    if (d.source == DECIDE_APPROVED)
        count_add(&l->count.approved, 1);
    if (!d.refuse && d.source == DECIDE_NOBODY && l->snap->ini.rep.zones > 0) {
        reputation_decide_on(l, s, fd, peer);
        return;
    }
    if (!d.refuse) {
        if (s == NULL)
            session_new(l, fd, peer, false);
        else
            session_connect(l, s);
        return;
    }
    say_refused(l, &peer->addr, d.reply, &d);
    if (s == NULL)
        accept_refuse(l, fd, d.reply);
    else
        session_refuse(l, s, d.reply);
}

static void one(struct loop *l, int fd, const struct sockaddr_storage *ss)
{
    struct addr_port peer;

    count_add(&l->count.accepted, 1);
    if (!addr_of_sockaddr(ss, &peer)) {
        (void)close(fd);
        return;
    }
    if (l->snap->drained)
        accept_refuse(l, fd, REPLY_DRAIN);
    else if (l->snap->ini.balancers > 0 && ini_is_balancer(&l->snap->ini, &peer.addr))
        session_new(l, fd, &peer, true);
    else
        accept_decide(l, NULL, fd, &peer);
}

static void listener_watch(struct loop *l, struct loop_listener *at, bool on)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = at};

    /* A descriptor given by the service manager may be in the epoll of several loops: one of them
     * is woken. */
    if (epoll_ctl(l->ep, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, at->l.fd, &ev) != 0 && on)
        log_event(LOG_LEVEL_ERROR, "listener.watch", KV_INT("errno", errno));
}

/* No descriptor is left: what lingers gives one back, else the listeners rest (they would wake the
 * loop for nothing). */
static bool make_room(struct loop *l)
{
    count_add(&l->count.no_descriptor, 1);
    if (linger_cut(&l->linger))
        return true;
    for (struct loop_listener *p = l->listeners; p != NULL; p = p->next)
        listener_watch(l, p, false);
    l->accept_again_ms = l->now_ms + ACCEPT_REST_MS;
    return false;
}

void accept_rested(struct loop *l)
{
    if (l->accept_again_ms == 0 || l->now_ms < l->accept_again_ms)
        return;
    l->accept_again_ms = 0;
    for (struct loop_listener *p = l->listeners; p != NULL; p = p->next)
        listener_watch(l, p, true);
}

static void accept_some(struct loop *l, struct loop_listener *at, unsigned most)
{
    l->wall_ms = clock_wall_coarse_ms();
    while (most-- > 0) {
        struct sockaddr_storage ss UNINITIALIZED;
        socklen_t n = sizeof ss;
        int fd = accept4(at->l.fd, (struct sockaddr *)&ss, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            one(l, fd, &ss);
        else if (errno == EAGAIN)
            return;
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            if (!make_room(l))
                return;
        } /* else: that connection is gone already (ECONNABORTED, EINTR, network errors) */
    }
}

void accept_ready(struct loop *l, struct loop_listener *at)
{
    accept_some(l, at, ACCEPT_BATCH);
}

static bool wanted(const struct snapshot *s, uint64_t id)
{
    for (size_t i = 0; i < s->listeners; i++)
        if (s->listener[i].id == id)
            return true;
    return false;
}

static bool has(const struct loop *l, uint64_t id)
{
    for (const struct loop_listener *p = l->listeners; p != NULL; p = p->next)
        if (p->l.id == id)
            return true;
    return false;
}

/* Whoever has connected is served: what waits in the kernel's queue would be reset by the close. */
static void leave(struct loop *l, struct loop_listener *at)
{
    if (l->accept_again_ms == 0)
        listener_watch(l, at, false);
    accept_some(l, at, ACCEPT_LEFT);
    free(at);
}

void accept_adopt(struct loop *l)
{
    const struct snapshot *s = l->snap;

    for (struct loop_listener **p = &l->listeners; *p != NULL;) {
        struct loop_listener *at = *p;
        if (wanted(s, at->l.id)) {
            p = &at->next;
            continue;
        }
        *p = at->next;
        leave(l, at);
    }
    for (size_t i = 0; i < s->listeners; i++) {
        struct loop_listener *at;
        if (s->listener[i].loop != l->index || has(l, s->listener[i].id))
            continue;
        at = calloc(1, sizeof *at);
        if (at == NULL) {
            log_event(LOG_LEVEL_ERROR, "listener.memory", KV_INT("loop", l->index));
            continue;
        }
        *at = (struct loop_listener){HANDLE_LISTENER, s->listener[i], l->listeners};
        l->listeners = at;
        if (l->accept_again_ms == 0)
            listener_watch(l, at, true);
    }
}

void accept_leave(struct loop *l)
{
    while (l->listeners != NULL) {
        struct loop_listener *at = l->listeners;
        l->listeners = at->next;
        free(at);
    }
}
