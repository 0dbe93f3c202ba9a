/*
 * figures.h - what Postfix really did here, minute by minute, from its log (maillog/): read as it
 * grows, kept for half an hour, part of the status document ("health.mail").  Sent by itself once
 * an hour while there is mail, and every minute while the parent asks for it (Inari-Figures) or a
 * change was made within the last hour.
 *
 * Cost: at most FIGURES_READ bytes a turn, a turn each two seconds while there is little to read.
 * Without leave to read the log nothing is counted and the document says so.
 */
#pragma once

#include "maillog/maillog_count.h"
#include "maillog/maillog_follow.h"
#include "maillog/maillog_journal.h"

struct loop;

struct loop_figures {
    struct maillog_follow follow;
    struct maillog_journal
        entries; /* instead, where events are read from the journal (evidence.h) */
    bool journal, entries_begun;
    struct maillog_count count;
    int64_t next_read, next_report; /* monotonic ms */
    int64_t close_until;            /* monotonic: report every minute until then */
    int64_t reported;               /* count.counted as of the last report asked for */
    char problem[200];              /* why the log is not read; "" it is */
    bool begun;                     /* it was read to its end once */
};

void figures_begin(struct loop *l);
void figures_clear(struct loop *l);
void figures_turn(struct loop *l);
/* Somebody watches: figures every minute for a while.  ms: how long. */
void figures_watched(struct loop *l, int64_t ms);
/* {"state","reason","step_s","until","lost","lines","minutes":[...]}, at most max rows; new
 * reference. */
json_t *figures_json(const struct loop *l, size_t max);
