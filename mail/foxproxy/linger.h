/*
 * linger.h - connections that have been told everything and are half-closed: read and thrown away
 * until the peer closes. Why: a close() with bytes unread, or bytes that come after it, makes the
 * kernel send a reset, which lets a client that talks first lose the reply it has not read yet.
 * How:  no epoll and no allocation for each: constant delays, one ring for each, looked at 2 ms, 20
 * ms, 200 ms, 1 s and 3 s after one another.  A refused client costs one recv() when it closes at
 * once. Bounds: LINGER_BYTES read from one connection, about 4 s, and `most` connections (then the
 * oldest goes). Threads: one loop's own.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>

enum { LINGER_STAGES = 5, LINGER_BYTES = 64 * 1024 };

struct linger_ring {
    struct linger_one {
        int64_t due_ms;
        int fd;
        uint32_t bytes; /* read so far */
    } * v;
    uint32_t size, head, n; /* size is a power of two */
};

struct lingerers {
    struct linger_ring stage[LINGER_STAGES];
    uint32_t n, most;
    uint64_t cut; /* closed before the peer did */
};

void linger_init(struct lingerers *l, uint32_t most);
void linger_clear(struct lingerers *l); /* closes all */
/* fd is taken over; it is half-closed by the caller.  Without memory it is closed at once. */
void linger_add(struct lingerers *l, int fd, int64_t now_ms);
/* When the next one is to be looked at; -1: there is none. */
int64_t linger_next_ms(const struct lingerers *l);
void linger_run(struct lingerers *l, int64_t now_ms);
/* Close the oldest one, for its descriptor; false: there is none. */
bool linger_cut(struct lingerers *l);
