/* The fleet's root key: opened for one signature by a program at the parent's host, then gone. */
#include "domain/keyring_private.h"

#include "base/file.h"
#include "proto/proto.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

enum { PEM_MAX = 16 * KIB };

static json_t *document(const struct keyring *k, int64_t n, struct err *e)
{
    const char *jws = keyring_trust(k, n);
    struct jose_jws j = {0};
    json_t *doc = NULL;
    enum err_code rc =
        jws == NULL ? err_set(e, ERR_STORAGE, "there is no trust document %lld", (long long)n)
                    : jose_jws_parse(slice_of(jws), PROTO_TRUST_MAX, PROTO_TYP_TRUST, &j, e);

    if (rc == ERR_OK)
        rc = json_in_parse((struct slice){j.payload, j.payload_n}, PROTO_TRUST_MAX, &doc, e);
    jose_jws_clear(&j);
    return rc == ERR_OK ? doc : NULL;
}

enum err_code keyring_trust_open(const struct keyring *k, json_t **ret, struct err *e)
{
    *ret = document(k, keyring_trust_n(k), e);
    return *ret == NULL ? e->code : ERR_OK;
}

enum err_code keyring_listed(const struct keyring *k, const char *use, const char *kid,
                             struct jose_key **ret, struct err *e)
{
    struct err own;
    AUTO(json_free) json_t *doc = document(k, keyring_trust_n(k), e == NULL ? &own : e);
    size_t i;
    json_t *v;

    json_array_foreach(json_object_get(doc, "keys"), i, v)
    {
        AUTO(jose_key_free) struct jose_key *key = NULL;
        if (strcmp(json_str(v, "use", ""), use) != 0 ||
            jose_key_from_jwk(json_object_get(v, "jwk"), &key, NULL) != ERR_OK ||
            strcmp(jose_key_kid(key), kid) != 0)
            continue;
        *ret = TAKE(key);
        return ERR_OK;
    }
    return err_set(e, ERR_SIGNATURE, "signed by a key that the trust document does not list");
}

/* Without its passphrase, as the rest of this program reads keys. */
static enum err_code unsealed(EVP_PKEY *pkey, struct jose_key **ret, struct err *e)
{
    BIO *out = BIO_new(BIO_s_secmem());
    char *data = NULL;
    long n = 0;
    enum err_code rc = ERR_OK;

    if (out == NULL || PEM_write_bio_PKCS8PrivateKey(out, pkey, NULL, NULL, 0, NULL, NULL) != 1)
        rc = err_set(e, ERR_INTERNAL, "could not read the root key");
    if (rc == ERR_OK) {
        n = BIO_get_mem_data(out, &data);
        rc = jose_key_from_pem((struct slice){data, (size_t)n}, ret, e);
        secret_wipe(data, (size_t)n);
    }
    BIO_free(out);
    return rc;
}

static enum err_code is_ours(const struct app *app, const struct jose_key *key, const char *path,
                             struct err *e)
{
    AUTO(json_free) json_t *doc = document(app->keys, keyring_trust_n(app->keys), e);
    AUTO(jose_key_free) struct jose_key *named = NULL;
    enum err_code rc =
        doc == NULL ? e->code : jose_key_from_jwk(json_object_get(doc, "root"), &named, e);

    if (rc == ERR_OK && strcmp(jose_key_kid(named), jose_key_kid(key)) != 0)
        rc = err_set(e, ERR_REFUSED,
                     "\"%s\" is not the root key of this fleet: its devices trust %s", path,
                     jose_key_kid(named));
    return rc;
}

enum err_code keyring_root_open(const struct app *app, const char *path, const char *passphrase,
                                struct jose_key **ret, struct err *e)
{
    AUTO(jose_key_free) struct jose_key *key = NULL;
    AUTO_STR char *pem = NULL, *pass = strdup(passphrase);
    char own[512];
    size_t n = 0;
    BIO *in = NULL;
    EVP_PKEY *pkey = NULL;
    enum err_code rc;

    (void)snprintf(own, sizeof own, "%s/root.key.pem", app->state_dir);
    path = path == NULL ? own : path;
    rc = pass == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                      : file_read(path, PEM_MAX, &pem, &n, e);
    if (rc == ERR_NOT_FOUND)
        rc = err_set(e, ERR_NOT_FOUND,
                     "\"%s\" is not here: name the file that holds the fleet's root key "
                     "(--root-key)",
                     path);
    if (rc == ERR_OK) {
        in = BIO_new_mem_buf(pem, (int)n);
        pkey = in == NULL ? NULL : PEM_read_bio_PrivateKey(in, NULL, NULL, pass);
        rc = pkey == NULL ? err_set(e, ERR_REFUSED, "the passphrase does not open \"%s\"", path)
                          : unsealed(pkey, &key, e);
    }
    if (pass != NULL)
        secret_wipe(pass, strlen(pass));
    EVP_PKEY_free(pkey);
    BIO_free(in);
    if (rc == ERR_OK)
        rc = is_ours(app, key, path, e);
    if (rc == ERR_OK)
        *ret = TAKE(key);
    return rc;
}

static bool has(const json_t *list, const char *text)
{
    size_t i;
    json_t *v;

    json_array_foreach(list, i, v)
    {
        if (json_is_string(v) && strcmp(json_string_value(v), text) == 0)
            return true;
    }
    return false;
}

enum err_code keyring_trust_sign(const struct app *app, const struct jose_key *root, int64_t n,
                                 int64_t epoch, const json_t *keys, char **ret, struct err *e)
{
    AUTO(json_free) json_t *doc = document(app->keys, keyring_trust_n(app->keys), e);
    json_t *pins = json_object_get(doc, "tls_pins");
    AUTO_STR char *text = NULL;

    if (doc == NULL)
        return e->code;
    (void)json_object_set_new(doc, "n", json_integer(n));
    (void)json_object_set_new(doc, "epoch", json_integer(epoch));
    if (keys != NULL)
        (void)json_object_set(doc, "keys", (json_t *)(uintptr_t)keys);
    for (const char *const *p = app->tls_pins; p != NULL && *p != NULL; p++) {
        if (!has(pins, *p) && json_array_append_new(pins, json_string(*p)) != 0)
            return err_set(e, ERR_NO_MEMORY, "out of memory");
    }
    text = json_canonical(doc);
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return jose_jws_sign(root, PROTO_TYP_TRUST, slice_of(text), false, ret, e);
}
