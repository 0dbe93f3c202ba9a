/*
 * sealed.h - the secrets of a bundle, opened for the moment in which the helper needs them (protocol.md 6.8).  They are
 * sealed to this device's key; the bundle on disk has the sealed form only.
 */
#pragma once

#include "loop/bundle.h"
#include "loop/identity.h"

/* {id: text}; NULL: the bundle has none.  Tried with the key in force, the next and the one before: a bundle outlives a
 * renewal.  End with sealed_wipe().  ERR_SIGNATURE: one is for no key of this device. */
MUST_USE enum err_code sealed_open(const struct identity *id, const struct bundle *b, json_t **ret, struct err *e);
/* Overwrite and free; NULL does nothing. */
void sealed_wipe(json_t *secrets);
