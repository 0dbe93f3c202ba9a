/*
 * selfsigned.h - P-256 keys and a self-signed server certificate, with OpenSSL.
 */
#pragma once

#include "base/err.h"
#include "http/hosts.h"

enum { SELFSIGNED_DAYS = 820 /* browsers refuse longer lives; it is made again in time, with the same key */ };

/* A new P-256 key at path, PKCS#8 PEM, mode 0600. */
MUST_USE enum err_code selfsigned_key(const char *path, struct err *e);
/* A certificate for the key in key_path, naming all of names, at crt_path, mode 0644. */
MUST_USE enum err_code selfsigned_crt(const char *key_path, const char *crt_path, const struct hosts *names,
                                      struct err *e);
