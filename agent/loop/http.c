#include "loop/http.h"

#include "base/clock.h"
#include "base/hash.h"
#include "proto/proto.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <strings.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

enum { RATE_GRACE_MS = 5000, RATE_FLOOR_PER_S = 1024, PINS_MAX = 1024 };

struct http_req {
    char method[8];
    char path[512];
    struct curl_slist *headers;
    char *body;
    size_t body_n;
    bool secret, failed;
    size_t max_body, header_bytes;
    int64_t head_ms, started_ms, head_at_ms;
    CURL *easy;
    struct http_answer answer;
    http_done *done;
    void *ctx;
    struct http_req *next;
    char error[CURL_ERROR_SIZE];
    char why[128]; /* why we ended it ourselves; libcurl only says that we did */
};

struct http {
    CURLM *multi;
    char base[256];
    char pins[PINS_MAX]; /* "sha256//...;sha256//..." or "" */
    struct http_req *running;
};

void http_answer_clear(struct http_answer *a)
{
    strbuf_clear(&a->body);
    *a = (struct http_answer){0};
}

/* Pins are base64url in our documents; libcurl wants plain base64 with padding. */
static enum err_code pins_to_curl(const json_t *pins, char *out, size_t size, struct err *e)
{
    size_t i, n = 0;
    json_t *v;

    out[0] = '\0';
    json_array_foreach(pins, i, v)
    {
        const char *s = json_is_string(v) ? json_string_value(v) : "";
        char plain[48];
        if (strlen(s) != 43)
            return err_set(e, ERR_INVALID, "a pin is 43 characters of base64url: \"%.60s\"", s);
        for (size_t k = 0; k < 43; k++)
            plain[k] = s[k] == '-' ? '+' : s[k] == '_' ? '/' : s[k];
        plain[43] = '=';
        plain[44] = '\0';
        if (n + 60 > size)
            return err_set(e, ERR_TOO_LARGE, "too many pins");
        n += (size_t)snprintf(out + n, size - n, "%ssha256//%s", n == 0 ? "" : ";", plain);
    }
    return n == 0 && pins != NULL ? err_set(e, ERR_INVALID, "no pin for the parent's key") : ERR_OK;
}

enum err_code http_set_peer(struct http *h, const char *base, const json_t *pins, struct err *e)
{
    size_t n = strlen(base);

    while (n > 0 && base[n - 1] == '/')
        n--;
    if (strncmp(base, "https://", 8) != 0 || n <= 8 || n >= sizeof h->base)
        return err_set(e, ERR_INVALID, "parent address \"%.100s\" must look like https://host:8445",
                       base);
    memcpy(h->base, base, n);
    h->base[n] = '\0';
    return pins_to_curl(pins, h->pins, sizeof h->pins, e);
}

enum err_code http_new(const char *base, const json_t *pins, struct http **ret, struct err *e)
{
    AUTO(http_free) struct http *h = calloc(1, sizeof *h);
    enum err_code rc;

