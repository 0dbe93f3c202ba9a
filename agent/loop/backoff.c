#include "loop/backoff.h"

#include "base/clock.h"
#include "base/rand.h"

int64_t backoff_next(struct backoff *b)
{
    int64_t limit = BACKOFF_BASE_MS;

    for (unsigned i = 0; i < b->failures && limit < BACKOFF_MAX_MS; i++)
        limit *= 2;
    if (limit > BACKOFF_MAX_MS)
        limit = BACKOFF_MAX_MS;
    if (b->failures < 32)
        b->failures++;
    return (int64_t)rand_below((uint64_t)limit + 1);
}

int64_t backoff_retry_after(struct slice value, int64_t now_ms)
{
    int64_t wait_ms, date_ms;
    uint64_t s;

    value = slice_trim(value);
    if (value.n == 0)
        return -1;
    if (parse_u64(value, 0, UINT64_MAX, &s)) {
        wait_ms = s > RETRY_AFTER_MAX_MS / 1000 ? RETRY_AFTER_MAX_MS : (int64_t)s * 1000;
    } else if (clock_parse_http(value, &date_ms) && date_ms > now_ms) {
        wait_ms = date_ms - now_ms;
    } else {
        return -1;
    }
    if (wait_ms > RETRY_AFTER_MAX_MS)
        wait_ms = RETRY_AFTER_MAX_MS;
    wait_ms += (int64_t)rand_below((uint64_t)wait_ms / 5 + 1);
    return wait_ms > RETRY_AFTER_MAX_MS ? RETRY_AFTER_MAX_MS : wait_ms;
}

int64_t loop_guard_take(struct loop_guard *g, int64_t mono_ms)
{
    int64_t wait_ms;

    if (g->at_mono_ms == 0) {
        g->tokens = LOOP_GUARD_BURST;
    } else {
        g->tokens += (double)(mono_ms - g->at_mono_ms) / LOOP_GUARD_REFILL_MS;
        if (g->tokens > LOOP_GUARD_BURST)
            g->tokens = LOOP_GUARD_BURST;
    }
    g->at_mono_ms = mono_ms;
    g->tokens -= 1;
    if (g->tokens >= 0)
        return 0;
    /* The debt is paid by waiting; a caller that comes back early owes more, never less. */
    wait_ms = (int64_t)(-g->tokens * LOOP_GUARD_REFILL_MS) + 1;
    return wait_ms;
}
