/*
 * message_id.h - ids of messages and the cursors of searches: opaque to callers, one path segment
 * or query value each. Threads: any.
 */
#pragma once

#include "store/message_store.h"

/* What a message's id says: an event of it.  Queue ids are used again, so the time belongs in.  An
 * id stays good while any event of that queue entry is kept; what the API gives out is that of the
 * first entry the message had. */
enum { MESSAGE_ID_SIZE = 160, MESSAGE_QUEUE_ID_MAX = 64 };
struct message_ref {
    char device_id[37];
    char queue_id[MESSAGE_QUEUE_ID_MAX +
                  1];         /* "": one refused before it had any; then place is the event's */
    struct event_place place; /* with a queue id only at_ms counts */
};
void message_id_make(const struct message_ref *m, char out[MESSAGE_ID_SIZE]);
MUST_USE bool message_id_read(const char *text, struct message_ref *ret);

/* Where a page ended, and what its first page saw. */
enum { MESSAGE_CURSOR_SIZE = 620, MESSAGE_SNAPSHOT_MAX = 320 };
struct message_cursor {
    struct event_place place;
    int64_t since_ms, until_ms, snapshot_ms;
    char snapshot[MESSAGE_SNAPSHOT_MAX + 1]; /* text of a pg_snapshot; "": none */
};
void message_cursor_make(const struct message_cursor *c, char out[MESSAGE_CURSOR_SIZE]);
MUST_USE bool message_cursor_read(const char *text, struct message_cursor *ret);
