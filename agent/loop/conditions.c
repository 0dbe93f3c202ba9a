#include "loop/conditions.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const names[COND_COUNT] = {
    "Authenticated", "ConfigVerified",    "ConfigValid",    "ConfigApplied", "ConfigRunning",
    "ChainHealthy",  "Drifted",           "ClockSynced",    "Held",          "Frozen",
    "Quarantined",   "StorageOk",         "ServiceRunning", "KeyCurrent",    "Drained",
    "Churning",      "ParentCertificate", "EventsBehind",   "EventsDropped", "Ready",
};
static const char *const words[] = {"Unknown", "True", "False"};

bool condition_set(struct conditions *c, enum condition_type type, enum condition_status status,
                   const char *reason, const char *fmt, ...)
{
    char message[sizeof c->v[0].message];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    if (c->v[type].status == status && strcmp(c->v[type].reason, reason) == 0 &&
        strcmp(c->v[type].message, message) == 0)
        return false;
    if (c->v[type].status != status || c->v[type].since_ms == 0)
        c->v[type].since_ms = clock_wall_ms();
    c->v[type].status = status;
    (void)snprintf(c->v[type].reason, sizeof c->v[type].reason, "%s", reason);
    (void)snprintf(c->v[type].message, sizeof c->v[type].message, "%s", message);
    log_event(LOG_LEVEL_INFO, "condition", KV_STR("type", names[type]),
              KV_STR("status", words[status]), KV_STR("reason", reason),
              KV_STR("message", message));
    return true;
}

void conditions_sum_up(struct conditions *c)
{
    static const enum condition_type must[] = {
        COND_CONFIG_VERIFIED, COND_CONFIG_VALID,  COND_CONFIG_APPLIED, COND_CONFIG_RUNNING,
        COND_SERVICE_RUNNING, COND_CHAIN_HEALTHY, COND_STORAGE_OK};
    static const enum condition_type never[] = {COND_QUARANTINED, COND_FROZEN};

    for (size_t i = 0; i < COUNT_OF(must); i++) {
        if (c->v[must[i]].status != COND_FALSE)
            continue;
        (void)condition_set(c, COND_READY, COND_FALSE, names[must[i]], "%s", c->v[must[i]].message);
        return;
    }
    for (size_t i = 0; i < COUNT_OF(never); i++) {
        if (c->v[never[i]].status != COND_TRUE)
            continue;
        (void)condition_set(c, COND_READY, COND_FALSE, names[never[i]], "%s",
                            c->v[never[i]].message);
        return;
    }
    (void)condition_set(c, COND_READY, COND_TRUE, "Ready", "%s", "");
}

json_t *conditions_to_json(const struct conditions *c)
{
    json_t *out = json_array();

    for (size_t i = 0; i < COND_COUNT && out != NULL; i++) {
        char since[CLOCK_TEXT_SIZE];
        if (c->v[i].since_ms == 0)
            continue;
        clock_format(c->v[i].since_ms, since);
        (void)json_array_append_new(out,
                                    json_pack("{s:s,s:s,s:s,s:s,s:s}", "type", names[i], "status",
                                              words[c->v[i].status], "reason", c->v[i].reason,
                                              "message", c->v[i].message, "since", since));
    }
    return out;
}
