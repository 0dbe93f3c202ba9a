/*
 * envelope.h - a file encrypted so that only a key that is not on this machine opens it: CMS AuthEnvelopedData with
 * AES-256-GCM (RFC 5083, RFC 5084), DER.  The recipient is a certificate (any key CMS knows: RSA, P-256) or a
 * passphrase (RFC 3211, PBKDF2-HMAC, 600,000 rounds).  `openssl cms -decrypt -inform DER` opens it too.
 * Memory: opening holds the whole file twice.  Threads: reentrant.
 */
#pragma once

#include "base/err.h"

enum { ENVELOPE_PASSPHRASE_MIN = 12 };

/* Whom it is for: exactly one of the two.  Paths and text are borrowed. */
struct envelope_key {
    const char *certificate; /* sealing: PEM file with the recipient's certificate */
    const char *private_key; /* opening: PEM file with the recipient's key */
    const char *passphrase;
};

/* out must not exist; made 0600 and synced.  On an error it is gone again.
 * ERR_INVALID: the certificate cannot be used (says why); ERR_STORAGE. */
MUST_USE enum err_code envelope_seal(const char *in, const char *out, const struct envelope_key *key, struct err *e);
/* ERR_SIGNATURE: another key, or the file was changed; then out does not exist.  ERR_MALFORMED: no such file format. */
MUST_USE enum err_code envelope_open(const char *in, const char *out, const struct envelope_key *key, struct err *e);
