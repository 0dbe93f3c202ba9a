/* Answers: bodies, headers, problems. */
#include "http/stream_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "http/problem.h"

#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>

/* security.md, console.md: nothing inline, nothing from elsewhere, in no frame. */
#define CSP_HTML                                                                                   \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "              \
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors "   \
    "'none'"
#define CSP_DATA "default-src 'none'; frame-ancestors 'none'"

enum {
    REPLY_MIN_RATE =
        16 * 1024, /* a reader gets a second for each so many bytes, beside conn_grace_ms() */
    MIDWAY_MAX = 16 * 1024
};

void reply_init(struct reply *rp)
{
    size_t after = offsetof(struct reply, n_headers);

    memset(rp, 0, offsetof(struct reply, header));
    memset((char *)rp + after, 0, sizeof *rp - after);
}

void reply_clear(struct reply *rp)
{
    json_decref(rp->json);
    json_decref(rp->problem_extra);
    free(rp->text);
    findings_clear(&rp->findings);
    if (rp->shared != NULL && rp->release != NULL)
        rp->release(rp->release_arg);
    if (rp->stream != NULL)
        stream_unread(rp->stream);
    reply_init(rp);
}

static void put(struct call *c, const char *name, const char *value)
{
    /* MHD_NO: no memory, or a value it will not send; the answer goes out without it. */
    (void)MHD_add_response_header(c->response, name, value);
}

static struct MHD_Response *empty_response(void)
{
    static char nothing[1];

    return MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
}

static struct MHD_Response *heap_response(char *text, size_t n)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(n, text, MHD_RESPMEM_MUST_FREE);

    if (r == NULL)
        free(text);
    return r;
}

static void common_headers(struct call *c, bool html)
{
    put(c, "Inari-Request-Id", c->id);
    /* A child's library does not read these; its answers are the frequent ones. */
    if (c->rq.who.kind == WHO_DEVICE)
        return;
    put(c, "X-Content-Type-Options", "nosniff");
    put(c, "Referrer-Policy", "no-referrer");
    put(c, "Strict-Transport-Security", "max-age=31536000");
    put(c, "Content-Security-Policy", html ? CSP_HTML : CSP_DATA);
}

static void own_headers(struct call *c, const struct reply *rp)
{
    bool cache = false;

    for (size_t i = 0; i < rp->n_headers; i++) {
        cache = cache || strcmp(rp->header[i].name, "Cache-Control") == 0;
        put(c, rp->header[i].name, rp->header[i].value);
    }
    if (!cache)
        put(c, "Cache-Control", "no-store");
    if (rp->etag[0] != '\0') {
        char quoted[sizeof rp->etag + 2] = "\"";
        size_t n = strlen(rp->etag);
        memcpy(quoted + 1, rp->etag, n);
        memcpy(quoted + 1 + n, "\"", 2);
        put(c, "ETag", quoted);
    }
    if (rp->location[0] != '\0')
        put(c, "Location", rp->location);
}

static bool has_header(const struct reply *rp, const char *name)
{
    for (size_t i = 0; i < rp->n_headers; i++)
        if (strcmp(rp->header[i].name, name) == 0)
            return true;
    return false;
}

/* A read that the caller has already (RFC 9110 13.2.2). */
static bool not_modified(const struct call *c, const struct reply *rp)
{
    const struct gate_field *f;

    if (rp->etag[0] == '\0' || (rp->status != 0 && rp->status != 200) || c->match.route == NULL ||
        strcmp(c->match.route->method, "GET") != 0)
        return false;
    f = gate_field(c->src.fields, c->src.n_fields, "If-None-Match");
    return f != NULL && etag_listed(f->value, rp->etag, true);
}

