#include "loop/ship_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "loop/loop.h"
#include "proto/proto.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>
#include <zstd.h>

enum { ZSTD_LEVEL = 1 };

/* --- a batch --- */

static bool add_line(void *ctx, uint64_t seq, struct slice payload)
{
    struct strbuf *b = ctx;

    (void)seq;
    strbuf_add(b, payload);
    strbuf_putc(b, '\n');
    return strbuf_ok(b);
}

/* The header line, then the events. */
static enum err_code make_body(const struct loop *l, struct ship_stream *s,
                               struct spool_batch *ret_batch, struct strbuf *ret, struct err *e)
{
    AUTO_STRBUF struct strbuf lines = STRBUF_INIT(SHIP_BYTES + 2 * SPOOL_PAYLOAD_MAX);
    int64_t until;
    enum err_code rc =
        spool_next(s->r, spool_acked(s->r), s->lines, s->bytes, add_line, &lines, ret_batch, e);

    if (rc == ERR_OK)
        rc = strbuf_check(&lines, e);
    if (rc != ERR_OK || ret_batch->n == 0)
        return rc;
    until = strcmp(s->name, EVIDENCE_STREAM) == 0 ? evidence_until(l, ret_batch->last) : 0;
    strbuf_printf(ret,
                  "{\"spool\":\"%s\",\"first\":%" PRIu64 ",\"n\":%zu,\"begins\":%" PRIu64
                  ",\"dropped\":{\"total\":%" PRIu64 "}",
                  spool_birth(s->r), ret_batch->first, ret_batch->n, spool_begins(s->r),
                  spool_dropped(s->r) + ret_batch->first - spool_acked(s->r) - 1);
    if (until > 0)
        strbuf_printf(ret, ",\"until\":%" PRId64, until);
    strbuf_puts(ret, "}\n");
    strbuf_add(ret, strbuf_slice(&lines));
    return strbuf_check(ret, e);
}

static enum err_code squeeze(const struct strbuf *in, char **ret, size_t *ret_n, struct err *e)
{
    size_t max = ZSTD_compressBound(in->n);
    AUTO_STR char *out = malloc(max);
    size_t n;

