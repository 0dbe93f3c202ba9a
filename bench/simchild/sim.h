/*
 * sim.h - what the files of the simulated fleet share: thousands of children in one process and one
 * thread, each with a key, a device id, an access token and up to two connections, as a real agent
 * has.  What a child believes is checked by the agent's own code (loop/bundle.h, loop/trust.h,
 * loop/token.h, loop/backoff.h); only the network below it and the applying are made for thousands.
 * Threads: one.
 */
#pragma once

#include "base/strbuf.h"
#include "loop/backoff.h"
#include "loop/trust.h"

#include <openssl/ssl.h>

struct child;
struct conn;

/* What a child does wrong, on purpose; a child has at most one fault. */
enum fault {
    FAULT_NONE,
    FAULT_FAIL,   /* applying is refused by its Postfix: reverted, with a problem (see fail_on) */
    FAULT_SILENT, /* takes the bundle and is never heard of again */
    FAULT_SLOW,   /* applies after --slow-ms */
    FAULT_OLD,    /* says it has seen the bundle and goes on running what it ran before */
    FAULT_LIE,    /* says it applied, with a digest nobody asked for */
    FAULTS
};
extern const char *const fault_names[];

struct options {
    const char *join;    /* join string with as many uses; NULL: the state file has the devices */
    const char *address; /* https://host:port instead of the join string's */
    const char *name;    /* devices are called NAME-00001 ... */
    const char *state;   /* devices are kept there; NULL: only in memory */
    const char *fail_on; /* FAULT_FAIL refuses only settings that have this text; NULL: all */
    bool rebooted;       /* the machines have just booted: the first poll is at the device's slot */
    int count, sources, enrol_parallel, wait_s, verify_percent;
    int64_t apply_min_ms, apply_max_ms, slow_ms, storm_ms, seconds;
    double percent[FAULTS];
};

/* --- conn.c: TLS 1.3 and HTTP/1.1, not blocking --- */

struct answer {
    int status; /* 0: none came; problem says why */
    int64_t elapsed_ms;
    struct strbuf body;
    char etag[72], retry_after[40], report[8], word[40] /* of a problem document */;
    int64_t next_poll_s, trust;
    const char *problem;
};
typedef void conn_done(struct child *d, struct answer *a);

enum conn_state { CONN_CLOSED, CONN_CONNECTING, CONN_HANDSHAKE, CONN_IDLE, CONN_SENDING, CONN_READING };

struct conn {
    struct child *child;
    SSL *ssl;
    int fd;
    uint32_t events;
    enum conn_state state;
    bool reused; /* the request went out on a connection that had carried another */
    char *out;   /* heap, the request */
    size_t out_n, out_at;
    struct strbuf in;
    conn_done *done;
    int64_t started_ms, deadline_ms, wait_ms;
};

bool conn_init(const char *host, const char *port, const json_t *pins, int sources, struct err *e);
void conn_cleanup(void);
/* Send request (emptied) and call done once, never from within; the answer may take wait_ms longer
 * than usual.  c must be free. */
void conn_send(struct conn *c, struct strbuf *request, int64_t wait_ms, conn_done *done);
void conn_close(struct conn *c); /* a request on it ends with status 0 */
void conn_drop(struct conn *c);  /* the same, and nobody is told */
static inline bool conn_free(const struct conn *c)
{
    return c->state == CONN_CLOSED || c->state == CONN_IDLE;
}
/* Serve what epoll says within ms. */
void conn_wait(int ms);
void conn_expire(struct conn *c, int64_t now_ms);
extern char conn_host[300]; /* for the Host header */

/* --- child.c --- */

enum child_phase { CHILD_WAITING, CHILD_JOINING, CHILD_RUNNING, CHILD_SILENT, CHILD_GONE };

struct place { /* a digest with its numbers; digest "": none */
    char digest[65];
    int64_t rev, pub;
};

struct child {
    int index;
    enum child_phase phase;
    enum fault fault;
    char name[64], id[37], boot[37];
    struct jose_key *sig, *enc;
    struct trust *trust; /* shared */
    SSL_SESSION *session;
    struct conn conn[2];
    const struct conn *polling; /* the one with the poll; NULL: none */
    char *join_token, *token; /* secrets */
    int64_t token_refresh, token_next, poll_next, status_next, step_next, apply_due;
    bool token_busy, poll_busy, status_busy, report_wanted, token_refused, skew_retry;
    struct backoff token_backoff, poll_backoff, status_backoff;
    struct loop_guard guard;
    int64_t wait_s, seq, epoch, rev, pub, poll_started, acked_at, status_started;
    char etag[65], jti[40], mode[8], sent[65], sending[65];
    struct place wanted, running, attempt;
    const char *result; /* of the last attempt; NULL: none */
    bool sending_running, sending_failed; /* the report on its way says so of the newest bundle */
    int64_t fetched_wall_ms, running_wall_ms, fetched_pub, running_pub; /* 0: not yet */
    int64_t failed_wall_ms, failed_pub; /* the report of a failure was taken */
    bool bad_settings, given_bad; /* the newest bundle has the text of --fail-on; one ever had */
    uint32_t polls;                     /* since the mark */
    int64_t served_ms; /* first good answer to a poll since the mark; 0: none */
};

void child_begin(struct child *d);   /* joins, or goes on with what was read from the state file */
void child_turn(struct child *d);    /* do what is due and say when to come again */
void child_storm(struct child *d);   /* the network under it is gone */
void child_free(struct child *d);

/* The chain of trust documents, verified; shared by all children.  NULL: not good. */
struct trust *child_trust(const json_t *documents, struct err *e);

/* --- docs.c: the documents a child sends --- */

/* Heap texts; false without memory. */
MUST_USE bool docs_enrolment(const struct child *d, const char *nonce, char **ret);
MUST_USE bool docs_status(const struct child *d, char digest[65], char **ret);

/* --- state.c: the devices, kept for the next run, which then signs in by key --- */

MUST_USE enum err_code state_read(const char *path, json_t **ret_join, struct err *e);
MUST_USE enum err_code state_write(const char *path, const json_t *join, struct err *e);

/* --- main.c --- */

extern struct options opt;
extern struct child *fleet; /* opt.count of them */
extern json_t *trust_documents;

struct counters {
    uint64_t connects, handshakes, resumed, connect_failures, cut, expired;
    uint64_t answers[600]; /* by status */
    uint64_t polls, held, bundles, bundles_refused, statuses, enrolled, tokens;
    char refused_why[200]; /* the newest reason */
};
extern struct counters count;

enum { ARRIVALS = 400 };
extern uint32_t arrivals[ARRIVALS]; /* polls sent by second since the mark */
extern int64_t mark_ms;
void main_joined(struct child *d, bool ok);
void main_trust(const json_t *documents); /* the newest chain, for the state file */
void main_due(struct child *d, int64_t due_ms); /* INT64_MAX: not on its own */
