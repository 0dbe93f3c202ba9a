/* Sessions: smtpd, postscreen and its helpers. */
#include "maillog/maillog_event.h"

#include <stdio.h>

static const char *const lost_words[] = {
    "lost connection after ",
    "timeout after ",
    "too many errors after ",
    "SSL_accept error from ",
    "improper command pipelining after ",
    "non-SMTP command ",
    "hangup after ",
};

static void keep(char *buf, size_t size, struct slice s)
{
    size_t n = s.n < size ? s.n : size - 1;

    if (n > 0)
        memcpy(buf, s.p, n);
    buf[n] = '\0';
}

static struct slice kept(const char *s)
{
    return s[0] == '\0' ? (struct slice){NULL, 0} : slice_of(s);
}

static void keep_client(struct maillog_session *s, struct slice namaddr)
{
    struct maillog_event at = {.size = -1};

    me_client(&at, ml_first(namaddr, me_namaddr_end(namaddr)));
    keep(s->client, sizeof s->client, at.client);
    keep(s->client_name, sizeof s->client_name, at.client_name);
}

/* "Trusted TLS connection established from host[addr]: TLSv1.3 with cipher NAME (256/256 bits)
 * ...": "TLSv1.3 NAME (Trusted)".  Also "... to host[addr]:25: ..." of an smtp. */
bool me_tls(struct me_line *l, struct slice *ret_peer)
{
    static const char word[] = " TLS connection established ";
    size_t at = ml_find(l->text, word), end;
    struct slice trust = ml_first(l->text, at), rest = ml_from(l->text, at + sizeof word - 1);
    struct slice version, cipher;

    if (at == l->text.n || l->session == NULL ||
        (!ml_skip(&rest, "from ") && !ml_skip(&rest, "to ")))
        return false;
    end = me_namaddr_end(rest);
    *ret_peer = ml_first(rest, end);
    rest = ml_from(rest, end);
    if (!ml_skip(&rest, ": "))
        return false;
    version = ml_until(rest, ' ');
    cipher = ml_after(rest, " with cipher ", ' ');
    (void)snprintf(l->session->tls, sizeof l->session->tls, "%.*s %.*s (%.*s)",
                   (int)(version.n < 12 ? version.n : 12), version.n > 0 ? version.p : "",
                   (int)(cipher.n < 40 ? cipher.n : 40), cipher.n > 0 ? cipher.p : "",
                   (int)(trust.n < 12 ? trust.n : 12), trust.n > 0 ? trust.p : "");
    return true;
}

/* What a message handed back by a filter of this host had before. */
static void inherit(struct me_line *l, struct slice orig)
{
    static const enum known_text of[] = {KNOWN_SUBJECT,     KNOWN_HELO, KNOWN_SASL_USER,
                                         KNOWN_SASL_METHOD, KNOWN_TLS,  KNOWN_PROTO};
    struct maillog_context *c = &l->m->context;
    const struct maillog_message *old = maillog_message_find(c, orig);

    for (size_t i = 0; old != NULL && i < COUNT_OF(of); i++) {
        char buf[1024]; /* the old one may go while the new one grows */
        struct slice v = maillog_message_get(old, of[i]);
        if (v.p == NULL)
            continue;
        keep(buf, sizeof buf, v);
        maillog_message_set(c, l->known, of[i], slice_of(buf));
        old = maillog_message_find(c, orig);
    }
}

/* "client=host[addr], sasl_method=M, sasl_username=U, sasl_sender=S, orig_queue_id=Q,
 * orig_client=host[addr]" */
static bool client(struct me_line *l, struct slice text)
{
    static const char orig_id[] = ", orig_queue_id=", orig_client[] = ", orig_client=";
    struct maillog_context *c = &l->m->context;
    struct maillog_event from = {.size = -1};
    size_t at_client, at_id, end = me_namaddr_end(text);
    struct slice orig = {NULL, 0}, real = {NULL, 0}, rest = ml_from(text, end);

    l->known = maillog_message_make(c, l->id);
    if (l->known == NULL)
        return false;
    maillog_message_reset(c, l->known);
    at_client = ml_rfind(rest, orig_client);
    real = ml_from(rest, at_client + sizeof orig_client - 1);
    rest = ml_first(rest, at_client);
    at_id = ml_rfind(rest, orig_id);
    orig = ml_from(rest, at_id + sizeof orig_id - 1);
    rest = ml_first(rest, at_id);
    me_client(&from, ml_first(text, end));
    l->known->internal = me_is_loopback(from.client);
    if (real.n > 0)
        me_client(&from, real);
    maillog_message_set(c, l->known, KNOWN_CLIENT, from.client);
    maillog_message_set(c, l->known, KNOWN_CLIENT_NAME, from.client_name);
    if (rest.n > 0 && ml_has(rest, ", sasl_method="))
        maillog_message_set(c, l->known, KNOWN_SASL_METHOD, ml_after(rest, ", sasl_method=", ','));
    if (ml_has(rest, ", sasl_username="))
        maillog_message_set(c, l->known, KNOWN_SASL_USER, ml_after(rest, ", sasl_username=", ','));
    if (l->session != NULL && l->session->tls[0] != '\0' && orig.n == 0)
        maillog_message_set(c, l->known, KNOWN_TLS, slice_of(l->session->tls));
    if (ml_is_id(orig)) {
        maillog_message_set(c, l->known, KNOWN_ORIG, orig);
        inherit(l, orig);
    }
    if (l->session != NULL && l->session->hold != 0) {
        l->session->hold = 0;
        me_add(l, ME_HELD)->status = slice_of("held");
    }
    return true;
}

