/* What tables of lines do not show: bounds, the context over a restart, wrong bytes, subjects. */
#include "json/json_in.h"
#include "maillog/maillog_event.h"
#include "maillog/maillog_subject.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const int64_t now_ms = 1795339713000; /* 2026-11-22T09:28:33Z */
static struct maillog_events m;

static int fresh(void **state)
{
    struct err e;

    (void)state;
    return maillog_events_init(&m, "dev.inari.invalid", &e) != ERR_OK;
}

static int gone(void **state)
{
    (void)state;
    maillog_events_clear(&m);
    return 0;
}

static size_t line(const char *fmt, ...) PRINTF_LIKE(1, 2);
static size_t line(const char *fmt, ...)
{
    static char whole[20000];
    struct err e;
    va_list ap;
    int n = snprintf(whole, sizeof whole, "2026-11-22T09:28:30.5Z h postfix/");

    va_start(ap, fmt);
    (void)vsnprintf(whole + n, sizeof whole - (size_t)n, fmt, ap);
    va_end(ap);
    assert_int_equal(maillog_events_line(&m, slice_of(whole), now_ms, &e), ERR_OK);
    return m.n_out;
}

static json_t *json_of(size_t i)
{
    static json_t *j;
    AUTO_STRBUF struct strbuf s = STRBUF_INIT(MAILLOG_EVENT_MAX);
    struct err e;

    json_decref(j);
    j = NULL;
    if (i == SIZE_MAX)
        return NULL;
    maillog_event_json(&m.out[i], 1000, &s);
    assert_true(strbuf_ok(&s));
    if (json_in_parse(strbuf_slice(&s), MAILLOG_EVENT_MAX, &j, &e) != ERR_OK)
        fail_msg("%s: %s", e.msg, strbuf_str(&s));
    return j;
}

static const char *text_of(const char *name)
{
    return json_str(json_of(0), name, "");
}

