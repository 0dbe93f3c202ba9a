#include "foxproxy/session.h"

#include "foxproxy/proxy.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    HEADER_MS = 5000, /* a balancer sends its header at once */
    ASK_MS =
        2 *
        REP_WAIT_MAX_MS, /* reputation keeps its own time; this ends what it should ever forget */
    HALF_MS = 30000,     /* the backend has ended its side: what may the client still want */
    HELD_MAX = 120000    /* clients in sessions, whatever they wait for: bounds memory */
};

static struct session *session_of(struct end *end)
{
    size_t at = end->handle == HANDLE_CLIENT ? offsetof(struct session, client)
                                             : offsetof(struct session, backend);

    return (struct session *)(void *)((char *)end - at);
}

static void unlink_from(struct loop *l, struct session *s)
{
    struct session_queue *q = &l->queue[s->list];

    *(s->prev != NULL ? &s->prev->next : &q->first) = s->next;
    *(s->next != NULL ? &s->next->prev : &q->last) = s->prev;
    s->prev = s->next = NULL;
}

static void append_to(struct loop *l, struct session *s, enum session_list list)
{
    struct session_queue *q = &l->queue[list];

    s->list = list;
    s->since_ms = l->now_ms;
    s->prev = q->last;
    *(q->last != NULL ? &q->last->next : &q->first) = s;
    q->last = s;
}

void session_into(struct loop *l, struct session *s, enum session_list list)
{
    unlink_from(l, s);
    append_to(l, s, list);
}

static bool watch(struct loop *l, struct end *end)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = end};

    return epoll_ctl(l->ep, EPOLL_CTL_ADD, end->fd, &ev) == 0;
}

/* Closes what it has (a descriptor that was handed on is -1) and leaves the struct for the end of
 * the turn. */
static void die(struct loop *l, struct session *s)
{
    if (s->state == SESSION_DEAD)
        return;
    if (s->ask != NULL)
        reputation_ask_cancel(s->ask);
    s->ask = NULL;
    if (s->counted)
        (void)atomic_fetch_sub_explicit(&l->front->backend, 1, memory_order_relaxed);
    (void)atomic_fetch_sub_explicit(&l->front->held, 1, memory_order_relaxed);
    s->state = SESSION_DEAD;
    unlink_from(l, s);
    if (s->client.fd >= 0)
        (void)close(s->client.fd);
    if (s->backend.fd >= 0)
        (void)close(s->backend.fd);
    free(s->client.kept);
    free(s->backend.kept);
    s->next = l->dead;
    l->dead = s;
}

void session_free_dead(struct loop *l)
{
    struct session *s = l->dead, *next;

    l->dead = NULL;
    for (; s != NULL; s = next) {
        next = s->next;
        if (!s->waiting) {
            free(s);
            continue;
        }
        s->next = l->dead; /* loop.again has it still: the next turn */
        l->dead = s;
    }
}

/* The client's descriptor goes where half-closed ones wait for the peer to close. */
static void let_linger(struct loop *l, struct session *s)
{
    (void)epoll_ctl(l->ep, EPOLL_CTL_DEL, s->client.fd, NULL);
    linger_add(&l->linger, s->client.fd, l->now_ms);
    s->client.fd = -1;
}

void session_end(struct loop *l, struct session *s)
{
    if (s->state == SESSION_OPEN && s->client.shut && !s->client.eof && s->client.fd >= 0)
        let_linger(l, s);
    die(l, s);
}

void session_refuse(struct loop *l, struct session *s, enum reply_id why)
{
    session_refuse_with(l, s, why, &l->snap->reply[why]);
}

void session_refuse_with(struct loop *l, struct session *s, enum reply_id why,
                         const struct reply *r)
{
    int fd = s->client.fd;

    (void)epoll_ctl(l->ep, EPOLL_CTL_DEL, fd, NULL);
    s->client.fd = -1;
    die(l, s);
    accept_refuse_with(l, fd, why, r);
}

/* The header is the first thing the backend reads.  A fresh connection takes it whole or is not
 * there yet. */
