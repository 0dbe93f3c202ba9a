/*
 * park_private.h - how the listener parks a suspended connection (park.h is for everybody else).
 *
 * A wake-up between a handler's look and its parking must not be lost: take park_now() before the handler runs and
 * give it to park_add(), which refuses (PARK_STALE) when the key was woken since; then run the handler again.
 */
#pragma once

#include "http/park.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

enum { PARK_MAX_MS = 120 * 1000 /* round of the wheel */ };

enum park_end { PARK_WOKEN, PARK_EXPIRED, PARK_HANGUP };

struct parked {
    struct parked *key_next, **key_at;   /* chain of the key's bucket */
    struct parked *slot_next, **slot_at; /* chain of the wheel's slot */
    char key[PARK_KEY_SIZE];
    uint64_t serial;
    struct MHD_Connection *mc;
    int fd;
    int64_t due_ms;
    enum park_end end; /* why it was (or, at its slot, will be) resumed */
};

enum park_result { PARK_OK, PARK_STALE, PARK_REFUSED };

bool park_start(void); /* starts the thread; false: no memory, no epoll */
/* Nobody is parked from now on (park_add() says PARK_REFUSED); those parked come back as PARK_EXPIRED, so many a
 * second (0: at once). */
void park_close(int per_second);
void park_stop(void); /* joins the thread; nobody may be parked */
uint64_t park_now(void);
/* Suspends mc (the calling I/O thread's own connection) and keeps it until woken, due or hung up; p belongs to the
 * connection's request.  After PARK_OK p and mc are not to be touched until libmicrohttpd calls again. */
enum park_result park_add(struct parked *p, struct MHD_Connection *mc, int fd, const char *key, int64_t due_mono_ms,
                          uint64_t before);
uint64_t park_total(void); /* parked since start */
