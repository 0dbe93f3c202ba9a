#include "http/stream_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "http/tls.h"
#include "http/trickle.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CALL_ARENA_MAX = 64 * 1024 * 1024,
    CONNECTION_MEMORY = 8 * 1024, /* request line and headers; 431 beyond (design.md 14) */
    BACKLOG = 4096,
    BODY_BASE_MS = 20 * 1000,  /* a sender gets this long, */
    BODY_MIN_RATE = 1024,      /* and a second more for each so many bytes sent */
    DRAIN_LIMIT = 1024 * 1024, /* of a chunked body that is too large, before we hang up */
    STALE_TRIES = 3,
    DRAIN_RATE_MIN = 1000,
    EVENTS_SHARE = 4, /* of the memory for bodies, one in so many */
};

/* ---- the life of a call
 * ------------------------------------------------------------------------------------- */

static void new_id(struct http *h, char id[17])
{
    /* SplitMix64's mixer is a bijection: ids do not repeat within a process and say nothing about
     * their number. */
    uint64_t z = atomic_fetch_add_explicit(&h->id_next, 1, memory_order_relaxed) *
                     UINT64_C(0x9e3779b97f4a7c15) +
                 h->id_key;

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    for (int i = 15; i >= 0; i--, z >>= 4)
        id[i] = "0123456789abcdef"[z & 15];
    id[16] = '\0';
}

/* Called with the raw target as soon as the request line is there: the only place where it is seen
 * undecoded. */
static void *on_target(void *http, const char *target, struct MHD_Connection *mc)
{
    struct http *h = http;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mc, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct conn *conn = info == NULL ? NULL : info->socket_context;
    struct arena *a;
    struct call *c;

    if (conn == NULL)
        return NULL;
    a = conn->arena != NULL ? TAKE(conn->arena) : arena_new(CALL_ARENA_MAX);
    c = a == NULL ? NULL : arena_alloc(a, sizeof *c);
    if (c == NULL) {
        arena_free(a);
        return NULL;
    }
    c->h = h;
    c->conn = conn;
    c->mc = mc;
    c->arena = a;
    c->target.n = strlen(target);
    c->target.p = arena_slice_dup(a, (struct slice){target, c->target.n});
    c->body = STRBUF_INIT(0);
    new_id(h, c->id);
    c->rq.id = c->id;
    c->rq.client_address = c->conn->address;
    c->rq.app = h->cfg.app;
    c->rq.arena = a;
    c->rq.conn = &c->src;
    (void)atomic_fetch_add_explicit(&h->running, 1, memory_order_relaxed);
    return c;
}

static void on_completed(void *http, struct MHD_Connection *mc, void **ctx,
                         enum MHD_RequestTerminationCode why)
{
    struct http *h = http;
    struct call *c = *ctx;
    struct conn *conn;
    struct arena *a;

    (void)mc;
    (void)why;
    if (c == NULL)
        return;
    *ctx = NULL;
    conn = c->conn;
    a = c->arena;
    conn_deadline(conn, h->cfg.idle_ms + h->cfg.header_deadline_ms);
    if (c->response != NULL && c->unchanged == NULL)
        MHD_destroy_response(c->response);
    unchanged_give(h, c->unchanged);
    if (c->body_reserved > 0)
        (void)atomic_fetch_sub_explicit(&h->body_used, c->body_reserved, memory_order_relaxed);
    if (c->body_share != NULL)
        (void)atomic_fetch_sub_explicit(c->body_share, c->body_shared, memory_order_relaxed);
    json_decref(c->json);
    strbuf_clear(&c->body);
    arena_reset(a); /* c is gone */
    conn->arena = a;
    (void)atomic_fetch_sub_explicit(&h->running, 1, memory_order_relaxed);
}

/* ---- first call: headers only
 * ------------------------------------------------------------------------------- */

struct collect {
    struct gate_field *fields;
    size_t n;
};

static enum MHD_Result collect_field(void *cls, enum MHD_ValueKind kind, const char *name,
                                     size_t name_n, const char *value, size_t value_n)
{
    struct collect *to = cls;

    (void)kind;
    if (to->n > GATE_FIELDS_MAX)
        return MHD_NO;
    to->fields[to->n++] = (struct gate_field){
        {name, name_n}, {value == NULL ? "" : value, value == NULL ? 0 : value_n}};
    return MHD_YES;
}

