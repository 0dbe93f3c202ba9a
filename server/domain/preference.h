/*
 * preference.h - what somebody has chosen for the console, kept with the account so that every
 * browser shows it.
 *   {"lang":"en|ja", "theme":"auto|light|dark", "zone":"Asia/Tokyo", "page_size":20|50|100, "keys":true|false}
 * A member that is absent was not chosen: the browser's own holds.  Nothing but the console's look
 * depends on them, so they have no version (what was chosen last holds) and no place in the audit
 * log.
 */
#pragma once

#include "json/json_in.h"
#include "store/db.h"

/* *ret: new reference.  ERR_NOT_FOUND: the account is gone. */
MUST_USE enum err_code preference_get(struct db *db, const char *account, json_t **ret,
                                      struct err *e);
/* patch: members to set, null forgets one.  *ret: all of them afterwards, new reference.
 * ERR_INVALID names the member. */
MUST_USE enum err_code preference_patch(struct db *db, const char *account, json_t *patch,
                                        bool dry_run, json_t **ret, struct err *e);
