/*
 * adopt.h - what a device was found to run, taken over as values of its own layer (protocol.md 6.5.6): into a new draft,
 * checked like any other edit; nothing reaches the device before somebody publishes it.
 */
#pragma once

#include "domain/draft.h"

/* keys: array of setting keys; empty: every proposed value that differs from what the device has now.
 * *ret: the draft, new reference; dry_run: as it would be, and gone again.  f: every finding; the caller clears it.
 * ERR_INVALID: a key was not proposed (pointer /keys/n), or findings. */
MUST_USE enum err_code adopt_device(struct db *db, const char *ref, const json_t *keys, const struct actor *by, enum lang lang,
                                    bool dry_run, struct arena *a, struct findings *f, json_t **ret, struct err *e);
/* A new draft with that patch; none is left when it is refused, or for a dry run. */
MUST_USE enum err_code adopt_patch(struct db *db, const char *title, const json_t *patch, const struct actor *by,
                                   enum lang lang, bool dry_run, struct findings *f, json_t **ret, struct err *e);
