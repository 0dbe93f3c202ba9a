#include "maillog/maillog_line.h"

#include "maillog/maillog_head.h"

const char *const maillog_reason_names[] = {"temporary", "relay", "recipient", "sender", "client",
                                            "helo",      "size",  "content",   "other",  NULL};

/* --- what --- */

static enum maillog_reason reason_of(struct slice said)
{
    static const struct {
        const char *words;
        enum maillog_reason reason;
    } table[] = {
        {"Relay access denied", MAILLOG_RELAY},
        {"Recipient address rejected", MAILLOG_RECIPIENT},
        {"User unknown", MAILLOG_RECIPIENT},
        {"Sender address rejected", MAILLOG_SENDER},
        {"Client host rejected", MAILLOG_CLIENT},
        {"Client host [", MAILLOG_CLIENT},
        {"Service unavailable; client", MAILLOG_CLIENT},
        {"blocked using", MAILLOG_CLIENT},
        {"Unverified Client host", MAILLOG_CLIENT},
        {"Helo command rejected", MAILLOG_HELO},
        {"Message size exceeds", MAILLOG_SIZE},
        {"message file too big", MAILLOG_SIZE},
    };

    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (ml_find(said, table[i].words) != said.n)
            return table[i].reason;
    }
    return MAILLOG_REASON_OTHER;
}

/* The last one: what stands before it is a client's as well. */
static struct slice helo_of(struct slice text)
{
    static const char word[] = " helo=<";
    struct slice helo = {NULL, 0};

    for (size_t at; (at = ml_find(text, word)) != text.n;) {
        text = ml_from(text, at + sizeof word - 1);
        helo = ml_until(text, '>');
    }
    return helo;
}

/* "RCPT from name[address]: 554 5.7.1 <x>: Relay access denied; from=<> to=<> proto=ESMTP
 * helo=<y>".  What the client said may hold any words: reasons are looked for only between the
 * address refused and "from=". */
static void rejected(struct slice text, struct maillog_line *l)
{
    size_t at = ml_find(text, " from ");
    struct slice said;
    int first;

    l->kind = MAILLOG_REJECTED;
    if (at == text.n) {
        l->reason = MAILLOG_REASON_OTHER;
        return;
    }
    l->client = ml_until(ml_from(text, at + 6), ']');
    l->client.n += l->client.n < text.n - at - 6;
    said = ml_from(text, at + 6 + l->client.n);
    l->helo = helo_of(text);
    at = ml_find(said, ": ");
    said = ml_from(said, at + 2);
    first = said.n < 3 ? 0 : said.p[0];
    said.n = ml_find(said, "; from=<");
    for (size_t name; (name = ml_find(said, ">: ")) != said.n;) /* "<what was refused>: why" */
        said = ml_from(said, name + 3);
    l->reason = first == '4' ? MAILLOG_TEMPORARY : reason_of(said);
    if (l->reason == MAILLOG_REASON_OTHER && slice_starts(text, "END-OF-MESSAGE"))
        l->reason = MAILLOG_CONTENT;
}

/* "1.5/0.02/0/0.3": the sum of all but the first, in ms; -1 when it is none. */
static int64_t delays(struct slice s)
{
    int64_t sum = 0;

    (void)slice_cut(&s, '/');
    if (s.n == 0)
        return -1;
    while (s.n > 0) {
        struct slice part = slice_cut(&s, '/'), whole = slice_cut(&part, '.');
        int64_t v = 0, ms = 0, unit = 100;
        if (!parse_i64(whole, 0, 100000000, &v))
            return -1;
        for (size_t i = 0; i < part.n && part.p[i] >= '0' && part.p[i] <= '9'; i++, unit /= 10)
            ms += (part.p[i] - '0') * unit;
        sum += v * 1000 + ms;
    }
    return sum;
}

/* "to=<r>, orig_to=<..>, relay=h[a]:25, delay=0.1, delays=a/b/c/d, dsn=2.0.0, status=sent (text)".
 * Who sends mail chooses the addresses and the next hop the text: the fields are looked for between
 * them. */
static void attempted(struct slice text, struct maillog_line *l)
{
    struct slice to = ml_from(text, 4), rest, word;
    size_t end = ml_address_end(to), status;

    rest = ml_from(to, end + 1);
    if (slice_starts(rest, ", orig_to=<")) {
        rest = ml_from(rest, 11);
        rest = ml_from(rest, ml_address_end(rest) + 1);
    }
    if ((status = ml_find(rest, ", status=")) == rest.n)
        return;
    word = ml_until(ml_from(rest, status + 9), ' ');
    rest.n = status;
    l->kind = MAILLOG_ATTEMPTED;
    l->to = (struct slice){to.p, end};
    l->relay = ml_after(rest, ", relay=", ',');
    l->latency_ms = delays(ml_after(rest, ", delays=", ','));
    l->status = slice_is(word, "sent")                                   ? MAILLOG_SENT
                : slice_is(word, "deferred")                             ? MAILLOG_DEFERRED
                : slice_is(word, "bounced") || slice_is(word, "expired") ? MAILLOG_BOUNCED
                                                                         : MAILLOG_STATUS_OTHER;
}

static bool refusal(struct slice text, struct slice *ret, bool *ret_content)
{
    static const struct {
        const char *word;
        bool content;
    } words[] = {{"reject: ", false}, {"milter-reject: ", true}, {"proxy-reject: ", true}};

    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (slice_starts(text, words[i].word)) {
            *ret = ml_from(text, strlen(words[i].word));
            *ret_content = words[i].content;
            return true;
        }
    }
    return false;
}

static void event(struct slice text, struct maillog_line *l)
{
    bool smtpd = slice_is(l->service, "smtpd") || slice_is(l->service, "postscreen"), content;
    bool cleanup = slice_is(l->service, "cleanup"), none = slice_starts(text, "NOQUEUE: ");
    struct slice what;

    if (slice_starts(text, "fatal: ") || slice_starts(text, "panic: ")) {
        l->kind = MAILLOG_FATAL;
        return;
    }
    l->queue_id = ml_take_id(&text);
    if (l->queue_id.n == 0 && !none)
        return;
    if ((smtpd || cleanup) && refusal(text, &what, &content)) {
        rejected(what, l);
        if ((content || cleanup) && l->reason != MAILLOG_TEMPORARY)
            l->reason = MAILLOG_CONTENT;
    } else if (l->queue_id.n == 0) {
        return;
    } else if (smtpd && slice_starts(text, "client=")) {
        l->kind = MAILLOG_BEGUN;
        l->client = ml_until(ml_from(text, 7), ',');
        l->again = ml_find(text, ", orig_queue_id=") != text.n;
    } else if (slice_is(l->service, "qmgr") && slice_starts(text, "from=<") &&
               ml_find(text, ", nrcpt=") != text.n) {
        l->kind = MAILLOG_QUEUED;
    } else if (slice_starts(text, "to=<") && !smtpd && !cleanup) {
        attempted(text, l);
    }
}

enum maillog_reason maillog_refusal_reason(struct slice what, bool content)
{
    struct maillog_line l = {0};

    rejected(what, &l);
    return content && l.reason != MAILLOG_TEMPORARY ? MAILLOG_CONTENT : l.reason;
}

void maillog_line_read(struct slice line, int64_t now_ms, struct maillog_line *ret)
{
    struct maillog_head h;
    bool ours = maillog_head_read(line, now_ms, &h);

    *ret = (struct maillog_line){.at_ms = h.at_ms, .service = h.service, .latency_ms = -1};
    if (!ours)
        return;
    ret->kind = MAILLOG_OTHER;
    event(h.text, ret);
}
