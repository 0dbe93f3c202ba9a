/*
 * arena.h - memory that is freed all at once: one a request, one an SMTP transaction, one a plan.
 * arena_alloc() returns zeroed memory aligned for any type, or NULL over the arena's maximum or without memory.
 * Threads: an arena belongs to one thread at a time.
 */
#pragma once

#include "base/slice.h"

struct arena;

MUST_USE struct arena *arena_new(size_t max); /* NULL: out of memory */
void arena_free(struct arena *a);             /* NULL does nothing */
DEFINE_CLEANUP(struct arena, arena_free);
void arena_reset(struct arena *a); /* as new: what was allocated is gone, one block of memory stays for the next use */
void *arena_alloc(struct arena *a, size_t n);
/* Did every allocation since arena_new() or arena_reset() succeed?  Asked once at the end of what takes many. */
MUST_USE bool arena_ok(const struct arena *a);
/* How often any arena of this thread got no memory: the same number before and after means that nothing is missing. */
uint64_t arena_failures(void);
char *arena_strdup(struct arena *a, const char *s);      /* NULL in, NULL out */
char *arena_slice_dup(struct arena *a, struct slice s);  /* NUL-terminated copy */
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Run fn(p) when the arena is freed (for a json_t, a PGresult ...); false: out of memory, fn was run at once. */
bool arena_defer(struct arena *a, void (*fn)(void *), void *p);
