#include "loop/backoff.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/rand.h"

#include <stdio.h>
#include <string.h>

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

int64_t backoff_boot_slot_ms(const char *device_id)
{
    unsigned char hash[SHA256_SIZE];

    sha256(slice_of(device_id), hash);
    return (int64_t)(((unsigned)hash[0] << 8 | hash[1]) % BOOT_SLOT_MS);
}

static double tokens_now(const struct loop_guard *g, double burst, double refill_ms,
                         int64_t mono_ms)
{
    double n;

    if (g->at_mono_ms == 0)
        return burst;
    n = g->tokens + (double)(mono_ms - g->at_mono_ms) / refill_ms;
    return n > burst ? burst : n;
}

static int64_t take(struct loop_guard *g, double burst, double refill_ms, int64_t mono_ms)
{
    g->tokens = tokens_now(g, burst, refill_ms, mono_ms) - 1;
    g->at_mono_ms = mono_ms;
    if (g->tokens >= 0)
        return 0;
    /* The debt is paid by waiting; a caller that comes back early owes more, never less. */
    return (int64_t)(-g->tokens * refill_ms) + 1;
}

int64_t loop_guard_take(struct loop_guard *g, int64_t mono_ms)
{
    return take(g, LOOP_GUARD_BURST, LOOP_GUARD_REFILL_MS, mono_ms);
}

/* --- answers that always change --- */

static bool known(const struct churn *c, const char *digest)
{
    for (size_t i = 0; i < CHURN_RECENT; i++)
        if (strcmp(c->recent[i], digest) == 0)
            return true;
    return false;
}

int64_t churn_took(struct churn *c, const char *digest, bool quick, int64_t mono_ms)
{
    bool again = known(c, digest);
    int64_t wait = 0;

    if (!again) {
        memmove(c->recent[0], c->recent[1], sizeof c->recent[0] * (CHURN_RECENT - 1));
        (void)snprintf(c->recent[CHURN_RECENT - 1], sizeof c->recent[0], "%s", digest);
    }
    if (!quick)
        return 0;
    if (again)
        wait = loop_guard_take(&c->same, mono_ms);
    else if (take(&c->fresh, CHURN_BURST, CHURN_REFILL_MS, mono_ms) > 0)
        wait = CHURN_WAIT_MS;
    if (c->fresh.tokens < -CHURN_BURST) /* it is over within minutes once it stops */
        c->fresh.tokens = -CHURN_BURST;
    c->paced = wait > 0 ? c->paced + 1 : churn_seen(c) ? c->paced : 0;
    return wait;
}

bool churn_over(const struct churn *c, int64_t mono_ms)
{
    return tokens_now(&c->same, LOOP_GUARD_BURST, LOOP_GUARD_REFILL_MS, mono_ms) >=
               LOOP_GUARD_BURST &&
           tokens_now(&c->fresh, CHURN_BURST, CHURN_REFILL_MS, mono_ms) >= CHURN_BURST;
}
