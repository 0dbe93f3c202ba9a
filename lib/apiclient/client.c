#include "apiclient/apiclient.h"

#include "base/hash.h"
#include "base/rand.h"
#include "base/strbuf.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { URL_MAX = 512, PIN_BYTES = 32, CALL_TIMEOUT_MS = 30000, CONNECT_TIMEOUT_MS = 10000 };

static const char cookie_name[] = "__Host-inari";

struct apiclient {
    CURL *curl;
    char *url;
    char *token;
    char *cookie;
    char *ca_pem;
    char *ca_file;
    char pin[80]; /* "sha256//<base64>", as libcurl wants it */
    enum lang lang;
    int timeout_ms;
};

struct answer {
    struct strbuf body;
    struct apireply *reply;
    bool is_json;
    CURL *curl;                     /* of a stream */
    const struct apistream *stream; /* NULL: an answer with an end */
    bool stopped;                   /* the stream's reader had enough */
};

void apireply_clear(struct apireply *r)
{
    json_decref(r->json);
    free(r->text);
    secret_wipe(r->cookie, sizeof(r->cookie));
    *r = (struct apireply){.retry_after_s = -1};
}

enum err_code apiclient_global_init(struct err *e)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return err_set(e, ERR_NO_MEMORY, "could not start the HTTP library");
    return ERR_OK;
}

static void secret_free(char **s)
{
    if (*s != NULL) {
        secret_wipe(*s, strlen(*s));
        free(*s);
        *s = NULL;
    }
}

void apiclient_free(struct apiclient *c)
{
    if (c == NULL)
        return;
    curl_easy_cleanup(c->curl);
    secret_free(&c->token);
    secret_free(&c->cookie);
    free(c->ca_pem);
    free(c->ca_file);
    free(c->url);
    free(c);
}

/* https://host[:port], nothing behind it: a path or a user name in the address is a mistake, never
 * guessed at. */
static enum err_code url_check(const char *url, struct err *e)
{
    static const char scheme[] = "https://";
    struct slice host = slice_of(url);

    if (url == NULL || !slice_starts(host, scheme) || host.n > URL_MAX)
        return err_set(e, ERR_INVALID, "the parent's address must look like https://host:8445");
    host.p += sizeof(scheme) - 1;
    host.n -= sizeof(scheme) - 1;
    if (host.n > 0 && host.p[host.n - 1] == '/')
        host.n--;
    if (host.n == 0 || !slice_is_text(host))
        return err_set(e, ERR_INVALID, "the parent's address must look like https://host:8445");
    for (size_t i = 0; i < host.n; i++)
        if (strchr("/@?# \\", host.p[i]) != NULL)
            return err_set(e, ERR_INVALID, "the parent's address must look like https://host:8445");
    return ERR_OK;
}

/* The pins we show are base64url without padding; libcurl wants plain base64. */
static enum err_code pin_convert(const char *pin, char *out, size_t size, struct err *e)
{
    unsigned char raw[PIN_BYTES];
    size_t n = 0;

    if (!b64u_decode(slice_of(pin), raw, sizeof(raw), &n) || n != sizeof(raw))
        return err_set(
            e, ERR_INVALID,
            "a pin is 43 characters of base64url: the SHA-256 of the server's public key");
    snprintf(out, size, "sha256//%s=", pin);
    for (char *p = out + strlen("sha256//"); *p != '\0'; p++)
        *p = (char)(*p == '-' ? '+' : *p == '_' ? '/' : *p);
    return ERR_OK;
}

static bool dup_to(char **target, const char *s)
{
    if (s == NULL)
        return true;
    *target = strdup(s);
    return *target != NULL;
}

enum err_code apiclient_new(const struct apiclient_options *o, struct apiclient **ret,
                            struct err *e)
{
    AUTO(apiclient_free) struct apiclient *c = calloc(1, sizeof(*c));
    enum err_code rc = url_check(o->url, e);

