/*
 * smtpload - load and targets for bench/run foxproxy; one thread, epoll.
 *   smtpload refused ADDRESS PORT SECONDS CLIENTS SOURCES   connect, read to the end, again; each
 * reply must be whole and begin with 5 smtpload reset   ADDRESS PORT SECONDS CLIENTS SOURCES   the
 * same towards a peer that only closes smtpload source  ADDRESS PORT SECONDS CLIENTS SIZE      a
 * session with one message of SIZE bytes, again smtpload sink    ADDRESS PORT [proxy] takes every
 * message; proxy: a PROXY v2 header comes first Clients come from 127.0.1.1 and the addresses after
 * it, IPv4 only.  Prints one line of JSON.
 */
#include "base/clock.h"
#include "base/slice.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum { EVENTS = 256, LINE = 1024, DRAIN = 65536 };

enum mode { REFUSED, RESET, SOURCE, SINK };

struct peer {
    int fd;
    unsigned
        step; /* source: replies read; sink: 1 = inside DATA, 2 = the header is still to come */
    size_t n; /* of text */
    char text[LINE]; /* what came and is not done with */
    const char *out; /* what is still to be written */
    size_t out_n;
    int64_t begun_us;
};

static enum mode mode;
static struct sockaddr_in server;
static unsigned sources = 1;
static char *message;
static size_t message_n;
static int ep;
static bool over;
static uint64_t done, bad;
static int64_t *took_us;
static size_t took_room;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(struct peer *p, int op, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = p};

    if (epoll_ctl(ep, op, p->fd, &ev) != 0)
        die("epoll_ctl");
}

/* --- clients --- */

static void begin(struct peer *p)
{
    static unsigned next;
    struct sockaddr_in from = {.sin_family = AF_INET};
    int one = 1;

    *p = (struct peer){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
                       .begun_us = clock_mono_us()};
    if (p->fd < 0)
        die("socket");
    from.sin_addr.s_addr = htonl(0x7f000101U + next++ % sources);
    (void)setsockopt(p->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    (void)setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(p->fd, (const struct sockaddr *)&from, sizeof from) != 0)
        die("bind");
    if (connect(p->fd, (const struct sockaddr *)&server, sizeof server) != 0 &&
        errno != EINPROGRESS)
        die("connect");
    watch(p, EPOLL_CTL_ADD, EPOLLIN | EPOLLRDHUP);
}

static void finish(struct peer *p, bool good)
{
    done += good;
    bad += !good;
    if (good && took_us != NULL && done <= took_room)
        took_us[done - 1] = clock_mono_us() - p->begun_us;
    (void)close(p->fd);
    if (over)
        p->fd = -1;
    else
        begin(p);
}

/* hup: the peer has said all; what is there is all there will be. */
static void read_to_the_end(struct peer *p, bool hup)
{
    ssize_t n;

    while (p->n < sizeof p->text) {
        n = recv(p->fd, p->text + p->n, sizeof p->text - p->n, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            bool whole = n == 0 && p->n > 6 && p->text[0] == '5' &&
                         memcmp(p->text + p->n - 2, "\r\n", 2) == 0;
            finish(p, mode == RESET ? p->n == 0 && (n == 0 || errno == ECONNRESET) : whole);
            return;
        }
        p->n += (size_t)n;
        if (hup && mode == REFUSED && p->n > 6 && p->text[0] == '5' && p->text[p->n - 1] == '\n') {
            finish(p, true);
            return;
        }
    }
    finish(p, false);
}