/* Answer now, with the connection's close: what follows on it is not to be believed. */
static enum MHD_Result refuse(struct call *c, struct err *e)
{
    struct reply rp = {0};

    c->conn->body_coming = true;
    answer_make(c, e->code, &rp, e);
    return answer_send(c);
}

static bool host_served(struct call *c, const char *host)
{
    struct http *h = c->h;
    bool ok;

    if (strcmp(c->conn->host, host) == 0)
        return true;
    (void)pthread_rwlock_rdlock(&h->hosts_lock);
    ok = hosts_has(&h->hosts, host) || strcmp(host, c->conn->local) == 0;
    (void)pthread_rwlock_unlock(&h->hosts_lock);
    if (ok)
        (void)snprintf(c->conn->host, sizeof c->conn->host, "%s", host);
    return ok;
}

static enum err_code reserve_body(struct call *c, size_t n, struct err *e)
{
    struct http *h = c->h;

    c->body_reserved = n;
    if ((c->match.route->flags & R_EVENTS) != 0) {
        c->body_share = &h->body_events;
        c->body_shared = n;
        if (atomic_fetch_add_explicit(c->body_share, n, memory_order_relaxed) + n >
            h->cfg.body_memory / EVENTS_SHARE) {
            metrics_count(h->metrics, METRIC_OVERLOADED);
            return err_set(e, ERR_OVERLOADED, "too many events are being received");
        }
    }
    if (atomic_fetch_add_explicit(&h->body_used, n, memory_order_relaxed) + n <= h->cfg.body_memory)
        return ERR_OK;
    metrics_count(h->metrics, METRIC_OVERLOADED);
    return err_set(e, ERR_OVERLOADED, "too many bodies are being received");
}

static enum err_code begin_body(struct call *c, const struct gate_result *gate, struct err *e)
{
    size_t max = c->match.route->body_max;

    if (gate->length > max || (gate->chunked && max == 0))
        return err_set(e, ERR_TOO_LARGE, "the body may have at most %zu bytes", max);
    if (call_check_type(c, e) != ERR_OK)
        return e->code;
    if (gate->zstd && (c->match.route->flags & R_CODED) == 0)
        return err_set(e, ERR_UNSUPPORTED_MEDIA_TYPE, "content codings are for events only");
    c->body = STRBUF_INIT(max + 1);
    c->body_began_ms = clock_mono_ms();
    conn_deadline(c->conn, conn_grace_ms(c->h));
    return reserve_body(c, gate->chunked ? max : (size_t)gate->length, e);
}

/* Gate, host, route, body limit.  ERR_OK with c->early set: to be answered once the (empty) body is
 * through. */
static enum err_code admit(struct call *c, struct slice method, const char *version, struct err *e)
{
    UNINITIALIZED struct gate_field fields[GATE_FIELDS_MAX + 1];
    struct collect to = {fields, 0};
    struct gate_field *own;
    struct gate_result gate;
    enum err_code rc;

    (void)MHD_get_connection_values_n(c->mc, MHD_HEADER_KIND, collect_field, &to);
    rc = gate_check(&(struct gate_request){method, slice_of(version), c->target, fields, to.n},
                    &gate, e);
    if (rc != ERR_OK) {
        metrics_count(c->h->metrics, METRIC_REFUSED_GATE);
        return rc;
    }
    own = arena_alloc(c->arena, (to.n + 1) * sizeof *own);
    if (own == NULL || c->target.p == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    memcpy(own, fields, to.n * sizeof *own);
    c->src.fields = own;
    c->src.n_fields = to.n;
    c->path = gate.path;
    c->query = gate.query;
    c->rq.method = method.p; /* lives as long as the request */
    c->rq.path = c->query.p == NULL ? c->target.p : arena_slice_dup(c->arena, c->path);
    if (!host_served(c, gate.host))
        return err_set(e, ERR_WRONG_PARENT, "host \"%s\" is not served here; see setting api.hosts",
                       gate.host);
    c->early = router_find(c->h->router, method, c->path, &c->match, e);
    if (gate.has_body)
        return c->early != ERR_OK ? c->early : begin_body(c, &gate, e);
    return ERR_OK;
}

static enum MHD_Result begin(struct call *c, const char *method, const char *version)
{
    UNINITIALIZED struct err e;

