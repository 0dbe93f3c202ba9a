/*
 * event_line.h - one event as a device sends it (docs/internals/events.md, "The wire") becomes a row for COPY.  Pure.
 *
 * A line is an object: "at" (ms since the epoch), "kind", and whatever of the known members there is; the rest goes into
 * "detail" under its name, and so does a known member of another type than it has (a client that is no IP address).
 * Nothing is lost for being odd: a line that is no such object is a row of the kind "unreadable" with its text.
 * Limits:  EVENT_LINE_MAX a line; texts are cut at event_line.c's table, between characters.
 * Time:    "at" older than rules->oldest_ms, or more than 5 min ahead of now, becomes now; what the device said is kept in
 *          device_at.
 * Persons: a subject that is not kept is nowhere: not in detail, not in the text of a line, nor in one that is unreadable.
 */
#pragma once

#include "base/strbuf.h"
#include "json/json_in.h"

enum { EVENT_LINE_MAX = 16 * 1024, EVENT_COLUMNS = 27, EVENT_DAYS_MAX = 40 };
enum event_subject { SUBJECT_KEEP, SUBJECT_HASH, SUBJECT_OMIT };
extern const char *const event_subject_words[]; /* "keep" "hash" "omit", NULL */
/* COPY event (...) of the rows made here: the first column, batch, is written by event_row_head(). */
extern const char EVENT_COPY[];

struct event_rules {
    unsigned char device[16];
    const char *stream;
    int64_t now_ms, oldest_ms;
    enum event_subject subject;
    /* SUBJECT_HASH: a digest of text that only this parent can make, of 65 bytes with its NUL. */
    void (*blind)(const void *ctx, struct slice text, char out[65]);
    const void *blind_ctx;
    /* Days (since the epoch) that rows belong to; filled here.  An event of one day more is taken as one too old. */
    int64_t days[EVENT_DAYS_MAX];
    size_t n_days;
};

/* A row in a buffer: positions, since the buffer moves while it grows. */
struct event_span {
    uint32_t at, n; /* n 0: not there */
};
struct event_row {
    struct event_span row;
    int64_t seq, at_ms, size, delay_ms, count; /* size, delay_ms negative: not there */
    struct event_span kind, status, reason, detail;
    int family; /* AF_INET, AF_INET6; 0: no client */
    unsigned char client[16];
    bool internal;
};

/* Number n of its batch, sequence seq.  rows: appended to; the caller asks strbuf_ok() and json_failures(). */
void event_line_add(struct event_rules *rules, struct slice line, int32_t n, int64_t seq, struct strbuf *rows,
                    struct event_row *ret);
/* Lines whose end never came within EVENT_LINE_MAX: what there is of them. */
void event_line_unreadable(struct event_rules *rules, struct slice line, const char *why, int32_t n, int64_t seq,
                           struct strbuf *rows, struct event_row *ret);
/* The parent's own: events first..last of a spool never came. */
void event_line_gap(struct event_rules *rules, const char *spool, int64_t first, int64_t last, struct strbuf *rows,
                    struct event_row *ret);
/* What comes before a row's bytes. */
void event_row_head(struct strbuf *b, int64_t batch);
/* What a subject is stored as under "hash", without the blanks around it: for whoever looks for one. */
void event_subject_hash(const struct event_rules *rules, struct slice subject, char out[40]);