static void times_and_wrong_bytes(void **state)
{
    (void)state;
    assert_int_equal(line("smtpd[1]: fatal: a\xff\xc3(\x01\"\\\xe3\x81\x82\xed\xa0\x80"), 1);
    assert_string_equal(text_of("text"), "a\xef\xbf\xbd\xef\xbf\xbd(\x01\"\\\xe3\x81\x82"
                                         "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    assert_int_equal(json_int(json_of(0), "at", 0), 1795339710500 + 1000);
}

/* Longest values of every member, each byte needing an escape: still one event. */
static void bounds_of_an_event(void **state)
{
    char big[7000];

    (void)state;
    memset(big, 1, sizeof big - 1);
    big[sizeof big - 1] = '\0';
    assert_int_equal(line("smtpd[1]: warning: %s", big), 1);
    assert_true(json_bool(json_object_get(json_of(0), "detail"), "cut", false));
    assert_true(strlen(text_of("text")) < ME_TEXT_MAX);
    memset(big, 'x', sizeof big - 1);
    assert_int_equal(line("smtpd[1]: warning: %s", big), 1);
    assert_int_equal(strlen(text_of("text")), ME_TEXT_MAX);
    for (size_t i = 0; i + 3 < sizeof big; i += 3) /* never half a character */
        memcpy(big + i, "\xe3\x81\x82", 3);
    assert_int_equal(line("smtpd[1]: warning: %s", big), 1);
    assert_int_equal(strlen(text_of("text")), ME_TEXT_MAX / 3 * 3);
    memset(big, '"', sizeof big - 1);
    m.out[0] = (struct maillog_event){.size = INT64_MAX, .delay_ms = INT64_MAX};
    for (struct slice *s = &m.out[0].queue_id; s <= &m.out[0].text; s++)
        *s = slice_of(big);
    m.out[0].at_ms = INT64_MAX - 1000;
    for (int i = 0; i < 12; i++) {
        static const char *const names[] = {"a234567890a", "b", "c", "d", "e", "f",
                                            "g",           "h", "i", "j", "k", "l"};
        me_text(&m.out[0], names[i], slice_of(big));
    }
    assert_int_equal(m.out[0].n_detail, ME_DETAILS);
    assert_int_equal(json_object_size(json_object_get(json_of(0), "detail")), ME_DETAILS + 1);
}

static void a_message(int i)
{
    (void)line("smtpd[1]: 4jXNzj1x%06d: client=c.test[198.19.0.1]", i);
    (void)line("cleanup[1]: 4jXNzj1x%06d: message-id=<%d@c.test>", i, i);
    (void)line("qmgr[1]: 4jXNzj1x%06d: from=<a@b>, size=2, nrcpt=1 (queue active)", i);
}

static void send(int i)
{
    assert_int_equal(line("smtp[1]: 4jXNzj1x%06d: to=<u@d>, relay=h[192.0.2.9]:25, delay=1, "
                          "delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)",
                          i),
                     1);
}

/* T05, K09: every event of a message has its client and message id. */
static void client_and_message_id_always(void **state)
{
    static const char *const lines[] = {
        "smtp[2]: 4jXNzj1x000007: to=<u@d>, relay=none, delay=1, delays=0/0/0/1, dsn=4.4.1, "
        "status=deferred (x)",
        "smtp[2]: 4jXNzj1x000007: host h[192.0.2.9] said: 450 x (in reply to RCPT TO command)",
        "smtpd[1]: 4jXNzj1x000007: reject: RCPT from c.test[198.19.0.1]: 550 x; from=<a@b> "
        "to=<c@d>",
        "bounce[1]: 4jXNzj1x000007: sender delay notification: 4jXNzj1xSTz1cMcM",
        "postsuper[1]: 4jXNzj1x000007: placed on hold",
        "postsuper[1]: 4jXNzj1x000007: released from hold",
        "postsuper[1]: 4jXNzj1x000007: requeued",
        "qmgr[1]: 4jXNzj1x000007: from=<a@b>, status=expired, returned to sender",
        "qmgr[1]: warning: 4jXNzj1x000007: x",
        "qmgr[1]: 4jXNzj1x000007: something new",
        "qmgr[1]: 4jXNzj1x000007: removed",
    };

    (void)state;
    a_message(7);
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        if (line("%s", lines[i]) != 1 || strcmp(text_of("client"), "198.19.0.1") != 0 ||
            strcmp(text_of("message_id"), "7@c.test") != 0)
            fail_msg("%s", lines[i]);
    }
}

/* T09, K10: 50 messages of one session have 50 ids, whatever order their lines come in. */
static void fifty_of_one_session(void **state)
{
    (void)state;
    (void)line("smtpd[1]: connect from c.test[198.19.0.1]");
    for (int i = 0; i < 50; i++) {
        (void)line("smtpd[1]: 4jXNzj1x%06d: client=c.test[198.19.0.1]", i);
        (void)line("cleanup[1]: 4jXNzj1x%06d: message-id=<%d@c.test>", i, i);
    }
    for (int i = 49; i >= 0; i--) {
        char id[20], message_id[20];
        (void)snprintf(id, sizeof id, "4jXNzj1x%06d", i);
        (void)snprintf(message_id, sizeof message_id, "%d@c.test", i);
        assert_int_equal(line("qmgr[1]: %s: from=<a%d@b>, size=2, nrcpt=1 (queue active)", id, i),
                         1);
        assert_string_equal(text_of("queue_id"), id);
        assert_string_equal(text_of("message_id"), message_id);
        assert_string_equal(text_of("kind"), "message.queued");
    }
}

