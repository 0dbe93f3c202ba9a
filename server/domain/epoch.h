/*
 * epoch.h - a new epoch (protocol.md 6.14.8): the way out when revisions cannot simply go on above the highest one that
 * any device has seen (a counter driven up by whoever had the bundle key, devices that cannot be asked).
 *
 * The fleet's root key signs a trust document that names the epoch; a device that has walked to it takes a revision of the
 * new epoch whatever the numbers were before, once, and from then on only higher ones of it.  The bundle key alone cannot
 * do that.  Threads: any; run by a program at the parent's host (inarid new-epoch), the servers follow at once.
 */
#pragma once

#include "domain/app.h"
#include "domain/audit.h"
#include "jose/jose.h"

struct epoch_result {
    int64_t epoch, trust; /* as they are now */
    int64_t devices;      /* in service */
};
/* In one transaction: epoch and trust document, the end of a fence, the audit entry, and, unless keep is set, a bundle of
 * the new epoch for every device.  keep: devices go on as they are until the next publication (kept.h).  app: keys,
 * state_dir and tls_pins are set.  ERR_REFUSED: too many trust documents. */
MUST_USE enum err_code epoch_raise(struct db *db, struct app *app, const struct jose_key *root, const struct actor *by,
                                   const char *reason, bool keep, struct epoch_result *ret, struct err *e);
