/*
 * postfix.h - the managed Postfix as a running thing: its commands, each with a deadline; whether
 * it runs; starting it so that it outlives us.  Nothing here edits a file. Threads: one.
 */
#pragma once

#include "common/agent_settings.h"
#include "proc/proc.h"

#include <sys/types.h>

struct postfix {
    const struct agent_settings *s; /* borrowed */
    bool systemd;                   /* systemd starts and stops it */
    char version[32];               /* "3.7.11" */
    char daemons[512];              /* daemon_directory */
    char owner[64], setgid[64];     /* mail_owner, setgid_group */
    char *map_types;                /* heap: " cidr pcre texthash " */
    int64_t deadline_ms;            /* clock_mono_ms() no command runs beyond; 0: none */
};

/* Ask Postfix about itself.  ERR_UNAVAILABLE: it is not installed, or its main.cf does not even let
 * postconf run (then everything but the version is what Postfix has built in). */
MUST_USE enum err_code postfix_open(struct postfix *p, const struct agent_settings *s,
                                    struct err *e);
void postfix_close(struct postfix *p);

enum { POSTFIX_ARGS_MAX = 72 };
/* Run <commands>/<name> with at most POSTFIX_ARGS_MAX arguments.  ERR_TIMEOUT: killed at the
 * deadline (ret holds what it said). */
MUST_USE enum err_code postfix_run(const struct postfix *p, const char *name,
                                   const char *const *args, int64_t timeout_ms,
                                   struct proc_result *ret, struct err *e);

/* Process id of the master that owns queue_dir, 0 when none runs. */
pid_t postfix_pid(const char *queue_dir);
/* When that process started, ms since the epoch; 0 unknown. */
int64_t postfix_since_ms(pid_t pid);

enum postfix_op { POSTFIX_START, POSTFIX_STOP, POSTFIX_RELOAD };
/* Through systemd where that is the manager.  START when it runs and STOP when it does not are
 * fine. ERR_UNAVAILABLE: the command failed, or the master is gone after START or RELOAD (looked at
 * for settle time); e->msg has its words, output (may be NULL) all of them. */
MUST_USE enum err_code postfix_do(const struct postfix *p, enum postfix_op op,
                                  struct strbuf *output, struct err *e);
/* One dialogue with every listener of its master.cf that talks without a PROXY header: banner,
 * EHLO, MAIL and RCPT postmaster.  false: one does not speak, or answers RCPT with 4xx (a daemon
 * behind it is down or throttled). */
bool postfix_speaks(const struct postfix *p, struct strbuf *why);