static void make_success(struct call *c, struct reply *rp)
{
    const char *type = rp->content_type;

    if (c->status == 304 || not_modified(c, rp)) {
        c->status = 304;
        if (has_header(rp, "Cache-Control") && unchanged_make(c, rp))
            return;
        c->response = empty_response();
        type = NULL;
    } else if (rp->json != NULL) {
        char *text = json_text(rp->json, JSON_COMPACT);
        c->answer_n = text == NULL ? 0 : strlen(text);
        c->response = text == NULL ? NULL : heap_response(text, c->answer_n);
        type = type == NULL ? "application/json" : type;
    } else if (rp->text != NULL) {
        c->answer_n = rp->text_n;
        c->response = heap_response(TAKE(rp->text), rp->text_n);
    } else if (rp->shared != NULL) {
        c->answer_n = rp->shared_n;
        c->response = MHD_create_response_from_buffer_with_free_callback_cls(
            rp->shared_n, (void *)(uintptr_t)rp->shared, rp->release, rp->release_arg);
        if (c->response != NULL)
            rp->shared = NULL;
    } else if (rp->stream != NULL) {
        c->response = stream_response(c, TAKE(rp->stream));
    } else {
        c->response = empty_response();
        c->status = c->status == 0 ? 204 : c->status;
    }
    c->status = c->status == 0 ? 200 : c->status;
    if (c->response == NULL)
        return;
    if (type != NULL)
        put(c, "Content-Type", type);
    common_headers(c, type != NULL && strncmp(type, "text/html", 9) == 0);
    own_headers(c, rp);
}

/* Refusals that a peer can cause at will are logged once a second; *ret_more: how many were not
 * since. */
static bool may_log(int64_t *ret_more)
{
    static _Atomic int64_t last_ms, held_back;
    int64_t now = clock_mono_ms(), last = atomic_load(&last_ms);

    if (now - last < 1000 || !atomic_compare_exchange_strong(&last_ms, &last, now)) {
        (void)atomic_fetch_add(&held_back, 1);
        return false;
    }
    *ret_more = atomic_exchange(&held_back, 0);
    return true;
}

/* Once an error, where it is answered; the peer sees only the request id of what is ours to fix. */
static void log_problem(const struct call *c, const struct err *e)
{
    int status = err_http_status(e->code);
    int64_t more = 0;

    if (status < 500) {
        log_event(LOG_LEVEL_DEBUG, "http.refused", KV_STR("request", c->id),
                  KV_STR("address", c->conn->address), KV_STR("problem", err_word(e->code)),
                  KV_STR("detail", e->msg));
        return;
    }
    if (status != 500 && !may_log(&more))
        return;
    log_event(status == 500 ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "http.failed",
              KV_STR("request", c->id), KV_STR("address", c->conn->address),
              KV_STR("method", c->match.route ? c->match.route->method : ""),
              KV_STR("route", c->match.route ? c->match.route->path : ""),
              KV_STR("problem", err_word(e->code)), KV_STR("detail", e->msg), KV_INT("more", more));
}

static void make_problem(struct call *c, struct reply *rp, struct err *e)
{
    AUTO(json_free)
    json_t *doc = problem_json(e, &rp->findings, c->rq.lang, c->id, rp->problem_extra);
    char *text = doc == NULL ? NULL : json_text(doc, JSON_COMPACT);

    c->status = err_http_status(e->code);
    log_problem(c, e);
    c->answer_n = text == NULL ? 0 : strlen(text);
    c->response = text == NULL ? empty_response() : heap_response(text, c->answer_n);
    if (c->response == NULL)
        return;
    if (text != NULL)
        put(c, "Content-Type", "application/problem+json");
    common_headers(c, false);
    own_headers(c, rp);
    if (c->status == 401 && !has_header(rp, "WWW-Authenticate"))
        put(c, "WWW-Authenticate", "Bearer");
    if (c->status == 405 && c->match.allow[0] != '\0')
        put(c, "Allow", c->match.allow);
    if ((c->status == 503 || c->status == 429) && !has_header(rp, "Retry-After")) {
        char after[16]; /* drawn, so that those refused together do not come back together */
        (void)snprintf(after, sizeof after, "%d", (int)(1 + rand_below(5)));
        put(c, "Retry-After", after);
    }
}

void answer_make(struct call *c, enum err_code rc, struct reply *rp, struct err *e)
{
    if (rc != ERR_OK && e->code == ERR_OK)
        e->code = rc;
    c->status = rp->status;
    c->answer_n = 0;
    if (rc == ERR_OK)
        make_success(c, rp);
    else
        make_problem(c, rp, e);
    reply_clear(rp);
    c->state = CALL_ANSWER;
}

