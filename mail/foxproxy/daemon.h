/*
 * daemon.h - the main thread of foxproxy: holds what is in force, changes it as a whole, ends it.
 * Threads: the main thread alone; what loops see goes through front_publish().
 */
#pragma once

#include "control/control.h"
#include "foxproxy/front.h"
#include "foxproxy/listen.h"

struct daemon_options {
    const char *config, *control, *state, *user;
    int64_t loops;   /* 0: one a core */
    int64_t grace_s; /* after SIGTERM */
};

enum daemon_state { DAEMON_RUNNING, DAEMON_ENDING, DAEMON_OVER };

struct daemon {
    const struct daemon_options *o;
    struct ini ini;
    struct listen_set listeners;
    struct list *approved, *blocked; /* what the snapshots in force hold, too */
    struct iplist_addr own[SNAPSHOT_OWN_MAX];
    size_t owns;
    bool drained;
    struct front front;
    struct reputation *rep;
    struct control *control;
    int lock; /* of the state folder */
    enum daemon_state state;
    int64_t started_ms;        /* wall */
    int64_t end_at_ms;         /* DAEMON_ENDING: sessions are cut then */
    int64_t own_at_ms;         /* when this host's addresses are read again */
    char list_trouble[2][256]; /* approved, blocked: why a remembered one is not there */
};

MUST_USE enum err_code daemon_start(struct daemon *d, const struct daemon_options *o,
                                    struct err *e);
/* Until it is over; returns the exit status. */
int daemon_run(struct daemon *d);
void daemon_clear(struct daemon *d);

/* What the control socket can do; each is in force when it returns. */
MUST_USE enum err_code daemon_reload(struct daemon *d, struct ini_faults *f, struct err *e);
enum list_change { LIST_STAYS, LIST_NONE, LIST_PATH };
struct list_wish {
    enum list_change change;
    const char *path;
};
/* Both or none.  Remembered over restarts. */
MUST_USE enum err_code daemon_lists(struct daemon *d, const struct list_wish *approved,
                                    const struct list_wish *blocked, struct err *e);
MUST_USE enum err_code daemon_drain(struct daemon *d, bool on, struct err *e);
/* Listeners are closed (whoever has connected is served), sessions go on for at most that long,
 * then it is over. */
void daemon_end(struct daemon *d, int64_t ms);
/* The same, and another process may take this one's place at once: state folder and control socket
 * are given up when the answer to the present request is on its way. */
void daemon_release(struct daemon *d, int64_t ms);

/* state.c: what is remembered in the state folder; lists that cannot be opened any more are said in
 * list_trouble. */
MUST_USE enum err_code state_read(struct daemon *d, struct err *e);
MUST_USE enum err_code state_write(const struct daemon *d, struct err *e);

/* verbs.c */
json_t *verbs_answer(void *daemon, const json_t *ask);
