/*
 * conditions.h - what is true about this device right now, in the words of wire.md; "since" moves
 * only when the status does.
 */
#pragma once

#include "json/json_in.h"

enum condition_type {
    COND_AUTHENTICATED,
    COND_CONFIG_VERIFIED,
    COND_CONFIG_VALID,
    COND_CONFIG_APPLIED,
    COND_CONFIG_RUNNING,
    COND_CHAIN_HEALTHY,
    COND_DRIFTED,
    COND_CLOCK_SYNCED,
    COND_HELD,
    COND_FROZEN,
    COND_QUARANTINED,
    COND_STORAGE_OK,
    COND_SERVICE_RUNNING,
    COND_KEY_CURRENT,
    COND_DRAINED,
    COND_CHURNING,
    COND_PARENT_CERTIFICATE,
    COND_EVENTS_BEHIND,
    COND_EVENTS_DROPPED,
    COND_READY,
    COND_COUNT
};
enum condition_status { COND_UNKNOWN, COND_TRUE, COND_FALSE };

struct conditions {
    struct {
        enum condition_status status;
        char reason[48], message[256];
        int64_t since_ms;
    } v[COND_COUNT];
};

/* true: something changed. */
bool condition_set(struct conditions *c, enum condition_type type, enum condition_status status,
                   const char *reason, const char *fmt, ...) PRINTF_LIKE(5, 6);
/* Work the summary out: Ready is true when nothing that must be true is false, and the reverse. */
void conditions_sum_up(struct conditions *c);
json_t *conditions_to_json(const struct conditions *c); /* new reference */
