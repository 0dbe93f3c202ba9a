/*
 * conn.c - connections of the simulated children.  Like the real agent's (libcurl): kept alive, a
 * second one while the first is held, sessions resumed, and a request that a kept connection loses
 * before a byte of the answer came is sent once more on a fresh one.
 */
#include "base/clock.h"
#include "base/hash.h"
#include "sim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    HEAD_MAX = 8 * 1024,
    CONNECT_MS = 5000,
    HANDSHAKE_MS = 10000,
    ANSWER_MS = 20000,
    EVENTS = 1024,
    PINS_MAX = 16,
    READ_CHUNK = 16 * 1024,
};

static struct {
    SSL_CTX *ctx;
    int epoll, sources;
    struct sockaddr_storage peer;
    socklen_t peer_n;
    char pins[PINS_MAX][48];
    size_t n_pins;
} net = {.epoll = -1};

char conn_host[300];

static int new_session(SSL *ssl, SSL_SESSION *session)
{
    struct conn *c = SSL_get_app_data(ssl);

    SSL_SESSION_free(c->child->session);
    c->child->session = session;
    return 1; /* kept */
}

static enum err_code resolve(const char *host, const char *port, struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;

    if (getaddrinfo(host, port, &hints, &found) != 0)
        return err_set(e, ERR_INVALID, "could not find the address of \"%s\"", host);
    for (const struct addrinfo *i = found; i != NULL; i = i->ai_next) {
        if (net.peer_n != 0 && i->ai_family != AF_INET) /* IPv4: many source addresses */
            continue;
        memcpy(&net.peer, i->ai_addr, i->ai_addrlen);
        net.peer_n = i->ai_addrlen;
    }
    freeaddrinfo(found);
    return ERR_OK;
}

bool conn_init(const char *host, const char *port, const json_t *pins, int sources, struct err *e)
{
    size_t i;
    json_t *v;

    json_array_foreach(pins, i, v)
    {
        if (net.n_pins < PINS_MAX && json_is_string(v))
            (void)snprintf(net.pins[net.n_pins++], sizeof net.pins[0], "%s", json_string_value(v));
    }
    net.sources = sources;
    net.epoll = epoll_create1(EPOLL_CLOEXEC);
    net.ctx = SSL_CTX_new(TLS_client_method());
    (void)snprintf(conn_host, sizeof conn_host, "%s:%s", host, port);
    if (net.ctx == NULL || net.epoll < 0) {
        (void)err_set(e, ERR_NO_MEMORY, "could not start TLS");
        return false;
    }
    (void)SSL_CTX_set_min_proto_version(net.ctx, TLS1_3_VERSION);
    (void)SSL_CTX_set_mode(net.ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    (void)SSL_CTX_set_session_cache_mode(net.ctx,
                                         SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(net.ctx, new_session);
    return resolve(host, port, e) == ERR_OK;
}

void conn_cleanup(void)
{
    SSL_CTX_free(net.ctx);
    if (net.epoll >= 0)
        (void)close(net.epoll);
}

/* The pin is the whole trust: who does not have the key is not spoken to. */
static bool pinned(SSL *ssl)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(64);
    unsigned char *der = NULL, hash[SHA256_SIZE];
    X509 *crt = SSL_get1_peer_certificate(ssl);
    int n = crt == NULL ? -1 : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(crt), &der);
    bool ok = false;

    if (n > 0) {
        sha256((struct slice){(char *)der, (size_t)n}, hash);
        b64u_add(&b, (struct slice){(char *)hash, sizeof hash});
        for (size_t i = 0; i < net.n_pins; i++)
            ok |= strcmp(net.pins[i], strbuf_str(&b)) == 0;
    }
    OPENSSL_free(der);
    X509_free(crt);
    return ok;
}

static void watch(struct conn *c, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = c};

    if (c->events == events)
        return;
    (void)epoll_ctl(net.epoll, c->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->fd, &ev);
    c->events = events;
}

static void shut(struct conn *c)
{
    if (c->ssl != NULL) {
        /* Else OpenSSL takes the session for a bad one and does not resume it. */
        SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(c->ssl);
    }
    if (c->fd >= 0)
        (void)close(c->fd);
    c->ssl = NULL;
    c->fd = -1;
    c->events = 0;
    c->state = CONN_CLOSED;
    strbuf_clear(&c->in);
}

void conn_drop(struct conn *c)
{
    if (c->state != CONN_CLOSED)
        shut(c);
    free(c->out);
    c->out = NULL;
    c->done = NULL;
    c->deadline_ms = INT64_MAX;
}

static void deliver(struct conn *c, struct answer *a)
{
    conn_done *done = c->done;

    c->done = NULL;
    c->deadline_ms = INT64_MAX;
    free(c->out);
    c->out = NULL;
    a->elapsed_ms = clock_mono_ms() - c->started_ms;
    if (a->status > 0 && a->status < 600)
        count.answers[a->status]++;
    if (done != NULL)
        done(c->child, a);
    strbuf_clear(&a->body);
    child_turn(c->child);
}

