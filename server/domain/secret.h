/*
 * secret.h - secrets of settings (protocol.md 6.8): taken in once, sealed at once, never shown again.
 * A text that comes with an edit or an import goes into a box under the parent's key file before anything else sees the
 * settings; from then on they have CATALOG_SEALED and the box's id (catalog.h).  Only issue.c opens a box, to seal the
 * text to the key of a device that gets it.  Which device was given which is remembered: revoked, it still knows them.
 * Secrets: no text, and nothing that was made of one, is logged or put into an error or a finding.
 */
#pragma once

#include "base/finding.h"
#include "domain/app.h"
#include "domain/audit.h"
#include "jose/jose.h"
#include "store/db.h"

/* Replace every secret text in changes ({"fleet","groups":{ref:{}},"devices":{}}; what is not of that shape is left for who
 * checks it) by its sealed form, in place.  at: pointer of changes ("/changes").  store: else nothing is kept (a dry run).
 * ERR_INVALID with findings: a text that no password file can hold, or a sealed form that is not one of ours. */
MUST_USE enum err_code secret_take(struct db *db, const struct app *app, json_t *changes, const char *at, bool store,
                                   const struct actor *by, struct findings *f, struct err *e);

struct secret_box { const char *id; struct slice box; };
/* Those effective settings have, in a. */
MUST_USE enum err_code secret_boxes(struct db *db, const json_t *effective, struct arena *a, struct secret_box **ret,
                                    size_t *ret_n, struct err *e);
/* Sealed to enc_jwk (JSON text of a device's public key): {id: JWE}, new reference; the device counts as having them.  In
 * the caller's transaction. */
MUST_USE enum err_code secret_seal_for(struct db *db, const struct app *app, const char *device_id, const char *enc_jwk,
                                       const struct secret_box *v, size_t n, json_t **ret, struct err *e);
/* {"items":[{"id","setting","author","created_at","pub","in_use"}]}: those in use, or with device (name or id) what that
 * device was ever given, with "given_at" and "rotate" (it is in use, and the device is no longer in service). */
MUST_USE enum err_code secret_list(struct db *db, const char *device, json_t **ret, struct err *e);
