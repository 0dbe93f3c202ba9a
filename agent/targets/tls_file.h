/* tls_file.h - what a certificate or key file on the device holds; nothing of a key is ever kept or
 * shown. */
#pragma once

#include "base/slice.h"

struct tls_file {
    bool readable, is_cert, is_key;
    bool key_matches;     /* the first key fits the first certificate of the pair */
    int64_t not_after_ms; /* of the first certificate; 0 none */
};

/* Look at path; peer is the file that holds the other half (the same path for a combined file, NULL
 * unknown). */
void tls_file_look(const char *path, const char *peer, struct tls_file *ret);
bool tls_file_match(const char *cert, const char *key);
