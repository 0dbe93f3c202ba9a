/* keyring_private.h - what keyring.c and keyring_birth.c (the first start) share. */
#pragma once

#include "domain/keyring.h"
#include "domain/seal.h"

enum { TOKEN_KEY_SIZE = 32, TOKEN_GENERATIONS = 2, SEALED_MAX = 4096 };

struct token_key {
    char kid[64];
    unsigned char key[TOKEN_KEY_SIZE];
};

void token_key_make(struct token_key *t);
/* Store a key of ours sealed; jwk (its public part) may be NULL. */
MUST_USE enum err_code keyring_add_sealed(struct db *db, const unsigned char *seal_key, const char *kid, const char *use,
                                          struct slice secret, const json_t *jwk, struct err *e);
/* The same with a whole key and its public part. */
MUST_USE enum err_code keyring_add_private(struct db *db, const unsigned char *seal_key, const struct jose_key *key,
                                           const char *use, struct err *e);
/* Fleet id, epoch, keys and trust document 1, unless another parent was faster. */
MUST_USE enum err_code keyring_first_start(struct db *db, struct app *app, const unsigned char *seal_key,
                                           struct keyring_first *first, struct err *e);

void keyring_passphrase(char out[KEYRING_PASSPHRASE_SIZE]);
/* A root key under a passphrase, 0600. */
MUST_USE enum err_code keyring_root_write(const struct jose_key *key, const char *path, const char *passphrase,
                                          struct err *e);
/* The same as <state>/root.key.pem; one of an earlier fleet is kept under its time. */
MUST_USE enum err_code keyring_root_keep(const struct app *app, const struct jose_key *key, const char *passphrase,
                                         struct err *e);
