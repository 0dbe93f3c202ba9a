#include "reputation/zone_health.h"

#include <stdlib.h>

void zone_health_init(struct zone_health *h, const char *name, uint32_t id, int64_t now_ms)
{
    memset(h, 0, sizeof *h);
    text_copy(h->name, sizeof h->name, name);
    h->id = id;
    h->since_ms = h->window_ms = h->answered_ms = now_ms;
    h->test_again_ms = ZONE_TEST_AGAIN_MS;
    h->test_ms = now_ms;
}

void zone_health_reload(struct zone_health *h, int64_t now_ms)
{
    h->test_ms = now_ms;
    h->test_again_ms = ZONE_TEST_AGAIN_MS;
}

static bool go(struct zone_health *h, enum zone_state state, int64_t now_ms)
{
    if (h->state == state)
        return false;
    h->state = state;
    h->since_ms = now_ms;
    h->fail_row = h->slow_row = h->listed_row = 0;
    h->window_all = h->window_failed = 0;
    h->window_ms = now_ms;
    return true;
}

static bool is_well(const struct zone_health *h)
{
    return h->state == ZONE_OK || h->state == ZONE_EMPTY;
}

bool zone_health_may_ask(struct zone_health *h, bool ipv4)
{
    bool may = h->state == ZONE_UNPROVEN || is_well(h);

    may =
        may && (!h->trial || h->open < ZONE_TRIAL_OPEN) && (ipv4 || h->ipv6 != ZONE_IPV6_LISTS_ALL);
    if (!may)
        h->skipped++;
    return may;
}

bool zone_health_believed(const struct zone_health *h, bool ipv4)
{
    /* what a zone said before it went down still holds */
    return h->state != ZONE_UNPROVEN && h->state != ZONE_LISTS_ALL &&
           (ipv4 || h->ipv6 != ZONE_IPV6_LISTS_ALL);
}

void zone_health_asked(struct zone_health *h)
{
    h->queries++;
    h->open++;
}

static void note_error(struct zone_health *h, const struct dnsbl_answer *a, int64_t now_ms)
{
    dnsbl_answer_text(a, h->last_error);
    h->error_ms = now_ms;
}

static bool open_breaker(struct zone_health *h, int64_t now_ms)
{
    if (!h->trial) {
        h->test_again_ms = ZONE_TEST_AGAIN_MS;
    } else { /* it had only just come back: longer pauses */
        h->trial = false;
        h->test_again_ms = h->test_again_ms * 2 > ZONE_TEST_AGAIN_MAX_MS ? ZONE_TEST_AGAIN_MAX_MS
                                                                         : h->test_again_ms * 2;
    }
    h->test_ms = now_ms + h->test_again_ms;
    return go(h, ZONE_DOWN, now_ms);
}

static bool failed(struct zone_health *h, int64_t now_ms)
{
    h->window_failed++;
    h->fail_row++;
    if (!is_well(h))
        return false;
    if (h->trial || h->fail_row >= ZONE_ROW_MAX ||
        (h->window_all >= ZONE_WINDOW_MIN && h->window_failed * 2 >= h->window_all))
        return open_breaker(h, now_ms);
    return false;
}

static void good(struct zone_health *h, bool listed, int64_t now_ms)
{
    h->fail_row = h->slow_row = 0;
    h->listed_row = listed ? h->listed_row + 1 : 0;
    if (h->listed_row >= ZONE_LISTED_ROW) {
        h->listed_row = 0;
        if (now_ms - h->tested_ms >= ZONE_TEST_AGAIN_MS)
            h->test_ms = now_ms;
    }
    if (h->trial && ++h->trial_good >= ZONE_TRIAL_GOOD) {
        h->trial = false;
        h->test_again_ms = ZONE_TEST_AGAIN_MS;
    }
}

bool zone_health_answered(struct zone_health *h, const struct dnsbl_answer *a, int64_t latency_us,
                          int64_t now_ms)
{
    if (h->open > 0)
        h->open--;
    if (now_ms - h->window_ms >= ZONE_WINDOW_MS) {
        h->window_ms = now_ms;
        h->window_all = h->window_failed = 0;
    }
    h->window_all++;
    if (a->error != DNSBL_E_TIMEOUT && a->error != DNSBL_E_NETWORK) {
        h->answered_ms = now_ms;
        h->latency_us[h->latency_at] = latency_us > UINT32_MAX ? UINT32_MAX : (uint32_t)latency_us;
        h->latency_at = (h->latency_at + 1) % ZONE_LATENCIES;
        h->latencies += h->latencies < ZONE_LATENCIES;
    }
    if (a->kind == DNSBL_ERROR) {
        if (a->error == DNSBL_E_TIMEOUT)
            h->timeouts++;
        else
            h->errors++;
        note_error(h, a, now_ms);
        return failed(h, now_ms);
    }
    if (a->kind == DNSBL_LISTED)
        h->listed++;
    else
        h->free++;
    good(h, a->kind == DNSBL_LISTED, now_ms);
    return false;
}

