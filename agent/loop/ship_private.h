/* ship_private.h - what ship.c and ship_streams.c share.  now: monotonic. */
#pragma once

#include "loop/ship.h"

/* Folders that were not there before become streams. */
void ship_streams_look(struct loop *l, int64_t now);
/* Tried again SHIP_REOPEN_MS later when it cannot be. */
void ship_stream_open(struct loop *l, struct ship_stream *s, int64_t now);
/* Something was written: it may go. */
void ship_streams_hints(struct ship *p, int64_t now);
/* EventsBehind, EventsDropped. */
void ship_streams_judge(struct loop *l, int64_t now);
