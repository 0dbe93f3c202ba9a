/*
 * place.h - where the agent lives: its folder, its lock, its user.
 */
#pragma once

#include "common/agent_settings.h"

/* Make <agent.state> (0700) when it is missing; as root it is given to agent.user where that user
 * exists. */
MUST_USE enum err_code place_make(const struct agent_settings *s, struct err *e);
/* As root: become agent.user for good, when that user exists and is not root.  Otherwise nothing.
 */
MUST_USE enum err_code place_drop_root(const struct agent_settings *s, struct err *e);
/* One agent works in one folder.  ERR_CONFLICT: another process holds the lock.  *ret_fd: keep it
 * open. */
MUST_USE enum err_code place_lock(const struct agent_settings *s, int *ret_fd, struct err *e);
/* "Debian GNU/Linux 12 (bookworm)" into buf, or "". */
void place_os(char *buf, size_t size);
