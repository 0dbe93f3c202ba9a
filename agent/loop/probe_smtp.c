#include "loop/probe_smtp.h"

#include "base/clock.h"
#include "loop/smtp_reply.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AGAIN_MS = 8 };

void probe_set_clear(struct probe_set *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->v[i].fd >= 0)
            (void)close(s->v[i].fd);
        strbuf_clear(&s->v[i].in);
    }
    free(s->v);
    *s = (struct probe_set){0};
}

/* --- building --- */

static struct probe *add(struct probe_set *s, const char *address, int port, const char *what)
{
    const char *dial = strcmp(address, "0.0.0.0") == 0 ? "127.0.0.1"
                       : strcmp(address, "::") == 0    ? "::1"
                                                       : address;
    struct probe *p;

    if (s->v == NULL)
        s->v = calloc(PROBE_SET_MAX, sizeof *s->v);
    if (s->v == NULL || s->n == PROBE_SET_MAX) {
        s->failed = true;
        return NULL;
    }
    p = &s->v[s->n];
    *p = (struct probe){.fd = -1, .in = STRBUF_INIT(SMTP_REPLY_MAX)};
    if (inet_pton(AF_INET, dial, &p->to.v4.sin_addr) == 1) {
        p->family = p->to.v4.sin_family = AF_INET;
        p->to.v4.sin_port = htons((uint16_t)port);
    } else if (inet_pton(AF_INET6, dial, &p->to.v6.sin6_addr) == 1) {
        p->family = p->to.v6.sin6_family = AF_INET6;
        p->to.v6.sin6_port = htons((uint16_t)port);
    } else {
        s->failed = true;
        return NULL;
    }
    (void)snprintf(p->label, sizeof p->label, "%s:%d (%s)", dial, port, what);
    p->step[0].expect = PROBE_GOOD; /* the banner */
    p->n_steps = 1;
    s->n++;
    return p;
}