    if (h == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        (h->multi = curl_multi_init()) == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = http_set_peer(h, base, pins, e);
    if (rc == ERR_OK)
        *ret = TAKE(h);
    return rc;
}

const char *http_base(const struct http *h)
{
    return h->base;
}

void http_req_free(struct http_req *r)
{
    if (r == NULL)
        return;
    if (r->secret && r->body != NULL)
        secret_wipe(r->body, r->body_n);
    free(r->body);
    curl_slist_free_all(r->headers);
    if (r->easy != NULL)
        curl_easy_cleanup(r->easy);
    http_answer_clear(&r->answer);
    free(r);
}

void http_free(struct http *h)
{
    if (h == NULL)
        return;
    while (h->running != NULL) {
        struct http_req *r = h->running;
        h->running = r->next;
        (void)curl_multi_remove_handle(h->multi, r->easy);
        http_req_free(r);
    }
    if (h->multi != NULL)
        (void)curl_multi_cleanup(h->multi);
    free(h);
}

struct http_req *http_req_new(const char *method, const char *path)
{
    struct http_req *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    (void)snprintf(r->method, sizeof r->method, "%s", method);
    r->failed = (size_t)snprintf(r->path, sizeof r->path, "%s", path) >= sizeof r->path;
    r->max_body = 64 * KIB;
    r->head_ms = HTTP_HEAD_MS;
    return r;
}

void http_req_header(struct http_req *r, const char *fmt, ...)
{
    char line[2560];
    struct curl_slist *more;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    more = n < 0 || (size_t)n >= sizeof line ? NULL : curl_slist_append(r->headers, line);
    if (more == NULL)
        r->failed = true;
    else
        r->headers = more;
    secret_wipe(line, sizeof line);
}

void http_req_secret(struct http_req *r)
{
    r->secret = true;
}

void http_req_body(struct http_req *r, const char *type, struct slice body)
{
    r->body = malloc(body.n + 1);
    if (r->body == NULL) {
        r->failed = true;
        return;
    }
    if (body.n > 0)
        memcpy(r->body, body.p, body.n);
    r->body_n = body.n;
    http_req_header(r, "Content-Type: %s", type);
}

void http_req_limits(struct http_req *r, size_t max_body, int64_t head_ms)
{
    r->max_body = max_body;
    r->head_ms = head_ms;
}

static bool header_is(struct slice line, const char *name, struct slice *ret)
{
    size_t n = strlen(name);

    if (line.n <= n || line.p[n] != ':' || strncasecmp(line.p, name, n) != 0)
        return false;
    *ret = slice_trim((struct slice){line.p + n + 1, line.n - n - 1});
    return slice_is_text(*ret);
}

static void keep(char *to, size_t size, struct slice v)
{
    if (v.n < size) {
        memcpy(to, v.p, v.n);
        to[v.n] = '\0';
    }
}

static void keep_etag(struct http_answer *a, struct slice v)
{
    if (v.n > 2 && v.p[0] == '"' && v.p[v.n - 1] == '"')
        keep(a->etag, sizeof a->etag, (struct slice){v.p + 1, v.n - 2});
}

static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
    struct http_req *r = ctx;
    struct http_answer *a = &r->answer;
    struct slice line = {p, size * n}, v;
    uint64_t num;

    r->header_bytes += line.n;
    if (r->header_bytes > HTTP_HEADER_MAX)
        return 0;
    if (slice_starts(line, "HTTP/")) { /* also after a 1xx */
        a->date_ms = -1;
        a->next_poll_s = -1;
    } else if (line.n <= 2) {
        r->head_at_ms = clock_mono_ms();
        a->at_wall_ms = clock_wall_ms();
    } else if (header_is(line, "Date", &v)) {
        if (!clock_parse_http(v, &a->date_ms))
            a->date_ms = -1;
    } else if (header_is(line, "ETag", &v)) {
        keep_etag(a, v);
    } else if (header_is(line, "Retry-After", &v)) {
        keep(a->retry_after, sizeof a->retry_after, v);
    } else if (header_is(line, "Location", &v)) {
        keep(a->location, sizeof a->location, v);
    } else if (header_is(line, PROTO_H_REPORT, &v)) {
        keep(a->report, sizeof a->report, v);
    } else if (header_is(line, PROTO_H_FIGURES, &v)) {
        if (parse_u64(v, 1, 86400, &num))
            a->figures_s = (int64_t)num;
    } else if (header_is(line, PROTO_H_FRESH, &v)) {
        keep(a->fresh, sizeof a->fresh, v);
    } else if (header_is(line, PROTO_H_NEXT_POLL, &v)) {
        if (parse_u64(v, 0, 86400, &num))
            a->next_poll_s = (int64_t)num;
    } else if (header_is(line, PROTO_H_TRUST, &v)) {
        if (parse_u64(v, 1, 1000000, &num))
            a->trust = (int64_t)num;
    } else if (header_is(line, PROTO_H_NOTICE, &v)) {
        if (parse_u64(v, 0, INT32_MAX, &num))
            a->notice = (int64_t)num;
    } else if (header_is(line, PROTO_H_LISTS, &v)) {
        keep(a->lists, sizeof a->lists, v);
    } else if (header_is(line, PROTO_H_PARENT, &v)) {
        keep(a->parent, sizeof a->parent, v);
    } else if (header_is(line, PROTO_H_COMMANDS, &v)) {
        if (parse_u64(v, 0, 1000000, &num))
            a->commands = (int64_t)num;
    } else if (header_is(line, "Content-Encoding", &v) && !slice_is(v, "identity")) {
        return 0; /* we asked for none */
    }
    return line.n;
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct http_req *r = ctx;