    if (rc != ERR_OK)
        return rc;
    if (c == NULL || (c->curl = curl_easy_init()) == NULL || !dup_to(&c->url, o->url) ||
        !dup_to(&c->token, o->token) || !dup_to(&c->cookie, o->cookie) ||
        !dup_to(&c->ca_pem, o->ca_pem) || !dup_to(&c->ca_file, o->ca_file))
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (c->url[strlen(c->url) - 1] == '/')
        c->url[strlen(c->url) - 1] = '\0';
    if (o->pin != NULL && (rc = pin_convert(o->pin, c->pin, sizeof(c->pin), e)) != ERR_OK)
        return rc;
    c->lang = o->lang;
    c->timeout_ms = o->timeout_ms > 0 ? o->timeout_ms : CALL_TIMEOUT_MS;
    *ret = TAKE(c);
    return ERR_OK;
}

void apiclient_set_cookie(struct apiclient *c, const char *cookie)
{
    secret_free(&c->cookie);
    if (cookie != NULL && cookie[0] != '\0')
        c->cookie = strdup(cookie);
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct answer *a = arg;
    long status = 0;

    if (a->stream != NULL &&
        curl_easy_getinfo(a->curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status == 200) {
        a->stopped = !a->stream->fn(a->stream->ctx, (struct slice){p, size * n});
        return a->stopped ? 0 : size * n;
    }
    strbuf_add(&a->body, (struct slice){p, size * n});
    return strbuf_ok(&a->body) ? size * n : 0;
}

static bool header_is(struct slice line, const char *name, struct slice *ret_value)
{
    struct slice rest = line;
    struct slice got = slice_cut(&rest, ':');

    if (got.n != strlen(name) || strncasecmp(got.p, name, got.n) != 0 || rest.p == NULL)
        return false;
    *ret_value = slice_trim(rest);
    return true;
}

static void copy_value(char *to, size_t size, struct slice v)
{
    if (v.n < size && slice_is_text(v))
        snprintf(to, size, "%.*s", (int)v.n, v.p);
}

static void take_cookie(struct apireply *r, struct slice v)
{
    struct slice value = slice_cut(&v, ';');
    struct slice name = slice_cut(&value, '=');

    if (slice_is(slice_trim(name), cookie_name))
        copy_value(r->cookie, sizeof(r->cookie), slice_trim(value));
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct answer *a = arg;
    struct slice line = slice_trim((struct slice){p, size * n});
    struct slice v;
    uint64_t s;

    if (header_is(line, "ETag", &v))
        copy_value(a->reply->etag, sizeof(a->reply->etag), v);
    else if (header_is(line, "Inari-Request-Id", &v))
        copy_value(a->reply->request_id, sizeof(a->reply->request_id), v);
    else if (header_is(line, "Set-Cookie", &v))
        take_cookie(a->reply, v);
    else if (header_is(line, "Retry-After", &v) && parse_u64(v, 0, 86400, &s))
        a->reply->retry_after_s = (int)s;
    else if (header_is(line, "Content-Type", &v))
        a->is_json =
            slice_starts(v, "application/json") || slice_starts(v, "application/problem+json");
    return size * n;
}

static void add_header(struct curl_slist **list, bool *failed, const char *name, const char *value)
{
    AUTO_STRBUF struct strbuf line = STRBUF_INIT(2 * KIB);
    struct curl_slist *more;

    strbuf_printf(&line, "%s: %s", name, value);
    more = strbuf_ok(&line) ? curl_slist_append(*list, strbuf_str(&line)) : NULL;
    if (more == NULL)
        *failed = true;
    else
        *list = more;
    if (line.p != NULL)
        secret_wipe(line.p, line.n);
}

static enum err_code headers_make(const struct apiclient *c, const struct apicall *call,
                                  const struct apistream *stream, struct curl_slist **ret,
                                  struct err *e)
{
    char key[UUID_TEXT_SIZE];
    AUTO_STRBUF struct strbuf auth = STRBUF_INIT(2 * KIB);
    bool failed = false;

    add_header(ret, &failed, "Accept", stream == NULL ? "application/json" : stream->accept);
    if (stream != NULL && stream->last_event_id != NULL && stream->last_event_id[0] != '\0')
        add_header(ret, &failed, "Last-Event-ID", stream->last_event_id);
    add_header(ret, &failed, "Accept-Language", c->lang == LANG_JA ? "ja" : "en");
    if (call->body != NULL)
        add_header(ret, &failed, "Content-Type",
                   call->merge ? "application/merge-patch+json" : "application/json");
    /* Our bodies are small: waiting for "100 Continue" would only cost a round trip. */
    add_header(ret, &failed, "Expect", "");
    if (call->if_match != NULL)
        add_header(ret, &failed, "If-Match", call->if_match);
    if (strcmp(call->method, "POST") == 0) {
        uuid7(key);
        add_header(ret, &failed, "Idempotency-Key", key);
    }
    if (c->token != NULL) {
        strbuf_printf(&auth, "Bearer %s", c->token);
        add_header(ret, &failed, "Authorization", strbuf_str(&auth));
    } else {
        add_header(ret, &failed, "X-Inari-Request", "1");
        if (c->cookie != NULL) {
            strbuf_printf(&auth, "%s=%s", cookie_name, c->cookie);
            add_header(ret, &failed, "Cookie", strbuf_str(&auth));
        }
    }
    if (auth.p != NULL)
        secret_wipe(auth.p, auth.n);
    return failed ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}

static void setup_tls(const struct apiclient *c)
{
    CURL *h = c->curl;

    curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (c->pin[0] != '\0') {
        curl_easy_setopt(h, CURLOPT_PINNEDPUBLICKEY, c->pin);
        curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 0L);
        return;
    }
    curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 2L);
    if (c->ca_file != NULL) {
        curl_easy_setopt(h, CURLOPT_CAINFO, c->ca_file);
        curl_easy_setopt(h, CURLOPT_CAPATH, NULL);
    } else if (c->ca_pem != NULL) {
        struct curl_blob blob = {c->ca_pem, strlen(c->ca_pem), CURL_BLOB_COPY};
        curl_easy_setopt(h, CURLOPT_CAINFO_BLOB, &blob);
        curl_easy_setopt(h, CURLOPT_CAPATH, NULL);
    }
}

