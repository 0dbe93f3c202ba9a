/* command_private.h - what command.c (administrators) and command_device.c (devices) share. */
#pragma once

#include "domain/command.h"
#include "store/command_store.h"

json_t *command_to_json(const struct command_row *c); /* new reference */
/* ERR_NOT_FOUND also when id is no id. */
MUST_USE enum err_code command_find(struct db *db, const char *id, bool lock, struct arena *a, struct command_row *ret,
                                    struct err *e);
MUST_USE enum err_code command_audit(struct db *db, const struct actor *by, const char *action,
                                     const struct command_row *c, struct err *e);
/* After a commit: the table of devices and their polls follow at once. */
void command_committed(struct db *db, struct app *app);
