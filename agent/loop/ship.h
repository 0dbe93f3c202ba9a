/*
 * ship.h - what waits in the spools goes to the parent: POST /api/agent/v1/events/{stream}
 * (docs/internals/events.md).  A stream is a folder below <agent.state>/spool with a name of a-z,
 * or one that the setting events.spools names (a daemon's).
 *
 * One batch is on its way at a time, over all streams in turn, and none while a report or a token
 * is: they come first.  A batch goes SHIP_LINGER_MS after the first event that waits, or right
 * behind a large one.  Refused or not heard, the same begins again later; a spool keeps what it
 * holds within its own bounds, also while the parent is away, has revoked this device, or is too
 * old to know of events.  Threads: the loop's.
 */
#pragma once

#include "loop/backoff.h"
#include "loop/http.h"
#include "spool/spool.h"

struct loop;

enum {
    SHIP_STREAMS = 8,
    SHIP_STREAM_NAME = 16,
    SHIP_LINES = 5000,
    SHIP_BYTES =
        960 * 1024, /* of lines: never over the parent's MiB, however badly they compress */
    SHIP_AT_ONCE = 64 * 1024, /* behind a batch of so many bytes the next one goes at once */
    SHIP_LINGER_MS = 250,
    SHIP_LOOK_MS = 5000,        /* for new folders; for events that no hint announced */
    SHIP_SPOOLS_MS = 30 * 1000, /* how the spools stand, for the conditions */
    SHIP_REOPEN_MS = 30 * 1000,
    SHIP_ANSWER_MS = 60 * 1000,    /* COPY may take half of it */
    SHIP_UNKNOWN_MS = 3600 * 1000, /* a parent without that route */
    SHIP_BEHIND_MS = 600 * 1000    /* the oldest waits longer: condition EventsBehind */
};

struct ship_stream {
    char name[SHIP_STREAM_NAME + 1]; /* "": free */
    char dir[4200];
    struct spool_reader *r; /* NULL: could not be opened, problem says why */
    int watch;              /* inotify; -1: none */
    int64_t since;          /* monotonic: something may wait since then; 0: nothing */
    int64_t next;           /* not before */
    uint64_t goal;          /* last event when looked at, */
    int64_t goal_ms;        /* monotonic: then; 0: nothing waited */
    size_t lines, bytes;    /* of a batch: halved by 413 */
    uint64_t dropped;       /* when last looked at */
    int64_t dropped_ms;     /* wall clock: when that grew; 0: it did not since the start */
    struct backoff backoff;
    char problem[256];
};

struct ship {
    struct ship_stream stream[SHIP_STREAMS];
    size_t n, turn; /* whose turn it is */
    int fd;         /* inotify; -1: none */
    int64_t look_next, spools_next;
    bool busy, plain; /* plain: this parent takes no zstd */
    bool unknown;     /* it does not know of events */
    size_t flight;    /* stream of the batch on its way */
    int64_t token_n;  /* token it went with */
    struct spool_batch batch;
};

void ship_begin(struct loop *l);
void ship_clear(struct loop *l);
void ship_turn(struct loop *l);
/* Number of the last event of that stream that the parent has; 0: none, or not known. */
uint64_t ship_acknowledged(const struct loop *l, const char *stream);
/* For status: how each spool stands; new reference. */
json_t *ship_json(const struct loop *l);
