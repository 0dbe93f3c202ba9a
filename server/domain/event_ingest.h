/*
 * event_ingest.h - a batch of events from a device is stored, exactly once (docs/internals/events.md, "The wire").
 *
 * Read and made ready first, then one transaction: the spool is locked, what it had before is left out, a hole becomes a
 * row "spool.gap", the rows are copied, the figures and the acknowledgement advance.  An answer is given after the commit;
 * where nobody knows whether there was one the device repeats its batch, and what was stored is left out.
 * Threads: any; one batch of a device at a time.
 */
#pragma once

#include "domain/app.h"
#include "store/db.h"

#define EVENT_STREAM_MAX     16
#define EVENT_STREAM_POSTFIX "postfix" /* the log of Postfix */
#define EVENT_STREAM_AGENT   "agent"   /* what the agent says itself */

struct event_batch {
    const char *device_id, *stream; /* stream: [a-z]{1,16} */
    struct slice body;
    bool zstd;
};
/* *ret_acknowledged: the highest sequence number that is stored of this spool.
 * ERR_MALFORMED, ERR_INVALID, ERR_TOO_LARGE: this batch will never be taken (what is odd in a line is no reason).
 * ERR_SLOW_DOWN: another batch of this device is being stored.  ERR_OVERLOADED: repeat it. */
MUST_USE enum err_code event_ingest(struct db *db, const struct app *app, const struct event_batch *batch,
                                    struct arena *a, int64_t *ret_acknowledged, struct err *e);
