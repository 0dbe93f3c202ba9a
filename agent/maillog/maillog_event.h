/*
 * maillog_event.h - lines of Postfix's log as events (docs/internals/events.md): who sent what to
 * whom, what became of it, and everything else a line says.
 *
 * Source: the services of Postfix 3.7 (and what 3.8 to 3.10 add to the same lines).  What one line
 * lacks comes from the lines before it: by queue id (maillog_context.h: client, sender, message id,
 * subject ...) and by process (the client of an smtpd, the TLS of an smtp).  A line that is not
 * known is an event of kind "raw" with its text; one that only adds to what is known (connect,
 * client=, message-id=) gives none of its own.  At most MAILLOG_EVENTS a line.
 *
 * Everything a client or a next hop said is foreign.  Fields are looked for in the order in which
 * Postfix writes them and between what Postfix itself writes, so that a text does not pose as a
 * field; where a client chooses several neighbouring ones (sender, recipient, HELO name of its own
 * refusal) it can only shift the borders between these.
 *
 * Threads: none.  Memory: the context's bounds; nothing else is kept.
 */
#pragma once

#include "base/strbuf.h"
#include "maillog/maillog_context.h"
#include "maillog/maillog_head.h"

enum maillog_event_kind {
    ME_QUEUED,   /* the queue manager has it for the first time */
    ME_DELIVERY, /* one recipient, one attempt */
    ME_ATTEMPT,  /* trouble with a next hop on the way to such an attempt */
    ME_REJECTED,
    ME_REMOVED,
    ME_HELD,
    ME_RELEASED, /* from hold */
    ME_EXPIRED,
    ME_BOUNCE, /* a notice was made: next_queue_id */
    ME_REQUEUED,
    ME_DISCARDED,
    ME_INFO, /* another action of an access table, header check or milter */
    ME_SESSION,
    ME_POSTSCREEN,
    ME_AUTH_FAILED,
    ME_DAEMON,
    ME_WARNING,
    ME_ERROR,
    ME_FATAL,
    ME_PANIC,
    ME_STATISTICS,
    ME_RAW,
    ME_KINDS,
};
extern const char *const maillog_event_names[ME_KINDS]; /* "message.queued" ... */

/* Longest value of each member in bytes; longer ones are cut, at a character, and detail.cut is
 * true.  Together with escapes an event is never longer than MAILLOG_EVENT_MAX. */
enum {
    ME_ID_MAX = 32,       /* queue ids; dsn, status, reason */
    ME_ADDRESS_MAX = 512, /* sender, recipient, message_id */
    ME_NAME_MAX = 256,    /* client_name, helo, relay */
    ME_SUBJECT_MAX = 800,
    ME_TEXT_MAX = 2048,
    ME_DETAIL_MAX = 200, /* each text in detail */
    ME_DETAILS = 10,
    MAILLOG_EVENT_MAX = 16 * KIB - 1,
    MAILLOG_EVENTS = 2,
};

enum me_detail_kind { ME_D_TEXT, ME_D_INT, ME_D_TRUE, ME_D_DELAYS };
struct maillog_detail {
    const char *name;
    enum me_detail_kind kind;
    struct slice text;
    int64_t n[4]; /* ME_D_INT: n[0]; ME_D_DELAYS: ms each */
};

/* A slice with p NULL is absent; n 0 is empty (the sender of a notice).  Slices lie in the line, in
 * the context or in constants: good until the next line is read. */
struct maillog_event {
    enum maillog_event_kind kind;
    int64_t at_ms; /* as the line says; the writer adds the offset to the parent's clock */
    struct slice queue_id, orig_queue_id, next_queue_id;
    struct slice sender, recipient;
    struct slice client; /* an address, checked; without port */
    struct slice client_name, helo, message_id, subject, relay, dsn, status, reason, text;
    int64_t size, delay_ms; /* -1: absent */
    struct maillog_detail detail[ME_DETAILS];
    size_t n_detail;
};

struct maillog_events {
    struct maillog_context context;
    char own[80]; /* domain of the agent's probes */
    struct maillog_event out[MAILLOG_EVENTS];
    size_t n_out;
    char gone[26];          /* removed with the last line; forgotten with the next */
    int64_t lines, unknown; /* of Postfix; of these kept raw */
};
/* own: "<device id>.inari.invalid".  ERR_NO_MEMORY. */
MUST_USE enum err_code maillog_events_init(struct maillog_events *m, const char *own,
                                           struct err *e);
void maillog_events_clear(struct maillog_events *m);
/* Reads one line (without its end) into m->out, m->n_out.  ERR_NO_MEMORY: the context could not
 * keep what the line says; it is to be thrown away. */
MUST_USE enum err_code maillog_events_line(struct maillog_events *m, struct slice line,
                                           int64_t now_ms, struct err *e);
/* Done with what the last line gave; before the context is saved. */
void maillog_events_settle(struct maillog_events *m);
/* One line of JSON without its end, valid UTF-8 whatever the event holds: wrong bytes and NUL
 * become U+FFFD, control characters are escaped.  offset_ms is added to at. */
void maillog_event_json(const struct maillog_event *ev, int64_t offset_ms, struct strbuf *out);

/* --- between the files of this parser --- */

struct me_line { /* what a reader of one service works on */
    struct maillog_events *m;
    struct maillog_head head;
    struct slice id;   /* queue id, or none */
    struct slice text; /* behind it */
    bool noqueue;
    struct maillog_message *known; /* of id; NULL */
    struct maillog_session *session;
};
/* A new event with the line's time, queue id and, when known, what the context has of it.  Never
 * NULL. */
struct maillog_event *me_add(struct me_line *l, enum maillog_event_kind kind);
void me_text(struct maillog_event *ev, const char *name, struct slice value); /* none when absent */
void me_int(struct maillog_event *ev, const char *name, int64_t v);
void me_true(struct maillog_event *ev, const char *name);
/* "name[address]", "name[address]:port" -> client, client_name. */
void me_client(struct maillog_event *ev, struct slice namaddr);
bool me_is_loopback(struct slice address);
bool me_is_address(struct slice s);
/* Where the namaddr at the start of s ends: behind "]" or "]:port". */
size_t me_namaddr_end(struct slice s);
/* Each returns false when it does not know the line. */
bool me_smtpd(struct me_line *l);
bool me_action(
    struct me_line *l); /* reject:, milter-hold:, info: ... of smtpd, postscreen, cleanup */
bool me_postscreen(struct me_line *l);
/* A line about a TLS connection: kept for the process; with whom. */
bool me_tls(struct me_line *l, struct slice *ret_peer);
bool me_delivery(struct me_line *l);
bool me_next_hop(struct me_line *l);
bool me_queue(struct me_line *l);  /* cleanup, pickup, qmgr, bounce, postsuper */
bool me_daemon(struct me_line *l); /* master, postfix-script, anvil, scache, verify ... */
/* Class of a deferral or bounce: "connect", "timeout", "dns", "tls", "greylisted", "quota",
 * "user-unknown", "policy", "size", "content", "other". */
const char *me_delivery_reason(struct slice dsn, struct slice text);
