/*
 * foxproxy_spawn.h - foxproxy as a process of its own, where no systemd starts it: own session, own
 * user, of root's rights only CAP_NET_BIND_SERVICE; it outlives whoever started it.
 * Threads: one (fork).
 */
#pragma once

#include "common/agent_settings.h"

#include <sys/types.h>

/* Started; it may still end by itself a moment later.  ERR_UNAVAILABLE: no such user, no program.
 */
MUST_USE enum err_code foxproxy_spawn(const struct agent_settings *s, struct err *e);
/* The one that was started last, with the start time of /proc; 0: none is known.  It may have
 * ended. */
pid_t foxproxy_spawned(const struct agent_settings *s, int64_t *ret_start);
/* What it printed last, one line, in buf; "" unknown. */
const char *foxproxy_last_words(const struct agent_settings *s, char *buf, size_t size);
