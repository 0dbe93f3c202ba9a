/*
 * stream.h - an answer whose body is written while it is sent (server-sent events).  A handler makes a stream, gives it to
 * reply.stream and keeps a reference for whoever writes; the connection is suspended while there is nothing to send, so an
 * idle stream costs its memory only: no thread, no database connection.
 *
 * Two sides hold it: the writer (stream_new(), until stream_release()) and the answer (reply.stream, until it is sent or the
 * client is gone).  Threads: any, also both sides at once.  Memory: what is written and not sent yet, at most max bytes.
 * A client that takes nothing for STREAM_STALL_MS while there is something to take is cut off.
 */
#pragma once

#include "base/slice.h"

enum { STREAM_STALL_MS = 30 * 1000, STREAM_LAST_MAX = 1024 };

struct stream;

/* last: what is sent at a stop of the parent (copied, at most STREAM_LAST_MAX).  NULL: out of memory, or the parent is stopping. */
struct stream *stream_new(size_t max, struct slice last);
/* All of it or nothing.  false: it does not fit, or nobody reads any more (stream_over()). */
MUST_USE bool stream_write(struct stream *s, struct slice text);
/* How much would fit now. */
size_t stream_room(struct stream *s);
/* What is written is still sent, then last (at most STREAM_LAST_MAX, which always fits), then the answer ends. */
void stream_end(struct stream *s, struct slice last);
/* Ended, or the client is gone: nothing that is written will be read. */
bool stream_over(struct stream *s);
/* The writer's reference; ends the stream when that was not done.  NULL does nothing. */
void stream_release(struct stream *s);
/* The answer's reference, when it is never sent. */
void stream_unread(struct stream *s);
/* Streams being sent now. */
int stream_count(void);
