/*
 * kept.h - settings that were lost with the database, taken back from the fleet
 * (protocol.md 6.14.8).
 *
 * A device that is told parent-behind sends the newest bundle it holds.  This fleet's own key
 * signed it, so what it says was published once.  The differences are shown, and taken over into a
 * draft that is published like any other; no device goes back by itself. Threads: any.
 */
#pragma once

#include "domain/app.h"
#include "domain/draft.h"

/* jws: the bundle as the device holds it.  ERR_INVALID: not signed by this fleet for this device.
 */
MUST_USE enum err_code kept_put(struct db *db, struct app *app, const char *device_id,
                                struct slice jws, struct err *e);
/* {"items":[{"id","name","epoch","rev","pub","settings":[{"key","here","device"}]}]}; new
 * reference.  Devices whose content is the same here are left out. */
MUST_USE enum err_code kept_describe(struct db *db, struct arena *a, json_t **ret, struct err *e);
/* All of it into a new draft: a value that every device in service holds, and no group or device
 * layer sets, for the fleet; the rest for each device.  *ret: the draft, new reference; dry_run: as
 * it would be, and gone again.  f: every finding; the caller clears it.  ERR_NOT_FOUND: nothing is
 * lost. */
MUST_USE enum err_code kept_adopt(struct db *db, const char *title, const struct actor *by,
                                  enum lang lang, bool dry_run, struct arena *a, struct findings *f,
                                  json_t **ret, struct err *e);