static void queued_once(void **state)
{
    (void)state;
    a_message(1);
    assert_int_equal(m.n_out, 1);
    assert_int_equal(line("qmgr[1]: 4jXNzj1x000001: from=<a@b>, size=2, nrcpt=1 (queue active)"),
                     0);
    /* of a message that nothing is known of: a retry */
    assert_int_equal(line("qmgr[1]: 4jXNzj1x000002: from=<a@b>, size=2, nrcpt=1 (queue active)"),
                     0);
    send(2);
    assert_string_equal(text_of("sender"), "a@b");
    /* a short id that is another message's now */
    (void)line("smtpd[1]: 4jXNzj1x000001: client=d.test[198.19.0.2]");
    assert_int_equal(line("qmgr[1]: 4jXNzj1x000001: from=<a@b>, size=2, nrcpt=1 (queue active)"),
                     1);
    assert_string_equal(text_of("client"), "198.19.0.2");
    assert_string_equal(text_of("message_id"), "");
}

static void no_more_than_it_may(void **state)
{
    char big[400];

    (void)state;
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    for (int i = 0; i < MAILLOG_MESSAGES + 100; i++)
        a_message(i);
    assert_int_equal(m.context.n_known, MAILLOG_MESSAGES);
    send(MAILLOG_MESSAGES + 99);
    assert_string_equal(text_of("client"), "198.19.0.1");
    send(0); /* forgotten */
    assert_string_equal(text_of("client"), "");
    for (int i = 0; i < MAILLOG_MESSAGES; i++)
        (void)line("cleanup[1]: 4jXNzj1x%06d: message-id=<%d%s@c.test>", i, i, big);
    assert_true(m.context.bytes <= MAILLOG_MESSAGE_BYTES);
    assert_true(m.context.n_known > 1000);
    for (int i = 0; i < 3000; i++)
        (void)line("smtpd[%d]: connect from c.test[198.19.0.1]", i);
}

static void context_over_a_restart(void **state)
{
    AUTO_STRBUF struct strbuf s = STRBUF_INIT(16), again = STRBUF_INIT(16);
    struct err e;

    (void)state;
    for (int i = 0; i < 1000; i++)
        a_message(i);
    (void)line("smtpd[9]: connect from c.test[198.19.0.1]");
    (void)line("smtpd[9]: lost connection after DATA from c.test[198.19.0.1]");
    (void)line("qmgr[1]: 4jXNzj1x000003: removed");
    maillog_events_settle(&m);
    maillog_context_save(&m.context, &s);
    assert_true(strbuf_ok(&s));
    maillog_events_clear(&m);
    assert_int_equal(maillog_events_init(&m, "dev.inari.invalid", &e), ERR_OK);
    assert_int_equal(maillog_context_load(&m.context, strbuf_slice(&s), &e), ERR_OK);
    maillog_context_save(&m.context, &again);
    assert_true(slice_eq(strbuf_slice(&s), strbuf_slice(&again)));
    assert_int_equal(line("qmgr[1]: 4jXNzj1x000999: from=<a@b>, size=2, nrcpt=1 (queue active)"),
                     0);
    send(999);
    assert_string_equal(text_of("message_id"), "999@c.test");
    send(3);
    assert_string_equal(text_of("message_id"), "");
    assert_int_equal(line("smtpd[9]: disconnect from c.test[198.19.0.1] commands=0/0"), 1);
    assert_string_equal(json_str(json_object_get(json_of(0), "detail"), "lost", ""),
                        "lost connection after DATA");
    /* damaged in any place: refused, and empty */
    for (size_t at = 0; at < s.n; at += 1009) {
        s.p[at] ^= 0x20;
        assert_int_equal(maillog_context_load(&m.context, strbuf_slice(&s), &e), ERR_MALFORMED);
        assert_int_equal(m.context.n_known, 0);
        s.p[at] ^= 0x20;
    }
    assert_int_equal(maillog_context_load(&m.context, (struct slice){s.p, 7}, &e), ERR_MALFORMED);
}

