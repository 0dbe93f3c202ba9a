/*
 * park.h - held requests (suspended connections), woken by key.  Threads: any.
 */
#pragma once

#include <stddef.h>

/* Wake every request parked under key; returns how many.  Cheap when there is none. */
int park_wake(const char *key);
/* The same for n of them at once: the listener then looks through its suspended connections once, not n times. */
enum { PARK_KEY_SIZE = 40 };
void park_wake_many(char (*keys)[PARK_KEY_SIZE], size_t n);
/* Wake all, in batches, at per_second (0: at once): shutdown, epoch change. */
void park_wake_all(int per_second);
int park_count(void);
