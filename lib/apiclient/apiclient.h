/*
 * apiclient.h - a client of the parent's admin API (docs/internals/api.md) over libcurl: HTTPS
 * only, TLS 1.2 or newer, no redirects, no proxy from the environment, bounded answers and a total
 * deadline. Threads:  a client belongs to one thread at a time.  apiclient_global_init() once
 * before the first. Secrets:  token and cookie are never put into an error message; the client
 * wipes its copies when freed.
 */
#pragma once

#include "base/err.h"
#include "json/json_in.h"

enum {
    APICLIENT_ANSWER_MAX =
        64 * 1024 * 1024, /* a whole configuration with its lists fits; more is an error */
    APICLIENT_COOKIE_MAX = 512,
};

struct apiclient;

struct apiclient_options {
    const char *url;     /* "https://host:8445", without a path */
    const char *ca_file; /* PEM file of trusted certificates; a self-signed server certificate is
                            one; NULL: next */
    const char *ca_pem;  /* the same as text; NULL: the system's authorities */
    const char *pin; /* base64url SHA-256 of the server's SubjectPublicKeyInfo.  It alone identifies
                      * the server then: authority and name are not looked at, since the key is the
                      * stronger proof. */
    const char *token;  /* API token, or NULL */
    const char *cookie; /* session cookie value, or NULL; ignored beside a token */
    enum lang lang;     /* Accept-Language */
    int timeout_ms;     /* for a whole call; 0: 30 s */
};

struct apireply {
    int status;   /* HTTP status */
    json_t *json; /* owned; NULL: no JSON body */
    char *text;   /* owned; the body as it came when it is not JSON */
    size_t text_n;
    char etag[80];                     /* with its quotes, ready for If-Match; "" none */
    char request_id[64];               /* "" none */
    char cookie[APICLIENT_COOKIE_MAX]; /* value of a session cookie that was set; "" none or removed
                                        */
    int retry_after_s;                 /* -1: none */
};
void apireply_clear(struct apireply *r);

MUST_USE enum err_code apiclient_global_init(struct err *e);
/* ERR_INVALID: url is not https://host[:port]; ERR_STORAGE: the CA file cannot be read. */
MUST_USE enum err_code apiclient_new(const struct apiclient_options *o, struct apiclient **ret,
                                     struct err *e);
void apiclient_free(struct apiclient *c); /* NULL does nothing */
DEFINE_CLEANUP(struct apiclient, apiclient_free);
/* Use another session from now on (after a login); NULL: none. */
void apiclient_set_cookie(struct apiclient *c, const char *cookie);

struct apicall {
    const char *method; /* "GET" */
    const char
        *path; /* "/api/v1/devices/mx1": every variable part went through apiclient_escape() */
    const json_t *body;   /* borrowed; NULL: none */
    bool merge;           /* the body is application/merge-patch+json */
    const char *if_match; /* ETag with quotes, or NULL */
    bool dry_run;         /* adds ?dry_run=true */
};
/* Do one call.  *ret is always valid afterwards and has to be cleared; with ERR_OK it holds a 2xx
 * answer. An error answer gives the code of its problem (ERR_INTERNAL when it is none of ours), its
 * detail or title as the message, and leaves the whole problem document in ret->json.  No answer at
 * all leaves ret->status 0: ERR_UNAVAILABLE (not reached), ERR_TIMEOUT, ERR_SIGNATURE (certificate
 * or pin does not match: nothing was sent). */
MUST_USE enum err_code apiclient_call(struct apiclient *c, const struct apicall *call,
                                      struct apireply *ret, struct err *e);
/* GET an answer that has no end, piece by piece as it comes.  fn false: enough.  ERR_OK: it was, or the server ended the answer;
 * errors as of apiclient_call(), and ERR_UNAVAILABLE when nothing came for silence_s. */
struct apistream {
    const char *path, *accept;
    const char *last_event_id; /* NULL or "": none */
    int silence_s;
    bool (*fn)(void *ctx, struct slice piece);
    void *ctx;
};
MUST_USE enum err_code apiclient_stream(struct apiclient *c, const struct apistream *s,
                                        struct apireply *ret, struct err *e);
/* GET a list and all its pages: {"items":[...]} in *ret (new reference), at most max items.
 * On an error *problem (may be NULL) is the problem document or NULL; new reference. */
MUST_USE enum err_code apiclient_list(struct apiclient *c, const char *path, size_t max,
                                      json_t **ret, json_t **problem, struct err *e);

/* Percent-encode one path segment or query value.  Heap; NULL without memory. */
MUST_USE char *apiclient_escape(const char *s);
/* printf for paths whose arguments are all strings: every %s is percent-encoded.  Heap; NULL
 * without memory. */
MUST_USE char *apiclient_path(const char *fmt, const char *const *args, size_t n);
#define apiclient_pathf(fmt, ...)                                                                  \
    apiclient_path((fmt), (const char *const[]){__VA_ARGS__},                                      \
                   sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
