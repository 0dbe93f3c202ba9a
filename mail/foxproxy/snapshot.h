/*
 * snapshot.h - everything a loop needs to decide, immutable: settings, lists, own addresses,
 * listeners, finished replies. The main thread makes a new one for each change and swaps the
 * pointer (front.h); each loop goes over to it between two turns, and the last one to leave an old
 * snapshot frees it.  So no decision waits for a lock or sees half a change.
 */
#pragma once

#include "foxproxy/ini.h"
#include "foxproxy/list.h"

enum { SNAPSHOT_OWN_MAX = 256, REPLY_TEXT_MAX = 640 };

/* What is said to a client instead of a session.  Reason ids: snapshot_reason(). */
enum reply_id { REPLY_BLOCKED, REPLY_FULL, REPLY_BACKEND, REPLY_PROXY, REPLY_DRAIN, REPLY_REPUTATION, REPLIES };

struct reply {
    char p[REPLY_TEXT_MAX]; /* a whole line with CRLF */
    size_t n;
};

struct listener {
    uint64_t id; /* never used again: descriptor numbers are */
    struct addr_port at;
    unsigned loop; /* whose it is */
    int fd;        /* the main thread's, who closes it after the loop has left it */
};

struct snapshot {
    atomic_uint refs;
    uint64_t generation;
    struct ini ini;
    struct list *approved, *blocked; /* NULL: none was given */
    struct iplist_addr own[SNAPSHOT_OWN_MAX];
    size_t owns;
    bool drained; /* everybody gets 421 */
    struct listener *listener;
    size_t listeners;
    struct reply reply[REPLIES];
};

/* A new one, counted once, with the lists of (and as many references more to) approved and blocked;
 * listeners are copied. NULL: out of memory. */
MUST_USE struct snapshot *snapshot_new(const struct ini *ini, struct list *approved,
                                       struct list *blocked, const struct listener *listener,
                                       size_t listeners);
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s);
DEFINE_CLEANUP(struct snapshot, snapshot_unref);
/* Read this host's addresses into s->own; false: they could not be read, s has none. */
bool snapshot_read_own(struct snapshot *s);
bool snapshot_is_own(const struct snapshot *s, const struct iplist_addr *a);
const char *snapshot_reason(enum reply_id id); /* "list.blocked" */
/* What somebody is told whom zone lists: 554, or 421 where listings come and go. */
void snapshot_listed_reply(const struct snapshot *s, const struct iplist_addr *a, const char *zone,
                           bool defer, struct reply *ret);
