/* tls_file.h - what a certificate or key file on the device holds; nothing of a key is ever kept or
 * shown. */
#pragma once

#include "base/pem.h"

struct tls_file {
    bool readable;
    struct pem_info pem; /* pem.key_matches: with the other half, see tls_file_look() */
};

/* Look at path; peer is the file that holds the other half (the same path for a combined file, NULL
 * unknown). */
void tls_file_look(const char *path, const char *peer, struct tls_file *ret);
bool tls_file_match(const char *cert, const char *key);
