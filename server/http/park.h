/*
 * park.h - held requests (suspended connections), woken by key.  Threads: any.
 */
#pragma once

/* Wake every request parked under key; returns how many.  Cheap when there is none. */
int park_wake(const char *key);
/* Wake all, in batches, at per_second (0: at once): shutdown, epoch change. */
void park_wake_all(int per_second);
int park_count(void);
