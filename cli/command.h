/* command.h - giving a device a tracked order and following it to its end (command.c); the verbs built on it. */
#pragma once

#include "cli.h"

struct given {
    json_t *command; /* owned: as it ended, or stands now */
    struct strbuf output;
};
void given_clear(struct given *g);
/* POST the command and wait for its end, unless --no-wait or --dry-run; output is collected, or with live printed as it
 * comes.  args is stolen.  EXIT_OK_: done, or given and not waited for; EXIT_NOT_RUNNING: it failed, was cut short, or
 * has not ended within --timeout (said on standard error). */
enum cli_exit command_run(struct cli *c, const char *device, const char *kind, json_t *args, bool live,
                          struct given *ret);
/* The same for a command that was given already. */
enum cli_exit command_follow(struct cli *c, struct given *g);
/* Did it end as done? */
bool command_is_done(const struct given *g);