    e.code = ERR_OK;
    e.msg[0] = e.pointer[0] = '\0';
    c->head = strcmp(method, "HEAD") == 0;
    conn_deadline(c->conn, CONN_NO_DEADLINE);
    if (admit(c, slice_of(method), version, &e) != ERR_OK)
        return refuse(c, &e);
    c->state = CALL_BODY;
    return MHD_YES;
}

/* ---- running
 * ------------------------------------------------------------------------------------------------
 */

static void fail(struct call *c, enum err_code code, const char *why)
{
    struct reply rp = {0};
    struct err e = {0};

    (void)err_set(&e, code, "%s", why);
    answer_make(c, code, &rp, &e);
}

/* Park when the handler asked for it; false: answer rp. */
static bool try_park(struct call *c, const struct reply *rp, uint64_t before, enum park_result *ret)
{
    bool over = c->src.expired && c->src.held_for == rp->park_for;

    if (!rp->park || (c->match.route->flags & R_HOLD) == 0 || over)
        return false;
    c->src.held_for = rp->park_for;
    /* The state is set first: another I/O thread never sees the call, but this one may right after
     * the resume. */
    c->state = CALL_PARKED;
    *ret = park_add(&c->parked, c->mc, c->conn->fd, rp->park_key, rp->park_until_mono_ms, before);
    return *ret == PARK_OK;
}

static enum MHD_Result run_inline(struct call *c)
{
    UNINITIALIZED struct reply rp;
    UNINITIALIZED struct err e;
    enum err_code rc;

    reply_init(&rp);
    for (int i = 0;; i++) {
        uint64_t before = (c->match.route->flags & R_HOLD) != 0 ? park_now() : 0;
        enum park_result parked = PARK_REFUSED;
        rc = call_execute(c, NULL, &rp, &e);
        c->src.again = true;
        if (rc == ERR_OK && try_park(c, &rp, before, &parked)) {
            reply_clear(&rp);
            return MHD_YES;
        }
        if (rc != ERR_OK || !rp.park)
            break;
        /* Woken meanwhile: look again.  Not to be parked at all: what it has now is the answer. */
        reply_clear(&rp);
        c->src.expired = parked == PARK_REFUSED || i + 1 >= STALE_TRIES;
        if (i > STALE_TRIES) {
            rc = err_set(&e, ERR_INTERNAL, "the handler parks an expired request");
            break;
        }
    }
    answer_make(c, rc, &rp, &e);
    return answer_send(c);
}

/* On a worker. */
static void run_on_worker(struct call *c, struct db *db)
{
    struct MHD_Connection *mc = c->mc;
    struct reply rp;
    struct err e;
    enum err_code rc;

    reply_init(&rp);
    rc = call_execute(c, db, &rp, &e);
    answer_make(c, rc, &rp, &e);
    (void)atomic_fetch_sub(&c->h->suspended, 1);
    MHD_resume_connection(mc); /* c may be gone from here on */
}

static void choose_problem_language(struct call *c)
{
    const struct gate_field *f = gate_field(c->src.fields, c->src.n_fields, "Accept-Language");

    if (f != NULL)
        (void)accept_language(f->value, &c->rq.lang);
}

static enum pool_lane lane_of(const struct call *c)
{
    const char *path = c->match.route->path;

    if ((c->match.route->flags & R_EVENTS) != 0)
        return POOL_EVENTS;
    return strncmp(path, "/api/agent/", 11) == 0 || strncmp(path, "/oauth2/", 8) == 0
               ? POOL_CHILDREN
               : POOL_PEOPLE;
}

static enum MHD_Result to_worker(struct call *c)
{
    enum pool_lane lane = lane_of(c);
    const char *why = atomic_load(&c->h->stopping)      ? "the parent is stopping"
                      : !atomic_load(&c->h->ready)      ? "the parent is starting"
                      : !pool_reserve(c->h->pool, lane) ? "the queue of requests is full"
                                                        : NULL;

