#include "reputation/resolver.h"

#include <ares.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    CHANNELS = 4,
    TURN_MS = 2000,       /* a channel's turn: a source port lives so long ... */
    TURN_QUESTIONS = 256, /* ... or so many questions, when another channel has run dry by then */
    TICK_MS = 40,         /* how exact time-outs are */
    EVENTS = 64,
    LATE_ROW = 3, /* questions in a row the first resolver left to others before it comes last */
    CLASS_IN = 1,
    TYPE_A = 1,
};

struct channel {
    struct resolver *resolver;
    ares_channel ares;
    size_t open;
    unsigned order; /* of the servers it was given */
};

struct resolver {
    struct channel channel[CHANNELS];
    size_t turn, asked; /* whose turn it is, and how often it was asked in it */
    int64_t turn_ms, tick_ms;
    size_t open;
    int epoll_fd;
    char server[REP_RESOLVERS_MAX][REP_RESOLVER_SIZE];
    size_t servers;
    unsigned order, late_row;
};

struct question {
    struct channel *channel;
    resolver_done *done;
    void *user;
};

static void library_init(void)
{
    (void)ares_library_init(ARES_LIB_INIT_ALL);
}

static void on_socket(void *user, ares_socket_t fd, int readable, int writable)
{
    struct channel *c = user;
    struct epoll_event ev = {0};
    int epoll_fd = c->resolver->epoll_fd;

    if (!readable && !writable) {
        (void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, &ev);
        return;
    }
    ev.events = (readable ? (uint32_t)EPOLLIN : 0) | (writable ? (uint32_t)EPOLLOUT : 0);
    ev.data.u64 = (uint64_t)(c - c->resolver->channel) << 32 | (uint32_t)fd;
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &ev) != 0 && errno == ENOENT)
        (void)epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

/* The servers, beginning with the order-th. */
static enum err_code give_servers(struct channel *c, struct err *e)
{
    struct resolver *r = c->resolver;
    char text[REP_RESOLVERS_MAX * REP_RESOLVER_SIZE];
    size_t n = 0;

    c->order = r->order;
    if (r->servers == 0)
        return ERR_OK;
    for (size_t i = 0; i < r->servers; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i == 0 ? "" : ",",
                              r->server[(r->order + i) % r->servers]);
    if (ares_set_servers_ports_csv(c->ares, text) != ARES_SUCCESS)
        return err_set(e, ERR_INVALID, "cannot ask these resolvers: %s", text);
    return ERR_OK;
}

static enum err_code channel_init(struct channel *c, const struct reputation_conf *conf,
                                  struct err *e)
{
    int64_t timeout = conf->wait_ms * 2 / 3; /* the second try may still be in time */
    struct ares_options o = {.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
                             .tries = conf->resolvers > 1 ? 2 : 3,
                             .sock_state_cb = on_socket,
                             .sock_state_cb_data = c};
    int rc;

    o.timeout = (int)(timeout < 200 ? 200 : timeout > 700 ? 700 : timeout);
    if (conf->resolvers == 1) /* nobody else to ask: say what it said */
        o.flags |= ARES_FLAG_NOCHECKRESP;
    rc = ares_init_options(&c->ares, &o,
                           ARES_OPT_FLAGS | ARES_OPT_TRIES | ARES_OPT_TIMEOUTMS |
                               ARES_OPT_SOCK_STATE_CB);
    if (rc != ARES_SUCCESS) {
        c->ares = NULL;
        return err_set(e, rc == ARES_ENOMEM ? ERR_NO_MEMORY : ERR_INVALID,
                       "could not begin to ask DNS: %s", ares_strerror(rc));
    }
    return give_servers(c, e);
}

enum err_code resolver_new(const struct reputation_conf *conf, struct resolver **ret, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct resolver *r = calloc(1, sizeof *r);
    enum err_code rc = ERR_OK;

    (void)pthread_once(&once, library_init);
    if (r == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (r->epoll_fd < 0)
        rc = err_errno(e, ERR_STORAGE, errno, "could not make an epoll descriptor");
    memcpy(r->server, conf->resolver, sizeof r->server);
    r->servers = conf->resolvers;
    for (size_t i = 0; i < CHANNELS && rc == ERR_OK; i++) {
        r->channel[i].resolver = r;
        rc = channel_init(&r->channel[i], conf, e);
    }
    if (rc != ERR_OK) {
        resolver_free(r);
        return rc;
    }
    *ret = r;
    return ERR_OK;
}

void resolver_free(struct resolver *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < CHANNELS; i++) {
        if (r->channel[i].ares != NULL)
            ares_destroy(r->channel[i].ares);
    }
    if (r->epoll_fd >= 0)
        (void)close(r->epoll_fd);
    free(r);
}

