/*
 * spool.h - records on disk between a program that has something to tell and the agent that tells
 * the parent: append-only segments, one writer, one reader, each of which may be killed at any
 * moment.  They may be one process or two, of two users (the folder is then the group's, 2770).
 * Format: docs/internals/events.md.
 *
 * What is kept
 *   A record counts from the moment a spool_sync() that covers it has returned ERR_OK: it is on the
 *   disk, and will be handed out once, in order, until spool_ack() says that the other side has it.
 *   A record that no sync covers is as if it had never been appended once the writer dies.
 *   spool_append() only collects; spool_sync() writes everything, with a mark behind it, in one
 *   write and one fdatasync.  Who appends decides how often: the agent after each turn and at least
 *   every 200 ms.  A program that must not lose a record syncs before it answers its own client.
 *
 * Mark
 *   Up to SPOOL_MARK_MAX bytes that mean nothing here: "all records so far were made from the
 *   source up to this position".  Record and mark are there together or not at all, so a program
 *   that reads a source goes on exactly behind what is kept; it gives its mark with every sync,
 * also with one that repeats a failed one.  A program without a source gives none.
 *
 * What is lost
 *   Over limits.bytes the oldest segment goes, with what nobody has acknowledged in it; a record
 *   that was damaged on the disk is passed over; spool_skip() gives up what could not be kept.
 *   All three show as holes in the sequence numbers: spool_next() never hands out what lies behind
 * a hole together with what lies before it, spool_ack() counts the hole, durably, and the log says
 *   so once: "spool.dropped", "spool.damaged".
 *
 * Sequence numbers 1, 2, 3 ... belong to the spool and are never given twice to what was handed
 * out. The birth id says which spool it is: the parent counts what it has by (device, stream,
 * birth).
 *
 * Errors: ERR_STORAGE the volume (full, read-only, damaged); ERR_NO_MEMORY; nothing that was kept
 *   is touched by either, and the call may be repeated.
 * Threads: a writer and a reader each belong to one thread at a time.
 */
#pragma once

#include "base/err.h"
#include "base/rand.h"
#include "base/slice.h"

enum {
    SPOOL_PAYLOAD_MAX = 16 * 1024,
    SPOOL_MARK_MAX = 512,
    SPOOL_UNSYNCED_MAX = 1024 * 1024, /* collected before a sync, headers included */
    SPOOL_SEGMENT = 4 * 1024 * 1024,  /* a segment has at most so many bytes */
    SPOOL_BYTES = 256 * 1024 * 1024,  /* all segments together */
    SPOOL_KEEP_FREE = 64 * 1024 * 1024
};

struct spool_limits { /* 0: the value above */
    uint64_t bytes;
    uint64_t segment_bytes;
    uint64_t keep_free; /* what the volume must have left, or nothing is written; 1: any */
};

/* --- writing --- */

struct spool_writer;

/* Open or make the spool in dir (made with 0700 when it is not there).  What no sync covered is cut
 * off.  ERR_CONFLICT: another process writes it (one that was killed a moment ago is waited for).
 */
MUST_USE enum err_code spool_writer_open(const char *dir, const struct spool_limits *limits,
                                         struct spool_writer **ret, struct err *e);
void spool_writer_close(
    struct spool_writer *w); /* what is not synced is forgotten; NULL: nothing */
DEFINE_CLEANUP(struct spool_writer, spool_writer_close);
/* Collect a record of 1..SPOOL_PAYLOAD_MAX bytes.  ERR_TOO_LARGE, ERR_INVALID (empty);
 * ERR_OVERLOADED: SPOOL_UNSYNCED_MAX are collected, sync first (when that fails: wait, or
 * spool_skip()). */
MUST_USE enum err_code spool_append(struct spool_writer *w, struct slice payload, struct err *e);
/* A record that could not be kept: its number is used up, so that the hole is counted. */
void spool_skip(struct spool_writer *w, uint64_t n);
/* Make what was collected durable, with the mark (p NULL: the one before stays).  Nothing to do:
 * nothing is done.  On an error what was collected stays so, also when only the fdatasync failed,
 * and the next spool_sync() writes it again; the log says "spool.blocked" once, and
 * "spool.unblocked". */
