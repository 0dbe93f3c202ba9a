/*
 * http_private.h - what the files of the listener share.
 * Locks, in the order they may be taken: conns.lock, park lock; libmicrohttpd's own below both.
 */
#pragma once

#include "base/strbuf.h"
#include "domain/device_auth.h"
#include "http/http.h"
#include "http/metrics.h"
#include "http/park_private.h"
#include "http/pool.h"
#include "http/req_source.h"
#include "http/router.h"
#include "http/static.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>

struct http;

struct peer; /* connections of one address, conn.c */

/* One TCP connection, from NOTIFY_CONNECTION STARTED to CLOSED. */
struct conn {
    struct conn *next, *prev; /* conns lock */
    struct peer *peer;
    int fd;
    bool loopback, trusted;
    bool body_coming; /* the last request was refused before its body */
    _Atomic int64_t deadline_ms; /* monotonic; CONN_NO_DEADLINE: none */
    char address[46], local[46];
    char host[GATE_HOST_MAX]; /* last Host that was accepted */
    struct device_token device;
    struct arena *arena; /* kept for the next request; NULL while one has it */
};
#define CONN_NO_DEADLINE INT64_MAX

struct conns {
    pthread_mutex_t lock;
    struct conn *first;
    struct peer **buckets;
    unsigned n, max_address, strangers_address;
    uint64_t key; /* of the bucket hash */
};

/* linger.c: closed by us, but still read for a moment so that the answer is not lost. */
enum { LINGERS_MAX = 64 }; /* beyond it a connection is closed at once */

struct lingering {
    int fd; /* own copy */
    size_t left;
    int64_t until_ms;
};
struct lingers {
    pthread_mutex_t lock; /* taken alone */
    size_t n;
    struct lingering v[LINGERS_MAX];
};

void linger_add(struct lingers *l, int fd); /* fd: about to be closed by its owner */
bool linger_turn(struct lingers *l);        /* read what came, let go what is over; false: none is left */
void linger_end(struct lingers *l);         /* all, when no thread uses it any more */

enum call_state { CALL_NEW, CALL_BODY, CALL_WORKING, CALL_PARKED, CALL_ANSWER };

/* One request.  Lives in its arena, from the request line to NOTIFY_COMPLETED. */
struct call {
    struct http *h;
    struct conn *conn;
    struct MHD_Connection *mc;
    struct arena *arena;
    enum call_state state;
    enum err_code early; /* decided before the body; answered after it */
    char id[17];
    bool head;
    struct slice target;
    struct slice path, query;
    struct router_match match;
    struct req_source src;
    struct req rq;
    json_t *json; /* owned */
    bool body_parsed, body_overflow;
    int64_t asked_s; /* wall time at which who was established; a token may expire while it is parked */
    struct strbuf body;
    size_t body_reserved;
    _Atomic size_t *body_share; /* counted there as well; NULL: not */
    size_t body_shared;
    int64_t body_began_ms;
    struct MHD_Response *response; /* owned, unless it is that of unchanged; set: state is CALL_ANSWER */
    struct unchanged *unchanged;   /* owned */
    int status;
    size_t answer_n;
    struct parked parked;
    struct call *next_job; /* pool */
};

struct http {
    struct http_config cfg;
    pthread_rwlock_t hosts_lock;
    struct hosts hosts;
    struct router *router;
    struct MHD_Daemon *daemon;
    int listen_fd, port;
    struct conns conns;
    struct lingers lingers;
    struct pool *pool;
    struct metrics *metrics;
    pthread_t reaper;
    bool reaper_runs;
    _Atomic bool ready, stopping, reaper_stop;
    uint64_t id_key;
    pthread_mutex_t unchanged_lock; /* taken alone */
    struct unchanged *unchanged;    /* responses between two answers */
    size_t unchanged_n;
    /* Written with every request: apart from what every request reads. */
    alignas(64) _Atomic int running; /* calls between the request line and NOTIFY_COMPLETED */
    _Atomic int suspended;           /* of these, with a worker */
    _Atomic size_t body_used;
    _Atomic size_t body_events;      /* of these, of R_EVENTS routes */
    _Atomic uint64_t id_next;
};

/* conn.c */
MUST_USE bool conns_init(struct conns *cs, unsigned max_address, unsigned strangers_address);
void conns_clear(struct conns *cs);
enum MHD_Result conns_accept(void *http, const struct sockaddr *address, socklen_t n);
void conns_notify(void *http, struct MHD_Connection *mc, void **ctx, enum MHD_ConnectionNotificationCode what);
void conns_trust(struct conns *cs, struct conn *c); /* a device proved itself on it */
unsigned conns_reap(struct conns *cs, int64_t now_ms);   /* shut down what is overdue; how many */
void conn_deadline(struct conn *c, int64_t in_ms);       /* from now */

/* What a sender or reader gets at once, beside its minimum rate: twice what complete headers may take. */
static inline int64_t conn_grace_ms(const struct http *h)
{
    return 2 * h->cfg.header_deadline_ms;
}

/* execute.c: authenticate, permission, body, handler; a worker (db) or an I/O thread (db NULL).  rp is zeroed by the
 * caller and answered or cleared by answer_make(). */
enum err_code call_execute(struct call *c, struct db *db, struct reply *rp, struct err *e);
bool call_needs_worker(const struct call *c);
/* The Content-Type a route's body must have; ERR_UNSUPPORTED_MEDIA_TYPE. */
enum err_code call_check_type(const struct call *c, struct err *e);

/* status.c */
void status_serve(struct http *h); /* the listener that /metrics and /readyz speak of; NULL: none */

/* unchanged.c: 304 for a child, of a response that is used again. */
/* c->response and c->unchanged for rp (304 with an ETag and a Cache-Control of its own); false: make it another way. */
MUST_USE bool unchanged_make(struct call *c, const struct reply *rp);
void unchanged_give(struct http *h, struct unchanged *u); /* the request is over; NULL does nothing */
void unchanged_clear(struct http *h);                     /* when no request is left */

/* answer.c */
/* All of it empty; the header texts (several KiB) are left as they are, their number says how many count. */
void reply_init(struct reply *rp);
void reply_clear(struct reply *rp); /* frees; empty again */
/* Make c->response of rc, rp and e; takes what rp owns. */
void answer_make(struct call *c, enum err_code rc, struct reply *rp, struct err *e);
/* A response of static bytes. */
void answer_file(struct call *c, const struct static_file *f);
enum MHD_Result answer_send(struct call *c); /* on the I/O thread */
/* The problem, written past the library, which takes no answer while a body is coming; the connection is to be given up
 * then, and lingers for what the peer still sends.  On the I/O thread. */
void answer_midway(struct call *c, enum err_code code, const char *why);
