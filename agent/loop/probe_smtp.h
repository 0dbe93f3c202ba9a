/*
 * probe_smtp.h - conversations with the host's own listeners, all at once: what a client would see.
 * The banner of the digest listener, EHLO everywhere, a foreign recipient that must be refused, a
 * test message. Source:  docs/internals/helper.md (listeners), design: mail for a foreign domain as
 * a client of no relay network (probe_clients) through the PROXY v2 listener, because from the
 * device itself the plain path would always look open. Limits:  one deadline for the whole set;
 * replies as smtp_reply.h bounds them. Threads: none; probe_run() blocks for at most its deadline.
 */
#pragma once

#include "base/strbuf.h"
#include "loop/sink_lmtp.h"

#include <netinet/in.h>

enum { PROBE_STEPS = 10, PROBE_SET_MAX = 40 };

enum probe_expect {
    PROBE_GOOD,    /* 2xx */
    PROBE_GO_ON,   /* 354 */
    PROBE_REFUSED, /* 4xx or 5xx, but not a broken configuration (451, 421) */
    PROBE_SANE,    /* anything but 451 and 421: the listener decides, and it can */
    PROBE_ANY,
};

struct probe_step {
    char say[768]; /* with CRLF; "" for the banner */
    enum probe_expect expect;
};

struct probe {
    char label[96]; /* "127.0.0.1:25 (public)", for messages */
    int family;     /* AF_INET, AF_INET6 */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } to;
    unsigned char head[64]; /* PROXY v2 header, sent before anything is read */
    size_t head_n;
    char banner_has[160]; /* the banner must contain this; asked again until it does or time is over
                           */
    struct probe_step step[PROBE_STEPS];
    size_t n_steps;
    /* result */
    bool ok;
    char problem[512]; /* "127.0.0.1:25 (public): RCPT TO... answered 451 4.3.5 ..." */
    char banner[256];
    /* state */
    int fd;
    size_t at, sent;
    bool done;
    int64_t again_at_ms; /* not before; 0: running */
    struct strbuf in;
};

/* Whom the relay probes ask as; the helper chooses addresses outside the relay networks. */
#define PROBE_CLIENT4 "192.0.2.1"
#define PROBE_CLIENT6 "2001:db8::1"
struct probe_clients {
    char v4[64], v6[64];
};

/* A set that grows up to PROBE_SET_MAX. */
struct probe_set {
    struct probe *v; /* heap */
    size_t n;
    bool failed; /* too many, or out of memory */
};
void probe_set_clear(struct probe_set *s);

/* What each role of a listener (helper.md) must do.  address: "0.0.0.0" and "::" are dialled on
 * loopback. digest: what the digest listener must show. */
void probe_add_listener(struct probe_set *s, const char *address, int port, const char *role,
                        const struct probe_clients *clients, const char *device_id,
                        const char *digest);
void probe_add_digest(struct probe_set *s, const char *address, int port, const char *digest);
/* A recipient of a foreign domain, as client (an address of that family), through the PROXY
 * listener: must be refused; the probe's own address must be taken. */
void probe_add_relay(struct probe_set *s, const char *address, int port, int family,
                     const char *client, const char *device_id);
/* A message with that mark to probe@<device_id>.inari.invalid through the PROXY listener. */
void probe_add_message(struct probe_set *s, const char *address, int port, const char *device_id,
                       const char *mark);

/* How long a set may take. */
struct probe_limits {
    int retry_ms; /* refused or early closed connections are tried again: a reload is under way */
    int each_ms;  /* every conversation is over by then */
    int all_ms;   /* the test message has arrived by then */
    /* Asked once when the set still runs after doubt_ms: true ends it as failed, with the reason in
     * problem.  NULL: not asked. */
    bool (*doubt)(void *ctx, char *problem, size_t size);
    void *ctx;
    int doubt_ms;
};

/* Run all at once; true when every one ended well and, with sink not NULL, the mark it expects has
 * arrived. *ret_problem: the first fault. */
bool probe_run(struct probe_set *s, struct sink *sink, struct probe_limits limits,
               char *ret_problem, size_t size);
