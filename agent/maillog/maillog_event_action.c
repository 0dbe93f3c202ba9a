/* "QUEUEID: ACTION: ..." of smtpd, postscreen and cleanup: refusals and the other things that
 * access tables, header and body checks and milters do. */
#include "maillog/maillog_event.h"
#include "maillog/maillog_line.h"
#include "maillog/maillog_subject.h"

/* What a line ends with: "from=<s> to=<r> proto=ESMTP helo=<h> sasl_username=<u>", with ", "
 * between them in postscreen's. */
struct fields {
    struct slice from, to, proto, helo, sasl, rest;
};

/* "value>" at the start of *f: the value; *f goes behind it and what separates it from the next. */
static struct slice angle(struct slice *f, bool *ret_end)
{
    static const char *const next[] = {"> to=<", "> proto=", "> helo=<", ">, ", ">: "};
    size_t end = ml_close(*f, ">"), least = f->n;
    struct slice value;

    for (size_t i = 0; end < f->n && i < COUNT_OF(next); i++) {
        size_t at = end + ml_find(ml_from(*f, end), next[i]);
        least = at < least ? at : least;
    }
    if (least == f->n && ml_ends(*f, ">"))
        least = f->n - 1;
    value = ml_first(*f, least);
    *ret_end = slice_starts(ml_from(*f, least), ">: ");
    *f = ml_from(*f, least + 1);
    if (!*ret_end && !ml_skip(f, ", "))
        (void)ml_skip(f, " ");
    return value;
}

/* The client chooses the name and may write anything: up to the last '>', where it may. */
static struct slice last_angle(struct slice *f, bool text_follows, struct slice *ret_sasl)
{
    size_t end = text_follows ? ml_find(*f, ">: ") : f->n - (ml_ends(*f, ">") ? 1 : 0);
    struct slice value = ml_first(*f, end);
    size_t sasl = ml_rfind(value, "> sasl_username=<");

    if (sasl != value.n) {
        *ret_sasl = ml_from(value, sasl + strlen("> sasl_username=<"));
        value.n = sasl;
    }
    *f = ml_from(*f, end + 1);
    return value;
}

static struct fields fields_of(struct slice f, bool text_follows)
{
    struct fields x = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
    bool end = false;

    if (ml_skip(&f, "from=<"))
        x.from = angle(&f, &end);
    if (!end && ml_skip(&f, "to=<"))
        x.to = angle(&f, &end);
    if (!end && ml_skip(&f, "proto=")) {
        size_t n = 0;
        while (n < f.n && ((f.p[n] >= 'A' && f.p[n] <= 'Z') || (f.p[n] >= '0' && f.p[n] <= '9')))
            n++;
        x.proto = ml_first(f, n);
        f = ml_from(f, n);
        if (!slice_starts(f, ": ") && !ml_skip(&f, ", "))
            (void)ml_skip(&f, " ");
    }
    if (!end && ml_skip(&f, "helo=<"))
        x.helo = last_angle(&f, text_follows, &x.sasl);
    if (ml_skip(&f, ": "))
        x.rest = f;
    return x;
}

/* Where the fields begin: the first ';' that one of them follows, behind the "<what>: " that a
 * reply may begin with. */
static size_t fields_begin(struct slice s)
{
    static const char *const first[] = {"; from=<", "; to=<", "; proto=", "; helo=<"};
    size_t skip = 0, least = s.n, open = ml_find(s, "<");

    if (open <= 10) /* "554 5.7.1 <what>: why" */
        skip = open + ml_close(ml_from(s, open + 1), ">: ");
    skip = skip < s.n ? skip : 0;
    for (size_t i = 0; i < COUNT_OF(first); i++) {
        size_t at = skip + ml_find(ml_from(s, skip), first[i]);
        least = at < least ? at : least;
    }
    return least;
}

static void put_fields(struct me_line *l, struct maillog_event *ev, const struct fields *x)
{
    ev->sender = x->from.p != NULL ? x->from : ev->sender;
    ev->recipient = x->to;
    ev->helo = x->helo.p != NULL ? x->helo : ev->helo;
    me_text(ev, "proto", x->proto);
    me_text(ev, "sasl_user", x->sasl);
    if (l->known != NULL && x->helo.p != NULL)
        maillog_message_set(&l->m->context, l->known, KNOWN_HELO, x->helo);
    if (l->known != NULL && x->proto.p != NULL)
        maillog_message_set(&l->m->context, l->known, KNOWN_PROTO, x->proto);
    if (me_is_loopback(ev->client) || (ev->helo.n > 0 && ml_ends(ev->helo, l->m->own)))
        me_true(ev, "internal");
}

/* "554 5.7.1 text": code and dsn. */
static void put_reply(struct maillog_event *ev, struct slice said)
{
    struct slice word = ml_until(said, ' '), rest = said;
    bool code = word.n == 3 && word.p[0] >= '2' && word.p[0] <= '5';

    ev->text = said;
    if (code) {
        me_text(ev, "code", word);
        rest = ml_from(said, 4);
        word = ml_until(rest, ' ');
    }
    if (word.n >= 5 && word.n <= 11 && word.p[0] >= '2' && word.p[0] <= '5' && word.p[1] == '.')
        ev->dsn = word;
}

