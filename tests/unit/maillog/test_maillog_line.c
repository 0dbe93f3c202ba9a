/* One line of Postfix's log: the fields of real lines, other forms of time, and lines that try to
 * look like others. */
#include "maillog/maillog_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define AT "2026-11-22T09:28:33.234Z child1 "
static const int64_t now_ms = 1795339713000; /* 2026-11-22T09:28:33Z */

static const struct {
    const char *line;
    enum maillog_kind kind;
    const char *id;
} kinds[] = {
    {AT "postfix/smtpd[1]: 4jXNzj1fjnz1cMcK: client=outside.lab.test[198.19.0.1]", MAILLOG_BEGUN,
     "4jXNzj1fjnz1cMcK"},
    {AT "postfix/smtpd[1]: 4A5B6C7D8E: client=unknown[192.0.2.1]", MAILLOG_BEGUN, "4A5B6C7D8E"},
    {AT "postfix/cleanup[1]: 4jXNzj1fjnz1cMcK: message-id=<a@b>", MAILLOG_OTHER,
     "4jXNzj1fjnz1cMcK"},
    {AT "postfix/qmgr[1]: 4jXNzj1fjnz1cMcK: from=<a@b>, size=213, nrcpt=1 (queue active)",
     MAILLOG_QUEUED, "4jXNzj1fjnz1cMcK"},
    {AT "postfix/qmgr[1]: 4jXNzj1fjnz1cMcK: removed", MAILLOG_OTHER, "4jXNzj1fjnz1cMcK"},
    {AT "postfix/smtpd[1]: connect from outside.lab.test[198.19.0.1]", MAILLOG_OTHER, ""},
    {AT "postfix/smtpd[1]: fatal: in parameter x: bad", MAILLOG_FATAL, ""},
    {AT "postfix/master[1]: panic: x", MAILLOG_FATAL, ""},
    {AT "postfix/master[1]: warning: process smtpd pid 1 exit status 1", MAILLOG_OTHER, ""},
    {AT "postfix-in/smtpd[1]: 4jXNzj1fjnz1cMcK: client=unknown[192.0.2.1]", MAILLOG_BEGUN,
     "4jXNzj1fjnz1cMcK"},
    {AT "postfix/relay/smtp[1]: 4A5B6C7D8E: to=<u@d>, relay=h[192.0.2.1]:25, delay=1, "
        "delays=0/0/0/1, dsn=2.0.0, status=sent (250)",
     MAILLOG_ATTEMPTED, "4A5B6C7D8E"},
    {AT "inari-trial/smtpd[1]: 4jXNzj1fjnz1cMcK: client=unknown[192.0.2.1]", MAILLOG_FOREIGN, ""},
    {AT "sshd[1]: Accepted postfix/smtpd[1]: NOQUEUE: reject: RCPT from a[1.2.3.4]: 554 x",
     MAILLOG_FOREIGN, ""},
    {AT "postfix/smtpd[1]", MAILLOG_FOREIGN, ""},
    {"postfix/smtpd[1]: fatal: x", MAILLOG_FOREIGN, ""},
    {"", MAILLOG_FOREIGN, ""},
    {"2026-13-22T09:28:33.234Z child1 postfix/smtpd[1]: fatal: x", MAILLOG_FOREIGN, ""},
    {"2026-11-22T09:28:33 child1 postfix/smtpd[1]: fatal: x", MAILLOG_FOREIGN, ""},
    {"2026-11-22T09:28:33.234Z", MAILLOG_FOREIGN, ""},
};

static void kind_of_each(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct maillog_line l;
        maillog_line_read(slice_of(kinds[i].line), now_ms, &l);
        if (l.kind != kinds[i].kind || !slice_is(l.queue_id, kinds[i].id))
            fail_msg("%s: kind %d, id %.*s", kinds[i].line, l.kind, (int)l.queue_id.n,
                     l.queue_id.n == 0 ? "" : l.queue_id.p);
    }
}

