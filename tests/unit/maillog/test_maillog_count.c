/* Rows from lines: what counts once, what does not count, time, and the bounds. */
#include "maillog/maillog_count.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const int64_t now_ms = 1795339713000; /* 2026-11-22T09:28:33Z */
static struct maillog_count c;

static int fresh(void **state)
{
    (void)state;
    maillog_count_init(&c, "dev.inari.invalid", 60);
    return 0;
}

static void line(const char *text)
{
    char whole[600];

    (void)snprintf(whole, sizeof whole, "2026-11-22T09:28:30Z h postfix/%s", text);
    maillog_count_line(&c, slice_of(whole), now_ms);
}

static json_t *only_row(void)
{
    static json_t *rows;

    json_decref(rows);
    rows = maillog_count_json(&c, now_ms, 0, MAILLOG_ROWS);
    assert_true(json_array_size(rows) <= 1);
    return json_array_get(rows, 0);
}

static int64_t of(const char *name)
{
    return json_int(only_row(), name, 0);
}

static void a_message(const char *id)
{
    char text[200];

    (void)snprintf(text, sizeof text, "smtpd[1]: %s: client=c.test[198.19.0.1]", id);
    line(text);
    (void)snprintf(text, sizeof text, "qmgr[1]: %s: from=<a@b>, size=2, nrcpt=1 (queue active)",
                   id);
    line(text);
}

static void sent(const char *id, const char *relay, const char *to, const char *status)
{
    char text[300];

    (void)snprintf(
        text, sizeof text,
        "smtp[1]: %s: to=<%s>, relay=%s, delay=1, delays=0/0/0.2/1, dsn=2.0.0, status=%s (x)", id,
        to, relay, status);
    line(text);
}

static void what_counts(void **state)
{
    (void)state;
    a_message("4jXNzj1xSTz1cMcM");
    line("qmgr[1]: 4jXNzj1xSTz1cMcM: from=<a@b>, size=2, nrcpt=1 (queue active)"); /* a retry */
    line("smtpd[1]: 4jXNzj1xSTz1cMcN: client=c.test[198.19.0.1]");                 /* given up */
    line("qmgr[1]: 4jXNzj1xSTz1cMcO: from=<>, size=2, nrcpt=1 (queue active)"); /* a bounce of our
                                                                                   own */
    sent("4jXNzj1xSTz1cMcM", "h[192.0.2.9]:25", "u@d", "sent");
    sent("4jXNzj1xSTz1cMcM", "none", "v@d", "deferred");
    sent("4jXNzj1xSTz1cMcM", "none", "v@d", "bounced");
    line("smtpd[1]: NOQUEUE: reject: RCPT from c[198.19.0.1]: 554 5.7.1 <x@f>: Relay access "
         "denied; from=<> helo=<c>");
    line("smtpd[1]: fatal: x");
    assert_int_equal(of("accepted"), 1);
    assert_int_equal(of("delivered"), 1);
    assert_int_equal(of("deferred"), 1);
    assert_int_equal(of("bounced"), 1);
    assert_int_equal(of("fatal"), 1);
    assert_int_equal(json_int(json_object_get(only_row(), "rejected"), "relay", 0), 1);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(only_row(), "latency"), 3)),
                     1);
    assert_int_equal(of("at"), 1795339713 - 33);
}

static void what_does_not_count(void **state)
{
    (void)state;
    /* the agent's own probes */
    line("smtpd[1]: NOQUEUE: reject: RCPT from u[192.0.2.1]: 554 5.7.1 <x@f>: Relay access denied; "
         "helo=<dev.inari.invalid>");
    line("smtpd[1]: NOQUEUE: reject: RCPT from localhost[::1]: 550 5.1.2 <x@f>: Recipient address "
         "rejected: x; helo=<y>");
    a_message("4jXNzj1xSTz1cMcM");
    sent("4jXNzj1xSTz1cMcM", "127.0.0.1[127.0.0.1]:10028", "probe@dev.inari.invalid", "sent");
    /* to a filter of this host and back */
    sent("4jXNzj1xSTz1cMcN", "127.0.0.1[127.0.0.1]:10025", "u@d", "sent");
    line("smtpd[1]: 4jXNzj1xSTz1cMcO: client=localhost[127.0.0.1], orig_queue_id=4jXNzj1xSTz1cMcN");
    line("qmgr[1]: 4jXNzj1xSTz1cMcO: from=<a@b>, size=2, nrcpt=1 (queue active)");
    assert_null(only_row());
    /* that it does not take them is news */
    sent("4jXNzj1xSTz1cMcN", "127.0.0.1[127.0.0.1]:10025", "u@d", "deferred");
    assert_int_equal(of("deferred"), 1);
}

static void steps_of_time(void **state)
{
    json_t *rows;
    char text[200];

    (void)state;
    for (int m = 0; m < 60; m++) {
        (void)snprintf(text, sizeof text, "2026-11-22T08:%02d:10Z h postfix/smtpd[1]: fatal: x", m);
        maillog_count_line(&c, slice_of(text), 1795339713000 - 28 * 60000);
    }
    maillog_count_line(&c, slice_of("2026-11-22T10:30:00Z h postfix/smtpd[1]: fatal: ahead of us"),
                       1795339713000 - 28 * 60000);
    rows = maillog_count_json(&c, 1795339713000 - 28 * 60000, 3, MAILLOG_ROWS);
    assert_int_equal(json_array_size(rows), 30); /* 08:31 ... 08:59, 09:00 */
    assert_int_equal(json_int(json_array_get(rows, 0), "at", 0), 1795336260 + 3);
    assert_int_equal(json_int(json_array_get(rows, 29), "at", 0), 1795338000 + 3);
    json_decref(rows);
    rows = maillog_count_json(&c, 1795339713000 - 28 * 60000, 0, 5);
    assert_int_equal(json_array_size(rows), 5);
    assert_int_equal(json_int(json_array_get(rows, 4), "at", 0), 1795338000);
    json_decref(rows);
    rows = maillog_count_json(&c, 1795339713000 + 3600000, 0, MAILLOG_ROWS); /* an hour later */
    assert_int_equal(json_array_size(rows), 0);
    json_decref(rows);
}

/* Many transactions at once: each is found again. */
static void many_ids(void **state)
{
    char text[200];

    (void)state;
    for (int i = 0; i < 500; i++) {
        (void)snprintf(text, sizeof text, "smtpd[1]: 4jXNzj1x%05d: client=c.test[198.19.0.1]", i);
        line(text);
    }
    for (int i = 0; i < 500; i++) {
        (void)snprintf(text, sizeof text,
                       "qmgr[1]: 4jXNzj1x%05d: from=<a@b>, size=2, nrcpt=1 (queue active)", i);
        line(text);
    }
    assert_int_equal(of("accepted"), 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_counts, fresh),
        cmocka_unit_test_setup(what_does_not_count, fresh),
        cmocka_unit_test_setup(steps_of_time, fresh),
        cmocka_unit_test_setup(many_ids, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
