#include "reputation/zone_health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct dnsbl_answer hit = {.kind = DNSBL_LISTED, .codes = {0x7f000002}, .n = 1};
static const struct dnsbl_answer miss = {.kind = DNSBL_NOT_LISTED};
static const struct dnsbl_answer late = {.kind = DNSBL_ERROR, .error = DNSBL_E_TIMEOUT};
static const struct dnsbl_answer servfail = {.kind = DNSBL_ERROR, .error = DNSBL_E_SERVFAIL};

static bool ask(struct zone_health *h, const struct dnsbl_answer *a, int64_t now_ms)
{
    zone_health_asked(h);
    return zone_health_answered(h, a, 1000, now_ms);
}

static bool test_points(struct zone_health *h, const struct dnsbl_answer *listed,
                        const struct dnsbl_answer *other, int64_t now_ms)
{
    const struct dnsbl_answer answers[TEST_POINTS] = {[TEST_LISTED] = *listed,
                                                      [TEST_FREE] = *other,
                                                      [TEST_LISTED_V6] = miss,
                                                      [TEST_FREE_V6] = miss};

    assert_true(zone_health_test_due(h, now_ms));
    zone_health_test_begin(h);
    assert_false(zone_health_test_due(h, now_ms));
    return zone_health_test_end(h, answers, now_ms);
}

static struct zone_health proven(int64_t now_ms)
{
    struct zone_health h;

    zone_health_init(&h, "bl.example", 1, now_ms);
    assert_true(zone_health_may_ask(&h, true));
    assert_false(zone_health_believed(&h, true));
    assert_true(test_points(&h, &hit, &miss, now_ms));
    assert_string_equal(zone_health_state_name(&h), "ok");
    assert_true(zone_health_believed(&h, true));
    return h;
}

static void five_in_a_row(void **state)
{
    struct zone_health h = proven(1000);

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_false(ask(&h, i % 2 ? &late : &servfail, 1000));
    assert_false(ask(&h, &miss, 1000)); /* one good answer: from the beginning */
    for (int i = 0; i < 4; i++)
        assert_false(ask(&h, &late, 1000));
    assert_true(ask(&h, &late, 1000));
    assert_int_equal(h.state, ZONE_DOWN);
    assert_string_equal(h.last_error, "no answer");
    assert_false(zone_health_may_ask(&h, true));
    assert_int_equal(h.skipped, 1);
    assert_true(zone_health_believed(&h, true)); /* what it said before */
    assert_int_equal(h.timeouts, 7);
    assert_int_equal(h.errors, 2);
}

static void half_of_them(void **state)
{
    struct zone_health h = proven(1000);
    int i;

    (void)state;
    for (i = 0; i < 100 && !ask(&h, i % 2 ? &servfail : &miss, 1000 + i); i++)
        continue;
    assert_int_equal(i, 19);
    h = proven(1000);
    for (i = 0; i < 100; i++) /* one in ten is life */
        assert_false(ask(&h, i % 10 == 9 ? &servfail : &miss, 1000 + i));
    h = proven(1000);
    for (i = 0; i < 1000; i++) /* and so is one in two that are minutes apart */
        assert_false(ask(&h, i % 2 ? &servfail : &miss, 1000 + (int64_t)i * 60000));
}

/* Nobody answers, and there is no time-out yet: the breaker does not wait for those. */
static void slow_ones(void **state)
{
    struct zone_health h = proven(1000);

    (void)state;
    for (int i = 0; i < 30; i++)
        assert_false(zone_health_slow(&h, 700, 2000)); /* others were answered a second ago */
    assert_true(zone_health_slow(&h, 700, 2500));
    assert_int_equal(h.state, ZONE_DOWN);
    h = proven(1000);
    for (int i = 0; i < 100; i++) {
        assert_false(zone_health_slow(&h, 700, 1000 + i * 100));
        assert_false(ask(&h, &hit, 1000 + i * 100)); /* slow answers are answers */
    }
}

/* The next test that succeeds ends it, however long it was down; no test is more than 20 s after
 * the one before. */
static void comes_back(void **state)
{
    struct zone_health h = proven(0);
    int64_t now = 0, last = 0;
    int tests = 0;

    (void)state;
    for (int i = 0; i < 5; i++)
        (void)ask(&h, &late, 0);
    assert_int_equal(h.state, ZONE_DOWN);
    for (; now < 600000; now += 500) {
        assert_true(now - last <= ZONE_TEST_AGAIN_MAX_MS);
        if (zone_health_test_due(&h, now)) {
            last = now;
            tests++;
            assert_false(test_points(&h, &late, &late, now));
        }
    }
    assert_true(tests >= 30 && tests <= 40);
    now = zone_health_test_at(&h);
    assert_true(test_points(&h, &hit, &miss, now));
    assert_int_equal(h.state, ZONE_OK);
    assert_string_equal(zone_health_state_name(&h), "half_open");
    for (int i = 0; i < ZONE_TRIAL_OPEN; i++) {
        assert_true(zone_health_may_ask(&h, true));
        zone_health_asked(&h);
    }
    assert_false(zone_health_may_ask(&h, true)); /* a few at a time */
    for (int i = 0; i < ZONE_TRIAL_GOOD; i++)
        assert_false(zone_health_answered(&h, &miss, 1, now));
    assert_true(zone_health_may_ask(&h, true));
    assert_string_equal(zone_health_state_name(&h), "ok");
}

