/* Replies of SMTP servers: whole, split at every byte, and everything that is none. */
#include "loop/smtp_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct {
    const char *name, *in;
    enum smtp_reply_state want;
    int code;
    const char *text;
} table[] = {
    {"banner", "220 mail.example.test ESMTP\r\n", SMTP_REPLY_DONE, 220, "mail.example.test ESMTP"},
    {"only a code", "250\r\n", SMTP_REPLY_DONE, 250, ""},
    {"code and blank", "250 \r\n", SMTP_REPLY_DONE, 250, ""},
    {"several lines", "250-a\r\n250-PIPELINING\r\n250 8BITMIME\r\n", SMTP_REPLY_DONE, 250,
     "a PIPELINING 8BITMIME"},
    {"more behind it", "250 a\r\n354 b\r\n", SMTP_REPLY_DONE, 250, "a"},
    {"control bytes are not passed on", "550 a\x1b[2Jb\r\n", SMTP_REPLY_DONE, 550, "a?[2Jb"},
    {"nothing yet", "", SMTP_REPLY_MORE, 0, ""},
    {"unfinished", "250-a\r\n250 b\r", SMTP_REPLY_MORE, 0, ""},
    {"codes differ", "250-a\r\n550 b\r\n", SMTP_REPLY_BAD, 0, ""},
    {"bare LF", "250 a\n", SMTP_REPLY_BAD, 0, ""},
    {"bare CR", "250 a\rb\r\n", SMTP_REPLY_BAD, 0, ""},
    {"no code", "hello\r\n", SMTP_REPLY_BAD, 0, ""},
    {"short", "25\r\n", SMTP_REPLY_BAD, 0, ""},
    {"empty line", "\r\n", SMTP_REPLY_BAD, 0, ""},
    {"code too low", "150 a\r\n", SMTP_REPLY_BAD, 0, ""},
    {"code too high", "600 a\r\n", SMTP_REPLY_BAD, 0, ""},
    {"a letter after the code", "250x a\r\n", SMTP_REPLY_BAD, 0, ""},
};

static void one_by_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct smtp_reply r = {0};
        enum smtp_reply_state got = smtp_reply_parse(slice_of(table[i].in), &r);
        if (got != table[i].want)
            fail_msg("%s: state %d", table[i].name, (int)got);
        if (got == SMTP_REPLY_DONE &&
            (r.code != table[i].code || strcmp(r.text, table[i].text) != 0))
            fail_msg("%s: %d \"%s\"", table[i].name, r.code, r.text);
    }
}

/* Whatever arrives first must not decide: a prefix of a good reply is "more", never "bad" or
 * another reply. */
static void every_prefix(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct smtp_reply whole = {0}, r = {0};
        if (table[i].want != SMTP_REPLY_DONE)
            continue;
        assert_int_equal(smtp_reply_parse(slice_of(table[i].in), &whole), SMTP_REPLY_DONE);
        for (size_t n = 0; n < whole.used; n++)
            if (smtp_reply_parse((struct slice){table[i].in, n}, &r) != SMTP_REPLY_MORE)
                fail_msg("%s cut at %zu", table[i].name, n);
    }
}

static void endless(void **state)
{
    static char big[SMTP_REPLY_MAX + 4096];
    struct smtp_reply r;
    size_t n = 0;

    (void)state;
    memset(big, 'a', sizeof big);
    memcpy(big, "250 ", 4);
    assert_int_equal(smtp_reply_parse((struct slice){big, sizeof big}, &r), SMTP_REPLY_BAD);
    while (n + 7 < sizeof big) {
        memcpy(big + n, "250-a\r\n", 7);
        n += 7;
    }
    assert_int_equal(smtp_reply_parse((struct slice){big, n}, &r), SMTP_REPLY_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_by_one),
        cmocka_unit_test(every_prefix),
        cmocka_unit_test(endless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
