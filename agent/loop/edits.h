/*
 * edits.h - somebody wrote main.cf or master.cf: the look for drift comes within two seconds
 * instead of within a minute. Only a hint (inotify on the folder of Postfix's configuration). Where
 * it cannot be had, or the folder is exchanged for another, the regular look finds the same a
 * little later.  What our own helper writes hints too; that look finds nothing. Threads: the
 * loop's.
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
void edits_clear(struct loop *l);
