#include "maillog/maillog_event.h"

#include <arpa/inet.h>
#include <stdio.h>

const char *const maillog_event_names[ME_KINDS] = {
    [ME_QUEUED] = "message.queued",
    [ME_DELIVERY] = "message.delivery",
    [ME_ATTEMPT] = "message.attempt",
    [ME_REJECTED] = "message.rejected",
    [ME_REMOVED] = "message.removed",
    [ME_HELD] = "message.held",
    [ME_RELEASED] = "message.released",
    [ME_EXPIRED] = "message.expired",
    [ME_BOUNCE] = "message.bounce",
    [ME_REQUEUED] = "message.requeued",
    [ME_DISCARDED] = "message.discarded",
    [ME_INFO] = "message.info",
    [ME_SESSION] = "session",
    [ME_POSTSCREEN] = "postscreen",
    [ME_AUTH_FAILED] = "auth.failed",
    [ME_DAEMON] = "daemon",
    [ME_WARNING] = "warning",
    [ME_ERROR] = "error",
    [ME_FATAL] = "fatal",
    [ME_PANIC] = "panic",
    [ME_STATISTICS] = "statistics",
    [ME_RAW] = "raw",
};

static const struct slice absent = {NULL, 0};

enum err_code maillog_events_init(struct maillog_events *m, const char *own, struct err *e)
{
    m->n_out = 0;
    m->gone[0] = '\0';
    m->lines = m->unknown = 0;
    text_copy(m->own, sizeof m->own, own);
    return maillog_context_init(&m->context, e);
}

void maillog_events_clear(struct maillog_events *m)
{
    maillog_context_clear(&m->context);
}

/* --- making events --- */

struct maillog_event *me_add(struct me_line *l, enum maillog_event_kind kind)
{
    struct maillog_events *m = l->m;
    struct maillog_event *ev = &m->out[m->n_out < MAILLOG_EVENTS ? m->n_out : MAILLOG_EVENTS - 1];
    const struct maillog_message *k = l->known;

    m->n_out += m->n_out < MAILLOG_EVENTS;
    *ev = (struct maillog_event){
        .kind = kind, .at_ms = l->head.at_ms, .queue_id = l->id, .size = -1, .delay_ms = -1};
    if (k == NULL)
        return ev;
    ev->orig_queue_id = maillog_message_get(k, KNOWN_ORIG);
    ev->sender = maillog_message_get(k, KNOWN_SENDER);
    ev->client = maillog_message_get(k, KNOWN_CLIENT);
    ev->client_name = maillog_message_get(k, KNOWN_CLIENT_NAME);
    ev->helo = maillog_message_get(k, KNOWN_HELO);
    ev->message_id = maillog_message_get(k, KNOWN_MESSAGE_ID);
    ev->subject = maillog_message_get(k, KNOWN_SUBJECT);
    ev->size = k->size;
    if (k->internal)
        me_true(ev, "internal");
    return ev;
}

static struct maillog_detail *detail(struct maillog_event *ev, const char *name,
                                     enum me_detail_kind kind)
{
    struct maillog_detail *d =
        &ev->detail[ev->n_detail < ME_DETAILS ? ev->n_detail : ME_DETAILS - 1];

    for (size_t i = 0; i < ev->n_detail; i++)
        if (strcmp(ev->detail[i].name, name) == 0)
            d = &ev->detail[i];
    if (d == &ev->detail[ev->n_detail])
        ev->n_detail++;
    *d = (struct maillog_detail){.name = name, .kind = kind};
    return d;
}

void me_text(struct maillog_event *ev, const char *name, struct slice value)
{
    if (value.p != NULL)
        detail(ev, name, ME_D_TEXT)->text = value;
}

void me_int(struct maillog_event *ev, const char *name, int64_t v)
{
    detail(ev, name, ME_D_INT)->n[0] = v;
}

void me_true(struct maillog_event *ev, const char *name)
{
    (void)detail(ev, name, ME_D_TRUE);
}

/* --- clients --- */

bool me_is_address(struct slice s)
{
    char buf[48];
    unsigned char to[16];

    if (s.n == 0 || s.n >= sizeof buf)
        return false;
    memcpy(buf, s.p, s.n);
    buf[s.n] = '\0';
    return inet_pton(AF_INET, buf, to) == 1 || inet_pton(AF_INET6, buf, to) == 1;
}

bool me_is_loopback(struct slice a)
{
    return (me_is_address(a) && slice_starts(a, "127.")) || slice_is(a, "::1");
}