    if (why != NULL) {
        metrics_count(c->h->metrics, METRIC_OVERLOADED);
        choose_problem_language(c);
        fail(c, ERR_OVERLOADED, why);
        return answer_send(c);
    }
    c->state = CALL_WORKING;
    (void)atomic_fetch_add(&c->h->suspended, 1);
    MHD_suspend_connection(c->mc);
    pool_submit(c->h->pool, lane, c);
    return MHD_YES;
}

static const char BODY_TOO_LARGE[] = "the body is larger than this address takes";

/* An address of the console ("/devices/ID"): the page itself finds what to show there.  Only what
 * asks for a page gets it: scripts and curl are told that there is nothing. */
static bool is_screen(const struct call *c)
{
    const struct gate_field *accept = gate_field(c->src.fields, c->src.n_fields, "Accept");

    return accept != NULL && strstr(accept->value.p, "text/html") != NULL &&
           !slice_starts(c->path, "/api/") && !slice_starts(c->path, "/assets/") &&
           !slice_starts(c->path, "/oauth2/");
}

static bool serve_file(struct call *c)
{
    const struct static_file *f;

    if (c->early != ERR_NOT_FOUND || c->h->cfg.files == NULL ||
        (!c->head && strcmp(c->rq.method, "GET") != 0))
        return false;
    f = static_find(c->h->cfg.files, c->path);
    if (f == NULL && is_screen(c))
        f = static_find(c->h->cfg.files, slice_of("/"));
    if (f == NULL)
        return false;
    answer_file(c, f);
    return true;
}

static enum MHD_Result run(struct call *c)
{
    conn_deadline(c->conn, CONN_NO_DEADLINE);
    if (serve_file(c))
        return answer_send(c);
    if (c->early != ERR_OK || c->body_overflow) {
        choose_problem_language(c);
        if (c->body.no_memory)
            fail(c, ERR_NO_MEMORY, "");
        else
            fail(c, c->body_overflow ? ERR_TOO_LARGE : c->early,
                 c->body_overflow ? BODY_TOO_LARGE : "");
        return answer_send(c);
    }
    return call_needs_worker(c) ? to_worker(c) : run_inline(c);
}

/* What is too much is thrown away, but counted as if it were kept: it must not come without end.
 * false: enough; it has its answer. */
static bool drain(struct call *c, size_t n)
{
    c->body_reserved += n;
    (void)atomic_fetch_add_explicit(&c->h->body_used, n, memory_order_relaxed);
    if (c->body_reserved <= c->match.route->body_max + DRAIN_LIMIT)
        return true;
    choose_problem_language(c);
    answer_midway(c, ERR_TOO_LARGE, BODY_TOO_LARGE);
    return false;
}

static enum MHD_Result more_body(struct call *c, const char *data, size_t *n)
{
    size_t got = c->body.n + *n;

    if (got > c->match.route->body_max)
        c->body_overflow = true;
    if (!c->body_overflow)
        strbuf_add(&c->body, (struct slice){data, *n});
    else if (!drain(c, *n))
        return MHD_NO;
    if (!strbuf_ok(&c->body))
        c->body_overflow = true;
    *n = 0;
    conn_deadline(c->conn, c->body_began_ms + conn_grace_ms(c->h) +
                               (int64_t)(got / BODY_MIN_RATE) * 1000 - clock_mono_ms());
    return MHD_YES;
}

static enum MHD_Result woken(struct call *c)
{
    if (c->parked.end == PARK_HANGUP)
        return MHD_NO;
    c->src.expired = c->parked.end == PARK_EXPIRED;
    return run_inline(c);
}

static enum MHD_Result on_request(void *http, struct MHD_Connection *mc, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_n, void **ctx)
{
    struct call *c = *ctx;

