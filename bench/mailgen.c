/*
 * mailgen FIRST COUNT TOTAL BEGIN_MS SPAN_MS BATCH LOG: mail traffic, made up and always the same,
 * of messages FIRST..FIRST+COUNT-1 of TOTAL. Standard output: rows of the table event for COPY
 * (columns as bench/search.py names them).  LOG: the same as Postfix would log it.
 *
 * Senders, recipients, domains and clients are drawn so that the k-th is about 1/k as frequent
 * (Zipf); most messages have one recipient, few have thirty; 6 of 100 are deferred first (one of
 * twenty of these for good), 3 bounce, 8 are refused; one of ten passes a second device, one of
 * twenty a filter.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    SENDERS = 300000,
    RECIPIENTS = 200000,
    DOMAINS = 20000,
    CLIENTS = 60000,
    WORDS = 4000,
    DEVICES = 10,
    INNER = 2
};

static uint64_t state;
static FILE *copy, *logfile;
static long long batch, row;

static uint64_t draw(void)
{
    uint64_t z = (state += 0x9e3779b97f4a7c15ULL);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static double unit(void)
{
    return (double)(draw() >> 11) / 9007199254740992.0;
}

static unsigned zipf(unsigned n)
{
    unsigned k = (unsigned)exp(unit() * log((double)n));

    return k < n ? k : n - 1;
}

static bool chance(unsigned of_100)
{
    return draw() % 100 < of_100;
}

/* --- texts --- */

static void when(char *out, size_t size, int64_t ms, bool sql)
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    char text[40];

    (void)gmtime_r(&s, &tm);
    (void)strftime(text, sizeof text, sql ? "%Y-%m-%d %H:%M:%S" : "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(out, size, "%s.%03d%s", text, (int)(ms % 1000), sql ? "+00" : "+00:00");
}

static void queue_id(char out[16], uint64_t message, unsigned leg)
{
    static const char digits[] = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
    uint64_t v =
        (message * 8 + leg) * 2654435761ULL % 380204032ULL + (message * 8 + leg) * 380204032ULL;

    (void)memcpy(out, "4", 2);
    for (int i = 1; i <= 11; i++, v /= 52)
        out[i] = digits[v % 52];
    out[12] = '\0';
}

static void subject(char *out, size_t size)
{
    static const char *const japanese[] = {
        "請求書のご送付", "お見積りの件", "会議のお知らせ", "ご注文の確認",
        "納品書",         "月次報告",     "打ち合わせ日程", "システム障害のお知らせ"};

    if (chance(25))
        (void)snprintf(out, size, "%s%s %u", chance(30) ? "Re: " : "", japanese[zipf(8)],
                       zipf(100000));
    else
        (void)snprintf(out, size, "%sword%u word%u word%u %u", chance(30) ? "Re: " : "",
                       zipf(WORDS), zipf(WORDS), zipf(WORDS), zipf(100000));
}

/* --- rows --- */

struct mail {
    uint64_t number;
    int64_t at;
    char sender[80], message_id[80], subject[120], client[20];
    unsigned size;
};
struct row {
    const char *kind, *queue, *orig, *next, *recipient, *relay, *dsn, *status, *reason, *text;
    long delay;
    bool first; /* what came with the message */
    unsigned nrcpt;
};

static void put(const char *s)
{
    (void)fputs(s == NULL ? "\\N" : s, copy);
    (void)fputc('\t', copy);
}

static void event(const struct mail *m, unsigned device, int64_t at, const struct row *r)
{
    char t[40];

    when(t, sizeof t, at, true);
    (void)fprintf(copy, "%s\t%s\t%lld\t%lld\t00000000-0000-4000-8000-%012u\tpostfix\t%lld\t", t, t,
                  batch, row % 5000, device, row);
    row++;
    put(r->kind);
    put(r->queue);
    put(r->orig);
    put(r->next);
    put(m->sender);
    put(r->recipient);
    put(m->client);
    put(r->first ? "mail.example" : NULL);
    put(r->first ? "mail.example" : NULL);
    put(r->queue == NULL ? NULL : m->message_id);
    put(r->queue == NULL ? NULL : m->subject);
    if (r->queue == NULL)
        put(NULL);
    else
        (void)fprintf(copy, "%u\t", m->size);
    put(r->relay);
    put(r->dsn);
    put(r->status);
    put(r->reason);
    put(r->text);
    if (r->delay < 0)
        put(NULL);
    else
        (void)fprintf(copy, "%ld\t", r->delay);
    if (r->nrcpt > 0)
        (void)fprintf(copy, "{\"nrcpt\": %u}\n", r->nrcpt);
    else
        (void)fputs("\\N\n", copy);
}

