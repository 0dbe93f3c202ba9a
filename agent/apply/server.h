/*
 * server.h - the helper's socket: one connection at a time, requests one by one, root and the
 * agent's user only.
 */
#pragma once

#include "apply/apply.h"

#include <sys/types.h>

struct server {
    struct helper *h;
    int listen_fd, lock_fd;
    uid_t allowed; /* beside root */
};

/* Take the lock of the state directory (ERR_CONFLICT: another helper runs) and listen.  Before
 * anything is recovered. */
MUST_USE enum err_code server_lock(struct server *s, const struct agent_settings *set,
                                   struct err *e);
MUST_USE enum err_code server_listen(struct server *s, const struct agent_settings *set,
                                     struct err *e);
/* Serve until *stop is set by a signal.  With an open journal and nobody connected for takeover_ms
 * it reverts. */
void server_run(struct server *s, volatile const int *stop);
void server_close(struct server *s);
