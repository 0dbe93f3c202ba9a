/* Waiting: full jitter, Retry-After (fault case B6), the loop guard (A12), and what a whole fleet
 * does (B2, B3). */
#include "loop/backoff.h"

#include "base/clock.h"
#include "base/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void full_jitter(void **state)
{
    int64_t limit = BACKOFF_BASE_MS, seen_max = 0;
    struct backoff b = {0};

    (void)state;
    for (int i = 0; i < 12; i++) {
        struct backoff at = {.failures = (unsigned)i};
        for (int k = 0; k < 200; k++) {
            struct backoff copy = at;
            int64_t wait = backoff_next(&copy);
            assert_in_range(wait, 0, limit);
            seen_max = wait > seen_max ? wait : seen_max;
        }
        limit = limit * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : limit * 2;
    }
    assert_true(seen_max > BACKOFF_MAX_MS / 2); /* it does use the whole range */
    for (int i = 0; i < 1000; i++)
        assert_in_range(backoff_next(&b), 0, BACKOFF_MAX_MS);
    backoff_reset(&b);
    assert_in_range(backoff_next(&b), 0, BACKOFF_BASE_MS);
}

static void retry_after(void **state)
{
    static const struct {
        const char *name, *value;
        int64_t least, most;
    } t[] = {
        {"absent", "", -1, -1},
        {"ten seconds", "10", 10000, 12000},
        {"zero", "0", 0, 0},
        {"ten days", "864000", RETRY_AFTER_MAX_MS, RETRY_AFTER_MAX_MS},
        {"larger than any number", "99999999999999999999999", -1, -1},
        {"64 bit", "18446744073709551615", RETRY_AFTER_MAX_MS, RETRY_AFTER_MAX_MS},
        {"negative", "-5", -1, -1},
        {"not a number", "soon", -1, -1},
        {"fraction", "1.5", -1, -1},
        {"a date in the past", "Thu, 01 Jan 1970 00:00:10 GMT", -1, -1},
        {"a date 60 s ahead", "Thu, 01 Jan 1970 00:02:00 GMT", 60000, 72000},
        {"a date years ahead", "Sun, 06 Nov 2094 08:49:37 GMT", RETRY_AFTER_MAX_MS,
         RETRY_AFTER_MAX_MS},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        int64_t got = backoff_retry_after(slice_of(t[i].value), 60000);
        if (got < t[i].least || got > t[i].most)
            fail_msg("%s: %lld", t[i].name, (long long)got);
    }
}

static void loop_guard(void **state)
{
    struct loop_guard g = {0};
    int64_t now = 1000, waited = 0;

    (void)state;
    assert_int_equal(loop_guard_take(&g, now), 0);
    assert_int_equal(loop_guard_take(&g, now), 0);
    assert_in_range(loop_guard_take(&g, now), LOOP_GUARD_REFILL_MS - 10, LOOP_GUARD_REFILL_MS + 10);
    /* A parent whose answers always differ gets one request each five seconds, for as long as it
     * likes. */
    now += LOOP_GUARD_REFILL_MS;
    for (int i = 0; i < 100; i++) {
        int64_t wait = loop_guard_take(&g, now);
        waited += wait;
        now += wait;
    }
    assert_in_range(waited, 99 * LOOP_GUARD_REFILL_MS, 102 * LOOP_GUARD_REFILL_MS);
}

/* A12: what came a few answers ago is nothing new; really new content goes on at once until it is
 * too much. */
static void churn(void **state)
{
    struct churn c = {0};
    int64_t now = 1000, waited = 0;
    char digest[65];

    (void)state;
    for (int i = 0; i < 50; i++) /* people, over a morning: never waited for */
        assert_int_equal(churn_took(&c, i % 2 ? "one" : "other", false, now += 60000), 0);
    assert_false(churn_seen(&c));
    for (int i = 0; i < 40; i++) { /* two contents in turn, at once */
        int64_t wait = churn_took(&c, i % 2 ? "one" : "other", true, now);
        waited += wait;
        now += wait;
    }
    assert_in_range(waited, 37 * LOOP_GUARD_REFILL_MS, 40 * LOOP_GUARD_REFILL_MS);
    assert_true(churn_seen(&c));
    assert_false(churn_over(&c, now));
    now += (LOOP_GUARD_BURST + 1) * LOOP_GUARD_REFILL_MS;
    assert_true(churn_over(&c, now));

    c = (struct churn){0};
    waited = 0;
    for (int i = 0; i < CHURN_BURST + 100; i++) { /* always new */
        (void)snprintf(digest, sizeof digest, "%d", i);
        int64_t wait = churn_took(&c, digest, true, now);
        assert_int_equal(wait,
                         i < CHURN_BURST || (wait == 0 && i < 2 * CHURN_BURST) ? 0 : CHURN_WAIT_MS);
        waited += wait;
        now += wait;
    }
    assert_true(churn_seen(&c));
    assert_in_range(waited, 70 * CHURN_WAIT_MS, 100 * CHURN_WAIT_MS);
    assert_true(churn_over(&c, now + 2 * (CHURN_BURST + 1) * CHURN_REFILL_MS));
}

/* --- a fleet --- */

enum { FLEET = 10000, MINUTE = 60 };

static unsigned busiest(const unsigned *by_second, int n)
{
    unsigned most = 0;

    for (int i = 0; i < n; i++)
        most = by_second[i] > most ? by_second[i] : most;
    return most;
}

/* The parent is away for an hour: when does each child come back, in seconds after that? */
static void back_after_an_hour(void **state)
{
    static unsigned by_second[BACKOFF_MAX_MS / 1000 + 1];
    unsigned first_minute = 0;

    (void)state;
    for (int i = 0; i < FLEET; i++) {
        struct backoff b = {0};
        int64_t at = 0;
        while (at < 3600 * 1000)
            at += backoff_next(&b);
        at -= 3600 * 1000;
        assert_in_range(at, 0, BACKOFF_MAX_MS);
        by_second[at / 1000]++;
    }
    for (int i = 0; i < MINUTE; i++)
        first_minute += by_second[i];
    assert_true(busiest(by_second, COUNT_OF(by_second)) < FLEET / 100);
    assert_true(first_minute < FLEET / 2); /* spread over more than the minute that is asked for */
}

/* All machines of a site boot in the same second, twice. */
static void booted_together(void **state)
{
    unsigned by_second[MINUTE] = {0};

    (void)state;
    for (int i = 0; i < FLEET; i++) {
        char id[UUID_TEXT_SIZE];
        int64_t slot;
        uuid7(id);
        slot = backoff_boot_slot_ms(id);
        assert_in_range(slot, 0, BOOT_SLOT_MS - 1);
        assert_int_equal(slot, backoff_boot_slot_ms(id)); /* of the device, not of the boot */
        by_second[slot / 1000]++;
    }
    for (int i = 0; i < MINUTE; i++)
        assert_in_range(by_second[i], FLEET / MINUTE / 2, FLEET / MINUTE * 5 / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_jitter),        cmocka_unit_test(retry_after),
        cmocka_unit_test(loop_guard),         cmocka_unit_test(churn),
        cmocka_unit_test(back_after_an_hour), cmocka_unit_test(booted_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
