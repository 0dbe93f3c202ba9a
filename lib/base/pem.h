/*
 * pem.h - what a PEM text says of itself: is there a certificate, until when, for which names; is
 * there a key, and do the two belong together.  Pure: the text is given, no clock, no file.
 * Source:   RFC 7468; RFC 5280 4.1.2.5 (validity), 4.2.1.6 (names); RFC 6125 6.4.4 (the common name
 *           counts only when no DNS name is there).
 * Secrets:  of a private key only "it is one" and "it fits" are ever said.
 */
#pragma once

#include "base/slice.h"

#include <stdint.h>

enum { PEM_TEXT_MAX = 1024 * 1024, PEM_NAMES_MAX = 32, PEM_NAME_MAX = 254 };

struct pem_info {
    bool is_cert, is_key;
    bool key_matches;                    /* the first key fits the first certificate of this text */
    int64_t not_before_ms, not_after_ms; /* of the first certificate; 0: none */
    size_t n_names;                      /* more than PEM_NAMES_MAX are left out */
    char name[PEM_NAMES_MAX][PEM_NAME_MAX]; /* printable ASCII only; others are left out */
};

/* Encrypted keys count as none: nobody types a passphrase for a daemon. */
void pem_look(struct slice text, struct pem_info *ret);
/* Does the first key of key fit the first certificate of cert? */
bool pem_match(struct slice cert, struct slice key);
