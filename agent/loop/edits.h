/*
 * edits.h - somebody wrote main.cf or master.cf: the look for drift comes within two seconds
 * instead of within a minute. Only a hint (inotify on the folder of Postfix's configuration). Where
 * it cannot be had, or the folder is exchanged for another, the regular look finds the same a
 * little later.  A change that our own helper applies hints too; that look finds nothing. What a
 * repair writes does not (edits_forget()). Threads: the loop's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct loop;

enum { EDITS_PAUSE_MS = 2000 /* between two looks, however often somebody writes */ };

struct loop_edits {
    int fd;            /* inotify; -1: none */
    int64_t open_next; /* monotonic: when to try again */
    int64_t looked;    /* monotonic: the last look that a hint led to */
    bool hinted;
};

void edits_turn(struct loop *l);
/* After a repair, done or failed: its own writes are no hint.  Else what it did would be shown for
 * two seconds only, and one that fails would use up its tries at once.  Who wrote at the same
 * moment is found by the regular look. */
void edits_forget(struct loop *l);
void edits_clear(struct loop *l);