static void send_header(struct loop *l, struct session *s)
{
    char header[PROXY_V2_MAX];
    size_t n = proxy_write(&s->src, &s->dst, header);
    ssize_t sent = send(s->backend.fd, header, n, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (sent < 0 && errno == EAGAIN)
        return; /* still connecting; EPOLLOUT says when */
    if (sent != (ssize_t)n) {
        session_refuse(l, s, REPLY_BACKEND);
        return;
    }
    s->state = SESSION_OPEN;
    s->client.writable = s->backend.writable = true;
    session_into(l, s, LIST_OPEN);
    count_add(&l->count.sessions, 1);
    flow_run(l, s);
}

static bool dial(struct loop *l, struct session *s)
{
    struct sockaddr_storage ss;
    socklen_t n = addr_to_sockaddr(&l->snap->ini.backend, &ss);
    int one = 1;

    s->backend.fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->backend.fd < 0)
        return false;
    (void)setsockopt(s->backend.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(s->backend.fd, (const struct sockaddr *)&ss, n) != 0 && errno != EINPROGRESS)
        return false;
    return watch(l, &s->backend);
}

/* Where the client connected to: what its balancer said, else this host's own end of the
 * connection. */
static bool find_dst(struct session *s)
{
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;

    if (s->proxied)
        return true;
    return getsockname(s->client.fd, (struct sockaddr *)&ss, &n) == 0 &&
           addr_of_sockaddr(&ss, &s->dst) &&
           iplist_is_v4(&s->dst.addr) == iplist_is_v4(&s->src.addr);
}

void session_connect(struct loop *l, struct session *s)
{
    struct front *f = l->front;
    bool watched = s->state != SESSION_CONNECT; /* else it is new */

    if (atomic_fetch_add_explicit(&f->backend, 1, memory_order_relaxed) >=
        l->snap->ini.max_sessions) {
        (void)atomic_fetch_sub_explicit(&f->backend, 1, memory_order_relaxed);
        session_refuse(l, s, REPLY_FULL);
        return;
    }
    s->counted = true;
    s->state = SESSION_CONNECT;
    session_into(l, s, LIST_CONNECT);
    if (!find_dst(s)) { /* the client is gone */
        count_add(&l->count.hung_up, 1);
        die(l, s);
    } else if (!dial(l, s) || (!watched && !watch(l, &s->client))) {
        session_refuse(l, s, REPLY_BACKEND);
    } else {
        send_header(l, s);
    }
}

/* In the given state and list.  NULL: there was no memory, and the client has been told. */
static struct session *session_make(struct loop *l, int fd, const struct addr_port *peer,
                                    enum session_state state, enum session_list list)
{
    struct session *s = NULL;

    if (atomic_fetch_add_explicit(&l->front->held, 1, memory_order_relaxed) < HELD_MAX)
        s = calloc(1, sizeof *s);
    if (s == NULL) {
        (void)atomic_fetch_sub_explicit(&l->front->held, 1, memory_order_relaxed);
        accept_refuse(l, fd, REPLY_FULL);
        return NULL;
    }
    s->client = (struct end){.handle = HANDLE_CLIENT, .fd = fd};
    s->backend = (struct end){.handle = HANDLE_BACKEND, .fd = -1};
    s->src = *peer;
    s->loop = l;
    s->state = state;
    append_to(l, s, list);
    if (state == SESSION_CONNECT || watch(l, &s->client))
        return s;
    session_refuse(l, s, REPLY_FULL);
    return NULL;
}

void session_new(struct loop *l, int fd, const struct addr_port *peer, bool header)
{
    struct session *s = session_make(l, fd, peer, header ? SESSION_HEADER : SESSION_CONNECT,
                                     header ? LIST_HEADER : LIST_CONNECT);

    if (s != NULL && !header)
        session_connect(l, s);
}

struct session *session_asking(struct loop *l, struct session *s, int fd,
                               const struct addr_port *peer)
{
    if (s == NULL)
        return session_make(l, fd, peer, SESSION_ASK, LIST_ASK);
    s->state = SESSION_ASK;
    session_into(l, s, LIST_ASK);
    return s;
}

