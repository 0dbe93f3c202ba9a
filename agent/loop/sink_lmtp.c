#include "loop/sink_lmtp.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/strbuf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SINK_LINE_MAX = 1024 };

struct sink_conn {
    int fd; /* -1: free */
    struct strbuf in;
    int64_t idle_at_ms;
    bool data;
    int rcpts; /* accepted ones of this transaction */
};

struct sink {
    int fd, port;
    char rcpt[128]; /* the only recipient there is */
    char mark[64];
    bool received;
    struct sink_conn conn[SINK_CONNECTIONS];
};

static void conn_close(struct sink_conn *c)
{
    if (c->fd >= 0)
        (void)close(c->fd);
    strbuf_clear(&c->in);
    *c = (struct sink_conn){.fd = -1, .in = STRBUF_INIT(SINK_MESSAGE_MAX)};
}

void sink_free(struct sink *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < SINK_CONNECTIONS; i++)
        conn_close(&s->conn[i]);
    if (s->fd >= 0)
        (void)close(s->fd);
    free(s);
}

enum err_code sink_new(const char *device_id, int port, struct sink **ret, struct err *e)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    AUTO(sink_free) struct sink *s = calloc(1, sizeof *s);
    socklen_t n = sizeof a;
    int on = 1;

    if (s == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < SINK_CONNECTIONS; i++)
        s->conn[i] = (struct sink_conn){.fd = -1, .in = STRBUF_INIT(SINK_MESSAGE_MAX)};
    (void)snprintf(s->rcpt, sizeof s->rcpt, "<probe@%s.inari.invalid>", device_id);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0 || setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(s->fd, (const struct sockaddr *)(const void *)&a, sizeof a) != 0 ||
        listen(s->fd, SINK_CONNECTIONS) != 0)
        return err_errno(e, ERR_UNAVAILABLE, errno,
                         "could not listen for test messages on 127.0.0.1:%d", port);
    if (getsockname(s->fd, (struct sockaddr *)(void *)&a, &n) == 0)
        s->port = ntohs(a.sin_port);
    *ret = TAKE(s);
    return ERR_OK;
}

int sink_port(const struct sink *s)
{
    return s->port;
}

void sink_expect(struct sink *s, const char *mark)
{
    (void)snprintf(s->mark, sizeof s->mark, "%s", mark);
    s->received = false;
}

bool sink_received(const struct sink *s)
{
    return s->received;
}

size_t sink_fds(const struct sink *s, struct pollfd *fds)
{
    size_t n = 0;

    fds[n++] = (struct pollfd){s->fd, POLLIN, 0};
    for (size_t i = 0; i < SINK_CONNECTIONS; i++)
        if (s->conn[i].fd >= 0)
            fds[n++] = (struct pollfd){s->conn[i].fd, POLLIN, 0};
    return n;
}

/* Replies are short: a peer that does not take them has gone wrong and is dropped. */
static bool say(struct sink_conn *c, const char *text)
{
    size_t n = strlen(text);

    return send(c->fd, text, n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n;
}

static bool verb_is(struct slice line, const char *verb)
{
    size_t n = strlen(verb);

    return line.n >= n && strncasecmp(line.p, verb, n) == 0 &&
           (line.n == n || line.p[n] == ' ' || line.p[n] == ':');
}

static bool is_our_rcpt(const struct sink *s, struct slice line)
{
    struct slice rest = line;
    size_t n = strlen(s->rcpt);

    (void)slice_cut(&rest, ':');
    rest = slice_trim(rest);
    return rest.n >= n && strncasecmp(rest.p, s->rcpt, n) == 0 && (rest.n == n || rest.p[n] == ' ');
}

/* false: close the connection. */
static bool command(struct sink *s, struct sink_conn *c, struct slice line)
{
    if (verb_is(line, "LHLO")) {
        c->rcpts = 0;
        return say(c, "250-inari probe "
                      "sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 "
                      "SIZE 65536\r\n");
    }
    if (verb_is(line, "MAIL") || verb_is(line, "RSET") || verb_is(line, "NOOP")) {
        c->rcpts = verb_is(line, "NOOP") ? c->rcpts : 0;
        return say(c, "250 2.0.0 ok\r\n");
    }
    if (verb_is(line, "RCPT")) {
        if (!is_our_rcpt(s, line) || c->rcpts >= 10)
            return say(c, "550 5.1.1 only the probe of this device is received here\r\n");
        c->rcpts++;
        return say(c, "250 2.1.5 ok\r\n");
    }
    if (verb_is(line, "DATA")) {
        if (c->rcpts == 0)
            return say(c, "503 5.5.1 no recipient\r\n");
        c->data = true;
        return say(c, "354 go on\r\n");
    }
    if (verb_is(line, "QUIT")) {
        (void)say(c, "221 2.0.0 bye\r\n");
        return false;
    }
    return say(c, "500 5.5.2 not known here\r\n");
}

static bool message(struct sink *s, struct sink_conn *c, struct slice text)
{
    bool ok = true;

    if (s->mark[0] != '\0' && memmem(text.p, text.n, s->mark, strlen(s->mark)) != NULL)
        s->received = true;
    c->data = false;
    for (; c->rcpts > 0 && ok; c->rcpts--) /* LMTP: a reply for each recipient */
        ok = say(c, "250 2.0.0 received\r\n");
    return ok;
}

static void drop_front(struct strbuf *b, size_t n)
{
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
    b->p[b->n] = '\0';
}

/* Everything that is whole in the buffer. */
static bool digest_input(struct sink *s, struct sink_conn *c)
{
    bool ok = true;

    while (ok && c->in.n > 0) {
        const char *mark = c->data ? "\r\n.\r\n" : "\r\n";
        const char *end = memmem(c->in.p, c->in.n, mark, strlen(mark));
        size_t n;
        if (end == NULL)
            return c->data || c->in.n <= SINK_LINE_MAX;
        n = (size_t)(end - c->in.p);
        ok = c->data ? message(s, c, (struct slice){c->in.p, n})
                     : command(s, c, (struct slice){c->in.p, n});
        drop_front(&c->in, n + strlen(mark));
    }
    return ok;
}

static void conn_work(struct sink *s, struct sink_conn *c)
{
    char buf[4096];

    for (;;) {
        ssize_t n = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (clock_mono_ms() > c->idle_at_ms)
                conn_close(c);
            return;
        }
        if (n > 0)
            strbuf_add(&c->in, (struct slice){buf, (size_t)n});
        if (n <= 0 || !strbuf_ok(&c->in) || !digest_input(s, c)) {
            conn_close(c);
            return;
        }
        c->idle_at_ms = clock_mono_ms() + SINK_IDLE_MS;
    }
}

void sink_work(struct sink *s)
{
    int on = 1;

    for (size_t i = 0; i < SINK_CONNECTIONS; i++) {
        struct sink_conn *c = &s->conn[i];
        if (c->fd < 0) {
            c->fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
            if (c->fd < 0)
                continue;
            (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            c->idle_at_ms = clock_mono_ms() + SINK_IDLE_MS;
            if (!say(c, "220 inari probe sink LMTP\r\n")) {
                conn_close(c);
                continue;
            }
        }
        conn_work(s, c);
    }
}
