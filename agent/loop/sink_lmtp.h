/*
 * sink_lmtp.h - where the test message ends: a tiny LMTP server on loopback that takes mail for
 * probe@<device_id>.inari.invalid and nothing else.  Nothing is stored; only "the message with that
 * mark arrived". Limits:  SINK_CONNECTIONS at once, SINK_MESSAGE_MAX bytes a message, SINK_IDLE_MS
 * without progress. Threads: one loop.
 */
#pragma once

#include "base/err.h"

#include <poll.h>
#include <stdbool.h>

enum {
    SINK_CONNECTIONS = 8,
    SINK_MESSAGE_MAX = 64 * 1024,
    SINK_IDLE_MS = 30 * 1000,
    SINK_FDS = SINK_CONNECTIONS + 1
};

struct sink;

/* Listen on 127.0.0.1:port (0: any free one).  ERR_UNAVAILABLE: somebody else has the port. */
MUST_USE enum err_code sink_new(const char *device_id, int port, struct sink **ret, struct err *e);
void sink_free(struct sink *s);
DEFINE_CLEANUP(struct sink, sink_free);
int sink_port(const struct sink *s);

/* The mark to look for from now on; forgets what came before. */
void sink_expect(struct sink *s, const char *mark);
bool sink_received(const struct sink *s);

/* For poll(): fills at most SINK_FDS entries, returns how many.  sink_work() does what can be done
 * without waiting. */
size_t sink_fds(const struct sink *s, struct pollfd *fds);
void sink_work(struct sink *s);
