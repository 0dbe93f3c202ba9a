/*
 * flow.c - bytes from one side of a session to the other, as they are.  Each side's end is passed
 * on as a half-close after its last byte; a side that takes no more is not read for until it does.
 */
#include "foxproxy/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FLOW_SHARE = 4
}; /* pieces of LOOP_BUF one direction may carry before others have their turn */

/* Nothing can be said to `to` any more.  What the other side still says is read and dropped, so
 * that its end is seen. */
static void give_up(struct end *from, struct end *to)
{
    to->shut = true;
    free(from->kept);
    from->kept = NULL;
    from->kept_n = from->kept_at = 0;
}

/* What `to` would not take the last time.  false: it still would not. */
static bool send_kept(struct end *from, struct end *to)
{
    while (from->kept != NULL) {
        ssize_t n;
        if (!to->writable)
            return false;
        n = send(to->fd, from->kept + from->kept_at, from->kept_n - from->kept_at,
                 MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            to->writable = false;
            return false;
        }
        if (n < 0) {
            give_up(from, to);
            return true;
        }
        from->kept_at += (uint32_t)n;
        if (from->kept_at == from->kept_n) {
            free(from->kept);
            from->kept = NULL;
            from->kept_n = from->kept_at = 0;
        }
    }
    return true;
}

/* buf to `to`; what it does not take is kept.  false: no memory for that, the session cannot go on.
 */
static bool pass(struct end *from, struct end *to, const char *buf, size_t n)
{
    ssize_t sent = 0;

    if (to->shut)
        return true;
    do
        sent = send(to->fd, buf, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno != EAGAIN) {
        give_up(from, to);
        return true;
    }
    if (sent < 0)
        sent = 0;
    if ((size_t)sent == n)
        return true;
    to->writable = false;
    from->slow = true;
    from->kept = malloc(n - (size_t)sent);
    if (from->kept == NULL)
        return false;
    memcpy(from->kept, buf + sent, n - (size_t)sent);
    from->kept_n = (uint32_t)(n - (size_t)sent);
    from->kept_at = 0;
    return true;
}

/* One piece from `from`, or its end.  false: nothing is there now. */
static bool take(struct end *from, char *buf, ssize_t *ret)
{
    size_t most = from->slow ? LOOP_SLOW_CHUNK : LOOP_BUF;
    ssize_t n;

    if (!from->readable)
        return false;
    do
        n = recv(from->fd, buf, most, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) {
        from->readable = false;
        return false;
    }
    if (n <= 0) {
        from->eof = true; /* a reset is an end, too: what came before it has been read */
        n = 0;
    } else if ((size_t)n < most && !from->hup) {
        from->readable = false; /* epoll says when there is more, or an end */
    }
    *ret = n;
    return true;
}

enum flow { FLOW_WAITS, FLOW_OVER, FLOW_SHARE_USED, FLOW_FAILED, FLOW_MUTE };

/* The backend was there and went without a word, while the client waits for one. */
static bool is_mute(const struct session *s, const struct end *from, uint64_t bytes)
{
    return from == &s->backend && !s->spoke && bytes == 0 && !s->client.eof;
}

static enum flow carry(struct loop *l, const struct session *s, struct end *from, struct end *to,
                       uint64_t *ret_bytes)
{
    for (int share = FLOW_SHARE;;) {
        ssize_t n = 0;
        if (!send_kept(from, to))
            return FLOW_WAITS;
        if (from->eof && is_mute(s, from, *ret_bytes))
            return FLOW_MUTE;
        if (from->eof) {
            if (!to->shut)
                (void)shutdown(to->fd, SHUT_WR);
            to->shut = true;
            return FLOW_OVER;
        }
        if (!to->shut && !to->writable)
            return FLOW_WAITS;
        if (share-- == 0)
            return FLOW_SHARE_USED;
        if (!take(from, l->buf, &n))
            return FLOW_WAITS;
        *ret_bytes += (uint64_t)n;
        if (n > 0 && !pass(from, to, l->buf, (size_t)n))
            return FLOW_FAILED;
    }
}

static void once_more(struct loop *l, struct session *s)
{
    if (s->waiting)
        return;
    s->waiting = true;
    s->again = l->again;
    l->again = s;
}

/* Those that are half over have less time; the others' time begins again with every byte (once a
 * second is enough). */
static void keep_time(struct loop *l, struct session *s, bool moved)
{
    bool half = s->backend.eof;

    if (half && s->list != LIST_HALF)
        session_into(l, s, LIST_HALF);
    else if (!half && moved && l->now_ms - s->since_ms >= 1000)
        session_into(l, s, LIST_OPEN);
}

void flow_run(struct loop *l, struct session *s)
{
    uint64_t in = 0, out = 0;
    enum flow up = carry(l, s, &s->client, &s->backend, &in);
    enum flow down = carry(l, s, &s->backend, &s->client, &out);

    count_add(&l->count.bytes_in, in);
    count_add(&l->count.bytes_out, out);
    s->spoke |= out > 0;
    if (down == FLOW_MUTE) { /* to the client that is the same as not there */
        session_refuse(l, s, REPLY_BACKEND);
        return;
    }
    if (up == FLOW_FAILED || down == FLOW_FAILED || (up == FLOW_OVER && down == FLOW_OVER)) {
        session_end(l, s);
        return;
    }
    if (up == FLOW_SHARE_USED || down == FLOW_SHARE_USED)
        once_more(l, s);
    keep_time(l, s, in + out > 0);
}

void flow_again(struct loop *l)
{
    struct session *s = l->again, *next;

    l->again = NULL;
    for (; s != NULL; s = next) {
        next = s->again;
        s->waiting = false;
        if (s->state == SESSION_OPEN)
            flow_run(l, s);
    }
}