    strbuf_add(&r->answer.body, (struct slice){p, size * n});
    return strbuf_ok(&r->answer.body) ? size * n : 0;
}

/* Called by libcurl about once a second: the head's deadline, and the body's rate floor. */
static int on_progress(void *ctx, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal,
                       curl_off_t ulnow)
{
    struct http_req *r = ctx;
    int64_t now = clock_mono_ms(), since;

    (void)dltotal;
    (void)ultotal;
    (void)ulnow;
    if (r->head_at_ms == 0) {
        if (now - r->started_ms <= r->head_ms)
            return 0;
        (void)snprintf(r->why, sizeof r->why, "no answer within %lld s",
                       (long long)(r->head_ms / 1000));
        return 1;
    }
    since = now - r->head_at_ms;
    if (since > HTTP_BODY_MS ||
        (since > RATE_GRACE_MS && dlnow < (since - RATE_GRACE_MS) / 1000 * RATE_FLOOR_PER_S)) {
        (void)snprintf(r->why, sizeof r->why,
                       "the answer arrives too slowly (%lld bytes in %lld s)", (long long)dlnow,
                       (long long)(since / 1000));
        return 1;
    }
    return 0;
}

static bool set_tls(CURL *c, const char *pins)
{
    bool pinned = pins[0] != '\0';

    /* With a pin the key itself is what we trust; name, dates and issuer of the certificate count
     * for nothing. */
    return curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, pinned ? 0L : 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, pinned ? 0L : 2L) == CURLE_OK &&
           (!pinned || curl_easy_setopt(c, CURLOPT_PINNEDPUBLICKEY, pins) == CURLE_OK) &&
           curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)(HTTP_CONNECT_MS + 10000)) ==
               CURLE_OK;
}

static bool set_up(struct http *h, struct http_req *r)
{
    CURL *c = r->easy = curl_easy_init();
    char url[800];

    if (c == NULL || r->failed)
        return false;
    (void)snprintf(url, sizeof url, "%s%s", h->base, r->path);
    http_req_header(r, "Expect:"); /* libcurl's own 100-continue only costs a round trip */
    http_req_header(r, "User-Agent: inari-agent/%s", INARI_VERSION);
    if (r->failed || !set_tls(c, h->pins))
        return false;
    (void)curl_easy_setopt(c, CURLOPT_CERTINFO, 1L);
    (void)curl_easy_setopt(c, CURLOPT_URL, url);
    (void)curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method);
    (void)curl_easy_setopt(c, CURLOPT_HTTPHEADER, r->headers);
    (void)curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(c, CURLOPT_HEADERDATA, r);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, r);
    (void)curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)curl_easy_setopt(c, CURLOPT_XFERINFODATA, r);
    (void)curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(c, CURLOPT_ERRORBUFFER, r->error);
    (void)curl_easy_setopt(c, CURLOPT_PRIVATE, r);
    (void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(r->head_ms + HTTP_BODY_MS + 5000));
    (void)curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    (void)curl_easy_setopt(c, CURLOPT_TCP_KEEPIDLE, 30L);
    if (r->body != NULL) {
        (void)curl_easy_setopt(c, CURLOPT_POSTFIELDS, r->body);
        (void)curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_n);
        (void)curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method);
    }
    return true;
}