static void line(int64_t at, unsigned device, const char *program, const char *text)
{
    char t[40];

    when(t, sizeof t, at, false);
    (void)fprintf(logfile, "%s mx%u postfix/%s[%u]: %s\n", t, device, program, 1000 + device, text);
}

static void took(const struct mail *m, unsigned device, int64_t at, const char *queue,
                 const char *orig, unsigned nrcpt)
{
    char text[512];

    event(m, device, at,
          &(struct row){.kind = "message.queued",
                        .queue = queue,
                        .orig = orig,
                        .delay = -1,
                        .first = true,
                        .nrcpt = nrcpt});
    (void)snprintf(text, sizeof text, "%s: client=mail.example[%s]%s%s", queue, m->client,
                   orig == NULL ? "" : ", orig_queue_id=", orig == NULL ? "" : orig);
    line(at, device, "smtpd", text);
    (void)snprintf(text, sizeof text,
                   "%s: info: header Subject: %s from mail.example[%s]; from=<%s>", queue,
                   m->subject, m->client, m->sender);
    line(at, device, "cleanup", text);
    (void)snprintf(text, sizeof text, "%s: message-id=<%s>", queue, m->message_id);
    line(at, device, "cleanup", text);
    (void)snprintf(text, sizeof text, "%s: from=<%s>, size=%u, nrcpt=%u (queue active)", queue,
                   m->sender, m->size, nrcpt);
    line(at, device, "qmgr", text);
}

static void gave(const struct mail *m, unsigned device, int64_t at, const char *queue,
                 const char *recipient, const char *next, const char *status, const char *reason)
{
    bool sent = strcmp(status, "sent") == 0;
    char answer[120], text[600];

    (void)snprintf(answer, sizeof answer,
                   sent ? "250 2.0.0 Ok: queued as %s" : "host mx.example said: %s %s",
                   sent ? next : "450", sent ? "" : reason);
    event(m, device, at,
          &(struct row){.kind = "message.delivery",
                        .queue = queue,
                        .next = sent ? next : NULL,
                        .recipient = recipient,
                        .relay = "mx.example[198.51.100.25]:25",
                        .dsn = sent ? "2.0.0" : "4.2.0",
                        .status = status,
                        .reason = reason,
                        .text = answer,
                        .delay = (long)(at - m->at)});
    (void)snprintf(text, sizeof text,
                   "%s: to=<%s>, relay=mx.example[198.51.100.25]:25, delay=%.1f, "
                   "delays=0.1/0/0.1/0.2, dsn=%s, status=%s (%s)",
                   queue, recipient, (double)(at - m->at) / 1000, sent ? "2.0.0" : "4.2.0", status,
                   answer);
    line(at, device, "smtp", text);
}

static void done(const struct mail *m, unsigned device, int64_t at, const char *queue)
{
    char text[64];

    event(m, device, at, &(struct row){.kind = "message.removed", .queue = queue, .delay = -1});
    (void)snprintf(text, sizeof text, "%s: removed", queue);
    line(at, device, "qmgr", text);
}

static void refused(const struct mail *m, unsigned device, const char *recipient)
{
    char text[400];

    event(m, device, m->at,
          &(struct row){.kind = "message.rejected",
                        .recipient = recipient,
                        .dsn = "5.7.1",
                        .status = "rejected",
                        .delay = -1,
                        .first = true,
                        .reason = chance(60) ? "dnsbl" : "relay-denied",
                        .text = "554 5.7.1 Service unavailable; blocked"});
    (void)snprintf(text, sizeof text,
                   "NOQUEUE: reject: RCPT from mail.example[%s]: 554 5.7.1 Service unavailable; "
                   "blocked; from=<%s> to=<%s> proto=ESMTP helo=<mail.example>",
                   m->client, m->sender, recipient);
    line(m->at, device, "smtpd", text);
}

/* --- a message --- */

static void whom(char *out, size_t size)
{
    unsigned k = zipf(RECIPIENTS);

    (void)snprintf(out, size, "rcpt%u@in%u.example", k, k % 300);
}

