/*
 * notify.h - sending one message to somebody outside: over the network, with a deadline, by whoever
 * may wait (never an I/O thread, never inside a transaction). Source:   RFC 5321, RFC 5322, RFC
 * 2047, RFC 3834 (mail). Threads:  all calls are reentrant after notify_init(). Limits:   each call
 * ends at its deadline, whatever the peer does; what a peer answers is read up to 64 KiB and never
 * followed. Secrets:  none is logged, nor put into errors or steps.
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"
#include "json/json_in.h"

#include <stdatomic.h>

/* Once, before any thread uses it. */
MUST_USE enum err_code notify_init(struct err *e);
void notify_end(void);

struct notify_run {
    int64_t limit_ms;        /* from the call on */
    const atomic_bool *stop; /* set: give up soon; NULL: never */
    json_t *steps;       /* array that gets {"step","ok","detail"}; borrowed, NULL: nobody asks */
    const char *allowed; /* networks that webhooks may reach although they are no public ones:
                            "10.0.0.0/8 ..."; NULL: none */
};

struct notify_mail {
    const char *host; /* name, IPv4 or IPv6 address without brackets */
    int64_t port;
    enum { MAIL_PLAIN, MAIL_STARTTLS, MAIL_TLS } tls; /* the certificate is checked */
    const char *ca;                                   /* PEM; NULL: the system's */
    const char *user, *password;                      /* NULL: none */
    const char *helo;                                 /* our name */
    const char *from;           /* the From header: the envelope's sender is empty */
    const json_t *to;           /* array of addresses */
    const char *subject, *text; /* UTF-8; lines of text end in \n */
    const char
        *charset;   /* "utf-8" or "iso-2022-jp", which becomes utf-8 when it lacks a character */
    const char *id; /* the same for each repetition */
    int64_t date_ms;
};
/* ERR_UNAVAILABLE: it was not taken; what the peer said is in the message.  Recipients that are
 * refused do not keep the others from getting it. */
MUST_USE enum err_code notify_send_mail(const struct notify_mail *m, const struct notify_run *run,
                                        struct err *e);
/* The message as it is sent, lines ending in CRLF: heap. */
MUST_USE enum err_code notify_mail_text(const struct notify_mail *m, char **ret, size_t *ret_n,
                                        struct err *e);

struct notify_webhook {
    const char *url;   /* https:// */
    const char *ca;    /* PEM; NULL: the system's */
    const char *key;   /* of the signature */
    const char *id;    /* the same for each repetition: Inari-Notice */
    struct slice body; /* JSON */
};
/* POST it, with Inari-Signature: t=SECONDS,v1=HEX, where v1 is HMAC-SHA256 of "SECONDS.BODY".
 * ERR_OK: a 2xx answer; redirects are not followed, and only public addresses and those of
 * run->allowed are connected to. */
MUST_USE enum err_code notify_send_webhook(const struct notify_webhook *w,
                                           const struct notify_run *run, struct err *e);

/* SNMP notifications (RFC 3416), one an entry of traps.  A root that notify_trap_root_ok() took;
 * the notification of number N is root.0.N, its objects are root.1.1.0 and so on
 * (docs/mib/INARI-MIB.txt). */
struct notify_traps {
    const char *host; /* name, IPv4 or IPv6 address without brackets */
    int64_t port;
    bool inform;           /* the receiver says that it has it; else nobody ever knows */
    const char *community; /* SNMPv2c; NULL: SNMPv3, USM with HMAC-SHA-256 (RFC 7860) and AES-128
                              (RFC 3826) */
    const char *user, *auth_password, *priv_password;
    const char *root;
    const char
        *engine; /* UUID: of the engine whose keys a TRAP of SNMPv3 uses (notify_trap_engine()) */
    const char *id;     /* the same for each repetition */
    const char *parent; /* who says it */
    /* [{"trap","rule","severity","state","name","value","threshold","since_ms","text","id"}], at
     * least one; the numbers are trap and since_ms */
    const json_t *traps;
};
/* ERR_OK: informs were acknowledged, traps given to the network.  ERR_UNAVAILABLE: not, or not all:
 * each is sent again then.  ERR_TIMEOUT. */
MUST_USE enum err_code notify_send_traps(const struct notify_traps *t, const struct notify_run *run,
                                         struct err *e);
/* "1.3.6.1...", as SMIv2 has them: at most 30 numbers of 32 bits. */
bool notify_trap_root_ok(const char *root);