static void fail(struct conn *c, const char *problem)
{
    struct answer a = {.problem = problem, .next_poll_s = -1, .body = STRBUF_INIT(0)};

    shut(c);
    if (c->done != NULL)
        deliver(c, &a);
}

void conn_close(struct conn *c)
{
    if (c->state != CONN_CLOSED)
        fail(c, "closed");
}

/* --- connecting --- */

static bool bind_source(struct conn *c)
{
    struct sockaddr_in own = {.sin_family = AF_INET};
    int yes = 1;

    if (net.peer.ss_family != AF_INET || net.sources == 0)
        return true;
    /* 127.0.1.1 and up: as if each part of the fleet stood at another site */
    own.sin_addr.s_addr = htonl(0x7f000100u + 1u + (uint32_t)(c->child->index % net.sources));
    (void)setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    return bind(c->fd, (struct sockaddr *)&own, sizeof own) == 0;
}

static void open_conn(struct conn *c)
{
    int yes = 1;

    c->reused = false;
    c->state = CONN_CONNECTING;
    c->fd = socket(net.peer.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || !bind_source(c) ||
        (connect(c->fd, (struct sockaddr *)&net.peer, net.peer_n) != 0 && errno != EINPROGRESS)) {
        c->deadline_ms = 0; /* told from the next turn, never from within */
        return;
    }
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    c->deadline_ms = clock_mono_ms() + CONNECT_MS;
    count.connects++;
    watch(c, EPOLLOUT);
}

static void begin_tls(struct conn *c)
{
    int error = 0;
    socklen_t n = sizeof error;

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 || error != 0) {
        count.connect_failures++;
        fail(c, "could not connect");
        return;
    }
    c->ssl = SSL_new(net.ctx);
    if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1) {
        fail(c, "out of memory");
        return;
    }
    (void)SSL_set_app_data(c->ssl, c);
    (void)SSL_set_tlsext_host_name(c->ssl, "localhost");
    if (c->child->session != NULL)
        (void)SSL_set_session(c->ssl, c->child->session);
    SSL_set_connect_state(c->ssl);
    c->state = CONN_HANDSHAKE;
    c->deadline_ms = clock_mono_ms() + HANDSHAKE_MS;
}

/* The peer is gone: on a kept connection that lost the request before any answer, try afresh. */
static void lost(struct conn *c)
{
    if (c->done == NULL) { /* an idle one that the parent closed */
        shut(c);
        return;
    }
    if (c->reused && c->in.n == 0) {
        shut(c);
        c->out_at = 0;
        c->in = STRBUF_INIT(PROTO_BUNDLE_MAX + HEAD_MAX);
        open_conn(c);
        return;
    }
    count.cut++;
    fail(c, "the connection was cut");
}

/* true: rc was good; else epoll is told what is needed, or the connection is over. */
static bool tls_ok(struct conn *c, int rc)
{
    int why;

    if (rc > 0)
        return true;
    why = SSL_get_error(c->ssl, rc);
    if (why == SSL_ERROR_WANT_READ)
        watch(c, EPOLLIN);
    else if (why == SSL_ERROR_WANT_WRITE)
        watch(c, EPOLLOUT);
    else
        lost(c);
    ERR_clear_error();
    return false;
}

/* --- the answer --- */

static void header(struct answer *a, struct slice name, struct slice value, size_t *length)
{
    uint64_t n = 0;
    char text[128];

    (void)snprintf(text, sizeof text, "%.*s", (int)(value.n < 127 ? value.n : 127), value.p);
#define IS(word) (name.n == sizeof word - 1 && strncasecmp(name.p, word, name.n) == 0)
    if (IS("Content-Length") && parse_u64(value, 0, PROTO_BUNDLE_MAX, &n))
        *length = (size_t)n;
    else if (IS("ETag") && value.n == 66)
        (void)snprintf(a->etag, sizeof a->etag, "%.64s", text + 1);
    else if (IS("Retry-After"))
        (void)snprintf(a->retry_after, sizeof a->retry_after, "%.39s", text);
    else if (IS(PROTO_H_REPORT))
        (void)snprintf(a->report, sizeof a->report, "%.7s", text);
    else if (IS(PROTO_H_NEXT_POLL))
        (void)!parse_i64(value, 0, 86400, &a->next_poll_s);
    else if (IS(PROTO_H_TRUST))
        (void)!parse_i64(value, 0, INT32_MAX, &a->trust);
#undef IS
}