    (void)http;
    (void)mc;
    (void)url;
    if (c == NULL)
        return MHD_NO;
    switch (c->state) {
    case CALL_NEW:
        return begin(c, method, version);
    case CALL_BODY:
        return *upload_n > 0 ? more_body(c, upload, upload_n) : run(c);
    case CALL_PARKED:
        return woken(c);
    case CALL_ANSWER:
        return answer_send(c);
    case CALL_WORKING:
        break;
    }
    return MHD_NO;
}

/* ---- the listener
 * ------------------------------------------------------------------------------------------- */

static void *reap(void *http)
{
    struct http *h = http;

    while (!atomic_load(&h->reaper_stop)) {
        unsigned n = conns_reap(&h->conns, clock_mono_ms());
        for (unsigned i = 0; i < n; i++)
            metrics_count(h->metrics, METRIC_REAPED);
        streams_hang_up();
        for (int i = 0; i < 25 && linger_turn(&h->lingers); i++)
            (void)usleep(20 * 1000);
        (void)usleep(200 * 1000);
    }
    return NULL;
}

/* libmicrohttpd's own words: about peers, so only for who looks. */
static void on_log(void *cls, const char *fmt, va_list ap)
{
    char text[256];

    (void)cls;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)vsnprintf(text, sizeof text, fmt, ap);
#pragma GCC diagnostic pop
    log_event(LOG_LEVEL_DEBUG, "http.library", KV_STR("text", text));
}

/* Nothing is decoded before the gate and the router have seen it. */
static size_t keep_escapes(void *cls, struct MHD_Connection *mc, char *s)
{
    (void)cls;
    (void)mc;
    return strlen(s);
}

static enum err_code split_listen(const char *text, char host[256], char port[8], struct err *e)
{
    const char *colon = strrchr(text, ':');
    size_t n = colon == NULL ? 0 : (size_t)(colon - text);
    uint64_t number;

    if (colon == NULL || n >= 256 || !parse_u64(slice_of(colon + 1), 0, 65535, &number))
        return err_set(e, ERR_INVALID, "api.listen: \"%s\" is not ADDRESS:PORT", text);
    (void)snprintf(port, 8, "%u", (unsigned)number);
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']')
        (void)snprintf(host, 256, "%.*s", (int)n - 2, text + 1);
    else
        (void)snprintf(host, 256, "%.*s", (int)n, text);
    return ERR_OK;
}

static int bound_port(int fd)
{
    struct sockaddr_storage own;
    socklen_t n = sizeof own;

    if (getsockname(fd, (struct sockaddr *)&own, &n) != 0)
        return 0;
    return own.ss_family == AF_INET ? ntohs(((struct sockaddr_in *)(void *)&own)->sin_port)
                                    : ntohs(((struct sockaddr_in6 *)(void *)&own)->sin6_port);
}

static enum err_code listen_on(struct http *h, struct err *e)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char host[256], port[8];
    AUTO_FD int fd = -1;
    int yes = 1, no = 0;

    if (split_listen(h->cfg.listen, host, port, e) != ERR_OK)
        return e->code;
    if (getaddrinfo(host[0] == '\0' || strcmp(host, "*") == 0 ? NULL : host, port, &hints,
                    &found) != 0)
        return err_set(e, ERR_INVALID, "api.listen: \"%s\" is not an address", host);
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 && strcmp(host, "::") == 0) { /* a kernel without IPv6 */
        freeaddrinfo(found);
        found = NULL;
        if (getaddrinfo("0.0.0.0", port, &hints, &found) != 0)
            return err_set(e, ERR_INVALID, "api.listen: cannot use \"%s\"", h->cfg.listen);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        if (found->ai_family == AF_INET6)
            (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
    }
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        freeaddrinfo(found);
        return err_errno(e, ERR_STORAGE, errno, "could not listen on \"%s\"", h->cfg.listen);
    }
    freeaddrinfo(found);
    h->port = bound_port(fd);
    h->listen_fd = TAKE_FD(fd);
    return ERR_OK;
}

static enum err_code start_daemon(struct http *h, struct err *e)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned threads = h->cfg.io_threads > 0 ? h->cfg.io_threads : cores > 0 ? (unsigned)cores : 1;
    unsigned flags =
        MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_TLS | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;

    /* A pool of one is none to libmicrohttpd; its limit is divided over the pool. */
    h->daemon = MHD_start_daemon(
        flags, 0, conns_accept, h, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, h->listen_fd, MHD_OPTION_HTTPS_PRIORITIES, TLS_PRIORITIES,
        MHD_OPTION_HTTPS_CERT_CALLBACK2, tls_retrieve, MHD_OPTION_THREAD_POOL_SIZE,
        threads > 1 ? threads : 0u, MHD_OPTION_CONNECTION_LIMIT, h->cfg.connections,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t)1024, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)((h->cfg.idle_ms + 999) / 1000), MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_target, h,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_NOTIFY_CONNECTION, conns_notify, h,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    return h->daemon != NULL ? ERR_OK
                             : err_set(e, ERR_INTERNAL, "could not start the HTTPS listener");
}