/* "RCPT from host[addr]: 554 5.7.1 text; from=<..> ...", "END-OF-MESSAGE: 250 ...; ...". */
static void by_command(struct me_line *l, struct maillog_event *ev, struct slice what)
{
    size_t from = ml_find(what, " from "), colon = ml_find(what, ": "), begin, end;
    struct slice said, namaddr;
    struct fields x;

    me_text(ev, "stage", ml_first(what, from < colon ? from : colon));
    if (from < colon) {
        namaddr = ml_from(what, from + 6);
        end = me_namaddr_end(namaddr);
        me_client(ev, ml_first(namaddr, end));
        what = ml_from(namaddr, end);
        colon = ml_find(what, ": ");
    }
    said = ml_from(what, colon + 2);
    begin = fields_begin(said);
    x = fields_of(ml_from(said, begin + 2), false);
    put_reply(ev, ml_first(said, begin));
    put_fields(l, ev, &x);
}

/* "header Subject: hello from host[addr]; from=<..> ... helo=<h>: text". */
static void by_content(struct me_line *l, struct maillog_event *ev, struct slice what)
{
    size_t at = ml_rfind(what, "; from=<"), from;
    struct slice content = ml_first(what, at), namaddr;
    struct fields x = fields_of(ml_from(what, at + 2), true);

    from = ml_rfind(content, " from ");
    namaddr = ml_from(content, from + 6);
    if (ml_has(namaddr, "["))
        me_client(ev, ml_first(namaddr, me_namaddr_end(namaddr)));
    me_text(ev, "stage", ml_first(what, ml_find(what, " ")));
    me_text(ev, "content", ml_first(content, from));
    if (x.rest.p != NULL)
        put_reply(ev, x.rest);
    put_fields(l, ev, &x);
}

/* Our own check only logs: its line is part of what is known of the message. */
static bool subject(struct me_line *l, struct slice what)
{
    static char decoded[MAILLOG_SUBJECT_MAX];
    struct slice value;
    size_t at, n;
    struct fields x;

    if (!maillog_subject_find(what, &value, &at))
        return false;
    if (!slice_starts(what, "header ") || l->known == NULL)
        return true; /* of a message inside the message */
    n = maillog_subject_decode(value, decoded, sizeof decoded);
    maillog_message_set(&l->m->context, l->known, KNOWN_SUBJECT, (struct slice){decoded, n});
    what = ml_first(what, at);
    x = fields_of(ml_from(what, ml_rfind(what, "; from=<") + 2), false);
    if (x.helo.p != NULL)
        maillog_message_set(&l->m->context, l->known, KNOWN_HELO, x.helo);
    if (x.proto.p != NULL)
        maillog_message_set(&l->m->context, l->known, KNOWN_PROTO, x.proto);
    return true;
}

static enum maillog_event_kind kind_of(struct slice action)
{
    return slice_is(action, "hold")                                           ? ME_HELD
           : slice_is(action, "discard")                                      ? ME_DISCARDED
           : slice_is(action, "reject") || slice_is(action, "reject_warning") ? ME_REJECTED
                                                                              : ME_INFO;
}

/* "reject: ", "milter-hold: ", "proxy-accept: ": *text behind it. */
static struct slice take_action(struct slice *text)
{
    size_t n = 0;
    struct slice action;

    while (n < text->n && n < 32 &&
           ((text->p[n] >= 'a' && text->p[n] <= 'z') || text->p[n] == '-' || text->p[n] == '_'))
        n++;
    action = ml_first(*text, n);
    if (n == 0 || !slice_starts(ml_from(*text, n), ": "))
        return (struct slice){NULL, 0};
    *text = ml_from(*text, n + 2);
    return action;
}

static void put_next(struct maillog_event *ev, struct slice said)
{
    size_t at = ml_rfind(said, "queued as ");
    struct slice id = ml_until(ml_until(ml_from(said, at + 10), ' '), ')');

    if (at != said.n && ml_is_id(id))
        ev->next_queue_id = id;
}

bool me_action(struct me_line *l)
{
    struct slice what = l->text, whole = take_action(&what), action = whole;
    bool milter = ml_skip(&action, "milter-"), proxy = ml_skip(&action, "proxy-");
    bool content = slice_starts(what, "header ") || slice_starts(what, "body ") ||
                   slice_starts(what, "mime header ") || slice_starts(what, "nested header ") ||
                   slice_starts(what, "mime-error ");
    enum maillog_event_kind kind = kind_of(action);
    struct maillog_event *ev;

    if (whole.n == 0 || (l->id.n == 0 && !l->noqueue && !proxy))
        return false;
    if (slice_is(whole, "info") && content && subject(l, what))
        return true;
    if (kind == ME_HELD && l->id.n == 0) { /* said again once the message has an id */
        kind = ME_INFO;
        if (l->session != NULL)
            l->session->hold = 1;
    }
    ev = me_add(l, kind);
    if (content)
        by_content(l, ev, what);
    else
        by_command(l, ev, what);
    me_text(ev, "service", l->head.service);
    if (kind == ME_REJECTED) {
        bool checked = milter || proxy || content || slice_is(l->head.service, "cleanup");
        ev->status = slice_of("rejected");
        ev->reason = slice_of(maillog_reason_names[maillog_refusal_reason(what, checked)]);
        if (slice_is(whole, "reject_warning"))
            me_true(ev, "soft");
        if (milter || proxy)
            me_text(ev, "by", ml_first(whole, milter ? 6 : 5));
    } else {
        ev->status = kind == ME_HELD        ? slice_of("held")
                     : kind == ME_DISCARDED ? slice_of("discarded")
                                            : whole;
        if (kind == ME_INFO && ev->next_queue_id.p == NULL)
            put_next(ev, ev->text);
    }
    return true;
}
