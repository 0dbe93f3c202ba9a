/* Attempts to deliver: smtp, lmtp, local, virtual, pipe, error, discard and every other transport.
 */
#include "maillog/maillog_event.h"

#include <strings.h>

/* --- why not --- */

/* Longest text that is searched, and in which case does not matter. */
enum { SEARCHED = 1024 };

static bool said(struct slice text, const char *word)
{
    size_t n = strlen(word);

    for (size_t i = 0; i + n <= text.n && i < SEARCHED; i++)
        if (strncasecmp(text.p + i, word, n) == 0)
            return true;
    return false;
}

struct row {
    const char *word, *reason;
};

static const char *by_words(struct slice text, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (said(text, rows[i].word))
            return rows[i].reason;
    return NULL;
}

/* Texts that Postfix itself makes begin so. */
static const char *own_text(struct slice text)
{
    static const struct row starts[] = {
        {"TLS is required", "tls"},
        {"Cannot start TLS", "tls"},
        {"Server certificate not ", "tls"},
        {"certificate verification failed", "tls"},
        {"Host or domain name not found", "dns"},
        {"Name service error", "dns"},
        {"unable to look up host", "dns"},
        {"Host found but no data record", "dns"},
        {"conversation with ", "timeout"},
        {"lost connection with ", "connect"},
        {"unknown user: ", "user-unknown"},
        {"message size ", "size"},
    };

    if (slice_starts(text, "connect to ")) {
        return said(text, "timed out") ? "timeout" : "connect";
    }
    for (size_t i = 0; i < COUNT_OF(starts); i++)
        if (slice_starts(text, starts[i].word))
            return starts[i].reason;
    return NULL;
}

static const char *by_code(struct slice dsn)
{
    static const struct row codes[] = {
        {".1.1", "user-unknown"}, {".1.6", "user-unknown"}, {".2.1", "user-unknown"},
        {".1.10", "dns"},         {".1.2", "dns"},          {".4.3", "dns"},
        {".4.4", "dns"},          {".2.2", "quota"},        {".2.3", "size"},
        {".3.4", "size"},         {".4.1", "connect"},      {".4.2", "connect"},
        {".4.7", "timeout"},      {".7.4", "tls"},          {".7.5", "tls"},
        {".7.10", "tls"},         {".7.11", "tls"},
    };
    struct slice tail = ml_from(dsn, 1);

    for (size_t i = 0; i < COUNT_OF(codes); i++)
        if (slice_is(tail, codes[i].word))
            return codes[i].reason;
    return slice_starts(tail, ".6.") ? "content" : slice_starts(tail, ".7.") ? "policy" : NULL;
}

const char *me_delivery_reason(struct slice dsn, struct slice text)
{
    static const struct row first[] = {
        {"greylist", "greylisted"},
        {"graylist", "greylisted"},
        {"grey-list", "greylisted"},
        {"grey list", "greylisted"},
        {"quota", "quota"},
        {"mailbox full", "quota"},
        {"mailbox is full", "quota"},
        {"user unknown", "user-unknown"},
        {"unknown user", "user-unknown"},
        {"no such user", "user-unknown"},
        {"user doesn't exist", "user-unknown"},
        {"user does not exist", "user-unknown"},
        {"virus", "content"},
        {"too large", "size"},
        {"size limit", "size"},
    };
    static const struct row last[] = {
        {"spam", "policy"},
        {"blocked", "policy"},
        {"blacklist", "policy"},
        {"access denied", "policy"},
        {"relay denied", "policy"},
        {"relaying denied", "policy"},
        {"authentication failed", "policy"},
        {"policy", "policy"},
        {"rate limit", "policy"},
        {"too many", "policy"},
        {"timed out", "timeout"},
        {"time limit exceeded", "timeout"},
        {"refused to talk to me", "connect"},
        {"connection refused", "connect"},
        {"lost connection", "connect"},
    };
    const char *reason;

    while (ml_skip(&text, "delivery temporarily suspended: "))
        continue;
    if ((reason = own_text(text)) == NULL &&
        (reason = by_words(text, first, COUNT_OF(first))) == NULL &&
        (reason = by_code(dsn)) == NULL)
        reason = by_words(text, last, COUNT_OF(last));
    return reason == NULL ? "other" : reason;
}

/* --- one attempt --- */

/* "1.5": ms; -1. */
static int64_t ms_of(struct slice s)
{
    struct slice whole = slice_cut(&s, '.');
    int64_t v, ms = 0, unit = 100;

    if (!parse_i64(whole, 0, INT32_MAX, &v))
        return -1;
    for (size_t i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++, unit /= 10)
        ms += (s.p[i] - '0') * unit;
    return v * 1000 + ms;
}

static void put_delays(struct maillog_event *ev, struct slice s)
{
    struct maillog_detail *d;
    int64_t n[4];

    for (size_t i = 0; i < COUNT_OF(n); i++)
        if ((n[i] = ms_of(slice_cut(&s, '/'))) < 0)
            return;
    me_int(ev, "delays", 0);
    d = &ev->detail[ev->n_detail - 1];
    d->kind = ME_D_DELAYS;
    memcpy(d->n, n, sizeof n);
}