/* "host[addr] ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4" */
static bool disconnect(struct me_line *l, struct slice text)
{
    size_t end = me_namaddr_end(text);
    struct slice commands = slice_trim(ml_from(text, end));
    struct maillog_session *s = l->session;
    struct maillog_event *ev = me_add(l, ME_SESSION);

    me_client(ev, ml_first(text, end));
    me_text(ev, "service", l->head.service);
    me_text(ev, "commands", commands.n > 0 ? commands : (struct slice){NULL, 0});
    if (me_is_loopback(ev->client))
        me_true(ev, "internal");
    if (s == NULL)
        return true;
    me_text(ev, "tls", kept(s->tls));
    me_text(ev, "lost", kept(s->lost));
    if (s->sasl_failed > 0)
        me_int(ev, "sasl_failed", s->sasl_failed);
    return true;
}

/* Pipelined data and what follows it are foreign; the rest of the line is the daemon's. */
static bool lost(struct me_line *l)
{
    for (size_t i = 0; i < COUNT_OF(lost_words); i++) {
        size_t from = ml_find(l->text, " from ");
        struct slice tail = ml_from(l->text, from + 6);
        if (!slice_starts(l->text, lost_words[i]))
            continue;
        tail = ml_from(tail, me_namaddr_end(tail));
        if (!slice_starts(l->text, "SSL_accept"))
            tail.n = 0;
        (void)snprintf(l->session->lost, sizeof l->session->lost, "%.*s%.*s",
                       (int)(from < 80 ? from : 80), l->text.p, (int)(tail.n < 39 ? tail.n : 39),
                       tail.n == 0 ? "" : tail.p);
        return true;
    }
    return false;
}

bool me_smtpd(struct me_line *l)
{
    struct slice text = l->text, peer;

    if (l->id.n > 0 && ml_skip(&text, "client="))
        return client(l, text);
    if (l->id.n > 0)
        return false;
    if (ml_skip(&text, "connect from ")) {
        maillog_session_reset(l->session);
        keep_client(l->session, text);
        return true;
    }
    if (ml_skip(&text, "disconnect from "))
        return disconnect(l, text);
    return me_tls(l, &peer) || lost(l);
}

/* --- postscreen, dnsblog, tlsproxy --- */

static const struct {
    const char *word, *status, *before; /* before: what stands before the client */
} screens[] = {
    {"PASS NEW ", "pass-new", ""},
    {"PASS OLD ", "pass-old", ""},
    {"WHITELISTED ", "allowlisted", ""},
    {"ALLOWLISTED ", "allowlisted", ""},
    {"BLACKLISTED ", "denylisted", ""},
    {"DENYLISTED ", "denylisted", ""},
    {"WHITELIST VETO ", "allowlist-veto", ""},
    {"ALLOWLIST VETO ", "allowlist-veto", ""},
    {"DNSBL rank ", "dnsbl", "for "},
    {"PREGREET ", "pregreet", "from "},
    {"HANGUP ", "hangup", "from "},
    {"BARE NEWLINE ", "bare-newline", "from "},
    {"COMMAND TIME LIMIT ", "time-limit", "from "},
    {"COMMAND COUNT LIMIT ", "count-limit", "from "},
    {"COMMAND LENGTH LIMIT ", "length-limit", "from "},
    {"COMMAND PIPELINING ", "pipelining", "from "},
    {"NON-SMTP COMMAND ", "non-smtp", "from "},
};

static struct maillog_event *screen(struct me_line *l, const char *status, struct slice namaddr)
{
    struct maillog_event *ev = me_add(l, ME_POSTSCREEN);

    me_client(ev, ml_first(namaddr, me_namaddr_end(namaddr)));
    ev->status = slice_of(status);
    ev->text = l->text;
    me_text(ev, "service", l->head.service);
    return ev;
}

/* "addr 192.0.2.1 listed by domain bl.test as 127.0.0.2" */
static bool listed(struct me_line *l, struct slice text)
{
    struct slice address = slice_cut(&text, ' '), domain;
    struct maillog_event *ev;

    if (!ml_skip(&text, "listed by domain "))
        return false;
    domain = slice_cut(&text, ' ');
    ev = screen(l, "listed", (struct slice){NULL, 0});
    ev->client = me_is_address(address) ? address : (struct slice){NULL, 0};
    me_text(ev, "domain", domain);
    if (ml_skip(&text, "as "))
        me_text(ev, "answer", text);
    return true;
}

bool me_postscreen(struct me_line *l)
{
    struct slice text = l->text, peer;

    if (slice_is(l->head.service, "dnsblog"))
        return ml_skip(&text, "addr ") && listed(l, text);
    if (slice_starts(text, "CONNECT from "))
        return true;
    if (ml_skip(&text, "DISCONNECT "))
        return slice_is(l->head.service, "tlsproxy") || disconnect(l, text);
    if (me_tls(l, &peer)) {
        me_text(screen(l, "tls", peer), "tls", slice_of(l->session->tls));
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(screens); i++) {
        const char *before = screens[i].before;
        if (!ml_skip(&text, screens[i].word))
            continue;
        /* the first: what the client sent stands behind it */
        text = ml_from(text, before[0] == '\0' ? 0 : ml_find(text, before) + strlen(before));
        (void)screen(l, screens[i].status, text);
        return true;
    }
    return me_daemon(l);
}