bool zone_health_slow(struct zone_health *h, int64_t wait_ms, int64_t now_ms)
{
    int64_t silent_ms = wait_ms * 2 > 1500 ? wait_ms * 2 : 1500;

    h->slow_row++;
    if (!is_well(h) || (!h->trial && h->slow_row < ZONE_SLOW_MAX) ||
        now_ms - h->answered_ms < silent_ms)
        return false;
    text_copy(h->last_error, sizeof h->last_error, "no answer in time, several in a row");
    h->error_ms = now_ms;
    return open_breaker(h, now_ms);
}

bool zone_health_test_due(const struct zone_health *h, int64_t now_ms)
{
    return !h->testing && h->test_ms <= now_ms;
}

int64_t zone_health_test_at(const struct zone_health *h)
{
    return h->testing ? INT64_MAX : h->test_ms;
}

void zone_health_test_begin(struct zone_health *h)
{
    h->testing = true;
}

void zone_health_test_drop(struct zone_health *h, int64_t now_ms)
{
    h->testing = false;
    h->test_ms = now_ms;
}

const uint8_t *zone_test_address(enum zone_test_point point)
{
    static const uint8_t listed[16] = {[10] = 0xff, 0xff, 127, 0, 0, 2};
    static const uint8_t open_address[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1};

    return point == TEST_LISTED || point == TEST_LISTED_V6 ? listed : open_address;
}

static bool test_failed(struct zone_health *h, const struct dnsbl_answer *why, int64_t now_ms)
{
    note_error(h, why, now_ms);
    text_copy(h->test_result, sizeof h->test_result, h->last_error);
    h->test_ms = now_ms + h->test_again_ms;
    if (is_well(h) && !h->test_failed_once) { /* a single packet may get lost */
        h->test_failed_once = true;
        return false;
    }
    h->test_again_ms *= 2;
    if (h->test_again_ms > ZONE_TEST_AGAIN_MAX_MS)
        h->test_again_ms = ZONE_TEST_AGAIN_MAX_MS;
    h->trial = false;
    return go(h, ZONE_DOWN, now_ms);
}

static bool test_passed(struct zone_health *h, bool any_listed, int64_t now_ms)
{
    if (!is_well(h) && h->state != ZONE_UNPROVEN) {
        h->trial = true;
        h->trial_good = 0;
    }
    h->test_failed_once = false;
    h->test_ms = now_ms + ZONE_TEST_MS;
    text_copy(h->test_result, sizeof h->test_result,
              any_listed ? "passed" : "127.0.0.2 is not listed: does that zone still live?");
    h->answered_ms = now_ms;
    return go(h, any_listed ? ZONE_OK : ZONE_EMPTY, now_ms);
}

bool zone_health_test_end(struct zone_health *h, const struct dnsbl_answer answers[TEST_POINTS],
                          int64_t now_ms)
{
    const struct dnsbl_answer *open_v4 = &answers[TEST_FREE], *listed_v4 = &answers[TEST_LISTED];
    const struct dnsbl_answer *open_v6 = &answers[TEST_FREE_V6],
                              *listed_v6 = &answers[TEST_LISTED_V6];

    h->testing = false;
    h->tested_ms = now_ms;
    if (open_v6->kind == DNSBL_LISTED)
        h->ipv6 = ZONE_IPV6_LISTS_ALL;
    else if (open_v6->kind == DNSBL_NOT_LISTED && listed_v6->kind != DNSBL_ERROR)
        h->ipv6 = listed_v6->kind == DNSBL_LISTED ? ZONE_IPV6_YES : ZONE_IPV6_NO;
    if (open_v4->kind == DNSBL_LISTED) {
        text_copy(h->test_result, sizeof h->test_result,
                  "127.0.0.1 is listed: the zone lists everything");
        h->test_ms = now_ms + ZONE_TEST_AGAIN_MAX_MS;
        return go(h, ZONE_LISTS_ALL, now_ms);
    }
    if (open_v4->kind == DNSBL_ERROR || listed_v4->kind == DNSBL_ERROR)
        return test_failed(h, open_v4->kind == DNSBL_ERROR ? open_v4 : listed_v4, now_ms);
    return test_passed(h, listed_v4->kind == DNSBL_LISTED || listed_v6->kind == DNSBL_LISTED,
                       now_ms);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

uint32_t zone_health_latency_us(const struct zone_health *h, unsigned percent)
{
    uint32_t sorted[ZONE_LATENCIES];

    if (h->latencies == 0)
        return 0;
    memcpy(sorted, h->latency_us, sizeof sorted[0] * h->latencies);
    qsort(sorted, h->latencies, sizeof sorted[0], by_size);
    return sorted[(h->latencies - 1) * percent / 100];
}

const char *zone_health_state_name(const struct zone_health *h)
{
    static const char *const names[] = {"unproven", "ok", "empty", "down", "lists_all"};

    return is_well(h) && h->trial ? "half_open" : names[h->state];
}
