/*
 * privilege.h - what foxproxy gives up before it takes the first connection.
 */
#pragma once

#include "base/err.h"

#include <sys/types.h>

struct privilege_user {
    uid_t uid;
    gid_t gid;
    char name[64];
};

/* ERR_NOT_FOUND: there is no such user. */
MUST_USE enum err_code privilege_find(const char *name, struct privilege_user *ret, struct err *e);
/* From root to that user with its groups; of all capabilities only the one to bind ports below 1024
 * stays, for listeners that a reload adds.  Done before the sockets are bound: the kernel shares a
 * port (SO_REUSEPORT) among sockets of one user only, and those of a reload, or of the next
 * process, are this user's. */
MUST_USE enum err_code privilege_drop(const struct privilege_user *u, struct err *e);
/* For this thread and all it starts: no new privileges; execve, fork and what only attackers need
 * return EPERM. */
MUST_USE enum err_code privilege_sandbox(struct err *e);