MUST_USE enum err_code spool_sync(struct spool_writer *w, struct slice mark, struct err *e);
/* The mark of the last sync; after opening: of the last that is there.  Borrowed until the next
 * call. */
struct slice spool_mark(const struct spool_writer *w);
uint64_t spool_last(const struct spool_writer *w);   /* number of the last record; 0: none yet */
size_t spool_unsynced(const struct spool_writer *w); /* bytes collected */

/* --- reading --- */

struct spool_reader;
struct spool_batch {
    uint64_t first, last; /* n == 0: both 0 */
    size_t n, bytes;      /* bytes: of the payloads and a line end each */
};
/* payload is borrowed for the call; false stops: this record and what follows are not in the batch.
 */
typedef bool spool_record_fn(void *ctx, uint64_t seq, struct slice payload);

/* The folder must be there (ERR_NOT_FOUND).  ERR_CONFLICT: another process reads it.  When the
 * file of what was acknowledged is damaged, the birth is a new one and all that is there is handed
 * out again: "spool.reborn" in the log. */
MUST_USE enum err_code spool_reader_open(const char *dir, struct spool_reader **ret, struct err *e);
void spool_reader_close(struct spool_reader *r); /* NULL: nothing */
DEFINE_CLEANUP(struct spool_reader, spool_reader_close);
/* Hand out records behind number after, without a hole between them, as long as they fit max_n and
 * max_bytes (one always fits).  All of them are on the disk, whoever wrote them.  ret->n == 0:
 * there are none now. */
MUST_USE enum err_code spool_next(struct spool_reader *r, uint64_t after, size_t max_n,
                                  size_t max_bytes, spool_record_fn *fn, void *ctx,
                                  struct spool_batch *ret, struct err *e);
/* The other side has first..last for good: durable, and segments of which it has everything go.
 * A hole before first is counted as dropped.  At or below what was acknowledged: nothing. */
MUST_USE enum err_code spool_ack(struct spool_reader *r, uint64_t first, uint64_t last,
                                 struct err *e);
/* The other side knows more of this birth than there ever was (a copy of this machine was put
 * back): a new birth that begins behind what is acknowledged; the numbers go on. */
MUST_USE enum err_code spool_reborn(struct spool_reader *r, struct err *e);
const char *spool_birth(const struct spool_reader *r); /* UUID */
uint64_t spool_begins(const struct spool_reader *r);   /* first number of this birth */
uint64_t spool_acked(const struct spool_reader *r);    /* 0: nothing yet */
uint64_t spool_dropped(const struct spool_reader *r);  /* of this birth, counted at spool_ack() */

/* --- looking --- */

struct spool_view {
    char birth[UUID_TEXT_SIZE];      /* "": nobody has read it yet */
    uint64_t begins, acked, dropped; /* dropped: with what is missing in front of what waits */
    uint64_t last;                   /* the last record that is kept */
    uint64_t waiting;                /* records, holes within them included */
    uint64_t bytes;                  /* of all segments */
    int64_t oldest_ms;               /* wall clock at the sync of the oldest that waits; 0: none */
    int64_t acked_ms;                /* wall clock at the last acknowledgement; 0: never */
    char mark[SPOOL_MARK_MAX + 1];
    size_t mark_n;
};
/* See how a spool stands, beside its writer and reader, changing nothing. ERR_NOT_FOUND: no spool.
 */
MUST_USE enum err_code spool_look(const char *dir, struct spool_view *ret, struct err *e);
/* Hand out what waits in a spool, up to max_n records, holes or not, changing nothing. */
MUST_USE enum err_code spool_show(const char *dir, size_t max_n, spool_record_fn *fn, void *ctx,
                                  struct err *e);
