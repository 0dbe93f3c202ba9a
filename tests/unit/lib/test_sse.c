/* sse.c: messages come whole, however the pieces end; bounds hold. */
#include "apiclient/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char text[] = ": a comment\nretry: 1500\n\n"
                           "id: 1.2.3.4\ndata: one\n\n"
                           "id: 1.2.3.5\n\n" /* a place without an event */
                           "event: gap\ndata: {\"a\":\ndata:  1}\n\n"
                           "data\n\n"
                           "unknown: x\r\ndata:crlf\r\n\r\n"
                           "id: 9.9.9.9\ndata: never ended";
static const char want[] = "[|one|1.2.3.4][gap|{\"a\":\n 1}|1.2.3.5][||1.2.3.5][|crlf|1.2.3.5]";

static bool collect(void *ctx, const struct sse_message *m)
{
    strbuf_printf(ctx, "[%s|%s|%s]", m->name, m->data, m->id);
    return true;
}

static void pieces_may_end_anywhere(void **state)
{
    (void)state;
    for (size_t step = 1; step <= sizeof text; step++) {
        AUTO_STRBUF struct strbuf got = STRBUF_INIT(KIB);
        struct sse s;
        struct err e = {0};
        bool stopped;

        sse_init(&s, KIB, "", collect, &got);
        for (size_t at = 0; at < sizeof text - 1; at += step) {
            size_t n = sizeof text - 1 - at < step ? sizeof text - 1 - at : step;
            assert_int_equal(sse_feed(&s, (struct slice){text + at, n}, &stopped, &e), ERR_OK);
            assert_false(stopped);
        }
        assert_string_equal(strbuf_str(&got), want);
        assert_int_equal(s.retry_ms, 1500);
        assert_string_equal(s.id, "1.2.3.5"); /* what did not come whole comes again */
        sse_clear(&s);
    }
}

static bool enough(void *ctx, const struct sse_message *m)
{
    (void)m;
    return ++*(int *)ctx < 2;
}

static void stops_when_told(void **state)
{
    struct sse s;
    struct err e = {0};
    int n = 0;
    bool stopped;

    (void)state;
    sse_init(&s, KIB, "", enough, &n);
    assert_int_equal(sse_feed(&s, slice_of("data: 1\n\ndata: 2\n\ndata: 3\n\n"), &stopped, &e),
                     ERR_OK);
    assert_true(stopped);
    assert_int_equal(n, 2);
    sse_clear(&s);
}

static void bounds(void **state)
{
    static const char *const too_much[] = {"data: 123456789012345678901234567890123456789",
                                           "data: 12345678901234567\ndata: 12345678901234567\n\n"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(too_much); i++) {
        struct sse s;
        struct err e = {0};
        bool stopped;

        sse_init(&s, 32, "", collect, NULL);
        assert_int_equal(sse_feed(&s, slice_of(too_much[i]), &stopped, &e), ERR_TOO_LARGE);
        sse_clear(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pieces_may_end_anywhere),
                                       cmocka_unit_test(stops_when_told), cmocka_unit_test(bounds)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
