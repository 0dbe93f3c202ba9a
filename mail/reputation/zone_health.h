/*
 * zone_health.h - whether a zone can be asked and believed: breaker, test points, figures.
 * Source:   RFC 5782 5 (test points): 127.0.0.2 is listed, 127.0.0.1 is not; for IPv6 ::ffff:7f00:2
 * and ::ffff:7f00:1, both asked as IPv6 addresses (the nibble form). Pure: every function takes the
 * time; nothing is asked here.  The caller's lock.
 *
 *   unproven  nobody has asked the test points yet: questions are asked, a listing does not count
 *   ok        proven
 *   empty     proven, but 127.0.0.2 is not listed either: listings count, but somebody should look
 * whether that zone lives down      too many failures: nobody asks but the test, again and again,
 * for ever; the first test that succeeds ends it, and then a few questions at a time are tried
 * until some succeed (half-open) lists_all 127.0.0.1 is listed: it lists everyone (given up,
 * parked).  Nothing of it counts; the test goes on
 */
#pragma once

#include "reputation/dnsbl_answer.h"
#include "reputation/reputation_conf.h"

enum zone_state { ZONE_UNPROVEN, ZONE_OK, ZONE_EMPTY, ZONE_DOWN, ZONE_LISTS_ALL };
enum zone_ipv6 { ZONE_IPV6_UNKNOWN, ZONE_IPV6_YES, ZONE_IPV6_NO, ZONE_IPV6_LISTS_ALL };
enum zone_test_point { TEST_LISTED, TEST_FREE, TEST_LISTED_V6, TEST_FREE_V6, TEST_POINTS };

enum {
    ZONE_ROW_MAX = 5,               /* failures in a row that open the breaker */
    ZONE_SLOW_MAX = 10,             /* or so many that got no answer in time, and nobody else did */
    ZONE_WINDOW_MS = 30000,         /* or half of all in such a time ... */
    ZONE_WINDOW_MIN = 20,           /* ... if they are so many */
    ZONE_TRIAL_OPEN = 8,            /* questions at a time while half-open */
    ZONE_TRIAL_GOOD = 3,            /* answers that end it */
    ZONE_LISTED_ROW = 20,           /* so many listed in a row: is it still a list?  Test it now */
    ZONE_TEST_MS = 60000,           /* a zone that is well is tested so often */
    ZONE_TEST_AGAIN_MS = 2000,      /* one that is not: first, then twice as long, up to: */
    ZONE_TEST_AGAIN_MAX_MS = 20000, /* with a test's own 7 s at most still far below 60 s */
    ZONE_LATENCIES = 256,
};

struct zone_health {
    char name[REP_ZONE_NAME_SIZE];
    uint32_t id; /* never 0, never used twice */
    unsigned refs;
    enum zone_state state;
    enum zone_ipv6 ipv6;
    int64_t since_ms; /* in that state */

    unsigned fail_row, slow_row, listed_row;
    unsigned window_all, window_failed;
    int64_t window_ms, answered_ms; /* begin of the window; the last answer */
    bool trial;
    unsigned trial_good, open; /* questions under way */

    bool testing, test_failed_once;
    int64_t test_ms, tested_ms,
        test_again_ms; /* next; last; pause before the next one while not well */

    uint64_t queries, listed, free, errors, timeouts, cache_hits, skipped, refused;
    uint32_t latency_us[ZONE_LATENCIES];
    unsigned latencies, latency_at;
    char last_error[DNSBL_TEXT_SIZE], test_result[DNSBL_TEXT_SIZE];
    int64_t error_ms; /* 0: none */
};

void zone_health_init(struct zone_health *h, const char *name, uint32_t id, int64_t now_ms);
/* Prove it again, soon; what is known is kept until then. */
void zone_health_reload(struct zone_health *h, int64_t now_ms);
/* May a question be sent for a client?  Counts it when not. */
bool zone_health_may_ask(struct zone_health *h, bool ipv4);
/* Do its listings count?  for an address of this family */
bool zone_health_believed(const struct zone_health *h, bool ipv4);
void zone_health_asked(struct zone_health *h);
/* The end of a question for a client.  true: the state has changed. */
bool zone_health_answered(struct zone_health *h, const struct dnsbl_answer *a, int64_t latency_us,
                          int64_t now_ms);
/* Somebody went on without its answer after wait_ms.  true: the state has changed. */
bool zone_health_slow(struct zone_health *h, int64_t wait_ms, int64_t now_ms);

bool zone_health_test_due(const struct zone_health *h, int64_t now_ms);
int64_t zone_health_test_at(const struct zone_health *h); /* INT64_MAX while one runs */
void zone_health_test_begin(struct zone_health *h);
void zone_health_test_drop(struct zone_health *h, int64_t now_ms); /* whoever ran it is gone */
const uint8_t *zone_test_address(enum zone_test_point point);
/* true: the state has changed. */
bool zone_health_test_end(struct zone_health *h, const struct dnsbl_answer answers[TEST_POINTS],
                          int64_t now_ms);

/* 0..100; 0 when nothing was answered yet. */
uint32_t zone_health_latency_us(const struct zone_health *h, unsigned percent);
const char *zone_health_state_name(const struct zone_health *h);
