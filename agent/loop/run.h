/*
 * run.h - inari-agent run: the loop itself.
 */
#pragma once

#include "common/agent_settings.h"
#include "loop/say.h"

/* Runs until SIGTERM or SIGINT, or until the host left its parent.  Never ends because a parent or
 * helper is missing. */
int run_main(const struct agent_settings *s);