static void setup(const struct apiclient *c, const struct apicall *call, const char *url,
                  const char *body, struct curl_slist *headers, struct answer *a)
{
    CURL *h = c->curl;

    curl_easy_reset(h); /* keeps the connection */
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(h, CURLOPT_PROXY,
                     ""); /* the parent is on the management network, never behind $https_proxy */
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)c->timeout_ms);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(h, CURLOPT_USERAGENT, "inari-apiclient/" INARI_VERSION);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, a);
    setup_tls(c);
    if (body != NULL) {
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, body);
    } else if (strcmp(call->method, "POST") == 0 || strcmp(call->method, "PUT") == 0) {
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE, 0L);
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, "");
    }
    curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, call->method);
}

static enum err_code curl_failed(CURLcode code, const char *text, const char *url, struct err *e)
{
    enum err_code rc = ERR_UNAVAILABLE;

    if (text[0] == '\0')
        text = curl_easy_strerror(code);
    if (code == CURLE_OPERATION_TIMEDOUT)
        rc = ERR_TIMEOUT;
    else if (code == CURLE_OUT_OF_MEMORY)
        rc = ERR_NO_MEMORY;
    else if (code == CURLE_WRITE_ERROR)
        rc = ERR_TOO_LARGE;
    else if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_PINNEDPUBKEYNOTMATCH)
        rc = ERR_SIGNATURE;
    else if (code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_ISSUER_ERROR)
        rc = ERR_STORAGE;
    return err_set(e, rc, "%s: %s", url, text);
}

