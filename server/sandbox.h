/*
 * sandbox.h - what the parent gives up for good once it runs: starting programs, new processes, privileges.
 */
#pragma once

#include "base/err.h"

/* For this thread and all it starts: no new privileges; execve, fork and what only attackers need return EPERM.
 * Call it before the first thread. */
MUST_USE enum err_code sandbox_enter(struct err *e);
