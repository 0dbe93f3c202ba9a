/*
 * proc_daemon.h - start a program that outlives whoever started it: own session, a child of init,
 * another user, of root's rights only the one to open ports below 1024. It gets no descriptor but
 * /dev/null, its log and its log, a clean environment, "/" as its folder, and as many open files as
 * the limits allow.  Threads: one (fork).
 */
#pragma once

#include "base/err.h"

#include <sys/types.h>

struct proc_daemon {
    const char *const *argv; /* argv[0] an absolute path; NULL-terminated */
    uid_t uid;
    gid_t gid;
    int log; /* borrowed: its stdout and stderr */
};
/* When this returns it is that program, or has ended already.  ERR_NO_MEMORY: no process could be
 * made. */
MUST_USE enum err_code proc_daemon_start(const struct proc_daemon *d, pid_t *ret, struct err *e);
