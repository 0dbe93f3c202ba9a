/*
 * watch.h - what must not be missing for a minute: the table behind "drain" (drain.h) is asked by every new smtpd, and one
 * that starts while it is gone answers 451 to everybody.  The kernel tells when somebody takes it away or writes into it,
 * and it is made again at once; a Postfix that runs is reloaded, for the smtpd that began in between.
 * Threads: the helper's one.
 */
#pragma once

#include "apply/apply.h"

/* A descriptor to poll for reading; -1: the kernel has none left, and the next look of the agent mends it instead. */
int watch_open(const struct helper *h);
/* Something was there to read. */
void watch_take(struct helper *h, int fd);
