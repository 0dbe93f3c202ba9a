/*
 * http.h - the HTTPS listener: TLS, gate, routing, authentication, workers, parking.  Runs libmicrohttpd in poll mode
 * with one I/O thread a core (never epoll: a silent half-handshake spins it at 100 %, docs/internals/http.md).
 * One listener a process: parking and the certificate callback are process-wide.
 */
#pragma once

#include "base/strbuf.h"
#include "http/hosts.h"
#include "http/request.h"

struct http;
struct tls;
struct static_files;
struct device_token;

/* What the listener calls and does not know: set by main(), by a unit test to its own. */
struct http_hooks {
    enum err_code (*session)(struct db *db, struct app *app, const char *cookie, int64_t now_ms, struct arena *a,
                             struct who *ret, struct err *e);
    enum err_code (*api_token)(struct db *db, struct app *app, const char *token, int64_t now_ms, struct arena *a,
                               struct who *ret, struct err *e);
    enum err_code (*device_token)(struct app *app, struct device_token *remembered, struct slice token,
                                  int64_t now_s, struct who *ret, struct err *e);
    struct db *(*db_open)(const char *conninfo, const char *application_name);
    void (*db_close)(struct db *db);
    uint64_t (*db_statements)(void);
    uint64_t (*db_request_statements)(void);
    /* Runs the handler of a POST on a worker; NULL: it is called as it is. */
    enum err_code (*post)(handler_fn handler, struct req *rq, struct reply *rp, struct err *e);
    bool (*db_reached)(void); /* what is known of the database now; asks nobody */
    void (*figures)(struct app *app, struct strbuf *out); /* once ready: Prometheus text behind the listener's own; no SQL */
    bool (*usable)(struct app *app); /* once ready: is what polls are answered from still fresh enough? */
};

struct http_config {
    const char *listen;            /* "[::]:8445", "127.0.0.1:0" */
    const struct hosts *hosts;     /* copied */
    const struct route *routes;    /* borrowed, as all below, until http_stop() */
    struct app *app;
    struct tls *tls;
    const struct static_files *files; /* NULL: none */
    struct http_hooks hooks;
    const char *conninfo;
    unsigned io_threads;           /* 0: one a core */
    unsigned workers;
    unsigned queue_max;            /* requests waiting for a worker; 503 beyond */
    unsigned connections;          /* in all */
    unsigned connections_address;  /* from one address (IPv6: /64) */
    unsigned strangers_address;    /* of these, how many without a device's token */
    size_t body_memory;            /* all bodies being received */
    int64_t header_deadline_ms;    /* connect to complete headers */
    int64_t idle_ms;               /* silence, and between requests */
};

MUST_USE enum err_code http_start(const struct http_config *config, struct http **ret, struct err *e);
/* Until http_ready(true) only R_INLINE routes without a permission, and static files, are served; others get 503. */
void http_ready(struct http *h, bool ready);
/* The Host allow-list, again (addresses may have changed). */
void http_set_hosts(struct http *h, const struct hosts *hosts);
int http_port(const struct http *h);
/* Stop parking, answer what is held and running, then close.  false: something was still running after drain_ms, and
 * the listener could not be closed; the process should end. */
MUST_USE bool http_stop(struct http *h, int64_t drain_ms);