enum err_code http_start(struct http *h, struct http_req *r, http_done *done, void *ctx,
                         struct err *e)
{
    if (r == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    r->answer.body = STRBUF_INIT(r->max_body);
    r->answer.date_ms = r->answer.next_poll_s = -1;
    r->started_ms = clock_mono_ms();
    r->done = done;
    r->ctx = ctx;
    if (!set_up(h, r) || curl_multi_add_handle(h->multi, r->easy) != CURLM_OK) {
        http_req_free(r);
        return err_set(e, ERR_NO_MEMORY, "could not start a request");
    }
    r->next = h->running;
    h->running = r;
    return ERR_OK;
}

static void unlink_req(struct http *h, struct http_req *r)
{
    struct http_req **p = &h->running;

    while (*p != NULL && *p != r)
        p = &(*p)->next;
    if (*p != NULL)
        *p = r->next;
    (void)curl_multi_remove_handle(h->multi, r->easy);
}

void http_cancel(struct http *h, http_done *done, const void *ctx)
{
    struct http_req *r = h->running;

    while (r != NULL && (r->done != done || r->ctx != ctx))
        r = r->next;
    if (r != NULL) {
        unlink_req(h, r);
        http_req_free(r);
    }
}

static enum err_code transport_code(const struct http_req *r, CURLcode c)
{
    if (!strbuf_ok(&r->answer.body) || r->header_bytes > HTTP_HEADER_MAX)
        return ERR_TOO_LARGE;
    if (c == CURLE_SSL_PINNEDPUBKEYNOTMATCH || c == CURLE_PEER_FAILED_VERIFICATION)
        return ERR_SIGNATURE;
    return c == CURLE_OPERATION_TIMEDOUT || c == CURLE_ABORTED_BY_CALLBACK ? ERR_TIMEOUT
                                                                           : ERR_UNAVAILABLE;
}

/* The last word of "urn:inari:problem:stale-edit", when it is one of ours. */
static void read_problem(struct http_answer *a)
{
    AUTO(json_free) json_t *j = NULL;
    const char *type;

    if (a->status < 400 || json_in_parse(strbuf_slice(&a->body), 64 * KIB, &j, NULL) != ERR_OK)
        return;
    type = json_str(j, "type", "");
    if (strncmp(type, PROBLEM_TYPE_PREFIX, strlen(PROBLEM_TYPE_PREFIX)) == 0)
        (void)snprintf(a->server_problem, sizeof a->server_problem, "%s",
                       type + strlen(PROBLEM_TYPE_PREFIX));
    (void)snprintf(a->problem, sizeof a->problem, "%s",
                   json_str(j, "detail", json_str(j, "title", "")));
}

/* Only a request that made a connection saw one. */
static int64_t certificate_end_ms(CURL *c)
{
    static const char label[] = "Expire date:";
    struct curl_certinfo *info = NULL;
    struct tm tm = {0};

    if (curl_easy_getinfo(c, CURLINFO_CERTINFO, &info) != CURLE_OK || info == NULL ||
        info->num_of_certs < 1)
        return 0;
    for (struct curl_slist *s = info->certinfo[0]; s != NULL; s = s->next)
        if (strncmp(s->data, label, sizeof label - 1) == 0 &&
            strptime(s->data + sizeof label - 1, "%b %d %H:%M:%S %Y", &tm) != NULL)
            return (int64_t)timegm(&tm) * 1000;
    return 0;
}

static void finish(struct http *h, struct http_req *r, CURLcode result)
{
    struct http_answer *a = &r->answer;
    long status = 0;

    a->elapsed_ms = clock_mono_ms() - r->started_ms;
    if (result == CURLE_OK) {
        (void)curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
        a->status = (int)status;
        a->cert_end_ms = certificate_end_ms(r->easy);
        read_problem(a);
    } else {
        a->code = transport_code(r, result);
        (void)snprintf(a->problem, sizeof a->problem, "%s",
                       a->code == ERR_TOO_LARGE ? "the answer is larger than allowed"
                       : r->why[0] != '\0'      ? r->why
                       : r->error[0] != '\0'    ? r->error
                                                : curl_easy_strerror(result));
    }
    unlink_req(h, r);
    r->done(r->ctx, a);
    http_req_free(r);
}

void http_step(struct http *h, struct curl_waitfd *fds, unsigned n, int timeout_ms)
{
    int running = 0, left = 0;
    CURLMsg *m;

    (void)curl_multi_perform(h->multi, &running);
    /* A transfer that ended just now has its callback before anything waits. */
    m = curl_multi_info_read(h->multi, &left);
    if (m == NULL) {
        (void)curl_multi_poll(h->multi, fds, n, timeout_ms, NULL);
        (void)curl_multi_perform(h->multi, &running);
        m = curl_multi_info_read(h->multi, &left);
    }
    for (; m != NULL; m = curl_multi_info_read(h->multi, &left)) {
        void *r = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&r);
        if (r != NULL)
            finish(h, r, m->data.result);
    }
}