static void write_out(struct peer *p)
{
    while (p->out_n > 0) {
        ssize_t n = send(p->fd, p->out, p->out_n, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            watch(p, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
            return;
        }
        if (n < 0) {
            p->out_n = 0;
            return;
        }
        p->out += n;
        p->out_n -= (size_t)n;
        if (p->out_n == 0 && n > 16384)
            watch(p, EPOLL_CTL_MOD, EPOLLIN);
    }
}

static void talk(struct peer *p)
{
    static const struct {
        int want;
        const char *say; /* NULL: the message */
    } steps[] = {{220, "EHLO bench.example\r\n"},
                 {250, "MAIL FROM:<a@example.org>\r\n"},
                 {250, "RCPT TO:<b@example.test>\r\n"},
                 {250, "DATA\r\n"},
                 {354, NULL},
                 {250, "QUIT\r\n"},
                 {221, ""}};
    ssize_t n = recv(p->fd, p->text + p->n, sizeof p->text - p->n, 0);
    const char *line = p->text, *lf;

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        finish(p, p->step == COUNT_OF(steps));
        return;
    }
    p->n += (size_t)n;
    while ((lf = memchr(line, '\n', p->n - (size_t)(line - p->text))) != NULL) {
        bool last = lf - line > 3 && line[3] == ' ';
        if (last && (p->step == COUNT_OF(steps) || atol(line) != steps[p->step].want)) {
            finish(p, false);
            return;
        }
        line = lf + 1;
        if (!last)
            continue;
        p->out = steps[p->step].say != NULL ? steps[p->step].say : message;
        p->out_n = steps[p->step].say != NULL ? strlen(p->out) : message_n;
        p->step++;
        write_out(p);
    }
    p->n -= (size_t)(line - p->text);
    memmove(p->text, line, p->n);
}

/* --- sink --- */

static void say(struct peer *p, const char *text)
{
    (void)!send(p->fd, text, strlen(text), MSG_NOSIGNAL);
}

/* Whole lines; in DATA only the end of the message matters. */
static bool sink_lines(struct peer *p, char *data, size_t size)
{
    char *line = data, *lf;

    while ((lf = memchr(line, '\n', size - (size_t)(line - data))) != NULL) {
        size_t n = (size_t)(lf - line);
        if (p->step == 1) {
            if (n == 2 && line[0] == '.') {
                p->step = 0;
                say(p, "250 2.0.0 ok\r\n");
            }
        } else if (n >= 4 && memcmp(line, "DATA", 4) == 0) {
            p->step = 1;
            say(p, "354 go on\r\n");
        } else if (n >= 4 && memcmp(line, "QUIT", 4) == 0) {
            say(p, "221 2.0.0 bye\r\n");
            return false;
        } else {
            say(p, "250 2.1.0 ok\r\n");
        }
        line = lf + 1;
    }
    p->n = size - (size_t)(line - data);
    if (p->n > sizeof p->text)
        p->n = 0; /* in the middle of a long line, which is no end */
    memmove(p->text, line, p->n);
    return true;
}

static void sink_read(struct peer *p)
{
    static char data[DRAIN + LINE];
    ssize_t n;

    memcpy(data, p->text, p->n);
    n = recv(p->fd, data + p->n, DRAIN, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0 && p->step == 2) { /* its length is in it; it comes in one piece here */
        size_t head = n >= 16 ? 16 + ((size_t)(uint8_t)data[14] << 8 | (uint8_t)data[15]) : 0;
        if (head != 0 && head <= (size_t)n) {
            p->step = 0;
            say(p, "220 sink.example.test ESMTP\r\n");
            memmove(data, data + head, (size_t)n - head);
            n -= (ssize_t)head;
            if (n == 0)
                return;
        }
    }
    if (n > 0 && p->step != 2 && sink_lines(p, data, p->n + (size_t)n))
        return;
    (void)close(p->fd);
    free(p);
}