/* One entry's deliveries; the next entry's queue id where all of it goes to one of our own. */
static void deliver(const struct mail *m, unsigned device, int64_t at, const char *queue,
                    unsigned nrcpt, const char *own_next)
{
    static const char *const why[] = {"greylisted", "timeout", "connect", "quota"};
    char recipient[80], next[16];
    int64_t last = at;
    bool waits = false;
    uint64_t kept = state;

    state = m->number * 977 + 5; /* the same recipients on each device */
    for (unsigned i = 0; i < nrcpt; i++) {
        unsigned luck = (unsigned)(draw() % 100);
        whom(recipient, sizeof recipient);
        queue_id(next, m->number + 0x100000000ULL, i & 7);
        if (own_next == NULL && luck < 6) {
            gave(m, device, at + 400, queue, recipient, NULL, "deferred", why[zipf(4)]);
            waits = waits || m->number % 20 == 0;
            if (m->number % 20 == 0)
                continue;
            gave(m, device, at + 900000, queue, recipient, next, "sent", NULL);
            last = at + 900000;
        } else if (own_next == NULL && luck < 9) {
            gave(m, device, at + 500, queue, recipient, NULL, "bounced", "user-unknown");
        } else {
            gave(m, device, at + 300 + (int64_t)i, queue, recipient,
                 own_next == NULL ? next : own_next, "sent", NULL);
        }
    }
    state = kept;
    if (!waits)
        done(m, device, (last > at ? last : at + 600) + 20, queue);
}

static unsigned how_many(void)
{
    unsigned luck = (unsigned)(draw() % 1000);

    return luck < 860 ? 1 : luck < 950 ? 2 : luck < 993 ? 3 + luck % 3 : 10 + luck % 21;
}

static void message(uint64_t number, int64_t at)
{
    struct mail m = {.number = number, .at = at};
    unsigned device, nrcpt, k;
    bool filtered, relayed;
    char a[16], b[16], c[16], recipient[80];

    state = number * 0x2545f4914f6cdd1dULL + 1;
    device = (unsigned)(draw() % DEVICES);
    nrcpt = how_many();
    k = zipf(SENDERS);
    filtered = chance(5);
    relayed = chance(10);
    (void)snprintf(m.sender, sizeof m.sender, "user%u@dom%u.example", k, k % DOMAINS);
    k = zipf(CLIENTS);
    (void)snprintf(m.client, sizeof m.client, "10.%u.%u.%u", k >> 16 & 255, k >> 8 & 255, k & 255);
    (void)snprintf(m.message_id, sizeof m.message_id, "%016llx.%llu@dom%u.example",
                   (unsigned long long)draw(), (unsigned long long)number, k % DOMAINS);
    subject(m.subject, sizeof m.subject);
    m.size = 1000 + (unsigned)(draw() % 100000);
    if (chance(8)) {
        whom(recipient, sizeof recipient);
        refused(&m, device, recipient);
        return;
    }
    queue_id(a, number, 0);
    queue_id(b, number, 1);
    queue_id(c, number, 2);
    took(&m, device, at, a, NULL, nrcpt);
    if (filtered) {
        took(&m, device, at + 200, b, a, nrcpt);
        deliver(&m, device, at, a, nrcpt, b);
    }
    if (relayed) {
        unsigned inner = DEVICES + (unsigned)(number % INNER);
        took(&m, inner, at + 600, c, NULL, nrcpt);
        deliver(&m, device, at + 300, filtered ? b : a, nrcpt, c);
        deliver(&m, inner, at + 650, c, nrcpt, NULL);
    } else {
        deliver(&m, device, at + (filtered ? 250 : 0), filtered ? b : a, nrcpt, NULL);
    }
}

int main(int argc, char **argv)
{
    long long first, count, total, begin, span;

    if (argc != 8) {
        (void)fputs("usage: mailgen FIRST COUNT TOTAL BEGIN_MS SPAN_MS BATCH LOG\n", stderr);
        return 2;
    }
    first = strtoll(argv[1], NULL, 10);
    count = strtoll(argv[2], NULL, 10);
    total = strtoll(argv[3], NULL, 10);
    begin = strtoll(argv[4], NULL, 10);
    span = strtoll(argv[5], NULL, 10);
    batch = strtoll(argv[6], NULL, 10);
    copy = stdout;
    logfile = fopen(argv[7], "w");
    if (logfile == NULL) {
        perror(argv[7]);
        return 1;
    }
    for (long long i = first; i < first + count; i++)
        message((uint64_t)i, begin + (int64_t)((double)span * (double)i / (double)total));
    return fclose(logfile) != 0 || fflush(copy) != 0 ? 1 : 0;
}
