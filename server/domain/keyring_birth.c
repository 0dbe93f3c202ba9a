/* The first start of a fleet: everything is made before the transaction, which either keeps all of
 * it or finds that another parent was faster. */
#include "domain/keyring_private.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/rand.h"
#include "proto/proto.h"
#include "store/key_store.h"

#include <stdio.h>
#include <stdlib.h>

struct birth { /* everything is made before the transaction, so that it can be repeated */
    struct app *app;
    const unsigned char *seal_key;
    char fleet_id[UUID_TEXT_SIZE];
    struct jose_key *root, *bundle, *receipt;
    struct token_key token;
    char *trust_jws;
    bool made;
};

static json_t *strings(const char *const *v)
{
    json_t *a = json_array();

    for (; a != NULL && v != NULL && *v != NULL; v++)
        (void)json_array_append_new(a, json_string(*v));
    return a;
}

static enum err_code make_trust(struct birth *b, struct err *e)
{
    AUTO(json_free) json_t *doc = NULL;
    AUTO_STR char *text = NULL;

    doc = json_pack("{s:i,s:s,s:I,s:o,s:[{s:s,s:o,s:n},{s:s,s:o,s:n}],s:o,s:s,s:o}", "n", 1,
                    "fleet", b->fleet_id, "epoch", (json_int_t)1, "root", jose_key_to_jwk(b->root),
                    "keys", "use", "bundle", "jwk", jose_key_to_jwk(b->bundle), "not_after", "use",
                    "receipt", "jwk", jose_key_to_jwk(b->receipt), "not_after", "tls_pins",
                    strings(b->app->tls_pins), "issuer", b->app->issuer, "addresses",
                    strings(b->app->addresses));
    text = doc == NULL ? NULL : json_canonical(doc);
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return jose_jws_sign(b->root, PROTO_TYP_TRUST, slice_of(text), false, &b->trust_jws, e);
}

enum err_code keyring_add_private(struct db *db, const unsigned char *seal_key,
                                  const struct jose_key *key, const char *use, struct err *e)
{
    AUTO(json_free) json_t *jwk = jose_key_to_jwk(key);
    char *pem = NULL;
    enum err_code rc = jose_key_to_pem(key, &pem, e);

    if (rc != ERR_OK)
        return rc;
    rc = keyring_add_sealed(db, seal_key, jose_key_kid(key), use, slice_of(pem), jwk, e);
    secret_wipe(pem, strlen(pem));
    free(pem);
    return rc;
}

static enum err_code birth_tx(struct db *db, void *ctx, struct err *e)
{
    struct birth *b = ctx;
    AUTO(json_free) json_t *fleet = json_pack("{s:s}", "id", b->fleet_id);
    AUTO(json_free) json_t *epoch = json_pack("{s:i}", "n", 1);
    AUTO(json_free) json_t *root = jose_key_to_jwk(b->root);
    bool epoch_made;
    enum err_code rc;

    b->made = false;
    rc = key_store_meta_make(db, "fleet", fleet, &b->made, e);
    if (rc != ERR_OK || !b->made) /* another parent was faster */
        return rc;
    rc = key_store_meta_make(db, "epoch", epoch, &epoch_made, e);
    if (rc == ERR_OK)
        rc = key_store_add(db, jose_key_kid(b->root), "root", (struct slice){NULL, 0}, root, e);
    if (rc == ERR_OK)
        rc = keyring_add_private(db, b->seal_key, b->bundle, "bundle", e);
    if (rc == ERR_OK)
        rc = keyring_add_private(db, b->seal_key, b->receipt, "receipt", e);
    if (rc == ERR_OK)
        rc = keyring_add_sealed(db, b->seal_key, b->token.kid, "token",
                                (struct slice){(char *)b->token.key, sizeof b->token.key}, NULL, e);
    if (rc == ERR_OK)
        rc = key_store_trust_add(db, 1, b->trust_jws, e);
    return rc;
}

enum err_code keyring_first_start(struct db *db, struct app *app, const unsigned char *seal_key,
                                  struct keyring_first *first, struct err *e)
{
    struct birth b = {.app = app, .seal_key = seal_key};
    enum err_code rc;

    uuid7(b.fleet_id);
    b.root = jose_key_new();
    b.bundle = jose_key_new();
    b.receipt = jose_key_new();
    token_key_make(&b.token);
    keyring_passphrase(first->root_passphrase);
    rc = b.root == NULL || b.bundle == NULL || b.receipt == NULL
             ? err_set(e, ERR_NO_MEMORY, "out of memory")
             : ERR_OK;
    if (rc == ERR_OK)
        rc = make_trust(&b, e);
    if (rc == ERR_OK)
        rc = keyring_root_keep(app, b.root, first->root_passphrase,
                               e); /* before the commit: a root nobody kept is worse */
    if (rc == ERR_OK)
        rc = tx_run(db, "fleet.create", birth_tx, &b, e);
    if (rc == ERR_OK && b.made) {
        first->made = true;
        log_event(LOG_LEVEL_INFO, "fleet.created", KV_STR("fleet", b.fleet_id),
                  KV_STR("root", jose_key_kid(b.root)));
    } else {
        secret_wipe(first->root_passphrase, sizeof first->root_passphrase);
    }
    jose_key_free(b.root);
    jose_key_free(b.bundle);
    jose_key_free(b.receipt);
    free(b.trust_jws);
    secret_wipe(&b.token, sizeof b.token);
    return rc;
}
