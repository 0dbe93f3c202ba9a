/*
 * maillog_context.h - what earlier lines said: of each message by its queue id, of each process of
 * smtpd or smtp by its number.
 *
 * Messages: at most MAILLOG_MESSAGES and MAILLOG_MESSAGE_BYTES of text; the one unused for longest
 * goes first.  A message is forgotten when it is removed.  Processes: a fixed table.  Together at
 * most some 8 MiB.  save and load carry all of it over a restart.  Nothing in here depends on time,
 * so the same lines lead to the same context.  Threads: none.
 */
#pragma once

#include "base/err.h"
#include "base/strbuf.h"

enum {
    MAILLOG_MESSAGES = 16384,
    MAILLOG_MESSAGE_BYTES = 5 * MIB,
    MAILLOG_SLOTS = 4096,
    MAILLOG_SESSION_SETS = 128,
    MAILLOG_SESSION_WAYS = 6,
};

enum known_text {               /* what is kept of a message, and how much */
                  KNOWN_CLIENT, /* address */
                  KNOWN_CLIENT_NAME,
                  KNOWN_HELO,
                  KNOWN_SENDER,
                  KNOWN_MESSAGE_ID,
                  KNOWN_SUBJECT,
                  KNOWN_ORIG, /* queue id it had before a filter of this host, or before a requeue
                               */
                  KNOWN_PROTO,
                  KNOWN_SASL_USER,
                  KNOWN_SASL_METHOD,
                  KNOWN_TLS,
                  KNOWN_TEXTS,
};

struct maillog_message {
    uint32_t next;         /* in the slot */
    uint32_t older, newer; /* order of use */
    char id[26];
    bool queued;             /* message.queued was said */
    bool internal;           /* handed back by a filter of this host, or our own probe */
    int64_t size, uid;       /* -1: not known */
    uint16_t n[KNOWN_TEXTS]; /* UINT16_MAX: absent */
    uint16_t none;           /* there is no padding: rows are written as they are */
    char *texts;             /* heap, one behind the other */
};

struct maillog_session {
    uint64_t who;  /* hash of instance, service and pid; 0: free */
    uint64_t used; /* for throwing out the one used longest ago */
    char client[48], client_name[128], tls[80], relay[128], lost[120];
    uint32_t sasl_failed;
    uint32_t hold; /* an access table said that what this client sends is to be held */
};

struct maillog_context {
    struct maillog_message *known; /* MAILLOG_MESSAGES + 1; 0 is none and the ring's joint */
    uint32_t slot[MAILLOG_SLOTS];
    uint32_t free, n_known;
    size_t bytes;
    uint64_t used;
    struct maillog_session session[MAILLOG_SESSION_SETS][MAILLOG_SESSION_WAYS];
    bool no_memory; /* something could not be kept */
    char *old[32];  /* texts that slices may still point into; freed with the next line */
    size_t n_old;
};

MUST_USE enum err_code maillog_context_init(struct maillog_context *c, struct err *e);
void maillog_context_clear(struct maillog_context *c);

/* A new line begins: slices handed out before are no longer good. */
void maillog_context_settle(struct maillog_context *c);

/* The message, which counts as used now; NULL. */
struct maillog_message *maillog_message_find(struct maillog_context *c, struct slice id);
/* The same, made when there is none; NULL: the id is too long. */
struct maillog_message *maillog_message_make(struct maillog_context *c, struct slice id);
void maillog_message_forget(struct maillog_context *c, struct slice id);
/* Back to a message of which nothing is known: its id is another message's now. */
void maillog_message_reset(struct maillog_context *c, struct maillog_message *k);
/* value is cut to what is kept of its kind. */
void maillog_message_set(struct maillog_context *c, struct maillog_message *k, enum known_text what,
                         struct slice value);
struct slice maillog_message_get(const struct maillog_message *k, enum known_text what);

/* The process's row, made when there is none; never NULL.  fresh: what an earlier session left
 * there goes. */
struct maillog_session *maillog_session_of(struct maillog_context *c, struct slice name,
                                           struct slice service, struct slice pid);
void maillog_session_reset(struct maillog_session *s);

/* The whole as bytes, with a checksum; about what is kept, at most 16 MiB. */
void maillog_context_save(const struct maillog_context *c, struct strbuf *out);
/* Into a context just made.  ERR_MALFORMED: of another build, cut, or damaged; the context is empty
 * then. */
MUST_USE enum err_code maillog_context_load(struct maillog_context *c, struct slice in,
                                            struct err *e);
