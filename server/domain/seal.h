/*
 * seal.h - small secrets at rest: AES-256-GCM under the parent's key file (<state>/parent.key, 32 random bytes, 0600).
 * A sealed box is  nonce (12) || ciphertext || tag (16);  its name (a key id) is authenticated with it, so that a box
 * cannot be moved to another row.
 * Threads: all calls are reentrant.  Secrets: the caller wipes what it unseals.
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"

enum { SEAL_KEY_SIZE = 32, SEAL_OVERHEAD = 28 };

/* Read the key file of a state folder, or make it when there is none (*ret_made).  ERR_STORAGE names the path;
 * a file of another size or one that others may read is refused. */
MUST_USE enum err_code seal_key_load(const char *state_dir, bool may_make, unsigned char key[SEAL_KEY_SIZE],
                                     bool *ret_made, struct err *e);
/* out: plain.n + SEAL_OVERHEAD bytes. */
MUST_USE enum err_code seal_box(const unsigned char key[SEAL_KEY_SIZE], const char *name, struct slice plain,
                                unsigned char *out, struct err *e);
/* out: box.n - SEAL_OVERHEAD bytes.  ERR_SIGNATURE: another key, another name, or changed bytes. */
MUST_USE enum err_code seal_open(const unsigned char key[SEAL_KEY_SIZE], const char *name, struct slice box,
                                 unsigned char *out, struct err *e);