static void http_free(struct http *h)
{
    if (h->reaper_runs) {
        atomic_store(&h->reaper_stop, true);
        (void)pthread_join(h->reaper, NULL);
    }
    pool_stop(h->pool);
    park_stop();
    if (h->listen_fd >= 0)
        (void)close(h->listen_fd);
    conns_clear(&h->conns);
    linger_end(&h->lingers);
    unchanged_clear(h);
    (void)pthread_mutex_destroy(&h->unchanged_lock);
    metrics_free(h->metrics);
    router_free(h->router);
    (void)pthread_rwlock_destroy(&h->hosts_lock);
    free(h);
}

enum err_code http_start(const struct http_config *config, struct http **ret, struct err *e)
{
    struct http *h = aligned_alloc(alignof(struct http), sizeof *h);

    if (h == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    memset(h, 0, sizeof *h);
    h->cfg = *config;
    h->hosts = *config->hosts;
    h->listen_fd = -1;
    (void)pthread_rwlock_init(&h->hosts_lock, NULL);
    (void)pthread_mutex_init(&h->unchanged_lock, NULL);
    (void)pthread_mutex_init(&h->lingers.lock, NULL);
    rand_bytes(&h->id_key, sizeof h->id_key);
    h->router = router_new(config->routes);
    h->metrics = h->router == NULL ? NULL : metrics_new(h->router);
    if (!conns_init(&h->conns, config->connections_address, config->strangers_address) ||
        h->metrics == NULL || !park_start() ||
        (h->pool = pool_start(&h->cfg, run_on_worker)) == NULL) {
        http_free(h);
        return err_set(e, ERR_NO_MEMORY,
                       "could not start the listener's threads (or a route is malformed)");
    }
    tls_serve(config->tls);
    trickle_start();
    streams_open();
    if (listen_on(h, e) != ERR_OK || start_daemon(h, e) != ERR_OK) {
        http_free(h);
        return e->code;
    }
    h->reaper_runs = pthread_create(&h->reaper, NULL, reap, h) == 0;
    status_serve(h);
    *ret = h;
    return ERR_OK;
}

void http_ready(struct http *h, bool ready)
{
    atomic_store(&h->ready, ready);
}

void http_set_hosts(struct http *h, const struct hosts *hosts)
{
    (void)pthread_rwlock_wrlock(&h->hosts_lock);
    h->hosts = *hosts;
    (void)pthread_rwlock_unlock(&h->hosts_lock);
}

int http_port(const struct http *h)
{
    return h->port;
}

/* A fleet that is held is let go over half the time there is, a small one at once: they all come
 * back somewhere. */
static int drain_rate(int64_t drain_ms)
{
    int64_t rate = park_count() * INT64_C(2000) / (drain_ms > 0 ? drain_ms : 1);

    return rate > DRAIN_RATE_MIN ? (int)rate : park_count() > DRAIN_RATE_MIN ? DRAIN_RATE_MIN : 0;
}

/* libmicrohttpd aborts when it is stopped with suspended connections: hold nobody, let all answers
 * out, then stop. */
bool http_stop(struct http *h, int64_t drain_ms)
{
    int64_t until = clock_mono_ms() + drain_ms;
    int fd;

    atomic_store(&h->stopping, true);
    fd = MHD_quiesce_daemon(h->daemon);
    park_close(drain_rate(drain_ms));
    streams_close();
    while (atomic_load(&h->running) > 0 && clock_mono_ms() < until)
        (void)usleep(10 * 1000);
    if (park_count() > 0 || atomic_load(&h->suspended) > 0 || streams_suspended() > 0)
        return false;
    status_serve(NULL);
    MHD_stop_daemon(h->daemon);
    if (fd >= 0)
        (void)close(fd);
    h->listen_fd = -1;
    tls_serve(NULL);
    http_free(h);
    return true;
}