void answer_file(struct call *c, const struct static_file *f)
{
    const struct gate_field *accept = gate_field(c->src.fields, c->src.n_fields, "Accept-Encoding");
    const struct gate_field *known = gate_field(c->src.fields, c->src.n_fields, "If-None-Match");
    const char *coding;
    const struct static_body *b = static_body(f, accept == NULL ? NULL : accept->value.p, &coding);
    char quoted[32];

    c->status = known != NULL && etag_listed(known->value, b->etag, true) ? 304 : 200;
    c->answer_n = c->status == 200 ? b->bytes.n : 0;
    c->response = c->status == 304
                      ? empty_response()
                      : MHD_create_response_from_buffer(b->bytes.n, (void *)(uintptr_t)b->bytes.p,
                                                        MHD_RESPMEM_PERSISTENT);
    c->state = CALL_ANSWER;
    if (c->response == NULL)
        return;
    (void)snprintf(quoted, sizeof quoted, "\"%s\"", b->etag);
    put(c, "ETag", quoted);
    put(c, "Cache-Control", f->immutable ? "public, max-age=31536000, immutable" : "no-cache");
    if (f->gz.bytes.p != NULL || f->br.bytes.p != NULL)
        put(c, "Vary", "Accept-Encoding");
    if (c->status == 200) {
        put(c, "Content-Type", f->type);
        if (coding != NULL)
            put(c, "Content-Encoding", coding);
    }
    common_headers(c, strncmp(f->type, "text/html", 9) == 0);
}

enum MHD_Result answer_send(struct call *c)
{
    enum MHD_Result ok;

    if (c->response == NULL)
        return MHD_NO;
    if (c->unchanged == NULL && atomic_load_explicit(&c->h->stopping, memory_order_relaxed))
        put(c, "Connection", "close");
    metrics_answer(c->h->metrics, c->match.route == NULL ? SIZE_MAX : c->match.index, c->status);
    conn_deadline(c->conn, conn_grace_ms(c->h) + (int64_t)(c->answer_n / REPLY_MIN_RATE) * 1000);
    ok = MHD_queue_response(c->mc, (unsigned)c->status, c->response);
    if (c->unchanged == NULL)
        MHD_destroy_response(c->response);
    c->response = NULL;
    return ok;
}

static enum MHD_Result add_line(void *cls, enum MHD_ValueKind kind, const char *name,
                                const char *value)
{
    (void)kind;
    strbuf_printf(cls, "%s: %s\r\n", name, value);
    return MHD_YES;
}

void answer_midway(struct call *c, enum err_code code, const char *why)
{
    const union MHD_ConnectionInfo *tls =
        MHD_get_connection_info(c->mc, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(MIDWAY_MAX);
    AUTO(json_free) json_t *doc = NULL;
    AUTO_STR char *text = NULL;
    struct findings none = {0};
    struct err e;

    (void)err_set(&e, code, "%s", why);
    c->status = err_http_status(code);
    c->conn->body_coming = true;
    log_problem(c, &e);
    doc = problem_json(&e, &none, c->rq.lang, c->id, NULL);
    text = doc == NULL ? NULL : json_text(doc, JSON_COMPACT);
    c->response = empty_response();
    if (c->response == NULL || text == NULL || tls == NULL)
        return;
    put(c, "Connection", "close");
    put(c, "Content-Type", "application/problem+json");
    put(c, "Cache-Control", "no-store");
    common_headers(c, false);
    strbuf_printf(&b, "HTTP/1.1 %d %s\r\nContent-Length: %zu\r\n", c->status,
                  MHD_get_reason_phrase_for((unsigned)c->status), strlen(text));
    (void)MHD_get_response_headers(c->response, add_line, &b);
    strbuf_printf(&b, "\r\n%s", text);
    metrics_answer(c->h->metrics, c->match.index, c->status);
    if (strbuf_ok(&b)) /* a socket that takes no more is a peer that does not read */
        (void)gnutls_record_send(tls->tls_session, b.p, b.n);
}