/* The problem's own words: the detail says more than the title. */
static enum err_code problem_to_err(const struct apireply *r, struct err *e)
{
    const char *type = json_str(r->json, "type", "");
    const char *detail = json_str(r->json, "detail", "");
    const char *title = json_str(r->json, "title", "");
    size_t prefix = strlen(PROBLEM_TYPE_PREFIX);

    if (strncmp(type, PROBLEM_TYPE_PREFIX, prefix) != 0)
        return err_set(e, ERR_INTERNAL, "the server answered with HTTP status %d", r->status);
    return err_set(e, err_code_of_word(type + prefix), "%s", detail[0] != '\0' ? detail : title);
}

static enum err_code take_answer(struct answer *a, struct err *e)
{
    struct apireply *r = a->reply;
    enum err_code rc = ERR_OK;

    if (a->is_json && a->body.n > 0)
        rc = json_in_parse(strbuf_slice(&a->body), APICLIENT_ANSWER_MAX, &r->json, e);
    else if (a->body.n > 0) {
        r->text_n = a->body.n;
        r->text = strbuf_take(&a->body);
    }
    if (rc != ERR_OK)
        return err_wrap(e, "the server's answer is not JSON");
    return r->status >= 200 && r->status < 300 ? ERR_OK : problem_to_err(r, e);
}

static char *call_url(const struct apiclient *c, const struct apicall *call)
{
    struct strbuf url = STRBUF_INIT(16 * KIB);

    strbuf_printf(&url, "%s%s", c->url, call->path);
    if (call->dry_run)
        strbuf_puts(&url, strchr(call->path, '?') == NULL ? "?dry_run=true" : "&dry_run=true");
    if (!strbuf_ok(&url)) {
        strbuf_clear(&url);
        return NULL;
    }
    return strbuf_take(&url);
}

static enum err_code perform(struct apiclient *c, const struct apicall *call,
                             const struct apistream *stream, struct apireply *ret, struct err *e)
{
    struct answer a = {
        .body = STRBUF_INIT(APICLIENT_ANSWER_MAX), .reply = ret, .curl = c->curl, .stream = stream};
    char errbuf[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = NULL;
    char *body = NULL;
    char *url = call_url(c, call);
    long status = 0;
    enum err_code rc;
    CURLcode code;

    *ret = (struct apireply){.retry_after_s = -1};
    rc = headers_make(c, call, stream, &headers, e);
    if (rc == ERR_OK && (url == NULL || (call->body != NULL &&
                                         (body = json_text(call->body, JSON_COMPACT)) == NULL)))
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    if (rc == ERR_OK) {
        setup(c, call, url, body, headers, &a);
        if (stream != NULL) { /* no end, but never silent */
            curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, 0L);
            curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
            curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_TIME, (long)stream->silence_s);
        }
        curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, errbuf);
        code = curl_easy_perform(c->curl);
        curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, NULL);
        curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
        if (a.stopped)
            code = CURLE_OK;
        ret->status = code == CURLE_OK ? (int)status : 0;
        rc = code == CURLE_OK ? take_answer(&a, e) : curl_failed(code, errbuf, c->url, e);
    }
    for (struct curl_slist *s = headers; s != NULL; s = s->next)
        secret_wipe(s->data, strlen(s->data));
    curl_slist_free_all(headers);
    secret_free(&body);
    free(url);
    strbuf_clear(&a.body);
    return rc;
}

enum err_code apiclient_call(struct apiclient *c, const struct apicall *call, struct apireply *ret,
                             struct err *e)
{
    return perform(c, call, NULL, ret, e);
}

enum err_code apiclient_stream(struct apiclient *c, const struct apistream *s, struct apireply *ret,
                               struct err *e)
{
    return perform(c, &(struct apicall){.method = "GET", .path = s->path}, s, ret, e);
}