    if (out == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    n = ZSTD_compress(out, max, in->p, in->n, ZSTD_LEVEL);
    if (ZSTD_isError(n))
        return err_set(e, ERR_NO_MEMORY, "could not compress events: %s", ZSTD_getErrorName(n));
    *ret = TAKE(out);
    *ret_n = n;
    return ERR_OK;
}

/* Everything to first..last of the batch is there; more, when an earlier answer got lost. */
static void acknowledged(struct loop *l, struct ship_stream *s, uint64_t to)
{
    struct ship *p = &l->ship;
    struct spool_view v;
    struct err e = {0};
    enum err_code rc = ERR_OK;

    if (to > p->batch.last) {
        rc = spool_look(s->dir, &v, &e);
        if (rc == ERR_OK && to > v.last) { /* numbers that were given before, to other events */
            rc = spool_reborn(s->r, &e);
            to = 0;
        }
    }
    if (rc == ERR_OK && to > 0)
        rc = spool_ack(s->r, p->batch.first, to, &e);
    s->next = clock_mono_ms();
    if (rc != ERR_OK) {
        log_event(LOG_LEVEL_ERROR, "events.spool", KV_STR("stream", s->name),
                  KV_STR("problem", e.msg));
        text_copy(s->problem, sizeof s->problem, e.msg);
        s->next += backoff_next(&s->backoff);
        return;
    }
    backoff_reset(&s->backoff);
    s->problem[0] = '\0';
    /* Behind a large batch there may be more: it goes at once. */
    s->since = s->next - (p->batch.bytes >= SHIP_AT_ONCE ? SHIP_LINGER_MS : 0);
    s->lines = s->lines * 2 < SHIP_LINES ? s->lines * 2 : SHIP_LINES;
    s->bytes = s->bytes * 2 < SHIP_BYTES ? s->bytes * 2 : SHIP_BYTES;
}

/* 413: half as much; 415 and the like: without compression, then slowly and loudly. */
static int64_t refused(struct loop *l, struct ship_stream *s, const struct http_answer *a)
{
    struct ship *p = &l->ship;

    if (a->status == 404) {
        p->unknown = true;
        return SHIP_UNKNOWN_MS;
    }
    if (a->status == 413 && s->lines > 1) {
        s->lines = p->batch.n > 1 ? p->batch.n / 2 : 1;
        s->bytes = s->bytes / 2 > KIB ? s->bytes / 2 : KIB;
        return 0;
    }
    if (a->status == 415 && !p->plain) {
        p->plain = true;
        return 0;
    }
    if (a->status == 400 || a->status == 413 || a->status == 415 || a->status == 422) {
        log_event(LOG_LEVEL_ERROR, "events.refused", KV_STR("stream", s->name),
                  KV_INT("first", p->batch.first), KV_INT("n", p->batch.n),
                  KV_INT("status", a->status), KV_STR("problem", a->problem));
        return LOOP_SLOW_MS;
    }
    return parent_react(l, a, &s->backoff);
}

static void on_shipped(void *ctx, struct http_answer *a)
{
    struct loop *l = ctx;
    struct ship *p = &l->ship;
    struct ship_stream *s = &p->stream[p->flight];
    AUTO(json_free) json_t *doc = NULL;
    int64_t to = 0;

    p->busy = false;
    if (a->status == 200 && json_in_parse(strbuf_slice(&a->body), 64 * KIB, &doc, NULL) == ERR_OK)
        to = json_int(doc, "acknowledged", 0);
    if (a->status == 200)
        parent_heard(l, a);
    if (to >= (int64_t)p->batch.last) {
        p->unknown = false;
        acknowledged(l, s, (uint64_t)to);
        return;
    }
    if (a->status == 401 && p->token_n != l->parent.token_n) {
        s->next = clock_mono_ms(); /* it went out with a token that is renewed since */
        return;
    }
    text_copy(s->problem, sizeof s->problem,
              a->status == 200 ? "the parent's answer acknowledges less than it was sent"
                               : a->problem);
    s->next = clock_mono_ms() + (a->status == 200 ? backoff_next(&s->backoff) : refused(l, s, a));
}

static void ship_one(struct loop *l, struct ship_stream *s, int64_t now)
{
    AUTO_STRBUF struct strbuf body = STRBUF_INIT(SHIP_BYTES + 4 * SPOOL_PAYLOAD_MAX);
    struct ship *p = &l->ship;
    AUTO_STR char *squeezed = NULL;
    struct http_req *r = NULL;
    struct err e = {0};
    size_t n = 0;
    char path[64];
    enum err_code rc = make_body(l, s, &p->batch, &body, &e);

    if (rc == ERR_OK && p->batch.n == 0) {
        s->since = 0;
        return;
    }
    if (rc == ERR_OK && !p->plain)
        rc = squeeze(&body, &squeezed, &n, &e);
    if (rc == ERR_OK) {
        (void)snprintf(path, sizeof path, "/api/agent/v1/events/%s", s->name);
        r = http_req_new("POST", path);
    }
    if (r != NULL) {
        http_req_header(r, "Authorization: Bearer %s", l->parent.token);
        http_req_header(r, PROTO_H_BOOT ": %s", l->boot);
        if (squeezed != NULL)
            http_req_header(r, "Content-Encoding: zstd");
        http_req_body(r, "application/x-ndjson",
                      squeezed != NULL ? (struct slice){squeezed, n} : strbuf_slice(&body));
        http_req_limits(r, 64 * KIB, SHIP_ANSWER_MS);
    }
    if (rc == ERR_OK)
        rc = http_start(l->http, r, on_shipped, l, &e);
    p->flight = (size_t)(s - p->stream);
    p->token_n = l->parent.token_n;
    p->busy = rc == ERR_OK;
    if (rc != ERR_OK) {
        text_copy(s->problem, sizeof s->problem, e.msg);
        s->next = now + backoff_next(&s->backoff);
    }
}

/* Nothing goes before a report, a token or the answer about who we are. */
static bool may_ship(const struct loop *l)
{
    const struct loop_parent *p = &l->parent;

    return p->state == PARENT_OK && p->token != NULL && !p->token_busy && !p->status_busy &&
           !p->incoming_full && !reattach_waits(l) && !l->ship.busy;
}

static void ship_next(struct loop *l, int64_t now)
{
    struct ship *p = &l->ship;
    size_t first = p->turn;

    for (size_t i = 0; i < p->n && !p->busy; i++) {
        struct ship_stream *s = &p->stream[(first + i) % p->n];
        int64_t due = s->since + SHIP_LINGER_MS > s->next ? s->since + SHIP_LINGER_MS : s->next;

        if (s->r == NULL || s->since == 0)
            continue;
        if (now < due) {
            loop_wake(l, due);
            continue;
        }
        p->turn = (first + i + 1) % p->n;
        ship_one(l, s, now);
    }
}

void ship_turn(struct loop *l)
{
    struct ship *p = &l->ship;
    int64_t now = clock_mono_ms();

    if (now >= p->look_next) {
        p->look_next = now + SHIP_LOOK_MS;
        ship_streams_look(l, now);
        for (size_t i = 0; i < p->n; i++) {
            if (p->stream[i].r == NULL && now >= p->stream[i].next)
                ship_stream_open(l, &p->stream[i], now);
            else if (p->stream[i].since == 0)
                p->stream[i].since = now;
        }
    }
    if (now >= p->spools_next) {
        p->spools_next = now + SHIP_SPOOLS_MS;
        ship_streams_judge(l, now);
    }
    ship_streams_hints(p, now);
    if (may_ship(l))
        ship_next(l, now);
}

void ship_begin(struct loop *l)
{
    l->ship.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    l->ship.look_next = 0;
}

void ship_clear(struct loop *l)
{
    for (size_t i = 0; i < l->ship.n; i++)
        spool_reader_close(l->ship.stream[i].r);
    if (l->ship.fd >= 0)
        (void)close(l->ship.fd);
    l->ship = (struct ship){.fd = -1};
}

uint64_t ship_acknowledged(const struct loop *l, const char *stream)
{
    for (size_t i = 0; i < l->ship.n; i++)
        if (strcmp(l->ship.stream[i].name, stream) == 0 && l->ship.stream[i].r != NULL)
            return spool_acked(l->ship.stream[i].r);
    return 0;
}

static json_t *time_or_null(int64_t ms)
{
    char text[CLOCK_TEXT_SIZE];

    if (ms == 0)
        return json_null();
    clock_format(ms, text);
    return json_string(text);
}

json_t *ship_json(const struct loop *l)
{
    json_t *out = json_array();

    for (size_t i = 0; i < l->ship.n && out != NULL; i++) {
        const struct ship_stream *s = &l->ship.stream[i];
        struct spool_view v = {0};
        struct err e = {0};

        if (spool_look(s->dir, &v, &e) != ERR_OK)
            v = (struct spool_view){0};
        (void)json_array_append_new(
            out, json_pack("{s:s,s:I,s:o,s:I,s:I,s:I,s:I,s:o,s:s}", "stream", s->name, "waiting",
                           (json_int_t)v.waiting, "oldest", time_or_null(v.oldest_ms), "bytes",
                           (json_int_t)v.bytes, "dropped", (json_int_t)v.dropped, "last",
                           (json_int_t)v.last, "acknowledged", (json_int_t)v.acked,
                           "acknowledged_at", time_or_null(v.acked_ms), "problem",
                           s->problem[0] != '\0' ? s->problem : e.msg));
    }
    return out;
}