static void step(struct probe *p, enum probe_expect expect, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void step(struct probe *p, enum probe_expect expect, const char *fmt, ...)
{
    struct probe_step *st = &p->step[p->n_steps];
    va_list ap;

    if (p->n_steps == PROBE_STEPS)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(st->say, sizeof st->say, fmt, ap);
    va_end(ap);
    st->expect = expect;
    p->n_steps++;
}

/* PROXY protocol v2, command PROXY, TCP, from client to loopback; never LOCAL or UNKNOWN.  false:
 * client is no address of that family. */
static bool proxy_head(struct probe *p, int family, int port, const char *client)
{
    static const unsigned char sig[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                          0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
    unsigned char *h = p->head;
    size_t addr = family == AF_INET ? 4 : 16;

    memcpy(h, sig, sizeof sig);
    h[12] = 0x21;
    h[13] = family == AF_INET ? 0x11 : 0x21;
    h[14] = 0;
    h[15] = (unsigned char)(2 * addr + 4);
    if (inet_pton(family, client, h + 16) != 1)
        return false;
    (void)inet_pton(family, family == AF_INET ? "127.0.0.1" : "::1", h + 16 + addr);
    h[16 + 2 * addr] = 40000 >> 8;
    h[17 + 2 * addr] = 40000 & 0xff;
    h[18 + 2 * addr] = (unsigned char)(port >> 8);
    h[19 + 2 * addr] = (unsigned char)(port & 0xff);
    p->head_n = 20 + 2 * addr;
    return true;
}

void probe_add_digest(struct probe_set *s, const char *address, int port, const char *digest)
{
    struct probe *p = add(s, address, port, "digest");

    if (p == NULL)
        return;
    if (digest[0] != '\0') /* the first from main.cf, the second from master.cf */
        (void)snprintf(p->banner_has, sizeof p->banner_has, "inari %s %s", digest, digest);
    step(p, PROBE_ANY, "QUIT\r\n");
}

void probe_add_relay(struct probe_set *s, const char *address, int port, int family,
                     const char *client, const char *device_id)
{
    char what[80];
    struct probe *p;

    (void)snprintf(what, sizeof what, "relay probe as %s", client);
    p = add(s, address, port, what);
    if (p == NULL)
        return;
    if (!proxy_head(p, family, port, client)) {
        s->failed = true;
        return;
    }
    step(p, PROBE_GOOD, "EHLO %s.inari.invalid\r\n", device_id);
    step(p, PROBE_GOOD, "MAIL FROM:<>\r\n");
    step(p, PROBE_GOOD, "RCPT TO:<probe@%s.inari.invalid>\r\n", device_id);
    step(p, PROBE_REFUSED, "RCPT TO:<relay-probe@foreign.example.org>\r\n");
    step(p, PROBE_SANE, "RSET\r\n");
    step(p, PROBE_ANY, "QUIT\r\n");
}

/* Postfix behind foxproxy: whoever it is told comes relays nothing.  What it makes of a recipient
 * of its own is the listener's business (it may be drained), as at the public one. */
static void add_front(struct probe_set *s, const char *address, int port, int family,
                      const char *client, const char *device_id)
{
    char what[80];
    struct probe *p;

    (void)snprintf(what, sizeof what, "front, as %s", client);
    p = add(s, address, port, what);
    if (p == NULL)
        return;
    if (!proxy_head(p, family, port, client)) {
        s->failed = true;
        return;
    }
    step(p, PROBE_GOOD, "EHLO %s.inari.invalid\r\n", device_id);
    step(p, PROBE_SANE, "MAIL FROM:<>\r\n");
    step(p, PROBE_REFUSED, "RCPT TO:<relay-probe@foreign.example.org>\r\n");
    step(p, PROBE_SANE, "RSET\r\n");
    step(p, PROBE_ANY, "QUIT\r\n");
}

void probe_add_message(struct probe_set *s, const char *address, int port, const char *device_id,
                       const char *mark)
{
    struct probe *p = add(s, address, port, "test message");

    if (p == NULL || !proxy_head(p, AF_INET, port, PROBE_CLIENT4))
        return;
    step(p, PROBE_GOOD, "EHLO %s.inari.invalid\r\n", device_id);
    step(p, PROBE_GOOD, "MAIL FROM:<>\r\n");
    step(p, PROBE_GOOD, "RCPT TO:<probe@%s.inari.invalid>\r\n", device_id);
    step(p, PROBE_GO_ON, "DATA\r\n");
    step(p, PROBE_GOOD,
         "From: <probe@%s.inari.invalid>\r\nTo: <probe@%s.inari.invalid>\r\nSubject: Inari test "
         "message\r\n"
         "Message-Id: <%s@%s.inari.invalid>\r\n" /* by which the log's reader knows it */
         "X-Inari-Probe: %s\r\nPrecedence: junk\r\n\r\nTest message of the agent; it never leaves "
         "this host.\r\n%s\r\n.\r\n",
         device_id, device_id, mark, device_id, mark, mark);
    step(p, PROBE_ANY, "QUIT\r\n");
}

void probe_add_listener(struct probe_set *s, const char *address, int port, const char *role,
                        const struct probe_clients *clients, const char *device_id,
                        const char *digest)
{
    struct probe *p;

    if (strcmp(role, "digest") == 0) {
        probe_add_digest(s, address, port, digest);
        return;
    }
    if (strcmp(role, "probe") == 0) {
        probe_add_relay(s, address, port, AF_INET, clients->v4, device_id);
        probe_add_relay(s, address, port, AF_INET6, clients->v6, device_id);
        return;
    }
    if (strcmp(role, "front") == 0) {
        add_front(s, address, port, AF_INET, clients->v4, device_id);
        add_front(s, address, port, AF_INET6, clients->v6, device_id);
        return;
    }
    p = add(s, address, port, role);
    if (p == NULL)
        return;
    step(p, PROBE_GOOD, "EHLO %s.inari.invalid\r\n", device_id);
    if (strcmp(role, "submission") != 0) {
        bool inner = strcmp(role, "reinject") == 0;
        step(p, inner ? PROBE_GOOD : PROBE_SANE, "MAIL FROM:<>\r\n");
        step(p, inner ? PROBE_GOOD : PROBE_SANE, "RCPT TO:<probe@%s.inari.invalid>\r\n", device_id);
        step(p, PROBE_SANE, "RSET\r\n");
    }
    step(p, PROBE_ANY, "QUIT\r\n");
}

/* --- running --- */

static void stop(struct probe *p)
{
    if (p->fd >= 0)
        (void)close(p->fd);
    p->fd = -1;
    strbuf_clear(&p->in);
}

static void end_well(struct probe *p)
{
    stop(p);
    p->done = p->ok = true;
    p->problem[0] = '\0';
}

static void end_badly(struct probe *p)
{
    stop(p);
    p->done = true;
}

static void fault(struct probe *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void fault(struct probe *p, const char *fmt, ...)
{
    char text[400];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)snprintf(p->problem, sizeof p->problem, "%s: %s", p->label, text);
}

/* What may pass by itself while Postfix reloads is tried again; p->problem already says what it
 * was. */
static void again(struct probe *p, int64_t retry_until)
{
    int64_t now = clock_mono_ms();

    stop(p);
    if (now >= retry_until) {
        p->done = true;
        return;
    }
    p->again_at_ms = now + AGAIN_MS;
}

static void dial(struct probe *p, int64_t retry_until)
{
    int on = 1;

    p->again_at_ms = 0;
    p->at = p->sent = 0;
    p->fd = socket(p->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->fd < 0) {
        fault(p, "%s", strerror(errno));
        again(p, retry_until);
        return;
    }
    (void)setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(p->fd, &p->to.any, p->family == AF_INET ? sizeof p->to.v4 : sizeof p->to.v6) != 0 &&
        errno != EINPROGRESS) {
        fault(p, "could not connect: %s", strerror(errno));
        again(p, retry_until);
    }
}

/* What is said at this point: the PROXY header before the banner, then each step's command. */
static struct slice to_say(const struct probe *p)
{
    if (p->at == 0)
        return (struct slice){(const char *)p->head, p->head_n};
    return slice_of(p->step[p->at].say);
}

static bool accepted(enum probe_expect want, int code)
{
    switch (want) {
    case PROBE_GOOD:
        return code >= 200 && code < 300;
    case PROBE_GO_ON:
        return code == 354;
    case PROBE_REFUSED:
        return code >= 400 && code != 451 && code != 421;
    case PROBE_SANE:
        return code != 451 && code != 421;
    case PROBE_ANY:
        break;
    }
    return true;
}

static void on_reply(struct probe *p, const struct smtp_reply *r, int64_t retry_until)
{
    struct slice said = slice_of(p->step[p->at].say);
    struct slice first = slice_trim(slice_cut(&said, '\n'));

    if (p->at == 0)
        (void)snprintf(p->banner, sizeof p->banner, "%.255s", r->text);
    if (p->at == 0 && p->banner_has[0] != '\0' && strstr(r->text, p->banner_has) == NULL) {
        fault(p, "shows \"%.200s\", not the new configuration", r->text);
        again(p, retry_until);
        return;
    }
    if (!accepted(p->step[p->at].expect, r->code)) {
        fault(p, "%.*s%s%d %s",
              (int)(p->at == 0      ? 6
                    : first.n > 100 ? 100
                                    : first.n),
              p->at == 0 ? "banner" : first.p,
              p->step[p->at].expect == PROBE_REFUSED && r->code < 400
                  ? " was ACCEPTED (open relay): "
                  : " answered ",
              r->code, r->text);
        if (p->at == 0 && r->code == 421)
            again(p, retry_until);
        else
            end_badly(p);
        return;
    }
    p->sent = 0;
    if (++p->at == p->n_steps)
        end_well(p);
}

static void flush(struct probe *p, int64_t retry_until)
{
    struct slice s = to_say(p);

    while (p->fd >= 0 && p->sent < s.n) {
        ssize_t n = send(p->fd, s.p + p->sent, s.n - p->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            p->sent += (size_t)n;
        } else if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN)) {
            return;
        } else {
            fault(p, "could not be written to: %s", strerror(errno));
            again(p, retry_until);
        }
    }
}

