/*
 * kept_notice.h - revocations that were lost with the database, taken back from the fleet (protocol.md 6.14.8).
 *
 * Devices keep the newest notice that a parent signed while it was well, and learn within a minute that there is a newer
 * one (Inari-Notice).  A fenced parent asks for what they keep (Inari-Parent: fenced): whoever a notice names as revoked,
 * and nobody has reinstated since, is revoked again.  Until the fence ends nobody is given anything.  Threads: any.
 */
#pragma once

#include "domain/app.h"
#include "store/db.h"

/* Is that document a notice, by what it calls itself? */
bool kept_notice_is(struct slice jws);
/* jws: the notice as the device holds it.  Not fenced: nothing is done with it.  ERR_INVALID: not signed by this fleet. */
MUST_USE enum err_code kept_notice_put(struct db *db, struct app *app, const char *device_id, struct slice jws,
                                       struct arena *a, struct err *e);