size_t http_running(const struct http *h)
{
    size_t n = 0;

    for (const struct http_req *r = h->running; r != NULL; r = r->next)
        n++;
    return n;
}

struct call {
    bool done;
    struct http_answer answer;
};

static void on_call_done(void *ctx, struct http_answer *answer)
{
    struct call *c = ctx;

    c->answer = *answer;
    answer->body = STRBUF_INIT(0); /* moved */
    c->done = true;
}

enum err_code http_call(struct http *h, struct http_req *r, struct http_answer *ret, struct err *e)
{
    struct call c = {0};
    enum err_code rc = http_start(h, r, on_call_done, &c, e);

    if (rc != ERR_OK)
        return rc;
    while (!c.done)
        http_step(h, NULL, 0, 1000);
    if (c.answer.status == 0) {
        rc = err_set(e, c.answer.code, "could not reach the parent at %s: %s", h->base,
                     c.answer.problem);
        http_answer_clear(&c.answer);
        return rc;
    }
    *ret = c.answer;
    return ERR_OK;
}

enum err_code http_answer_err(const struct http_answer *a, struct err *e)
{
    enum err_code code =
        a->server_problem[0] != '\0' ? err_code_of_word(a->server_problem) : ERR_UNAVAILABLE;

    return err_set(e, code, "%s",
                   a->problem[0] != '\0' ? a->problem : "the parent answered with an error");
}

/* --- what key does a server show? --- */

static bool leaf_pin(CURL *c, char ret[64])
{
    struct curl_certinfo *info = NULL;
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(63);
    unsigned char hash[SHA256_SIZE], der[4096];
    const char *pem = NULL;
    X509 *x = NULL;
    BIO *bio;
    int n = 0;

    if (curl_easy_getinfo(c, CURLINFO_CERTINFO, &info) != CURLE_OK || info == NULL ||
        info->num_of_certs < 1)
        return false;
    for (struct curl_slist *s = info->certinfo[0]; s != NULL; s = s->next)
        if (strncmp(s->data, "Cert:", 5) == 0)
            pem = s->data + 5;
    bio = pem == NULL ? NULL : BIO_new_mem_buf(pem, -1);
    x = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    if (x != NULL) {
        unsigned char *p = der;
        n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), NULL);
        n = n > 0 && (size_t)n <= sizeof der ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &p) : 0;
    }
    X509_free(x);
    BIO_free(bio);
    if (n <= 0)
        return false;
    sha256((struct slice){(const char *)der, (size_t)n}, hash);
    b64u_add(&b, (struct slice){(const char *)hash, sizeof hash});
    (void)snprintf(ret, 64, "%s", strbuf_str(&b));
    return true;
}

static CURLcode handshake(const char *base, bool verify, char ret[64], char error[CURL_ERROR_SIZE])
{
    CURL *c = curl_easy_init();
    CURLcode result = CURLE_OUT_OF_MEMORY;

    error[0] = ret[0] = '\0';
    if (c != NULL && set_tls(c, "")) {
        (void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
        (void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
        (void)curl_easy_setopt(c, CURLOPT_URL, base);
        (void)curl_easy_setopt(c, CURLOPT_CERTINFO, 1L);
        (void)curl_easy_setopt(c, CURLOPT_CONNECT_ONLY, 1L);
        (void)curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
        result = curl_easy_perform(c);
        if (result == CURLE_OK && !leaf_pin(c, ret))
            result = CURLE_SSL_CERTPROBLEM;
    }
    if (c != NULL)
        curl_easy_cleanup(c);
    return result;
}

enum err_code http_peek_pin(const char *base, char ret[64], bool *ret_trusted, struct err *e)
{
    char error[CURL_ERROR_SIZE];
    CURLcode result;

    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    result = handshake(base, true, ret, error);
    *ret_trusted = result == CURLE_OK;
    if (result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_CACERT_BADFILE)
        result = handshake(base, false, ret, error);
    if (result != CURLE_OK)
        return err_set(e, ERR_UNAVAILABLE, "could not reach the parent at %s: %s", base,
                       error[0] != '\0' ? error : curl_easy_strerror(result));
    return ERR_OK;
}