static void take_replies(struct probe *p, int64_t retry_until)
{
    struct smtp_reply r;

    while (!p->done && p->fd >= 0) {
        enum smtp_reply_state st = smtp_reply_parse(strbuf_slice(&p->in), &r);
        if (st == SMTP_REPLY_MORE)
            return;
        if (st == SMTP_REPLY_BAD) {
            fault(p, "does not answer like a mail server");
            end_badly(p);
            return;
        }
        memmove(p->in.p, p->in.p + r.used, p->in.n - r.used);
        p->in.n -= r.used;
        on_reply(p, &r, retry_until);
        flush(p, retry_until);
    }
}

static void work(struct probe *p, int64_t retry_until)
{
    char buf[4096];
    ssize_t n;

    flush(p, retry_until);
    if (p->fd < 0)
        return;
    n = recv(p->fd, buf, sizeof buf, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN))
        return;
    if (n <= 0) {
        if (p->at + 1 == p->n_steps && p->at > 0 && p->step[p->at].expect == PROBE_ANY) {
            end_well(p); /* it hung up on QUIT */
            return;
        }
        fault(p, n == 0 ? "closed the connection%s" : "could not be reached: %s",
              n == 0 ? "" : strerror(errno));
        if (p->at == 0)
            again(p, retry_until);
        else
            end_badly(p);
        return;
    }
    strbuf_add(&p->in, (struct slice){buf, (size_t)n});
    take_replies(p, retry_until);
}