static void sink_accept(int lfd, bool proxy)
{
    int fd;

    while ((fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct peer *p = calloc(1, sizeof *p);
        int one = 1;
        if (p == NULL)
            die("calloc");
        p->fd = fd;
        p->step = proxy ? 2 : 0;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(p, EPOLL_CTL_ADD, EPOLLIN);
        if (!proxy)
            say(p, "220 sink.example.test ESMTP\r\n");
    }
}

static void run_sink(bool proxy)
{
    struct peer listener = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    struct epoll_event ev[EVENTS];
    int one = 1;

    (void)setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener.fd, (const struct sockaddr *)&server, sizeof server) != 0 ||
        listen(listener.fd, 4096) != 0)
        die("listen");
    watch(&listener, EPOLL_CTL_ADD, EPOLLIN);
    for (;;) {
        int n = epoll_wait(ep, ev, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (ev[i].data.ptr == &listener)
                sink_accept(listener.fd, proxy);
            else
                sink_read(ev[i].data.ptr);
        }
    }
}

/* --- run --- */

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

static void run_clients(int64_t seconds, unsigned clients)
{
    struct peer *p = calloc(clients, sizeof *p);
    struct epoll_event ev[EVENTS];
    int64_t start = clock_mono_us(), end = start + seconds * 1000000, now = start;
    size_t n;

    took_room = 4 * 1000 * 1000;
    took_us = malloc(took_room * sizeof *took_us);
    if (p == NULL || took_us == NULL)
        die("malloc");
    for (unsigned i = 0; i < clients; i++)
        begin(&p[i]);
    for (; now < end; now = clock_mono_us()) {
        int got = epoll_wait(ep, ev, EVENTS, 100);
        for (int i = 0; i < got; i++) {
            struct peer *at = ev[i].data.ptr;
            if (mode != SOURCE) {
                read_to_the_end(at, (ev[i].events & EPOLLRDHUP) != 0);
                continue;
            }
            if ((ev[i].events & EPOLLOUT) != 0)
                write_out(at);
            if ((ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
                talk(at);
        }
    }
    n = done < took_room ? done : took_room;
    qsort(took_us, n, sizeof *took_us, by_size);
    (void)printf("{\"done\": %llu, \"bad\": %llu, \"seconds\": %.3f, \"p50_us\": %lld, "
                 "\"p99_us\": %lld, \"p999_us\": %lld}\n",
                 (unsigned long long)done, (unsigned long long)bad, (double)(now - start) / 1e6,
                 (long long)(n > 0 ? took_us[n / 2] : 0),
                 (long long)(n > 0 ? took_us[n * 99 / 100] : 0),
                 (long long)(n > 0 ? took_us[n * 999 / 1000] : 0));
}

static uint64_t number(const char *s)
{
    uint64_t n = 0;

    if (!parse_u64(slice_of(s), 1, 1000000000, &n)) {
        (void)fprintf(stderr, "smtpload: \"%s\" is no number\n", s);
        exit(2);
    }
    return n;
}

int main(int argc, char **argv)
{
    static const char *const words[] = {"refused", "reset", "source", "sink"};
    struct rlimit r;
    size_t m = 0;

    while (m < COUNT_OF(words) && (argc < 4 || strcmp(argv[1], words[m]) != 0))
        m++;
    mode = (enum mode)m;
    if (m == COUNT_OF(words) || (mode != SINK && argc != 7)) {
        (void)fputs("usage: smtpload refused|reset|source|sink ADDRESS PORT ... (see the source)\n",
                    stderr);
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r);
    }
    ep = epoll_create1(EPOLL_CLOEXEC);
    server =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)number(argv[3]))};
    if (inet_pton(AF_INET, argv[2], &server.sin_addr) != 1)
        die("address");
    if (mode == SINK) {
        run_sink(argc > 4);
        return 0;
    }
    sources = 64;
    if (mode != SOURCE) {
        sources = (unsigned)number(argv[6]);
    } else {
        message_n = number(argv[6]) + 5;
        message = malloc(message_n);
        if (message == NULL)
            die("malloc");
        for (size_t i = 0; i < message_n; i++)
            message[i] = i % 78 == 76 ? '\r' : i % 78 == 77 ? '\n' : 'x';
        memcpy(message + message_n - 5, "\r\n.\r\n", 5);
    }
    run_clients((int64_t)number(argv[4]), (unsigned)number(argv[5]));
    return 0;
}
