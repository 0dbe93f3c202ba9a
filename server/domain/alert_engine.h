/*
 * alert_engine.h - from what is true to what somebody hears of (docs/internals/alerts.md): under
 * the lease "engine" the rules are compared with the database and with what this parent knows of
 * itself; what holds long enough fires, what is over is resolved, and notices are written for the
 * channels.  Who sends them: jobs/alert_sender.h.
 */
#pragma once

#include "domain/app.h"
#include "json/json_in.h"
#include "store/db.h"

/* What only this process knows: [{"kind","subject","name","value","detail"}]; new reference, NULL
 * without memory. away_s: how long its database could not be reached lately, 0: not. */
MUST_USE json_t *alert_engine_facts(const struct app *app, int64_t away_s);
/* One pass, one transaction.  facts: as above.  *ret_notices: how many were written. */
MUST_USE enum err_code alert_engine_run(struct db *db, const struct app *app, const json_t *facts,
                                        int64_t *ret_notices, struct err *e);
/* Forget what is old. */
MUST_USE enum err_code alert_engine_trim(struct db *db, struct err *e);
