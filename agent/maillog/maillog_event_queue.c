/* The queue: cleanup, pickup, qmgr, bounce, postsuper; and what concerns no message: master,
 * postfix-script, anvil, scache, verify. */
#include "maillog/maillog_event.h"

static struct maillog_message *known_of(struct me_line *l)
{
    if (l->known == NULL)
        l->known = maillog_message_make(&l->m->context, l->id);
    return l->known;
}

/* --- cleanup, pickup --- */

/* "message-id=<..>", also without brackets; "resent-message-id=<..>" */
static bool cleanup(struct me_line *l)
{
    struct slice text = l->text;
    bool resent = ml_skip(&text, "resent-");

    if (l->id.n == 0 || !ml_skip(&text, "message-id=") || known_of(l) == NULL)
        return false;
    if (text.n >= 2 && text.p[0] == '<' && text.p[text.n - 1] == '>')
        text = (struct slice){text.p + 1, text.n - 2};
    if (text.p == NULL)
        text = slice_of("");
    if (!resent || maillog_message_get(l->known, KNOWN_MESSAGE_ID).p == NULL)
        maillog_message_set(&l->m->context, l->known, KNOWN_MESSAGE_ID, text);
    return true;
}

/* "uid=0 from=<root>", "uid=0 from=<root> orig_id=QID" */
static bool pickup(struct me_line *l)
{
    static const char orig_id[] = "> orig_id=";
    struct slice text = l->text, sender;
    size_t at;
    int64_t uid;

    if (l->id.n == 0 || !ml_skip(&text, "uid=") || known_of(l) == NULL)
        return false;
    maillog_message_reset(&l->m->context, l->known);
    if (parse_i64(slice_cut(&text, ' '), 0, UINT32_MAX, &uid))
        l->known->uid = uid;
    if (!ml_skip(&text, "from=<"))
        return true;
    at = ml_rfind(text, orig_id);
    sender = ml_first(text, at != text.n ? at : text.n - (ml_ends(text, ">") ? 1 : 0));
    maillog_message_set(&l->m->context, l->known, KNOWN_SENDER, sender);
    text = ml_from(text, at + sizeof orig_id - 1);
    if (ml_is_id(text))
        maillog_message_set(&l->m->context, l->known, KNOWN_ORIG, text);
    return true;
}

/* --- qmgr --- */

static void queued(struct me_line *l, int64_t nrcpt)
{
    const struct maillog_message *k = l->known;
    struct maillog_event *ev;

    /* the agent's own test message: from nobody, with an id of its own domain */
    if (maillog_message_get(k, KNOWN_SENDER).n == 0 &&
        ml_ends(maillog_message_get(k, KNOWN_MESSAGE_ID), l->m->own))
        l->known->internal = true;
    ev = me_add(l, ME_QUEUED);

    me_int(ev, "nrcpt", nrcpt);
    me_text(ev, "proto", maillog_message_get(k, KNOWN_PROTO));
    me_text(ev, "sasl_user", maillog_message_get(k, KNOWN_SASL_USER));
    me_text(ev, "sasl_method", maillog_message_get(k, KNOWN_SASL_METHOD));
    me_text(ev, "tls", maillog_message_get(k, KNOWN_TLS));
    if (k->uid >= 0)
        me_int(ev, "uid", k->uid);
    l->known->queued = true;
}

/* "from=<s>, size=1, nrcpt=1 (queue active)": each time a message becomes active.  One of which
 * nothing is known was queued before the log that we have begins, or so long ago that it was
 * forgotten: this is a retry. */
static bool active(struct me_line *l, struct slice sender, struct slice rest)
{
    bool first = l->known != NULL;
    int64_t size = -1, nrcpt = -1;

    if (!parse_i64(ml_after(rest, ", size=", ','), 0, INT64_MAX, &size) ||
        !parse_i64(ml_after(rest, ", nrcpt=", ' '), 0, INT32_MAX, &nrcpt) || known_of(l) == NULL)
        return false;
    maillog_message_set(&l->m->context, l->known, KNOWN_SENDER, sender);
    l->known->size = size;
    if (first && !l->known->queued)
        queued(l, nrcpt);
    l->known->queued = true;
    return true;
}

/* "from=<s>, status=expired, returned to sender", "..., status=force-expired, ..." */
static bool expired(struct me_line *l, struct slice sender, struct slice rest)
{
    struct maillog_event *ev;

    if (!ml_skip(&rest, ", status="))
        return false;
    ev = me_add(l, ME_EXPIRED);
    ev->sender = sender;
    ev->status = ml_until(rest, ',');
    ev->text = rest;
    return true;
}