int resolver_fd(const struct resolver *r)
{
    return r->epoll_fd;
}

size_t resolver_open(const struct resolver *r)
{
    return r->open;
}

/* Whose turn: another channel's after some time, if one has run dry. */
static struct channel *whose_turn(struct resolver *r, int64_t now_ms)
{
    if (r->asked > 0 && (r->asked >= TURN_QUESTIONS || now_ms - r->turn_ms >= TURN_MS)) {
        for (size_t i = 1; i < CHANNELS; i++) {
            size_t next = (r->turn + i) % CHANNELS;
            if (r->channel[next].open == 0) {
                r->turn = next;
                r->asked = 0;
                break;
            }
        }
    }
    if (r->asked == 0)
        r->turn_ms = now_ms;
    r->asked++;
    if (r->channel[r->turn].open == 0 && r->channel[r->turn].order != r->order)
        (void)give_servers(&r->channel[r->turn], NULL); /* the same ones were good before */
    return &r->channel[r->turn];
}

static enum dnsbl_error error_of(int status)
{
    switch (status) {
    case ARES_ETIMEOUT:
        return DNSBL_E_TIMEOUT;
    case ARES_ESERVFAIL:
        return DNSBL_E_SERVFAIL;
    case ARES_EREFUSED:
        return DNSBL_E_REFUSED;
    case ARES_EBADRESP:
        return DNSBL_E_MALFORMED;
    default:
        return DNSBL_E_NETWORK;
    }
}

static void on_answer(void *user, int status, int timeouts, unsigned char *message, int n)
{
    struct question *q = user;
    struct resolver *r = q->channel->resolver;
    resolver_done *done = q->done;

    user = q->user;
    q->channel->open--;
    r->open--;
    if (timeouts > 0 && message != NULL && q->channel->order == r->order) {
        if (++r->late_row >= LATE_ROW && r->servers > 1) {
            r->order = (unsigned)((r->order + 1) % r->servers);
            r->late_row = 0;
        }
    } else if (message != NULL) {
        r->late_row = 0;
    }
    free(q);
    done(user, error_of(status), message, message == NULL || n < 0 ? 0 : (size_t)n);
}

bool resolver_query(struct resolver *r, const char *name, int64_t now_ms, resolver_done *done,
                    void *user)
{
    struct question *q = r->open < RESOLVER_OPEN_MAX ? malloc(sizeof *q) : NULL;

    if (q == NULL)
        return false;
    *q = (struct question){whose_turn(r, now_ms), done, user};
    if (r->open == 0)
        r->tick_ms = now_ms;
    q->channel->open++;
    r->open++;
    ares_query(q->channel->ares, name, CLASS_IN, TYPE_A, on_answer, q);
    return true;
}

int64_t resolver_wake_at(const struct resolver *r)
{
    return r->open == 0 ? INT64_MAX : r->tick_ms + TICK_MS;
}

void resolver_run(struct resolver *r, int64_t now_ms)
{
    struct epoll_event ev[EVENTS];
    int n = epoll_wait(r->epoll_fd, ev, EVENTS, 0);

    for (int i = 0; i < n; i++) {
        struct channel *c = &r->channel[ev[i].data.u64 >> 32];
        ares_socket_t fd = (ares_socket_t)(ev[i].data.u64 & UINT32_MAX);
        bool in = (ev[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0,
             out = (ev[i].events & EPOLLOUT) != 0;
        ares_process_fd(c->ares, in ? fd : ARES_SOCKET_BAD, out ? fd : ARES_SOCKET_BAD);
    }
    if (r->open > 0 && now_ms - r->tick_ms >= TICK_MS) {
        r->tick_ms = now_ms;
        for (size_t i = 0; i < CHANNELS; i++) {
            if (r->channel[i].open > 0)
                ares_process_fd(r->channel[i].ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        }
    }
}
