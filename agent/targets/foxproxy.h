/*
 * foxproxy.h - the filter in front of Postfix as a running thing: its version, its settings file
 * checked by itself, what it says over its control socket, and starting it so that it outlives us.
 * Nothing here edits a file.
 * Through systemd where that is the manager (unit foxproxy.unit), else as a process of its own: own
 * session, user foxproxy.user, of root's rights only the one to open a port below 1024.
 * Threads: one.
 */
#pragma once

#include "common/agent_settings.h"
#include "json/json_in.h"

#include <sys/types.h>

enum { FOXPROXY_INI_MAX = 4 * 1024 * 1024, FOXPROXY_PORTS_MAX = 16 };

struct foxproxy {
    const struct agent_settings *s; /* borrowed */
    bool systemd;                   /* systemd starts and stops it */
    char version[32];               /* "0.1.0"; "": it is not installed */
};
/* Ask the program for its version; one that is not there is no error. */
void foxproxy_open(struct foxproxy *f, const struct agent_settings *s, bool systemd);

/* What a settings file of it says: "digest" of [main], or "" ... */
void foxproxy_ini_digest(struct slice ini, char ret[65]);
/* ... and the ports of its "listen" lines; how many, at most FOXPROXY_PORTS_MAX. */
size_t foxproxy_ini_ports(struct slice ini, int *ret);

/* One request to the control socket.  *ret: new reference to an answer with "ok": true.
 * ERR_UNAVAILABLE: nobody answers.  ERR_REFUSED: it says no, in its own words. */
MUST_USE enum err_code foxproxy_ask(const struct foxproxy *f, const char *verb, int timeout_ms,
                                    json_t **ret, struct err *e);

struct foxproxy_state {
    pid_t pid;        /* 0: it does not run */
    bool answers;     /* its control socket does */
    bool draining;    /* it takes no new connections */
    char digest[65];  /* of the settings in force, "" unknown */
    int64_t since_ms; /* when it was started; 0 unknown */
    json_t *said;     /* new reference to its status, NULL when it does not answer */
};
void foxproxy_look(const struct foxproxy *f, struct foxproxy_state *ret);
void foxproxy_state_clear(struct foxproxy_state *s);

/* `foxproxy --check path`.  ERR_REFUSED: every fault it names is in output. */
MUST_USE enum err_code foxproxy_check(const struct foxproxy *f, const char *path,
                                      struct strbuf *output, struct err *e);
/* Started, it listens with the settings of digest.  ERR_UNAVAILABLE: it ended, or does not answer.
 */
MUST_USE enum err_code foxproxy_start(const struct foxproxy *f, const char *digest, struct err *e);
/* It runs with the settings of digest. */
MUST_USE enum err_code foxproxy_reload(const struct foxproxy *f, const char *digest, struct err *e);
/* Its ports are free; what is open goes on. */
MUST_USE enum err_code foxproxy_release(const struct foxproxy *f, struct err *e);
/* It has ended. */
MUST_USE enum err_code foxproxy_stop(const struct foxproxy *f, struct err *e);
