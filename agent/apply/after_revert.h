/*
 * after_revert.h - mail accepted while a configuration ran that was taken back is not left waiting
 * for what only that one had (targets/postfix_requeue.h).  Looked at once before the revert is
 * answered, then a few times more: a session that began under the wrong configuration goes on with
 * it until it ends.
 */
#pragma once

#include "targets/postfix_requeue.h"

struct helper;

struct after_revert {
    struct requeue_request rq;
    int64_t next_ms; /* clock_mono_ms() of the next look; 0: none */
    size_t done;     /* looks so far */
};

/* Before the old files are put back: which filters does this configuration record? */
void after_revert_note(struct helper *h);
/* The old files run again: look now, and later. */
void after_revert_begin(struct helper *h);
/* At the helper's start: the last change was reverted a moment ago and its looks are not over. */
void after_revert_resume(struct helper *h);
/* A look when one is due; cheap otherwise. */
void after_revert_tick(struct helper *h);
