#include "http/stream_private.h"

#include <poll.h>
#include <stdlib.h>

enum { BLOCK = 8 * 1024 };

struct stream {
    struct stream *next, **at; /* list of all; the list's lock */
    pthread_mutex_t lock;
    int refs;
    bool ended, gone, suspended;
    size_t max, off; /* off: sent */
    struct strbuf buf;
    char last[STREAM_LAST_MAX];
    size_t last_n;
    struct conn *conn; /* of the answer, while it is sent */
    struct MHD_Connection *mc;
};

static struct {
    pthread_mutex_t lock;
    struct stream *first;
    bool closed;
    _Atomic int count, suspended;
} streams = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct stream *stream_new(size_t max, struct slice last)
{
    struct stream *s = calloc(1, sizeof *s);

    if (s == NULL || last.n > sizeof s->last || pthread_mutex_init(&s->lock, NULL) != 0) {
        free(s);
        return NULL;
    }
    s->refs = 2;
    s->max = max;
    s->buf = STRBUF_INIT(2 * max + 2 * STREAM_LAST_MAX);
    s->last_n = last.n;
    if (last.n > 0)
        memcpy(s->last, last.p, last.n);
    (void)pthread_mutex_lock(&streams.lock);
    s->ended = streams.closed;
    s->next = streams.first;
    s->at = &streams.first;
    if (s->next != NULL)
        s->next->at = &s->next;
    streams.first = s;
    (void)pthread_mutex_unlock(&streams.lock);
    return s;
}

static void unref(struct stream *s)
{
    bool last;

    (void)pthread_mutex_lock(&s->lock);
    last = --s->refs == 0;
    (void)pthread_mutex_unlock(&s->lock);
    if (!last)
        return;
    (void)pthread_mutex_destroy(&s->lock);
    strbuf_clear(&s->buf);
    free(s);
}

/* Nobody finds it any more: before the writer's reference goes, so that whoever walks the list may
 * use it. */
static void unlist(struct stream *s)
{
    (void)pthread_mutex_lock(&streams.lock);
    *s->at = s->next;
    if (s->next != NULL)
        s->next->at = s->at;
    (void)pthread_mutex_unlock(&streams.lock);
}

/* Lock held: there is something to send, or nothing will ever come. */
static void wake(struct stream *s)
{
    if (!s->suspended)
        return;
    s->suspended = false;
    (void)atomic_fetch_sub(&streams.suspended, 1);
    MHD_resume_connection(s->mc);
}

/* Lock held.  What was sent leaves the buffer when it is at least as much as what stays. */
static void compact(struct stream *s)
{
    size_t left = s->buf.n - s->off;

    if (s->off == 0 || s->off < left)
        return;
    memmove(s->buf.p, s->buf.p + s->off, left);
    s->buf.n = left;
    s->off = 0;
}

bool stream_write(struct stream *s, struct slice text)
{
    bool ok;

    (void)pthread_mutex_lock(&s->lock);
    compact(s);
    ok = !s->ended && !s->gone && s->buf.n - s->off + text.n <= s->max;
    if (ok) {
        strbuf_add(&s->buf, text);
        ok = strbuf_ok(&s->buf);
        s->ended = s->ended || !ok; /* a part may be missing: nothing more is sent but the rest */
        wake(s);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return ok;
}

size_t stream_room(struct stream *s)
{
    size_t used;

    (void)pthread_mutex_lock(&s->lock);
    used = s->buf.n - s->off;
    (void)pthread_mutex_unlock(&s->lock);
    return used >= s->max ? 0 : s->max - used;
}

/* Lock held. */
static void end(struct stream *s, struct slice last)
{
    if (s->ended || s->gone)
        return;
    compact(s);
    if (last.n <= STREAM_LAST_MAX)
        strbuf_add(&s->buf, last);
    s->ended = true;
    wake(s);
}

void stream_end(struct stream *s, struct slice last)
{
    (void)pthread_mutex_lock(&s->lock);
    end(s, last);
    (void)pthread_mutex_unlock(&s->lock);
}

bool stream_over(struct stream *s)
{
    bool over;

    (void)pthread_mutex_lock(&s->lock);
    over = s->ended || s->gone;
    (void)pthread_mutex_unlock(&s->lock);
    return over;
}

void stream_release(struct stream *s)
{
    if (s == NULL)
        return;
    stream_end(s, (struct slice){NULL, 0});
    unlist(s);
    unref(s);
}

void stream_unread(struct stream *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->gone = true;
    (void)pthread_mutex_unlock(&s->lock);
    unref(s);
}

int stream_count(void)
{
    return atomic_load(&streams.count);
}

/* --- the listener's side --- */

int streams_suspended(void)
{
    return atomic_load(&streams.suspended);
}

void streams_open(void)
{
    (void)pthread_mutex_lock(&streams.lock);
    streams.closed = false;
    (void)pthread_mutex_unlock(&streams.lock);
}

void streams_close(void)
{
    (void)pthread_mutex_lock(&streams.lock);
    streams.closed = true;
    for (struct stream *s = streams.first; s != NULL; s = s->next)
        stream_end(s, (struct slice){s->last, s->last_n});
    (void)pthread_mutex_unlock(&streams.lock);
}

/* A client that has left is not noticed while its connection is suspended. */
void streams_hang_up(void)
{
    (void)pthread_mutex_lock(&streams.lock);
    for (struct stream *s = streams.first; s != NULL; s = s->next) {
        struct pollfd p = {.fd = -1, .events = POLLRDHUP};
        (void)pthread_mutex_lock(&s->lock);
        if (s->suspended)
            p.fd = s->conn->fd; /* not closed before it is resumed */
        if (p.fd >= 0 && poll(&p, 1, 0) == 1) {
            s->gone = true;
            wake(s);
        }
        (void)pthread_mutex_unlock(&s->lock);
    }
    (void)pthread_mutex_unlock(&streams.lock);
}

/* The library wants up to max bytes, on the connection's thread.  Suspended under the lock, so that
 * a writer cannot resume it before. */
static ssize_t more(void *stream, uint64_t pos, char *to, size_t max)
{
    struct stream *s = stream;
    ssize_t n = 0;

    (void)pos;
    (void)pthread_mutex_lock(&s->lock);
    if (s->gone) {
        n = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (s->off < s->buf.n) {
        size_t left = s->buf.n - s->off, take = left < max ? left : max;
        memcpy(to, s->buf.p + s->off, take);
        s->off += take;
        n = (ssize_t)take;
        conn_deadline(s->conn, STREAM_STALL_MS);
    } else if (s->ended) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        strbuf_clear(&s->buf); /* an idle stream holds nothing */
        s->off = 0;
        s->suspended = true;
        (void)atomic_fetch_add(&streams.suspended, 1);
        conn_deadline(s->conn, CONN_NO_DEADLINE);
        MHD_suspend_connection(s->mc);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return n;
}

static void unsent(void *stream)
{
    (void)atomic_fetch_sub(&streams.count, 1);
    stream_unread(stream);
}

struct MHD_Response *stream_response(struct call *c, struct stream *s)
{
    struct MHD_Response *r;

    s->conn = c->conn;
    s->mc = c->mc;
    r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, more, s, unsent);
    if (r == NULL)
        stream_unread(s);
    else
        (void)atomic_fetch_add(&streams.count, 1);
    return r;
}
