/*
 * alert_outage.h - telling somebody that this parent's database is away, while it is: nothing can
 * be read or written then, so who is to be told is remembered from before
 * (docs/internals/alerts.md).  What it was in the end is told as any alert. Threads: none of its
 * own; the caller has one thread at a time in it.
 */
#pragma once

#include "domain/app.h"
#include "notify/notify.h"
#include "store/db.h"

struct alert_outage;
/* Rules of kind parent-database and their channels, secrets sealed as they are stored.  *ret: owned
 * by the caller. */
MUST_USE enum err_code alert_outage_load(struct db *db, struct alert_outage **ret, struct err *e);
void alert_outage_free(struct alert_outage *o); /* NULL does nothing */
/* Send what is due; a failure is tried again later, as often as any notice. */
void alert_outage_tell(struct alert_outage *o, const struct app *app, int64_t away_s,
                       const struct notify_run *run);