static void subjects(void **state)
{
    static const char *const table[][2] = {
        {"plain text", "plain text"},
        {"", ""},
        {"=?UTF-8?B?44OG44K544OI?=", "テスト"},
        {"=?utf-8?q?caf=C3=A9_au_lait?= yes", "café au lait yes"},
        {"=?ISO-2022-JP?B?GyRCJUYlOSVIGyhC?=", "テスト"},
        {"Re: =?ISO-2022-JP?B?GyRCJUYlOSVIGyhC?= (2)", "Re: テスト (2)"},
        {"=?Shift_JIS?B?g2WDWINn?=", "テスト"},
        {"=?shift_jis?B?h0A=?=", "①"}, /* a letter of Windows-31J */
        {"=?EUC-JP?B?pcaluaXI?=", "テスト"},
        /* the line end between words is a '?' in the log; white space between words is none */
        {"=?UTF-8?B?44OG?=? =?UTF-8?B?44K544OI?=", "テスト"},
        {"=?UTF-8?B?44OG?=   =?UTF-8?B?44K544OI?= x", "テスト x"},
        /* a character cut in two */
        {"=?UTF-8?B?44M=?= =?UTF-8?B?hg==?=", "テ"},
        {"=?UTF-8?B?44OG?= =?ISO-2022-JP?B?GyRCJUYlOSVIGyhC?=", "テテスト"},
        {"=?UTF-8*en?Q?a?=", "a"},
        {"=?UTF-8?Q?=ff=41?=", "\xef\xbf\xbd"
                               "A"},
        {"=?UTF-8?B?44OG", "=?UTF-8?B?44OG"}, /* cut off */
        {"=?X-UNKNOWN?B?44OG?=", "=?X-UNKNOWN?B?44OG?="},
        {"=?UTF-8?X?44OG?= =?", "=?UTF-8?X?44OG?= =?"},
        {"a=?=?=?b", "a=?=?=?b"},
        {"テスト ok?", "テスト ok?"},
    };
    char out[MAILLOG_SUBJECT_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        size_t n = maillog_subject_decode(slice_of(table[i][0]), out, sizeof out);
        if (!slice_is((struct slice){out, n}, table[i][1]))
            fail_msg("%s: %.*s", table[i][0], (int)n, out);
    }
    /* no more than there is room for, in whole characters */
    assert_int_equal(maillog_subject_decode(slice_of("=?UTF-8?B?44OG44K544OI?="), out, 8), 6);
    assert_int_equal(maillog_subject_decode(slice_of("テスト"), out, 8), 6);
}

static void subject_in_a_line(void **state)
{
    char text[700], want[400];

    (void)state;
    memset(want, 'a', sizeof want - 1);
    want[sizeof want - 1] = '\0';
    (void)line("smtpd[1]: 4jXNzj1x000001: client=c.test[198.19.0.1]");
    /* Postfix cuts the header at 200 bytes, the text of the check not */
    (void)snprintf(text, sizeof text,
                   "header Subject: %.191s from c.test[198.19.0.1]; from=<a@b> "
                   "to=<c@d> proto=ESMTP helo=<h>: inari-subject %s",
                   want, want);
    assert_int_equal(line("cleanup[1]: 4jXNzj1x000001: info: %s", text), 0);
    assert_int_equal(line("qmgr[1]: 4jXNzj1x000001: from=<a@b>, size=2, nrcpt=1 (queue active)"),
                     1);
    assert_string_equal(text_of("subject"), want);
    assert_string_equal(text_of("helo"), "h");
}

static int forget(void **state)
{
    (void)state;
    (void)json_of(SIZE_MAX);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(times_and_wrong_bytes, fresh, gone),
        cmocka_unit_test_setup_teardown(bounds_of_an_event, fresh, gone),
        cmocka_unit_test_setup_teardown(client_and_message_id_always, fresh, gone),
        cmocka_unit_test_setup_teardown(fifty_of_one_session, fresh, gone),
        cmocka_unit_test_setup_teardown(queued_once, fresh, gone),
        cmocka_unit_test_setup_teardown(no_more_than_it_may, fresh, gone),
        cmocka_unit_test_setup_teardown(context_over_a_restart, fresh, gone),
        cmocka_unit_test(subjects),
        cmocka_unit_test_setup_teardown(subject_in_a_line, fresh, gone),
    };

    return cmocka_run_group_tests_name("maillog_event", tests, NULL, forget);
}
