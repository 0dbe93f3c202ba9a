/* hash.h - SHA-256, HMAC-SHA-256, hexadecimal and base64url (RFC 4648 5, without padding). */
#pragma once

#include "base/strbuf.h"

enum { SHA256_SIZE = 32, SHA256_HEX_SIZE = 65 };

void sha256(struct slice in, unsigned char out[SHA256_SIZE]);
void sha256_hex(struct slice in, char out[SHA256_HEX_SIZE]);
void hmac_sha256(struct slice key, struct slice in, unsigned char out[SHA256_SIZE]);
void hex_encode(const unsigned char *in, size_t n, char *out); /* 2n + 1 bytes */
MUST_USE bool hex_decode(struct slice in, unsigned char *out, size_t n); /* exactly 2n digits */
void b64u_add(struct strbuf *b, struct slice in);
/* Decode into out (at most max bytes); false on any byte outside the alphabet, padding or bad length. */
MUST_USE bool b64u_decode(struct slice in, unsigned char *out, size_t max, size_t *ret_n);
/* Equal, in a time that does not depend on where they differ. */
bool const_time_eq(struct slice a, struct slice b);
void secret_wipe(void *p, size_t n);
