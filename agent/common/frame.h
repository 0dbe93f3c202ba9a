/*
 * frame.h - what goes over /run/inari/helper.sock and /run/inari/agent.sock
 * (docs/internals/helper.md): a 4-byte big-endian length and that many bytes of JSON, an object, at
 * most FRAME_MAX.  Both ends of the helper's socket use this file. Threads: any; a descriptor
 * belongs to one thread at a time.
 */
#pragma once

#include "base/strbuf.h"
#include "json/json_in.h"

enum { FRAME_MAX = 1024 * 1024, FRAME_HEAD = 4 };

/* Write one frame within timeout_ms.  The descriptor may be blocking or not; a peer that is gone is
 * ERR_UNAVAILABLE, never SIGPIPE.  ERR_TIMEOUT and ERR_UNAVAILABLE leave the stream unusable: close
 * it. */
MUST_USE enum err_code frame_write(int fd, const json_t *object, int timeout_ms, struct err *e);
/* Read one frame within timeout_ms (-1: for ever).  *ret: new reference.  ERR_UNAVAILABLE: the peer
 * closed; ERR_TIMEOUT; ERR_TOO_LARGE, ERR_MALFORMED: close, the stream cannot be followed any more.
 */
MUST_USE enum err_code frame_read(int fd, int timeout_ms, json_t **ret, struct err *e);
/* For event loops: take one frame from the start of the bytes collected so far.
 * ERR_OK with *ret_used 0: not complete yet.  ERR_TOO_LARGE, ERR_MALFORMED: close. */
MUST_USE enum err_code frame_decode(struct slice bytes, size_t *ret_used, json_t **ret,
                                    struct err *e);
/* The bytes of one frame, appended to out (give it a maximum of FRAME_MAX + FRAME_HEAD). */
MUST_USE enum err_code frame_encode(const json_t *object, struct strbuf *out, struct err *e);

/* --- the client of the helper --- */

/* Connect to the helper's socket.  ERR_UNAVAILABLE: nobody listens there. */
MUST_USE enum err_code helper_connect(const char *path, int *ret_fd, struct err *e);
/* Send request (borrowed) and wait for its answer.  ERR_OK: an answer came, good or bad: look with
 * helper_ok(). Any other code: no answer; close the connection (what the helper did is then found
 * out with verb "tx"). */
MUST_USE enum err_code helper_call(int fd, const json_t *request, int timeout_ms,
                                   json_t **ret_answer, struct err *e);
/* The answer's verdict as an error of ours: code from its "error" word, its message. */
MUST_USE enum err_code helper_ok(const json_t *answer, struct err *e);