/* The test points are answered (by some cache), nothing else is: it is open again at once, and the
 * pauses grow. */
static void comes_back_and_fails(void **state)
{
    struct zone_health h = proven(0);
    int64_t now = 0, pause, before = 0;

    (void)state;
    for (int i = 0; i < 5; i++)
        (void)ask(&h, &late, 0);
    for (int i = 0; i < 8; i++) {
        pause = zone_health_test_at(&h) - now;
        assert_true(pause >= before && pause <= ZONE_TEST_AGAIN_MAX_MS);
        before = pause;
        now += pause;
        assert_true(test_points(&h, &hit, &miss, now));
        assert_true(ask(&h, &late, now));
        assert_int_equal(h.state, ZONE_DOWN);
    }
    assert_int_equal(before, ZONE_TEST_AGAIN_MAX_MS);
}

static void lists_everything(void **state)
{
    struct zone_health h = proven(0);
    int64_t now = 1000;

    (void)state;
    for (int i = 0; i < ZONE_LISTED_ROW - 1; i++)
        (void)ask(&h, &hit, now);
    assert_false(zone_health_test_due(&h, now));
    now = 3000;
    (void)ask(&h, &hit, now); /* so many in a row: look now, not in a minute */
    assert_true(test_points(&h, &hit, &hit, now));
    assert_string_equal(zone_health_state_name(&h), "lists_all");
    assert_string_equal(h.test_result, "127.0.0.1 is listed: the zone lists everything");
    assert_false(zone_health_may_ask(&h, true));
    assert_false(zone_health_believed(&h, true));
    now = zone_health_test_at(&h);
    assert_true(now <= 3000 + 60000);
    assert_true(test_points(&h, &hit, &miss, now)); /* and it is a list again */
    assert_true(zone_health_believed(&h, true));
}

static void lists_everything_in_ipv6(void **state)
{
    const struct dnsbl_answer answers[TEST_POINTS] = {
        [TEST_LISTED] = hit, [TEST_FREE] = miss, [TEST_LISTED_V6] = hit, [TEST_FREE_V6] = hit};
    struct zone_health h;

    (void)state;
    zone_health_init(&h, "bl.example", 1, 0);
    zone_health_test_begin(&h);
    assert_true(zone_health_test_end(&h, answers, 0));
    assert_true(zone_health_believed(&h, true));
    assert_false(zone_health_believed(&h, false));
    assert_false(zone_health_may_ask(&h, false));
    assert_true(zone_health_may_ask(&h, true));
}

static void one_lost_test(void **state)
{
    struct zone_health h = proven(0);
    int64_t now = zone_health_test_at(&h);

    (void)state;
    assert_false(test_points(&h, &late, &miss, now));
    assert_int_equal(h.state, ZONE_OK);
    now = zone_health_test_at(&h);
    assert_true(
        test_points(&h, &late, &miss, now)); /* twice: nobody has to be kept waiting to find out */
    assert_int_equal(h.state, ZONE_DOWN);
    h = proven(0);
    now = zone_health_test_at(&h);
    assert_true(test_points(&h, &miss, &miss, now));
    assert_string_equal(zone_health_state_name(&h), "empty");
    assert_true(zone_health_believed(&h, true));
}

static void latencies(void **state)
{
    struct zone_health h = proven(0);

    (void)state;
    assert_int_equal(zone_health_latency_us(&h, 50), 0);
    for (int i = 1; i <= 1000; i++) {
        zone_health_asked(&h);
        (void)zone_health_answered(&h, &miss, i, 1);
    }
    assert_int_equal(zone_health_latency_us(&h, 50), 872); /* of the last 256 */
    assert_int_equal(zone_health_latency_us(&h, 95), 987);
    (void)ask(&h, &late, 1);
    assert_int_equal(zone_health_latency_us(&h, 100), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_in_a_row),
        cmocka_unit_test(half_of_them),
        cmocka_unit_test(slow_ones),
        cmocka_unit_test(comes_back),
        cmocka_unit_test(comes_back_and_fails),
        cmocka_unit_test(lists_everything),
        cmocka_unit_test(lists_everything_in_ipv6),
        cmocka_unit_test(one_lost_test),
        cmocka_unit_test(latencies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