/* Whole answers only.  false: more is needed. */
static bool parse(struct conn *c, struct answer *a, size_t *ret_n)
{
    struct slice all = strbuf_slice(&c->in), rest;
    const char *end = all.n < 12 ? NULL : memmem(all.p, all.n, "\r\n\r\n", 4);
    size_t length = 0, head;

    if (end == NULL)
        return false;
    head = (size_t)(end - all.p) + 4;
    a->status = atoi(all.p + 9);
    a->next_poll_s = -1;
    rest = (struct slice){all.p, head - 2};
    (void)slice_cut(&rest, '\n');
    while (rest.n > 0) {
        struct slice value = slice_trim(slice_cut(&rest, '\n')), name = slice_cut(&value, ':');
        header(a, name, slice_trim(value), &length);
    }
    if (a->status == 204 || a->status == 304)
        length = 0;
    if (all.n < head + length)
        return false;
    a->body = STRBUF_INIT(PROTO_BUNDLE_MAX + 1);
    strbuf_add(&a->body, (struct slice){all.p + head, length});
    *ret_n = head + length;
    return true;
}

static void problem_word(struct answer *a)
{
    AUTO(json_free) json_t *j = NULL;
    const char *type;

    if (a->status < 400 || json_in_parse(strbuf_slice(&a->body), 64 * KIB, &j, NULL) != ERR_OK)
        return;
    type = strrchr(json_str(j, "type", ""), ':');
    (void)snprintf(a->word, sizeof a->word, "%s", type == NULL ? "" : type + 1);
}

static void finish(struct conn *c)
{
    struct answer a = {0};
    size_t n = 0;
    bool close_it;

    if (c->done == NULL || !parse(c, &a, &n))
        return;
    close_it = memmem(c->in.p, n - a.body.n, "Connection: close", 17) != NULL ||
               memmem(c->in.p, n - a.body.n, "Connection: Close", 17) != NULL;
    strbuf_clear(&c->in);
    problem_word(&a);
    if (close_it)
        shut(c);
    else
        c->state = CONN_IDLE;
    deliver(c, &a);
}

static void read_some(struct conn *c)
{
    static char buf[READ_CHUNK];

    for (;;) {
        int n = SSL_read(c->ssl, buf, (int)sizeof buf);
        if (!tls_ok(c, n))
            return;
        if (c->done == NULL) { /* nobody asked */
            shut(c);
            return;
        }
        strbuf_add(&c->in, (struct slice){buf, (size_t)n});
        if (!strbuf_ok(&c->in)) {
            fail(c, "the answer is too large");
            return;
        }
        finish(c);
        if (c->ssl == NULL || c->state == CONN_SENDING)
            return; /* over, or already carrying the next request */
    }
}

/* --- the request --- */

static void write_some(struct conn *c)
{
    while (c->out_at < c->out_n) {
        int n = SSL_write(c->ssl, c->out + c->out_at, (int)(c->out_n - c->out_at));
        if (!tls_ok(c, n))
            return;
        c->out_at += (size_t)n;
    }
    c->state = CONN_READING;
    watch(c, EPOLLIN);
}

static void shake(struct conn *c)
{
    if (!tls_ok(c, SSL_do_handshake(c->ssl)))
        return;
    if (SSL_session_reused(c->ssl) == 0 && !pinned(c->ssl)) {
        fail(c, "the parent's key is not pinned");
        return;
    }
    count.handshakes++;
    count.resumed += SSL_session_reused(c->ssl) != 0;
    c->state = CONN_SENDING;
    c->deadline_ms = clock_mono_ms() + c->wait_ms + ANSWER_MS;
    write_some(c);
}

static void serve(struct conn *c)
{
    switch (c->state) {
    case CONN_CONNECTING:
        begin_tls(c);
        if (c->state == CONN_HANDSHAKE)
            shake(c);
        break;
    case CONN_HANDSHAKE:
        shake(c);
        break;
    case CONN_SENDING:
        write_some(c);
        break;
    case CONN_IDLE:
    case CONN_READING:
        read_some(c);
        break;
    case CONN_CLOSED:
        break;
    }
}

void conn_send(struct conn *c, struct strbuf *request, int64_t wait_ms, conn_done *done)
{
    int64_t now = clock_mono_ms();

    c->out_n = request->n;
    c->out_at = 0;
    c->out = strbuf_take(request);
    c->done = done;
    c->started_ms = now;
    c->wait_ms = wait_ms;
    c->in = STRBUF_INIT(PROTO_BUNDLE_MAX + HEAD_MAX);
    if (c->state == CONN_IDLE) {
        c->reused = true;
        c->state = CONN_SENDING;
        c->deadline_ms = now + wait_ms + ANSWER_MS;
        watch(c, EPOLLOUT);
        return;
    }
    open_conn(c);
}

void conn_expire(struct conn *c, int64_t now_ms)
{
    if (c->done == NULL || now_ms < c->deadline_ms)
        return;
    if (c->deadline_ms != 0)
        count.expired++;
    else
        count.connect_failures++;
    fail(c, "too slow");
}

void conn_wait(int ms)
{
    static struct epoll_event ev[EVENTS];
    int n = epoll_wait(net.epoll, ev, EVENTS, ms);

    for (int i = 0; i < n; i++) {
        struct conn *c = ev[i].data.ptr;
        /* One earlier in this round may have closed it: fd and state tell. */
        if (c->fd >= 0 && c->events != 0)
            serve(c);
    }
}