/* "250 2.0.0 Ok: queued as QID", "forwarded as QID" */
static void put_next(struct maillog_event *ev)
{
    static const char *const words[] = {"queued as ", "forwarded as "};

    for (size_t i = 0; i < COUNT_OF(words); i++) {
        size_t at = ml_rfind(ev->text, words[i]), n = 0;
        struct slice id = ml_from(ev->text, at + strlen(words[i]));
        while (n < id.n && n <= 32 &&
               ((id.p[n] >= '0' && id.p[n] <= '9') || (id.p[n] >= 'A' && id.p[n] <= 'Z') ||
                (id.p[n] >= 'a' && id.p[n] <= 'z') || id.p[n] == '-' || id.p[n] == '.'))
            n++;
        while (n > 0 && id.p[n - 1] == '.')
            n--;
        if (at != ev->text.n && n > 0 && n <= 32)
            ev->next_queue_id = ml_first(id, n);
    }
}

/* A service of this host's own mail path: ports 10020 to 10029 of loopback. */
static bool owned_relay(struct slice relay)
{
    return relay.n == 26 && slice_starts(relay, "127.0.0.1[127.0.0.1]:1002");
}

/* status=WORD (text): "sent", "deferred", "bounced", "expired", "undeliverable", "deliverable". */
static void put_status(struct me_line *l, struct maillog_event *ev, struct slice rest)
{
    bool good;

    ev->status = slice_cut(&rest, ' ');
    if (ev->status.n > 0 && ev->status.p[ev->status.n - 1] == ',')
        ev->status.n--;
    if (rest.n > 1 && rest.p[0] == '(' && rest.p[rest.n - 1] == ')')
        rest = (struct slice){rest.p + 1, rest.n - 2};
    ev->text = rest;
    good = slice_is(ev->status, "sent") || slice_is(ev->status, "deliverable");
    if (good)
        put_next(ev);
    else
        ev->reason = slice_of(me_delivery_reason(ev->dsn, rest));
    if (ml_ends(ev->recipient, l->m->own) || (good && owned_relay(ev->relay)))
        me_true(ev, "internal");
}

/* "to=<r>, orig_to=<o>, relay=h[a]:25, conn_use=2, delay=0.1, delays=a/b/c/d, dsn=2.0.0,
 * status=sent (text)".  Who sends mail chooses the addresses and the next hop the text: the fields
 * are looked for between them. */
bool me_delivery(struct me_line *l)
{
    struct slice rest = l->text, orig = {NULL, 0};
    struct slice to, conn_use;
    struct maillog_event *ev;
    size_t status;
    int64_t n;

    if (!ml_skip(&rest, "to=<"))
        return false;
    to = ml_first(rest, ml_address_end(rest));
    rest = ml_from(rest, to.n + 1);
    if (ml_skip(&rest, ", orig_to=<")) {
        orig = ml_first(rest, ml_address_end(rest));
        rest = ml_from(rest, orig.n + 1);
    }
    if ((status = ml_find(rest, ", status=")) == rest.n)
        return false;
    ev = me_add(l, ME_DELIVERY);
    ev->recipient = to;
    me_text(ev, "orig_to", orig);
    orig = ml_from(rest, status + 9);
    rest.n = status;
    ev->relay = ml_after(rest, ", relay=", ',');
    ev->delay_ms = ms_of(ml_after(rest, ", delay=", ','));
    ev->dsn = ml_after(rest, ", dsn=", ',');
    put_delays(ev, ml_after(rest, ", delays=", ','));
    conn_use = ml_after(rest, ", conn_use=", ',');
    if (parse_i64(conn_use, 0, INT32_MAX, &n))
        me_int(ev, "conn_use", n);
    put_status(l, ev, orig);
    if (l->session != NULL && l->session->tls[0] != '\0' && slice_is(ev->relay, l->session->relay))
        me_text(ev, "tls", slice_of(l->session->tls));
    me_text(ev, "service", l->head.service);
    if (l->known != NULL && ml_ends(to, l->m->own))
        l->known->internal = true;
    return true;
}

/* --- on the way --- */

/* Who a line is about: the host behind word. */
static struct slice peer_of(struct slice text, const char *word)
{
    struct slice peer = ml_from(text, ml_find(text, word) + strlen(word));

    return ml_first(peer, me_namaddr_end(peer));
}

bool me_next_hop(struct me_line *l)
{
    static const struct {
        const char *starts, *before;
    } words[] = {
        {"connect to ", "connect to "},
        {"lost connection with ", "with "},
        {"conversation with ", "with "},
        {"host ", "host "},
        {"Cannot start TLS", ""},
        {"TLS is required, but ", "by host "},
        {"Server certificate not ", ""},
        {"SSL_connect error to ", "to "},
        {"certificate verification failed for ", "for "},
        {"server certificate verification failed for ", "for "},
        {"SASL authentication failed; server ", "server "},
    };
    struct slice peer;

    if (me_tls(l, &peer)) {
        size_t n = peer.n < sizeof l->session->relay ? peer.n : 0;
        if (n > 0)
            memcpy(l->session->relay, peer.p, n);
        l->session->relay[n] = '\0';
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        struct maillog_event *ev;
        bool tls = ml_has(slice_of(words[i].starts), "certificate") ||
                   slice_starts(slice_of(words[i].starts), "SSL_");
        if (!slice_starts(l->text, words[i].starts))
            continue;
        peer = words[i].before[0] == '\0' ? (struct slice){NULL, 0}
                                          : peer_of(l->text, words[i].before);
        ev = me_add(l, ME_ATTEMPT);
        ev->relay = ml_has(peer, "[") ? peer : (struct slice){NULL, 0};
        ev->text = l->text;
        ev->reason = slice_of(tls ? "tls" : me_delivery_reason((struct slice){NULL, 0}, l->text));
        me_text(ev, "service", l->head.service);
        return true;
    }
    return false;
}
