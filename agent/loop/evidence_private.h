/* evidence_private.h - what evidence.c and evidence_open.c share. */
#pragma once

#include "loop/evidence.h"

/* Spool, log and context, and the place to go on from.  An error leaves nothing open. */
MUST_USE enum err_code evidence_open(struct loop *l, struct err *e);
/* Close them; what was made since the mark is as if it had never been. */
void evidence_forget(struct loop_evidence *v);
/* Write the context to disk, as of now (monotonic). */
void evidence_keep_context(struct loop *l, int64_t now);
