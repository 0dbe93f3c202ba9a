#include "maillog/maillog_line.h"

#include <time.h>

const char *const maillog_reason_names[] = {"temporary", "relay", "recipient", "sender", "client",
                                            "helo",      "size",  "content",   "other",  NULL};

enum { ID_MAX = 24, YEAR_DAYS = 365, DAY_MS = 86400000 };

static struct slice from(struct slice s, size_t at)
{
    return at >= s.n ? (struct slice){NULL, 0} : (struct slice){s.p + at, s.n - at};
}

/* Where word begins; s.n when it is not there. */
static size_t find(struct slice s, const char *word)
{
    const char *p = s.n == 0 ? NULL : memmem(s.p, s.n, word, strlen(word));

    return p == NULL ? s.n : (size_t)(p - s.p);
}

static struct slice until(struct slice s, char stop)
{
    const char *p = s.n == 0 ? NULL : memchr(s.p, stop, s.n);

    return p == NULL ? s : (struct slice){s.p, (size_t)(p - s.p)};
}

/* What follows word, up to stop; empty when word is not there. */
static struct slice after(struct slice s, const char *word, char stop)
{
    return until(from(s, find(s, word) + strlen(word)), stop);
}

/* --- when --- */

static int two(const char *p)
{
    return p[0] >= '0' && p[0] <= '9' && p[1] >= '0' && p[1] <= '9'
               ? (p[0] - '0') * 10 + (p[1] - '0')
               : -1;
}

static bool clock_of(const char *p, struct tm *t) /* "HH:MM:SS" */
{
    t->tm_hour = two(p);
    t->tm_min = two(p + 3);
    t->tm_sec = two(p + 6);
    return p[2] == ':' && p[5] == ':' && t->tm_hour >= 0 && t->tm_hour < 24 && t->tm_min >= 0 &&
           t->tm_min < 60 && t->tm_sec >= 0 && t->tm_sec <= 60;
}

/* "2026-11-22T09:28:33.234Z", "...+09:00"; *rest: behind the blank. */
static int64_t rfc3339(struct slice line, struct slice *rest)
{
    struct slice t = until(line, ' ');
    struct tm tm = {0};
    int64_t s;
    size_t at = 19;
    int off = 0;

    if (t.n < 20 || t.n == line.n || t.p[4] != '-' || t.p[7] != '-' || t.p[10] != 'T' ||
        two(t.p) < 0 || two(t.p + 2) < 0 || !clock_of(t.p + 11, &tm))
        return -1;
    tm.tm_year = two(t.p) * 100 + two(t.p + 2) - 1900;
    tm.tm_mon = two(t.p + 5) - 1;
    tm.tm_mday = two(t.p + 8);
    if (tm.tm_mon < 0 || tm.tm_mon > 11 || tm.tm_mday < 1 || tm.tm_mday > 31)
        return -1;
    while (at < t.n && (t.p[at] == '.' || (t.p[at] >= '0' && t.p[at] <= '9')))
        at++;
    if (at < t.n && (t.p[at] == '+' || t.p[at] == '-')) {
        if (t.n - at != 6 || two(t.p + at + 1) < 0 || two(t.p + at + 4) < 0)
            return -1;
        off = (two(t.p + at + 1) * 60 + two(t.p + at + 4)) * (t.p[at] == '+' ? 60 : -60);
    } else if (at >= t.n || t.p[at] != 'Z') {
        return -1;
    }
    s = (int64_t)timegm(&tm) - off;
    *rest = from(line, t.n + 1);
    return s < 0 ? -1 : s * 1000;
}

/* "Nov 22 09:28:33 ": this host's time, of the year that brings it nearest to now. */
static int64_t traditional(struct slice line, int64_t now_ms, struct slice *rest)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = (time_t)(now_ms / 1000);
    struct tm tm = {.tm_isdst = -1}, here;
    const char *m;
    int64_t at;

    if (line.n < 17 || line.p[3] != ' ' || line.p[6] != ' ' || line.p[15] != ' ' ||
        !clock_of(line.p + 7, &tm) || localtime_r(&now, &here) == NULL)
        return -1;
    m = memmem(months, 36, line.p, 3);
    if (m == NULL || (m - months) % 3 != 0)
        return -1;
    tm.tm_mon = (int)(m - months) / 3;
    tm.tm_mday = line.p[4] == ' ' ? two((char[2]){'0', line.p[5]}) : two(line.p + 4);
    tm.tm_year = here.tm_year;
    if (tm.tm_mday < 1 || tm.tm_mday > 31)
        return -1;
    at = (int64_t)mktime(&tm) * 1000;
    if (at > now_ms + YEAR_DAYS / 2 * (int64_t)DAY_MS) { /* December's, read in January */
        tm.tm_year--;
        tm.tm_isdst = -1;
        at = (int64_t)mktime(&tm) * 1000;
    }
    *rest = from(line, 16);
    return at;
}

/* --- whose --- */

