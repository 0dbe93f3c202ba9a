/*
 * ctl.h - inari-agent status | hold | release | rollback | rotate-key | leave | spool: for people
 * at the host.
 */
#pragma once

#include "common/agent_settings.h"
#include "json/json_in.h"
#include "loop/say.h"

#include <stdbool.h>
#include <stdint.h>

/* Ask the running agent (steals request).  EXIT_OK with *ret, or the message is on stderr already. */
int ctl_ask(const struct agent_settings *s, json_t *request, json_t **ret);
int ctl_status(const struct agent_settings *s, bool as_json);
/* What the agent says of itself as Prometheus text. */
int ctl_metrics(const struct agent_settings *s);
int ctl_hold(const struct agent_settings *s, const char *reason, int64_t minutes);
int ctl_release(const struct agent_settings *s);
int ctl_rollback(const struct agent_settings *s, const char *digest);
int ctl_rotate_key(const struct agent_settings *s);
int ctl_confirm_machine(const struct agent_settings *s);
int ctl_prepare_image(const struct agent_settings *s);
/* How the spool in dir stands (to standard error), and up to max events that wait in it. */
int ctl_spool_show(const char *dir, int64_t max);
/* The lines of standard input become events of the spool in dir, which this process then owns. */
int ctl_spool_append(const char *dir);
int ctl_leave(const struct agent_settings *s);