size_t me_namaddr_end(struct slice s)
{
    size_t at = ml_find(s, "]");

    if (at == s.n)
        return s.n;
    at++;
    if (at < s.n && s.p[at] == ':' && at + 1 < s.n && s.p[at + 1] >= '0' && s.p[at + 1] <= '9')
        for (at++; at < s.n && s.p[at] >= '0' && s.p[at] <= '9';)
            at++;
    return at;
}

void me_client(struct maillog_event *ev, struct slice namaddr)
{
    struct slice name = ml_until(namaddr, '['),
                 address = ml_until(ml_from(namaddr, name.n + 1), ']');

    ev->client = me_is_address(address) ? address : absent;
    ev->client_name = name.n > 0 ? name : absent;
}

/* --- what is no matter of one service --- */

static const struct {
    const char *word;
    enum maillog_event_kind kind;
} levels[] = {
    {"warning: ", ME_WARNING}, {"error: ", ME_ERROR}, {"fatal: ", ME_FATAL}, {"panic: ", ME_PANIC}};

/* "host[addr]: SASL LOGIN authentication failed: text, sasl_username=u". */
static bool auth_failed(struct me_line *l, struct slice text)
{
    static const char word[] = ": SASL ", failed[] = " authentication failed";
    size_t end = me_namaddr_end(text), at;
    struct slice rest = ml_from(text, end), user;
    struct maillog_event *ev;

    if (!slice_starts(rest, word) || (at = ml_find(rest, failed)) == rest.n)
        return false;
    ev = me_add(l, ME_AUTH_FAILED);
    me_client(ev, ml_first(text, end));
    me_text(ev, "method", (struct slice){rest.p + sizeof word - 1, at - (sizeof word - 1)});
    ev->text = ml_from(rest, 2);
    at = ml_rfind(rest, ", sasl_username=");
    user = ml_from(rest, at + strlen(", sasl_username="));
    if (user.n > 0)
        me_text(ev, "sasl_user", user);
    if (l->session != NULL)
        l->session->sasl_failed++;
    return true;
}

static bool level(struct me_line *l)
{
    struct slice text = l->text;
    struct maillog_event *ev;

    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        if (!ml_skip(&text, levels[i].word))
            continue;
        if (levels[i].kind == ME_WARNING && slice_is(l->head.service, "smtpd") &&
            auth_failed(l, text))
            return true;
        if (l->id.n == 0) { /* "warning: QUEUEID: ..." */
            l->id = ml_take_id(&text);
            l->known = maillog_message_find(&l->m->context, l->id);
        }
        ev = me_add(l, levels[i].kind);
        ev->text = text;
        me_text(ev, "service", l->head.service);
        return true;
    }
    return false;
}

static void raw(struct me_line *l)
{
    struct maillog_event *ev = me_add(l, ME_RAW);

    ev->text = l->head.text;
    me_text(ev, "service", l->head.service);
    l->m->unknown++;
}

static bool by_service(struct me_line *l)
{
    struct slice s = l->head.service;
    bool smtpd = slice_is(s, "smtpd"), cleanup = slice_is(s, "cleanup");
    bool postscreen =
        slice_is(s, "postscreen") || slice_is(s, "dnsblog") || slice_is(s, "tlsproxy");

    if ((smtpd || cleanup || postscreen) && me_action(l))
        return true;
    if (smtpd)
        return me_smtpd(l);
    if (postscreen)
        return me_postscreen(l);
    return me_queue(l) || me_daemon(l) || (!cleanup && (me_delivery(l) || me_next_hop(l)));
}

void maillog_events_settle(struct maillog_events *m)
{
    if (m->gone[0] != '\0')
        maillog_message_forget(&m->context, slice_of(m->gone));
    m->gone[0] = '\0';
    maillog_context_settle(&m->context);
}

enum err_code maillog_events_line(struct maillog_events *m, struct slice line, int64_t now_ms,
                                  struct err *e)
{
    struct me_line l = {.m = m};
    bool level_only;

    m->n_out = 0;
    maillog_events_settle(m);
    if (!maillog_head_read(line, now_ms, &l.head))
        return ERR_OK;
    m->lines++;
    l.text = l.head.text;
    l.id = ml_take_id(&l.text);
    l.noqueue = l.id.n == 0 && slice_starts(l.head.text, "NOQUEUE: ");
    l.known = maillog_message_find(&m->context, l.id);
    if (slice_is(l.head.service, "smtpd") || slice_is(l.head.service, "smtp") ||
        slice_is(l.head.service, "lmtp") || slice_is(l.head.service, "tlsproxy"))
        l.session = maillog_session_of(&m->context, l.head.name, l.head.service, l.head.pid);
    level_only = level(&l);
    if (!level_only && !by_service(&l))
        raw(&l);
    return m->context.no_memory ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}
