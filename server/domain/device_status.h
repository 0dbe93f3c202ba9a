/*
 * device_status.h - what a device says of itself: status documents and proposals, signed by its key (protocol.md 6.10),
 * and what follows from them: which of the three truths agree.
 */
#pragma once

#include "domain/app.h"
#include "jose/jose.h"
#include "store/db.h"
#include "store/device_store.h"

/* Texts of a report: UTF-8 without NUL and control characters (line ends and tabs may be), at most 8 KiB each.
 * false: pointer names the first that is not. */
bool report_texts_ok(const json_t *j, char *pointer, size_t size);

/* The payload of a document signed by this device's key, naming this device: an object, new reference.  Clear j. */
MUST_USE enum err_code report_open(const struct device *d, const char *typ, size_t max, struct slice jws,
                                   struct jose_jws *j, json_t **ret, struct err *e);
/* report_texts_ok() as an error. */
MUST_USE enum err_code report_check_texts(const json_t *doc, struct err *e);

/* ERR_STATUS_INVALID names the member; ERR_SIGNATURE; ERR_TOO_LARGE.  A document with a lower seq than the stored one is
 * ignored.  device_id: of the access token; the document must name the same. */
MUST_USE enum err_code device_status_put(struct db *db, struct app *app, const char *device_id, struct slice jws,
                                         struct arena *a, struct err *e);
MUST_USE enum err_code device_proposal_put(struct db *db, struct app *app, const char *device_id, struct slice jws,
                                           struct arena *a, struct err *e);

/* "in-sync": on disk and running are what is desired.  "observing": fetched, and only looked at.  "pending", "applying",
 * "failed", "held", "unknown". */
const char *device_sync(const struct device *d);
/* One bundle's fate on its device: queued offered fetched confirmed observed rejected reverted interrupted degraded held
 * superseded.  status may be NULL. */
const char *rollout_device_state(const json_t *status, const char *digest, const char *etag, int64_t rev,
                                 int64_t desired_rev, int64_t offered_rev);