#define WHO "RCPT from c.test[198.19.0.1]: "
#define END "; from=<a@b> to=<u@d> proto=ESMTP helo=<c.test>"
static const struct {
    const char *text;
    enum maillog_reason reason;
} refusals[] = {
    {"NOQUEUE: reject: " WHO "554 5.7.1 <x@f>: Relay access denied" END, MAILLOG_RELAY},
    {"4jXNzj1xSTz1cMcM: reject: " WHO "554 5.7.1 <x@f>: Relay access denied" END, MAILLOG_RELAY},
    {"NOQUEUE: reject: " WHO "454 4.7.1 <x@f>: Relay access denied" END, MAILLOG_TEMPORARY},
    {"NOQUEUE: reject: " WHO "451 4.3.0 <u@d>: Temporary lookup failure" END, MAILLOG_TEMPORARY},
    {"NOQUEUE: reject: " WHO "550 5.1.1 <u@d>: Recipient address rejected: no" END,
     MAILLOG_RECIPIENT},
    {"NOQUEUE: reject: " WHO "554 5.7.1 <a@b>: Sender address rejected: Access denied" END,
     MAILLOG_SENDER},
    {"NOQUEUE: reject: " WHO "554 5.7.1 <c[198.19.0.1]>: Client host rejected: Access denied" END,
     MAILLOG_CLIENT},
    {"NOQUEUE: reject: " WHO
     "554 5.7.1 Service unavailable; Client host [198.19.0.1] blocked using bl.test; x" END,
     MAILLOG_CLIENT},
    {"NOQUEUE: reject: " WHO "504 5.5.2 <x>: Helo command rejected: need FQDN" END, MAILLOG_HELO},
    {"NOQUEUE: reject: MAIL from c.test[198.19.0.1]: 552 5.3.4 Message size exceeds fixed limit; "
     "from=<a@b> proto=ESMTP helo=<c.test>",
     MAILLOG_SIZE},
    {"4jXNzj1xSTz1cMcM: milter-reject: END-OF-MESSAGE from c.test[198.19.0.1]: 550 5.7.1 spam" END,
     MAILLOG_CONTENT},
    {"NOQUEUE: reject: " WHO
     "554 5.7.1 <\"Relay access denied; x\"@d>: Recipient address rejected: no" END,
     MAILLOG_RECIPIENT},
};

static void reason_of_each(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        char line[512];
        struct maillog_line l;
        (void)snprintf(line, sizeof line, AT "postfix/smtpd[1]: %s", refusals[i].text);
        maillog_line_read(slice_of(line), now_ms, &l);
        if (l.kind != MAILLOG_REJECTED || l.reason != refusals[i].reason)
            fail_msg("%s: kind %d, reason %s", line, l.kind, maillog_reason_names[l.reason]);
        assert_true(slice_is(l.client, "c.test[198.19.0.1]"));
        assert_true(slice_is(l.helo, "c.test"));
    }
}

static void cleanup_refuses_content(void **state)
{
    struct maillog_line l;

    (void)state;
    maillog_line_read(
        slice_of(AT "postfix/cleanup[1]: 4jXNzj1xSTz1cMcM: reject: header Subject: x from "
                    "c.test[198.19.0.1]; from=<a@b> to=<u@d> proto=ESMTP helo=<c>: 5.7.1 no"),
        now_ms, &l);
    assert_int_equal(l.kind, MAILLOG_REJECTED);
    assert_int_equal(l.reason, MAILLOG_CONTENT);
}

