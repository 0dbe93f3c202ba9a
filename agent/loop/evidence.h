/*
 * evidence.h - Postfix's log becomes events in the spool "postfix" (maillog_event.h), each exactly
 * once whatever is killed when.
 *
 * The position in the log travels as the spool's mark: event and position are there together or not
 * at all, and after a kill the log is read again behind what is kept.  What the events need from
 * earlier lines is written to "postfix.context" in the agent's state folder, with the position it
 * belongs to; at a start the lines between that and the mark are read once more without giving
 * events.  A first start begins at the end of the log, and reads EVIDENCE_BACK before it so.
 *
 * The log is a file or, where there is none, the systemd journal (maillog_source.h).  Where one
 * takes the other's place, reading begins at the end, and the hole is told (log.gap).
 *
 * Whatever fails (no memory, a full volume, a log that may not be read) loses nothing: the position
 * stays, and it is tried again.  Bounds: EVIDENCE_BYTES of log a turn, the context's 8 MiB, one
 * sync each EVIDENCE_PAUSE_MS.  Threads: the loop's.
 */
#pragma once

#include "maillog/maillog_event.h"
#include "maillog/maillog_source.h"
#include "spool/spool.h"

struct loop;

#define EVIDENCE_STREAM "postfix"
enum {
    EVIDENCE_BYTES = 256 * KIB,
    EVIDENCE_BACK = 4 * MIB,
    EVIDENCE_PAUSE_MS = 100,         /* between two looks, however busy the log is */
    EVIDENCE_LOOK_MS = 1000,         /* when nothing tells of new lines */
    EVIDENCE_RETRY_MS = 5 * 1000,    /* after a failure */
    EVIDENCE_KEEP_MS = 30 * 1000,    /* between two writings of the context */
    EVIDENCE_KEEP_LINES = 50 * 1000, /* or when so many lines were read since */
    EVIDENCE_CHOOSE_MS = 30 * 1000,  /* no log: is there a journal meanwhile? */
    EVIDENCE_SLACK_MS = 2000         /* a line may take so long from Postfix to the log */
};

/* The log was read to its end at at_ms, and the last event of it was number last. */
struct evidence_end {
    uint64_t last;
    int64_t at_ms; /* by the parent's clock; 0: never */
};

struct loop_evidence {
    struct spool_writer *w; /* NULL: nothing is open */
    struct maillog_events events;
    struct maillog_source source;
    struct maillog_place until; /* while replaying: from there on lines give events */
    bool replaying, failed;
    bool other;    /* of the journal after a file, or the other way: what is between is not told */
    bool hinted;   /* the log was written to */
    int fd, watch; /* inotify; -1: none */
    uint64_t watched;     /* inode */
    int64_t looked, next; /* monotonic: the last look, the next one */
    int64_t nothing_ms;   /* wall clock: neither log nor journal had anything then; 0: not known */
    int64_t choose_next;  /* no log file: when the journal is looked at again */
    int64_t keep_next;    /* when the context is written again */
    int64_t lines_kept;   /* events.lines when it was written */
    char problem[256];    /* said in the log once; "": none */
    struct evidence_end first,
        newest;        /* ends the parent has not acknowledged yet, oldest and newest */
    int64_t stored_ms; /* the end that it has; 0: none yet */
};

void evidence_begin(struct loop *l);
void evidence_turn(struct loop *l);
void evidence_clear(struct loop *l);
/* Up to which moment everything that the log says is in the events up to number last (ms, by the
 * parent's clock; what the parent has acknowledged is in them).  0: not known yet.  It moves on
 * while nothing is logged, and stands still when the log cannot be read. */
int64_t evidence_until(const struct loop *l, uint64_t last);
/* The same for what the parent has acknowledged: it has everything up to this moment. */
int64_t evidence_stored(struct loop *l);
/* What to wait for; -1: nothing. */
int evidence_fd(const struct loop *l);
