/* The fleet's root key: opened for one signature by a program at the parent's host, then gone. */
#include "domain/keyring_private.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/rand.h"
#include "proto/proto.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

/* 6 groups of 5 letters and digits that cannot be misread: 147 bits. */
void keyring_passphrase(char out[KEYRING_PASSPHRASE_SIZE])
{
    static const char alphabet[] = "abcdefghjkmnpqrstuvwxyz23456789";
    size_t n = 0;

    for (int g = 0; g < 6; g++) {
        if (g > 0)
            out[n++] = '-';
        for (int i = 0; i < 5; i++)
            out[n++] = alphabet[rand_below(sizeof alphabet - 1)];
    }
    out[n] = '\0';
}

enum err_code keyring_root_write(const struct jose_key *key, const char *path,
                                 const char *passphrase, struct err *e)
{
    AUTO_STR char *pem = NULL;
    BIO *in = NULL, *out = BIO_new(BIO_s_mem());
    EVP_PKEY *pkey = NULL;
    char *data = NULL;
    long n = 0;
    enum err_code rc = jose_key_to_pem(key, &pem, e);

    if (rc == ERR_OK) {
        in = BIO_new_mem_buf(pem, -1);
        pkey = in == NULL ? NULL : PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
        if (out == NULL || pkey == NULL ||
            PEM_write_bio_PKCS8PrivateKey(out, pkey, EVP_aes_256_cbc(), passphrase,
                                          (int)strlen(passphrase), NULL, NULL) != 1)
            rc = err_set(e, ERR_INTERNAL, "could not encode the root key");
        secret_wipe(pem, strlen(pem));
    }
    if (rc == ERR_OK) {
        n = BIO_get_mem_data(out, &data);
        rc = file_write_atomic(path, (struct slice){data, (size_t)n}, 0600, e);
    }
    EVP_PKEY_free(pkey);
    BIO_free(in);
    BIO_free(out);
    return rc;
}

/* Never over another: the one before is kept under its time. */
static void set_aside(const char *path)
{
    char old[600];
    int64_t at = clock_wall_s();

    do /* link() never takes the place of a file, as rename() does */
        (void)snprintf(old, sizeof old, "%s.%lld", path, (long long)at++);
    while (link(path, old) != 0 && errno == EEXIST);
    if (access(old, F_OK) == 0)
        (void)unlink(path);
    else /* no hard links here, or nothing to set aside */
        (void)rename(path, old);
}

enum err_code keyring_root_keep(const struct app *app, const struct jose_key *key,
                                const char *passphrase, struct err *e)
{
    char path[512];

    (void)snprintf(path, sizeof path, "%s/root.key.pem", app->state_dir);
    set_aside(path);
    return keyring_root_write(key, path, passphrase, e);
}

enum err_code keyring_root_heir(const struct app *app, struct root_heir *ret, struct err *e)
{
    *ret = (struct root_heir){.key = jose_key_new()};
    if (ret->key == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    (void)snprintf(ret->path, sizeof ret->path, "%s/root-%.8s.key.pem", app->state_dir,
                   jose_key_kid(ret->key));
    keyring_passphrase(ret->passphrase);
    return keyring_root_write(ret->key, ret->path, ret->passphrase, e);
}

void keyring_root_heir_end(const struct app *app, struct root_heir *h, bool in_force)
{
    char path[512];

    if (h->key != NULL && !in_force)
        (void)unlink(h->path); /* it signs nothing */
    if (h->key != NULL && in_force) {
        (void)snprintf(path, sizeof path, "%s/root.key.pem", app->state_dir);
        set_aside(path);
        if (rename(h->path, path) == 0)
            (void)snprintf(h->path, sizeof h->path, "%s", path);
    }
    jose_key_free(h->key);
    h->key = NULL;
    secret_wipe(h->passphrase, sizeof h->passphrase);
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

/* The word of the root key before: whom it made its heir, in this document and no other. */
static enum err_code hand_down(const struct jose_key *root, const struct jose_key *heir,
                               json_t *doc, struct err *e)
{
    AUTO(json_free) json_t *word = NULL;
    AUTO_STR char *text = NULL;
    AUTO_STR char *jws = NULL;
    char digest[SHA256_HEX_SIZE];
    enum err_code rc;

    if (json_object_set_new(doc, "root", jose_key_to_jwk(heir)) != 0 || !json_digest(doc, digest))
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    word = json_pack("{s:O,s:O,s:s}", "fleet", json_object_get(doc, "fleet"), "n",
                     json_object_get(doc, "n"), "digest", digest);
    text = word == NULL ? NULL : json_canonical(word);
    rc = text == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                      : jose_jws_sign(root, PROTO_TYP_ROOT, slice_of(text), true, &jws, e);
    if (rc == ERR_OK && json_object_set_new(doc, "root_change", json_string(jws)) != 0)
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    return rc;
}

enum err_code keyring_trust_sign(const struct app *app, const struct jose_key *root,
                                 const struct jose_key *heir, int64_t n, int64_t epoch,
                                 const json_t *keys, char **ret, struct err *e)
{
    AUTO(json_free) json_t *doc = document(app->keys, keyring_trust_n(app->keys), e);
    json_t *pins = json_object_get(doc, "tls_pins");
    AUTO_STR char *text = NULL;

    if (doc == NULL)
        return e->code;
    (void)json_object_del(doc, "root_change"); /* it was about the document before */
    (void)json_object_set_new(doc, "n", json_integer(n));
    (void)json_object_set_new(doc, "epoch", json_integer(epoch));
    if (keys != NULL)
        (void)json_object_set(doc, "keys", (json_t *)(uintptr_t)keys);
    for (const char *const *p = app->tls_pins; p != NULL && *p != NULL; p++) {
        if (!has(pins, *p) && json_array_append_new(pins, json_string(*p)) != 0)
            return err_set(e, ERR_NO_MEMORY, "out of memory");
    }
    if (heir != NULL && hand_down(root, heir, doc, e) != ERR_OK)
        return e->code;
    text = json_canonical(doc);
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return jose_jws_sign(heir != NULL ? heir : root, PROTO_TYP_TRUST, slice_of(text), false, ret,
                         e);
}
