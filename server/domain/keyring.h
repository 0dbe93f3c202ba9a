/*
 * keyring.h - the parent's own keys (protocol.md 6.1): bundle and receipt keys (ES256), token keys (HS256, two
 * generations valid) and the trust documents.  Private parts live in the database, sealed by the parent's key file;
 * the fleet root key is a passphrase-sealed PEM in the state folder and is never loaded again by the server.
 * Threads: any.  A key handed out stays valid until keyring_free(); token keys change under a lock inside.
 * Secrets: no key, token or passphrase is ever logged.
 */
#pragma once

#include "domain/app.h"
#include "jose/jose.h"
#include "store/db.h"

enum {
    KEYRING_NONCE_TTL_S = 300,
    KEYRING_TOKEN_ROTATE_S = 24 * 3600,
    KEYRING_TRUST_MAX = 64,
    KEYRING_PASSPHRASE_SIZE = 48
};

/* What the first start made and an administrator must note down. */
struct keyring_first {
    bool made;                /* this was the first start of the fleet */
    char root_passphrase[KEYRING_PASSPHRASE_SIZE]; /* opens <state>/root.key.pem; shown once; the caller wipes it */
};

/* At start, after the migrations and after app->{state_dir,issuer,addresses,tls_pins} are set: makes fleet id, epoch,
 * keys and trust document 1 in one transaction when there are none, loads them, and sets
 * app->{keys,fleet_id,epoch,issuer}: the issuer stays the one of the trust document, whatever this host is called now.
 * ERR_STORAGE: the database holds keys of a fleet but parent.key is missing or another one (copy it from the first
 * parent). */
MUST_USE enum err_code keyring_bootstrap(struct db *db, struct app *app, struct keyring_first *ret_first, struct err *e);
/* For a process beside the server: sets app->{fleet_id,epoch}, no keys.  ERR_UNAVAILABLE: no parent has started on this
 * database yet. */
MUST_USE enum err_code keyring_fleet(struct db *db, struct app *app, struct err *e);
void keyring_free(struct keyring *k);
/* Read token keys, newer trust documents and the epoch again (another parent, or inarid new-epoch, changed them).  One
 * thread at a time. */
MUST_USE enum err_code keyring_reload(struct db *db, struct app *app, struct err *e);
/* A new token key when the newest is a day old; the one before stays valid, older ones go.  *ret_rotated may be NULL. */
MUST_USE enum err_code keyring_rotate_tokens(struct db *db, struct app *app, bool *ret_rotated, struct err *e);

/* Borrowed; good until keyring_free(), also when another takes its place. */
const struct jose_key *keyring_bundle_key(const struct keyring *k);
const struct jose_key *keyring_receipt_key(const struct keyring *k);
/* The public key of that use ("bundle", "receipt") and thumbprint, when the newest trust document lists it: what it signed
 * counts, also after a newer key has its place.  *ret: the caller frees it.  ERR_SIGNATURE: it is not listed. */
MUST_USE enum err_code keyring_listed(const struct keyring *k, const char *use, const char *kid, struct jose_key **ret,
                                      struct err *e);
/* The newest trust document; *ret: new reference. */
MUST_USE enum err_code keyring_trust_open(const struct keyring *k, json_t **ret, struct err *e);
/* From now on that key signs (use "bundle" or "receipt"); the one before stays good for who holds it.  Takes key (NULL:
 * ERR_NO_MEMORY), also on an error. */
MUST_USE enum err_code keyring_put(struct keyring *k, const char *use, struct jose_key *key, struct err *e);
/* Store it sealed, in the caller's transaction. */
MUST_USE enum err_code keyring_add_key(struct db *db, const struct keyring *k, const struct jose_key *key,
                                       const char *use, struct err *e);
int64_t keyring_trust_n(const struct keyring *k);
const char *keyring_trust(const struct keyring *k, int64_t n); /* NULL: no such document */

/* A small secret under the parent's key file, bound to its id (seal.h).  box: text.n + KEYRING_BOX_EXTRA bytes; plain:
 * box.n - KEYRING_BOX_EXTRA, which the caller wipes.  ERR_SIGNATURE: another key file or id, or changed. */
enum { KEYRING_BOX_EXTRA = 28 };
MUST_USE enum err_code keyring_box(const struct keyring *k, const char *id, struct slice text, unsigned char *box,
                                   struct err *e);
MUST_USE enum err_code keyring_unbox(const struct keyring *k, const char *id, struct slice box, unsigned char *plain,
                                     struct err *e);
/* A digest that nobody can try guesses against who has the database alone. */
void keyring_blind(const struct keyring *k, struct slice text, char out[SHA256_HEX_SIZE]);

/* HS256 with the newest token key; *ret: heap. */
MUST_USE enum err_code keyring_token_sign(struct keyring *k, const json_t *claims, char **ret, struct err *e);
/* With the key the token names, when it is one of ours; times are the caller's to check.  *ret: new reference. */
MUST_USE enum err_code keyring_token_verify(struct keyring *k, struct slice token, json_t **ret, struct err *e);

/* Stateless nonce of hello: b64u(time_ms || HMAC), valid KEYRING_NONCE_TTL_S. */
enum { KEYRING_NONCE_SIZE = 56 };
void keyring_nonce(struct keyring *k, int64_t now_ms, char out[KEYRING_NONCE_SIZE]);
bool keyring_nonce_ok(struct keyring *k, const char *nonce, int64_t now_ms);

/* The fleet's root key, from path or, NULL, <state>/root.key.pem; for programs at the parent's host only, never the server.
 * *ret: the caller frees it at once.  ERR_REFUSED: another passphrase, or not the key that signed the trust documents. */
MUST_USE enum err_code keyring_root_open(const struct app *app, const char *path, const char *passphrase,
                                         struct jose_key **ret, struct err *e);
/* The newest trust document with number n and that epoch, and this host's pins added to its own, signed by root.
 * heir: the root key from then on; it signs, and root says in "root_change" that it may; NULL: none.
 * keys: its list of keys; NULL: as it is.  *ret: JWS, heap. */
MUST_USE enum err_code keyring_trust_sign(const struct app *app, const struct jose_key *root, const struct jose_key *heir,
                                          int64_t n, int64_t epoch, const json_t *keys, char **ret, struct err *e);

/* A root key that is to follow the present one: made, and kept in path, before any document names it, so that there is
 * never a root key that nobody has. */
struct root_heir {
    struct jose_key *key;
    char path[600];
    char passphrase[KEYRING_PASSPHRASE_SIZE];
};
MUST_USE enum err_code keyring_root_heir(const struct app *app, struct root_heir *ret, struct err *e);
/* in_force: a document names it: its file becomes <state>/root.key.pem (path says it), the one before is kept under its
 * time.  Else its file is removed.  Wipes the passphrase. */
void keyring_root_heir_end(const struct app *app, struct root_heir *h, bool in_force);

/* For unit tests: a ring with fresh keys that no database knows. */
MUST_USE struct keyring *keyring_new_for_test(void);
