/*
 * token.h - the child's side of POST /oauth2/token (docs/internals/wire.md, "Tokens").
 * Secrets: passwords and tokens are in the returned strings only; wipe them.
 */
#pragma once

#include "base/strbuf.h"
#include "jose/jose.h"

/* The form body of private_key_jwt: an assertion for issuer, dated now_ms (the corrected clock).
 * Heap. */
MUST_USE enum err_code token_client_form(const struct jose_key *key, const char *device_id,
                                         const char *issuer, int64_t now_ms, char **ret,
                                         struct err *e);
/* The proof of the key that one call (act: PROTO_ACT_...) asks for; compact JWS, good once and for a minute.  Heap. */
MUST_USE enum err_code token_proof(const struct jose_key *key, const char *device_id,
                                   const char *issuer, const char *act, int64_t now_ms, char **ret,
                                   struct err *e);
/* The form body of an administrator's login, scope enrol.  Heap. */
MUST_USE enum err_code token_password_form(const char *user, const char *password, char **ret,
                                           struct err *e);
/* Read {"access_token","expires_in",...}; the token is a heap string. */
MUST_USE enum err_code token_read(struct slice body, const char *scope, char **ret_token,
                                  int64_t *ret_life_s, struct err *e);
/* When to ask for the next one, in ms from now: at random between 60 and 90 % of its life. */
int64_t token_refresh_ms(int64_t life_s);