/* "host postfix/smtpd[123]: text": service and text. */
static bool header(struct slice s, struct slice *service, struct slice *text)
{
    size_t colon;
    struct slice tag;
    const char *slash;

    (void)slice_cut(&s, ' '); /* host */
    colon = find(s, "]: ");
    if (s.n == 0 || colon == s.n)
        return false;
    tag = until((struct slice){s.p, colon}, '[');
    slash = tag.n == 0 ? NULL : memrchr(tag.p, '/', tag.n);
    if (slash == NULL || tag.n == colon || find(tag, " ") != tag.n)
        return false;
    *service = (struct slice){slash + 1, (size_t)(tag.p + tag.n - slash - 1)};
    *text = from(s, colon + 3);
    return service->n > 0 && slice_starts(tag, "postfix");
}

/* "QUEUEID: rest"; NOQUEUE is none, nor is a word like "warning". */
static struct slice take_id(struct slice *text)
{
    struct slice id = until(*text, ':');
    bool digit = false, lower = false;

    if (id.n == text->n || id.n < 6 || id.n > ID_MAX)
        return (struct slice){NULL, 0};
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        digit = digit || (c >= '0' && c <= '9');
        lower = lower || (c >= 'a' && c <= 'z');
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')))
            return (struct slice){NULL, 0};
    }
    if (lower && !digit)
        return (struct slice){NULL, 0};
    *text = from(*text, id.n + 2);
    return slice_is(id, "NOQUEUE") ? (struct slice){NULL, 0} : id;
}

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
        if (find(said, table[i].words) != said.n)
            return table[i].reason;
    }
    return MAILLOG_REASON_OTHER;
}

/* The last one: what stands before it is a client's as well. */
static struct slice helo_of(struct slice text)
{
    static const char word[] = " helo=<";
    struct slice helo = {NULL, 0};

    for (size_t at; (at = find(text, word)) != text.n;) {
        text = from(text, at + sizeof word - 1);
        helo = until(text, '>');
    }
    return helo;
}

/* "RCPT from name[address]: 554 5.7.1 <x>: Relay access denied; from=<> to=<> proto=ESMTP
 * helo=<y>".  What the client said may hold any words: reasons are looked for only between the
 * address refused and "from=". */
static void rejected(struct slice text, struct maillog_line *l)
{
    size_t at = find(text, " from ");
    struct slice said;
    int first;

    l->kind = MAILLOG_REJECTED;
    if (at == text.n) {
        l->reason = MAILLOG_REASON_OTHER;
        return;
    }
    l->client = until(from(text, at + 6), ']');
    l->client.n += l->client.n < text.n - at - 6;
    said = from(text, at + 6 + l->client.n);
    l->helo = helo_of(text);
    at = find(said, ": ");
    said = from(said, at + 2);
    first = said.n < 3 ? 0 : said.p[0];
    said.n = find(said, "; from=<");
    for (size_t name; (name = find(said, ">: ")) != said.n;) /* "<what was refused>: why" */
        said = from(said, name + 3);
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

/* Where the '>' of an address is that begins at the start of s; s.n: it has none.  A local part in
 * quotes may hold anything. */
static size_t address_end(struct slice s)
{
    size_t i = 0;

    if (s.n > 0 && s.p[0] == '"')
        for (i = 1; i < s.n && s.p[i] != '"'; i++)
            i += s.p[i] == '\\';
    return i >= s.n ? s.n : i + find(from(s, i), ">, ");
}

/* "to=<r>, orig_to=<..>, relay=h[a]:25, delay=0.1, delays=a/b/c/d, dsn=2.0.0, status=sent (text)".
 * Who sends mail chooses the addresses and the next hop the text: the fields are looked for between
 * them. */
static void attempted(struct slice text, struct maillog_line *l)
{
    struct slice to = from(text, 4), rest, word;
    size_t end = address_end(to), status;

    rest = from(to, end + 1);
    if (slice_starts(rest, ", orig_to=<")) {
        rest = from(rest, 11);
        rest = from(rest, address_end(rest) + 1);
    }
    if ((status = find(rest, ", status=")) == rest.n)
        return;
    word = until(from(rest, status + 9), ' ');
    rest.n = status;
    l->kind = MAILLOG_ATTEMPTED;
    l->to = (struct slice){to.p, end};
    l->relay = after(rest, ", relay=", ',');
    l->latency_ms = delays(after(rest, ", delays=", ','));
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
            *ret = from(text, strlen(words[i].word));
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
    l->queue_id = take_id(&text);
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
        l->client = until(from(text, 7), ',');
        l->again = find(text, ", orig_queue_id=") != text.n;
    } else if (slice_is(l->service, "qmgr") && slice_starts(text, "from=<") &&
               find(text, ", nrcpt=") != text.n) {
        l->kind = MAILLOG_QUEUED;
    } else if (slice_starts(text, "to=<") && !smtpd && !cleanup) {
        attempted(text, l);
    }
}

void maillog_line_read(struct slice line, int64_t now_ms, struct maillog_line *ret)
{
    struct slice rest = line, text = {NULL, 0};

    *ret = (struct maillog_line){.at_ms = rfc3339(line, &rest), .latency_ms = -1};
    if (ret->at_ms < 0)
        ret->at_ms = traditional(line, now_ms, &rest);
    if (ret->at_ms < 0 || !header(rest, &ret->service, &text))
        return;
    ret->kind = MAILLOG_OTHER;
    event(text, ret);
}
