/*
 * control.h - the control socket of a mail daemon: a line of JSON in, a line of JSON out, any
 * number on one connection. Who:     root, the daemon's own user and one more, by SO_PEERCRED;
 * everybody else is closed without a word. Threads: one, the caller's; control_fd() goes into its
 * poll, control_turn() does what is there to do. Limits:  16 connections, 64 KiB a request, 10 s of
 * silence, 2 s for a peer that does not take its answer.
 */
#pragma once

#include "json/json_in.h"

#include <sys/types.h>

struct control;

/* ask is an object (borrowed).  The answer: new reference; NULL without memory.  Answers that are
 * made of an error are control_no()'s. */
typedef json_t *control_answer(void *user, const json_t *ask);

/* also: a user that may ask, (uid_t)-1: nobody else.  A socket left over is replaced: the caller
 * knows by its lock that no other process uses it.  ERR_INVALID (the path is too long),
 * ERR_UNAVAILABLE. */
MUST_USE enum err_code control_open(const char *path, uid_t also, control_answer *answer,
                                    void *user, struct control **ret, struct err *e);
/* Removes the socket's name unless another process has taken it over. */
void control_close(struct control *c);
int control_fd(const struct control *c); /* one descriptor, for poll() */
void control_turn(struct control *c);

/* {"ok": true}; {"ok": false, "error": word, "message", "message_ja"}.  New references. */
json_t *control_ok(void);
json_t *control_no(const struct err *e);

/* The other side: one question to the daemon at path, its answer (new reference).  ERR_UNAVAILABLE:
 * nobody is there; ERR_FORBIDDEN: closed without a word; ERR_MALFORMED: no JSON came. */
MUST_USE enum err_code control_ask(const char *path, const json_t *ask, int timeout_ms,
                                   json_t **ret, struct err *e);
