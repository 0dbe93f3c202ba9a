/*
 * hold.h - the break-glass on the device: nothing is applied and no drift repaired until its end,
 * at most 24 hours away. It lives in memory.h's file, so it outlasts a restart, and ends by itself.
 */
#pragma once

#include "loop/memory.h"

enum { HOLD_MAX_MIN = 24 * 60 };

/* ERR_INVALID: no reason, or more than HOLD_MAX_MIN minutes. */
MUST_USE enum err_code hold_set(struct memory *m, const char *reason, int64_t minutes,
                                int64_t now_ms, struct err *e);
MUST_USE enum err_code hold_release(struct memory *m, struct err *e);
/* In force at now_ms?  One that ended is dropped (*ret_ended, may be NULL).  A clock that was set
 * back cannot make it longer than 24 hours from now. */
bool hold_active(struct memory *m, int64_t now_ms, bool *ret_ended);
const char *hold_reason(const struct memory *m);
int64_t hold_until_ms(const struct memory *m);