static bool removed(struct me_line *l, const char *status)
{
    struct maillog_event *ev = me_add(l, ME_REMOVED);

    ev->status = slice_of(status);
    return true;
}

static bool qmgr(struct me_line *l)
{
    struct slice text = l->text, sender;

    if (l->id.n == 0)
        return false;
    if (slice_is(text, "removed"))
        return removed(l, "removed");
    if (!ml_skip(&text, "from=<"))
        return false;
    sender = ml_first(text, ml_address_end(text));
    text = ml_from(text, sender.n + 1);
    return active(l, sender, text) || expired(l, sender, text);
}

/* --- bounce, postsuper --- */

/* "sender non-delivery notification: QID" */
static bool bounce(struct me_line *l)
{
    static const char word[] = " notification: ";
    size_t at = ml_find(l->text, word);
    struct slice next = ml_from(l->text, at + sizeof word - 1), what = ml_first(l->text, at);
    struct maillog_event *ev;

    if (l->id.n == 0 || !ml_is_id(next))
        return false;
    ev = me_add(l, ME_BOUNCE);
    ev->next_queue_id = next;
    me_text(ev, "to", slice_cut(&what, ' '));
    ev->status = what;
    return true;
}

static bool postsuper(struct me_line *l)
{
    static const struct {
        const char *word;
        enum maillog_event_kind kind;
        const char *status;
    } done[] = {
        {"removed", ME_REMOVED, "deleted"},       {"requeued", ME_REQUEUED, "requeued"},
        {"placed on hold", ME_HELD, "held"},      {"released from hold", ME_RELEASED, "released"},
        {"expired", ME_EXPIRED, "force-expired"},
    };
    static const char *const totals[] = {
        "Deleted: ", "Requeued: ", "Placed on hold: ", "Released from hold: ", "Expired: "};

    for (size_t i = 0; l->id.n > 0 && i < COUNT_OF(done); i++) {
        if (slice_is(l->text, done[i].word)) {
            me_add(l, done[i].kind)->status = slice_of(done[i].status);
            return true;
        }
    }
    for (size_t i = 0; l->id.n == 0 && i < COUNT_OF(totals); i++) {
        if (slice_starts(l->text, totals[i])) {
            struct maillog_event *ev = me_add(l, ME_DAEMON);
            ev->text = l->text;
            me_text(ev, "service", l->head.service);
            return true;
        }
    }
    return false;
}

static bool by_service(struct me_line *l)
{
    struct slice s = l->head.service;

    return slice_is(s, "cleanup")                        ? cleanup(l)
           : slice_is(s, "pickup")                       ? pickup(l)
           : slice_is(s, "qmgr") || slice_is(s, "oqmgr") ? qmgr(l)
           : slice_is(s, "bounce")                       ? bounce(l)
           : slice_is(s, "postsuper")                    ? postsuper(l)
                                                         : false;
}

bool me_queue(struct me_line *l)
{
    bool read = by_service(l);
    struct maillog_events *m = l->m;

    /* Its slices would point into what is forgotten: done with the next line. */
    if (read && m->n_out > 0 && m->out[0].kind == ME_REMOVED)
        text_copy(m->gone, sizeof m->gone, l->known == NULL ? "" : l->known->id);
    return read;
}

/* --- no message --- */

/* "max connection rate 1/60s for (smtp:192.0.2.1) at Nov 22 ...", "(127.0.0.1:10026:2001:db8::7)":
 * behind the first colon that an address follows. */
static void put_anvil(struct maillog_event *ev, struct slice text)
{
    struct slice who = ml_after(text, " for (", ')');

    while (who.n > 0) {
        (void)slice_cut(&who, ':');
        if (me_is_address(who)) {
            ev->client = who;
            return;
        }
    }
}

bool me_daemon(struct me_line *l)
{
    struct slice s = l->head.service, text = l->text;
    bool statistics = ml_skip(&text, "statistics: ") ||
                      (slice_starts(text, "cache ") && ml_has(text, " cleanup: retained="));
    bool daemon = slice_is(s, "postfix-script") ||
                  (slice_is(s, "master") &&
                   (slice_starts(text, "daemon started") || slice_starts(text, "reload") ||
                    slice_starts(text, "terminating on signal")));
    struct maillog_event *ev;

    if (l->id.n > 0 || (!statistics && !daemon))
        return false;
    ev = me_add(l, statistics ? ME_STATISTICS : ME_DAEMON);
    ev->text = text;
    me_text(ev, "service", s);
    if (statistics)
        put_anvil(ev, text);
    return true;
}
