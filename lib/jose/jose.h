/*
 * jose.h - the few pieces of JOSE the protocol uses: ES256 keys, JWS (flattened JSON and compact), HS256 tokens,
 * JWK thumbprints.
 * Source:  RFC 7515, 7517, 7518 3.4, 7638; RFC 8725 3.1 (the algorithm is ours, never the token's choice).
 * Why not libjwt 1.10: no EdDSA or JWKS, PEM parsed on each call, algorithm taken from the token (docs/dependencies.md).
 * Threads: keys are immutable once made; all calls are reentrant.
 * Secrets: no private key or token text is ever logged or put into an error.
 */
#pragma once

#include "base/hash.h"
#include "json/json_in.h"

enum { JOSE_KID_SIZE = 44 /* b64u of SHA-256, with NUL */ };

struct jose_key; /* P-256, private or public */

/* A new private key; NULL without memory. */
MUST_USE struct jose_key *jose_key_new(void);
void jose_key_free(struct jose_key *k);
DEFINE_CLEANUP(struct jose_key, jose_key_free);
MUST_USE enum err_code jose_key_from_pem(struct slice pem, struct jose_key **ret, struct err *e); /* PKCS#8 private */
/* Heap PEM of the private key (PKCS#8, not encrypted); wipe it after use. */
MUST_USE enum err_code jose_key_to_pem(const struct jose_key *k, char **ret, struct err *e);
/* From a public JWK object {"kty":"EC","crv":"P-256","x","y"}; anything else is ERR_INVALID. */
MUST_USE enum err_code jose_key_from_jwk(const json_t *jwk, struct jose_key **ret, struct err *e);
MUST_USE json_t *jose_key_to_jwk(const struct jose_key *k); /* public part; new reference */
/* RFC 7638 thumbprint, base64url. */
const char *jose_key_kid(const struct jose_key *k);
bool jose_key_is_private(const struct jose_key *k);

/* Raw ES256 (r || s, 64 bytes). */
MUST_USE enum err_code jose_es256_sign(const struct jose_key *k, struct slice data, unsigned char sig[64], struct err *e);
MUST_USE bool jose_es256_verify(const struct jose_key *k, struct slice data, const unsigned char sig[64]);

/* Sign payload bytes.  Protected header: {"alg":"ES256","kid":<thumbprint>,"typ":typ}.
 * compact: "h.p.s"; else flattened JSON {"payload","protected","signature"}.  *ret: heap string. */
MUST_USE enum err_code jose_jws_sign(const struct jose_key *k, const char *typ, struct slice payload, bool compact,
                                     char **ret, struct err *e);

/* What a JWS says of itself before anything is believed: kid and typ of the protected header. */
struct jose_jws {
    char kid[JOSE_KID_SIZE];
    char typ[64];
    char *payload; /* heap, decoded, NUL-terminated, payload_n bytes */
    size_t payload_n;
    char *signed_part; /* heap: what the signature covers */
    unsigned char sig[64];
    json_t *header; /* owned; whole protected header */
};
void jose_jws_clear(struct jose_jws *j);
/* Split either form; at most max bytes.  ERR_MALFORMED: not a JWS of ours (alg must be ES256, typ as given, kid
 * present, "crit" absent: RFC 7515 4.1.11).  Nothing is verified yet. */
MUST_USE enum err_code jose_jws_parse(struct slice text, size_t max, const char *typ, struct jose_jws *ret, struct err *e);
/* ERR_SIGNATURE unless k signed exactly this. */
MUST_USE enum err_code jose_jws_verify(const struct jose_jws *j, const struct jose_key *k, struct err *e);

/* Compact HS256 token with header {"alg":"HS256","kid":kid,"typ":typ}. */
MUST_USE enum err_code jose_hs256_sign(struct slice key, const char *kid, const char *typ, const json_t *claims, char **ret,
                                       struct err *e);
/* Check a compact HS256 token: algorithm, typ and kid fixed by us, MAC in constant time; *ret_claims: new reference.
 * Times are the caller's to check.  ERR_TOKEN_INVALID otherwise.  kid_of: the kid the token names (for choosing the key). */
MUST_USE bool jose_hs256_kid(struct slice token, char kid[64]);
MUST_USE enum err_code jose_hs256_verify(struct slice key, const char *kid, const char *typ, struct slice token,
                                         json_t **ret_claims, struct err *e);

/* The shared secret of our private and a peer's public key (RFC 7748 does not apply: P-256, x coordinate, 32 bytes).
 * Wipe it. */
MUST_USE enum err_code jose_ecdh(const struct jose_key *own, const struct jose_key *peer, unsigned char z[32],
                                 struct err *e);
/* Encrypt to a public key: compact JWE, "alg":"ECDH-ES", "enc":"A256GCM" (RFC 7516, 7518 4.6), with a key made for this
 * one text.  *ret: heap string. */
MUST_USE enum err_code jose_jwe_encrypt(const struct jose_key *to, struct slice plain, char **ret, struct err *e);
/* Open one with the private key.  *ret: heap, *ret_n bytes; wipe it when it is secret.  ERR_MALFORMED: not a JWE of
 * that kind; ERR_SIGNATURE: not for this key, or changed on the way. */
MUST_USE enum err_code jose_jwe_decrypt(const struct jose_key *own, struct slice text, char **ret, size_t *ret_n,
                                        struct err *e);
