/*
 * maillog_line.h - one line of Postfix's log as a typed event.  Pure: no state, no memory, no time
 * zone but the host's own for lines whose time does not say one.
 *
 * Source: RFC 3339 time (rsyslog of Debian 12) or "Mon DD HH:MM:SS", host, "postfix/service[pid]:
 * text" with any syslog_name before the last "/".  Texts of clients and next hops are foreign:
 * whatever stands in them, nothing is read past the line and every slice lies inside it.
 */
#pragma once

#include "base/slice.h"

enum maillog_kind {
    MAILLOG_FOREIGN,   /* not a line of Postfix */
    MAILLOG_OTHER,     /* Postfix's, of no figure: connects, cleanup, warnings */
    MAILLOG_BEGUN,     /* a client was given a queue id: queue_id, client, again */
    MAILLOG_QUEUED,    /* the queue manager has it, again at each retry: queue_id */
    MAILLOG_REJECTED,  /* a client was refused: reason, temporary, client, helo; queue_id "" when
                          none yet */
    MAILLOG_ATTEMPTED, /* one recipient, one try: queue_id, to, relay, status, latency_ms */
    MAILLOG_FATAL,     /* a daemon gave up: "fatal" or "panic" */
};

enum maillog_reason {                    /* of a refusal */
                      MAILLOG_TEMPORARY, /* any 4xx: the client will come again */
                      MAILLOG_RELAY,
                      MAILLOG_RECIPIENT,
                      MAILLOG_SENDER,
                      MAILLOG_CLIENT,
                      MAILLOG_HELO,
                      MAILLOG_SIZE,
                      MAILLOG_CONTENT, /* of header, body or milter */
                      MAILLOG_REASON_OTHER,
                      MAILLOG_REASONS,
};
extern const char *const maillog_reason_names[]; /* NULL-terminated */

enum maillog_status { MAILLOG_SENT, MAILLOG_DEFERRED, MAILLOG_BOUNCED, MAILLOG_STATUS_OTHER };

struct maillog_line {
    enum maillog_kind kind;
    int64_t at_ms;          /* wall time the line says; -1: it says none */
    struct slice service;   /* "smtpd", "qmgr" ... */
    struct slice queue_id;  /* letters and digits */
    struct slice client;    /* "name[address]" */
    struct slice helo;      /* as the client said it */
    struct slice to, relay; /* recipient; "host[address]:port" */
    bool again;             /* begun: handed back by a filter of this host, which had it before */
    enum maillog_reason reason;
    enum maillog_status status;
    int64_t latency_ms; /* attempted: from the queue manager to the answer, without earlier waits;
                           -1 not said */
};

/* line: without its line end.  now_ms: wall time, for lines that say no year. */
void maillog_line_read(struct slice line, int64_t now_ms, struct maillog_line *ret);
/* Class of a refusal. what: behind "reject: "; content: said by a header or body check or a milter.
 */
enum maillog_reason maillog_refusal_reason(struct slice what, bool content);
