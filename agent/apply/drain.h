/*
 * drain.h - a device that takes no new mail while its queue empties.  What is wanted stands in <helper.state>/drain.json;
 * what Postfix does, in the table <postfix.config>/inari-drain that the public listener asks first.  Neither belongs to a
 * rendering: a publication, a revert or a kept configuration put back leaves the device drained.  The orders reload Postfix
 * where it runs, since smtpd reads the table once; a session that runs goes on.
 */
#pragma once

#include "apply/apply.h"

#include "json/json_in.h"

/* {"by","reason","since","command"}, new reference; NULL: it takes mail. */
json_t *drain_read(const struct helper *h);
/* The table says what is wanted, whatever was there before: at the start, before something is staged, with every look. */
MUST_USE enum err_code drain_ensure(const struct helper *h, struct err *e);
/* The same for a device that runs: where the table was gone or changed by hand, Postfix is reloaded for the smtpd that
 * began meanwhile (unless a change is open).  Problems are logged. */
void drain_mend(struct helper *h);
/* ERR_CONFLICT: what runs here does not ask the table (not managed, or rendered by an older version). */
MUST_USE enum err_code drain_begin(struct helper *h, const char *by, const char *reason, const char *command,
                                   struct err *e);
MUST_USE enum err_code drain_end(struct helper *h, struct err *e);