/* One turn of poll(); false when nothing is left to wait for. */
static bool turn(struct probe_set *s, struct sink *sink, int64_t deadline, int64_t each,
                 int64_t doubt_at, int64_t retry_until)
{
    struct pollfd fds[PROBE_SET_MAX + SINK_FDS];
    int64_t now = clock_mono_ms(), wait = (now < each ? each : deadline) - now;
    bool open = sink != NULL && !sink_received(sink);
    size_t n = 0;

    if (doubt_at > now && doubt_at - now < wait)
        wait = doubt_at - now;

    for (size_t i = 0; i < s->n; i++) {
        struct probe *p = &s->v[i];
        if (p->done)
            continue;
        open = true;
        if (p->fd < 0 && now >= p->again_at_ms)
            dial(p, retry_until);
        if (p->fd >= 0) {
            short ev = (short)(p->sent < to_say(p).n ? POLLIN | POLLOUT : POLLIN);
            fds[n++] = (struct pollfd){p->fd, ev, 0};
        } else if (p->again_at_ms - now < wait) {
            wait = p->again_at_ms - now;
        }
    }
    if (!open || now >= deadline)
        return false;
    if (sink != NULL)
        n += sink_fds(sink, fds + n);
    (void)poll(fds, n, (int)(wait < 0 ? 0 : wait));
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].fd >= 0)
            work(&s->v[i], retry_until);
    if (sink != NULL)
        sink_work(sink);
    return true;
}

/* The first fault decides; so does a conversation that takes too long. */
static bool all_well(const struct probe_set *s, bool late)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].done ? !s->v[i].ok : late)
            return false;
    return true;
}

bool probe_run(struct probe_set *s, struct sink *sink, struct probe_limits limits,
               char *ret_problem, size_t size)
{
    int64_t start = clock_mono_ms(), deadline = start + limits.all_ms,
            each = start + limits.each_ms;
    int64_t doubt_at = limits.doubt == NULL ? 0 : start + limits.doubt_ms;
    bool ok = !s->failed, quiet;

    (void)snprintf(ret_problem, size, "%s",
                   ok ? "" : "too many listeners to probe, or one with an address that is none");
    if (each > deadline)
        each = deadline;
    while (ok && turn(s, sink, deadline, each, doubt_at, start + limits.retry_ms)) {
        ok = all_well(s, clock_mono_ms() >= each);
        if (ok && doubt_at != 0 && clock_mono_ms() >= doubt_at) {
            doubt_at = 0;
            ok = !limits.doubt(limits.ctx, ret_problem, size);
        }
    }
    quiet = clock_mono_ms() >= each;
    ok = ok && all_well(s, true);
    for (size_t i = 0; i < s->n && !ok; i++) {
        struct probe *p = &s->v[i];
        if (!p->done && p->problem[0] == '\0' && quiet)
            fault(p, "no answer to %.60s within %d ms",
                  p->at == 0 ? "the connection" : p->step[p->at].say, limits.each_ms);
        if (!p->ok && ret_problem[0] == '\0')
            (void)snprintf(ret_problem, size, "%s", p->problem);
    }
    if (ok && sink != NULL && !sink_received(sink)) {
        (void)snprintf(ret_problem, size,
                       "the test message did not come out of Postfix within %d ms", limits.all_ms);
        ok = false;
    }
    for (size_t i = 0; i < s->n; i++)
        stop(&s->v[i]);
    return ok;
}
