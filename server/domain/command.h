/*
 * command.h - tracked orders to devices (docs/internals/wire.md, "Commands"): given by an administrator, kept until the
 * device takes them or their time is over, done at most once, with their output and how they ended.
 * Who writes what: an administrator makes and cancels; the device alone says delivered, running and how it ended;
 * time alone makes expired and unknown.  Each step is one transaction.
 */
#pragma once

#include "domain/app.h"
#include "domain/audit.h"
#include "proto/command.h"
#include "store/db.h"

enum { COMMAND_EXPIRES_MIN_S = 10, COMMAND_EXPIRES_S = 3600, COMMAND_EXPIRES_MAX_S = 7 * 86400 };

struct command_order {
    enum command_kind kind;
    const json_t *args; /* NULL: none */
    const char *reason; /* "" none */
    int64_t expires_in_s;
    const struct actor *by;
    bool dry_run;
};
/* ref: id or name of the device.  *ret: the command as api.md describes it, new reference.  ERR_INVALID names the
 * argument; ERR_CONFLICT: the device is not in service, or COMMAND_OPEN_MAX wait already. */
MUST_USE enum err_code command_give(struct db *db, struct app *app, const char *ref, const struct command_order *o,
                                    struct arena *a, json_t **ret, struct err *e);
/* Only while the device has not taken it: ERR_CONFLICT otherwise. */
MUST_USE enum err_code command_cancel(struct db *db, struct app *app, const char *id, const struct actor *by,
                                      bool dry_run, struct arena *a, json_t **ret, struct err *e);
MUST_USE enum err_code command_get(struct db *db, const char *id, struct arena *a, json_t **ret, int64_t *ret_version,
                                   struct err *e);
/* device: id or name, "" all.  *ret: {"items","next"}, newest first. */
MUST_USE enum err_code command_list(struct db *db, const char *device, const char *state, const char *kind,
                                    const char *cursor, int64_t limit, struct arena *a, json_t **ret, struct err *e);
/* *ret: {"from","text","next","complete"}: whole pieces from the one that holds byte from on; next: the byte to go on
 * with; complete: the command has ended and this was its last output. */
MUST_USE enum err_code command_output(struct db *db, const char *id, int64_t from, struct arena *a, json_t **ret,
                                      struct err *e);
/* Expire what nobody began in time.  For the leading parent's job thread. */
MUST_USE enum err_code command_expire(struct db *db, struct app *app, struct err *e);

/* --- the device's side --- */

/* *ret: {"items":[compact JWS ...]} of the commands this device has open, oldest first. */
MUST_USE enum err_code command_for_device(struct db *db, struct app *app, const char *device_id, struct arena *a,
                                          json_t **ret, struct err *e);
/* A signed report about one of them.  *ret: {"state","output_bytes"} as stored now.  The same report again changes
 * nothing.  ERR_CONFLICT: it was cancelled or has expired, do not begin it; or output is missing before this piece. */
MUST_USE enum err_code command_report(struct db *db, struct app *app, const char *device_id, const char *id,
                                      struct slice jws, struct arena *a, json_t **ret, struct err *e);
