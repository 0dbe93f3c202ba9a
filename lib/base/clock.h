/*
 * clock.h - all time goes through here (docs: ARCHITECTURE.md, "time").
 * Wall time is for people, tokens and records; every duration and deadline uses the monotonic clock.
 * In builds with INARI_TEST_HOOKS the wall clock is shifted by the number of seconds (a decimal, maybe negative)
 * in the file that the environment variable INARI_CLOCK_FILE names; it is read again at most every 100 ms.
 * The parent's wall time is its database's (clock_follow()), so that several parents agree whatever their hosts' clocks do.
 */
#pragma once

#include "base/slice.h"

#include <stdint.h>

/* From now on wall time is what another clock, that many programs share, said at mono_ms, and runs on with the monotonic
 * clock: this host's own may then jump.  For the parent: its database's.  Small differences change nothing. */
void clock_follow(int64_t wall_ms, int64_t mono_ms);
/* This host's own clock, whatever clock_follow() said; INARI_OWN_CLOCK_FILE shifts only this one. */
int64_t clock_own_ms(void);

int64_t clock_wall_ms(void); /* since the epoch */
int64_t clock_wall_s(void);
int64_t clock_wall_coarse_ms(void); /* clock_wall_ms(), up to 10 ms behind, several times cheaper */
int64_t clock_mono_ms(void);
int64_t clock_mono_coarse_ms(void); /* the same clock, up to 10 ms behind, several times cheaper */
int64_t clock_mono_us(void);
int64_t clock_boot_ms(void); /* since the machine was switched on, sleep included */

enum { CLOCK_TEXT_SIZE = 40 };
/* RFC 3339, UTC, milliseconds: 2026-11-21T23:21:17.123Z */
void clock_format(int64_t wall_ms, char buf[CLOCK_TEXT_SIZE]);
/* For sentences that people read outside the console, to the minute: 2026-11-21 23:21 UTC */
void clock_format_people(int64_t wall_ms, char buf[CLOCK_TEXT_SIZE]);
/* RFC 3339 with Z or an offset; false when it is not one. */
MUST_USE bool clock_parse(struct slice text, int64_t *ret_wall_ms);
/* IMF-fixdate of RFC 9110 (the Date header). */
void clock_format_http(int64_t wall_ms, char buf[CLOCK_TEXT_SIZE]);
MUST_USE bool clock_parse_http(struct slice text, int64_t *ret_wall_ms);