/* A claim that nobody outside can make: Postfix relays for some of these addresses. */
static bool refused_claim(const struct loop *l, const struct session *s,
                          const struct iplist_addr *a)
{
    struct sockaddr_storage ss;
    struct addr_port local;
    socklen_t n = sizeof ss;

    return addr_is_nobody(a) || snapshot_is_own(l->snap, a) ||
           getsockname(s->client.fd, (struct sockaddr *)&ss, &n) != 0 ||
           !addr_of_sockaddr(&ss, &local) || addr_eq(&local.addr, a);
}

static void read_header(struct loop *l, struct session *s)
{
    struct proxy_peers p;
    ssize_t got = recv(s->client.fd, l->buf, PROXY_READ_MAX, MSG_PEEK | MSG_DONTWAIT);
    size_t used = 0;
    enum proxy_result r;

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        count_add(&l->count.hung_up, 1);
        die(l, s);
        return;
    }
    r = proxy_read((struct slice){l->buf, (size_t)got}, &p, &used);
    if (r == PROXY_MORE && !s->client.hup && got < PROXY_READ_MAX)
        return;
    if (r != PROXY_DONE || recv(s->client.fd, l->buf, used, MSG_DONTWAIT) != (ssize_t)used ||
        refused_claim(l, s, p.local ? &s->src.addr : &p.src.addr)) {
        session_refuse(l, s, REPLY_PROXY);
        return;
    }
    if (!p.local) {
        s->src = p.src;
        s->dst = p.dst;
        s->proxied = true;
    }
    accept_decide(l, s, -1, &s->src);
}

static void connected(struct loop *l, struct session *s)
{
    int error = 0;
    socklen_t n = sizeof error;

    if (getsockopt(s->backend.fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 || error != 0)
        session_refuse(l, s, REPLY_BACKEND);
    else
        send_header(l, s);
}

void session_event(struct loop *l, struct end *end, uint32_t events)
{
    struct session *s = session_of(end);
    bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;

    if (s->state == SESSION_DEAD)
        return;
    end->readable |= (events & (EPOLLIN | EPOLLRDHUP)) != 0 || broken;
    end->writable |= (events & EPOLLOUT) != 0 || broken;
    end->hup |= (events & EPOLLRDHUP) != 0 || broken;
    if (s->state == SESSION_OPEN) {
        flow_run(l, s);
    } else if (end == &s->client && broken) {
        count_add(&l->count.hung_up, 1);
        die(l, s);
    } else if (s->state == SESSION_HEADER) {
        if (end->readable)
            read_header(l, s);
    } else if (end == &s->backend && end->writable) {
        connected(l, s);
    }
}

static int64_t time_of(const struct loop *l, enum session_list list)
{
    const int64_t ms[SESSION_LISTS] = {HEADER_MS, ASK_MS, l->snap->ini.connect_timeout_ms,
                                       l->snap->ini.idle_timeout_s * 1000, HALF_MS};
    return ms[list];
}

int64_t session_next_ms(const struct loop *l)
{
    int64_t next = -1;

    for (int i = 0; i < SESSION_LISTS; i++) {
        const struct session *s = l->queue[i].first;
        int64_t due = s == NULL ? -1 : s->since_ms + time_of(l, (enum session_list)i);
        if (due >= 0 && (next < 0 || due < next))
            next = due;
    }
    return next;
}

static void too_late(struct loop *l, struct session *s)
{
    switch (s->list) {
    case LIST_HEADER:
        session_refuse(l, s, REPLY_PROXY);
        break;
    case LIST_ASK:
    case LIST_CONNECT:
        session_refuse(l, s, REPLY_BACKEND);
        break;
    case LIST_OPEN:
    case LIST_HALF:
    case SESSION_LISTS:
        count_add(&l->count.idle, 1);
        session_end(l, s);
        break;
    }
}

void session_timers(struct loop *l)
{
    for (int i = 0; i < SESSION_LISTS; i++) {
        int64_t time = time_of(l, (enum session_list)i);
        struct session *s;
        while ((s = l->queue[i].first) != NULL && s->since_ms + time <= l->now_ms)
            too_late(l, s);
    }
}
