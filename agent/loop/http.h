/*
 * http.h - the child's HTTPS client: libcurl, TLS 1.3 only, the parent's key pinned inside the
 * handshake (before a byte is sent), bounded answers. Limits:  a request names the largest body it
 * accepts and how long the head may take; a body must arrive at 1 KiB/s after five seconds' grace
 * and within HTTP_BODY_MS; heads are at most 64 KiB; no redirect is followed, no compression
 * offered (nothing can be inflated), no proxy taken from the environment. Threads: one loop owns a
 * struct http and all its requests.
 */
#pragma once

#include "base/strbuf.h"
#include "json/json_in.h"

#include <curl/curl.h>

enum {
    HTTP_CONNECT_MS = 5000,
    HTTP_HEAD_MS = 20 * 1000,
    HTTP_BODY_MS = 120 * 1000,
    HTTP_HEADER_MAX = 64 * 1024
};

struct http;

struct http_answer {
    int status; /* 0: no answer; problem says why */
    enum err_code
        code; /* ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_TOO_LARGE, ERR_SIGNATURE (pin does not match) */
    char problem[256];
    struct strbuf body;
    int64_t elapsed_ms;  /* from sending to the end */
    int64_t date_ms;     /* Date, or -1 */
    int64_t cert_end_ms; /* when the certificate ends that was shown for this; 0: none was */
    int64_t at_wall_ms;  /* local clock when the head came */
    char etag[80];       /* without quotes */
    char retry_after[64], location[256], report[16], fresh[2048];
    int64_t next_poll_s;     /* -1: absent */
    int64_t trust;           /* Inari-Trust, or 0 */
    int64_t notice;          /* Inari-Notice, or 0 */
    char lists[17];          /* Inari-Lists, or "" */
    char parent[16];         /* Inari-Parent, or "" */
    int64_t commands;        /* Inari-Commands, or 0 */
    int64_t figures_s;       /* Inari-Figures, or 0 */
    char server_problem[64]; /* last word of the problem's type, or "" */
};

struct http_req;
/* Called once, from http_step(); the request is freed afterwards, answer with it. */
typedef void http_done(void *ctx, struct http_answer *answer);

/* pins: array of base64url SHA-256 of the server's public key, at least one; then the certificate
 * itself counts for nothing.  pins NULL: the certificate must be publicly trusted.  Both borrowed.
 */
MUST_USE enum err_code http_new(const char *base, const json_t *pins, struct http **ret,
                                struct err *e);
void http_free(struct http *h); /* requests still running are dropped without their callbacks */
DEFINE_CLEANUP(struct http, http_free);
/* Go on with another address and pins; requests in flight keep theirs. */
MUST_USE enum err_code http_set_peer(struct http *h, const char *base, const json_t *pins,
                                     struct err *e);
const char *http_base(const struct http *h);

MUST_USE struct http_req *http_req_new(const char *method,
                                       const char *path); /* NULL without memory */
void http_req_free(struct http_req *r);                   /* only before http_start() */
void http_req_header(struct http_req *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
void http_req_secret(struct http_req *r); /* wipe the request's body when it is freed */
/* Copied. */
void http_req_body(struct http_req *r, const char *type, struct slice body);
void http_req_limits(struct http_req *r, size_t max_body, int64_t head_ms);

/* Takes the request over, in every case. */
MUST_USE enum err_code http_start(struct http *h, struct http_req *r, http_done *done, void *ctx,
                                  struct err *e);
/* Move all transfers on, waiting at most timeout_ms for them or for one of fds (see
 * curl_multi_poll()). */
void http_step(struct http *h, struct curl_waitfd *fds, unsigned n, int timeout_ms);
/* How many run. */
size_t http_running(const struct http *h);
/* Drop the request with that ctx and callback, if it runs, without calling it. */
void http_cancel(struct http *h, http_done *done, const void *ctx);

/* Send and wait: for the join command and the last status of a change.  *ret: clear with
 * http_answer_clear(). */
MUST_USE enum err_code http_call(struct http *h, struct http_req *r, struct http_answer *ret,
                                 struct err *e);
void http_answer_clear(struct http_answer *a);
/* The problem document as an error of ours: code from its type, its detail. */
enum err_code http_answer_err(const struct http_answer *a, struct err *e);

/* SHA-256 of the public key the server at base shows, as base64url, and in *ret_trusted whether the
 * system trusts its certificate.  Sends nothing after the handshake. */
MUST_USE enum err_code http_peek_pin(const char *base, char ret[64], bool *ret_trusted,
                                     struct err *e);
