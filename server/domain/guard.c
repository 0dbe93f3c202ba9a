#include "domain/guard.h"

#include <stdio.h>
#include <string.h>

enum {
    GROWTH_MIN = 50,   /* messages: fewer may be one slow destination */
    GROWTH_FACTOR = 3, /* times what siblings saw */
};

/* Conditions that must not be False on a device that runs what it was told to. */
static const char *const vital[] = {"ConfigRunning", "ChainHealthy", "StorageOk"};

static const json_t *condition(const json_t *status, const char *type)
{
    const json_t *c;
    size_t i;

    json_array_foreach(json_object_get(status, "conditions"), i, c)
    {
        if (strcmp(json_str(c, "type", ""), type) == 0)
            return c;
    }
    return NULL;
}

static int64_t deferred(const json_t *health)
{
    return json_int(json_object_get(health, "queue"), "deferred", -1);
}

bool guard_growth(const json_t *before, const json_t *now, int64_t *ret)
{
    if (deferred(before) < 0 || deferred(now) < 0)
        return false;
    *ret = deferred(now) - deferred(before);
    return true;
}

enum guard_verdict guard_judge(const struct guard_input *in, char *why, size_t size)
{
    const json_t *health = json_object_get(in->status, "health");
    int64_t growth;
    int64_t others = in->sibling_deferred < 0 ? 0 : in->sibling_deferred;

    (void)snprintf(why, size, "%s", "");
    if (in->status == NULL) {
        (void)snprintf(why, size, "status");
        return GUARD_INCONCLUSIVE;
    }
    for (size_t i = 0; i < COUNT_OF(vital); i++) {
        const json_t *c = condition(in->status, vital[i]);
        if (strcmp(json_str(c, "status", ""), "False") == 0) {
            (void)snprintf(why, size, "%s: %.200s", vital[i],
                           json_str(c, "message", json_str(c, "reason", "")));
            return GUARD_BAD;
        }
    }
    if (guard_growth(in->before, health, &growth) && growth >= GROWTH_MIN &&
        growth > GROWTH_FACTOR * others) {
        (void)snprintf(why, size, "health.queue.deferred: %lld -> %lld",
                       (long long)deferred(in->before), (long long)deferred(health));
        return GUARD_BAD;
    }
    return GUARD_GOOD;
}