static void attempts(void **state)
{
    static const struct {
        const char *text;
        enum maillog_status status;
        int64_t latency_ms;
        const char *to, *relay;
    } table[] = {
        {"to=<u@d>, relay=h[198.18.0.3]:25, delay=0.08, delays=0.01/0.04/0/0.04, dsn=2.0.0, "
         "status=sent (250 ok)",
         MAILLOG_SENT, 80, "u@d", "h[198.18.0.3]:25"},
        {"to=<u@d>, orig_to=<v@d>, relay=h[198.18.0.3]:25, conn_use=2, delay=3700, "
         "delays=3600/0.5/1.25/98, dsn=4.0.0, status=deferred (x)",
         MAILLOG_DEFERRED, 99750, "u@d", "h[198.18.0.3]:25"},
        {"to=<u@d>, relay=none, delay=3, delays=3/0/0/0, dsn=5.4.4, status=bounced (status=sent "
         "(no))",
         MAILLOG_BOUNCED, 0, "u@d", "none"},
        {"to=<\", relay=x, delays=9/9/9/9,\"@d>, relay=none, delay=3, delays=3/0/0/0.2, dsn=5.4.4, "
         "status=expired, returned",
         MAILLOG_STATUS_OTHER, 200, "\", relay=x, delays=9/9/9/9,\"@d", "none"},
        /* whoever sends mail may write such addresses */
        {"to=<\"a\\\">, relay=x, status=bounced (\"@d>, relay=h[::1]:25, delay=1, delays=0/0/0/1, "
         "dsn=2.0.0, status=sent (250)",
         MAILLOG_SENT, 1000, "\"a\\\">, relay=x, status=bounced (\"@d", "h[::1]:25"},
        {"to=<u@d>, orig_to=<\">, relay=x, delays=9/9/9/9, status=bounced (\"@d>, relay=none, "
         "delay=1, delays=0/0/0/1, dsn=4.0.0, status=deferred (x, status=sent)",
         MAILLOG_DEFERRED, 1000, "u@d", "none"},
        {"to=<u@d>, relay=none, delay=3, dsn=5.4.4, status=sent (x)", MAILLOG_SENT, -1, "u@d",
         "none"},
        {"to=<u@d>, relay=none, delay=3, delays=0/x/0/0, dsn=5.4.4, status=sent (x)", MAILLOG_SENT,
         -1, "u@d", "none"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        char line[512];
        struct maillog_line l;
        (void)snprintf(line, sizeof line, AT "postfix/smtp[1]: 4jXNzj1xSTz1cMcM: %s",
                       table[i].text);
        maillog_line_read(slice_of(line), now_ms, &l);
        assert_int_equal(l.kind, MAILLOG_ATTEMPTED);
        assert_int_equal(l.status, table[i].status);
        assert_int_equal(l.latency_ms, table[i].latency_ms);
        assert_true(slice_is(l.to, table[i].to) && slice_is(l.relay, table[i].relay));
    }
}

static void reinjected(void **state)
{
    struct maillog_line l;

    (void)state;
    maillog_line_read(slice_of(AT
                               "postfix/smtpd[1]: 4jXNzj1xSTz1cMcM: client=localhost[127.0.0.1], "
                               "orig_queue_id=4jXNzj1fjnz1cMcK, orig_client=c[198.19.0.1]"),
                      now_ms, &l);
    assert_true(l.kind == MAILLOG_BEGUN && l.again && slice_is(l.client, "localhost[127.0.0.1]"));
}

static void times(void **state)
{
    static const struct {
        const char *at;
        int64_t ms;
    } table[] = {
        {"2026-11-22T09:28:33.234567+00:00", 1795339713234},
        {"2026-11-22T18:28:33+09:00", 1795339713000},
        {"2026-11-22T04:28:33.1-05:00", 1795339713100},
        {"Nov 22 09:28:33", 1795339713000},
        {"Nov  2 09:28:33", 1793611713000},
        {"Dec 31 23:59:59", 1767225599000},
    };

    (void)state;
    (void)setenv("TZ", "UTC", 1);
    tzset();
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        char line[128];
        struct maillog_line l;
        /* December's line is read in the first days of January */
        int64_t now = i == 5 ? 1767398400000 : now_ms;
        (void)snprintf(line, sizeof line, "%s h postfix/smtpd[1]: x", table[i].at);
        maillog_line_read(slice_of(line), now, &l);
        assert_int_equal(l.at_ms, table[i].ms);
        assert_int_equal(l.kind, MAILLOG_OTHER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kind_of_each),
        cmocka_unit_test(reason_of_each),
        cmocka_unit_test(cleanup_refuses_content),
        cmocka_unit_test(attempts),
        cmocka_unit_test(reinjected),
        cmocka_unit_test(times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
