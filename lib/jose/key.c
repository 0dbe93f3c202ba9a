#include "jose/jose.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

struct jose_key {
    EVP_PKEY *pkey;
    bool is_private;
    char x[44], y[44]; /* base64url coordinates */
    char kid[JOSE_KID_SIZE];
};

static bool b64u_into(struct slice in, char *out, size_t size)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(size);

    b64u_add(&b, in);
    if (!strbuf_ok(&b) || b.n >= size)
        return false;
    memcpy(out, strbuf_str(&b), b.n + 1);
    return true;
}

static bool learn(struct jose_key *k)
{
    unsigned char point[65], digest[SHA256_SIZE];
    char canonical[160];
    size_t n = 0;
    int len;

    if (EVP_PKEY_get_octet_string_param(k->pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &n) != 1 || n != 65 ||
        point[0] != 4)
        return false;
    if (!b64u_into((struct slice){(char *)point + 1, 32}, k->x, sizeof k->x) ||
        !b64u_into((struct slice){(char *)point + 33, 32}, k->y, sizeof k->y))
        return false;
    len = snprintf(canonical, sizeof canonical, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", k->x, k->y);
    sha256((struct slice){canonical, (size_t)len}, digest);
    return b64u_into((struct slice){(char *)digest, sizeof digest}, k->kid, sizeof k->kid);
}

static struct jose_key *wrap(EVP_PKEY *pkey, bool is_private)
{
    struct jose_key *k = pkey == NULL ? NULL : calloc(1, sizeof *k);

    if (k == NULL) {
        EVP_PKEY_free(pkey);
        return NULL;
    }
    k->pkey = pkey;
    k->is_private = is_private;
    if (!learn(k)) {
        jose_key_free(k);
        return NULL;
    }
    return k;
}

void jose_key_free(struct jose_key *k)
{
    if (k == NULL)
        return;
    EVP_PKEY_free(k->pkey);
    free(k);
}

struct jose_key *jose_key_new(void)
{
    return wrap(EVP_EC_gen("P-256"), true);
}

static bool is_p256(const EVP_PKEY *pkey)
{
    char name[32];
    size_t n;

    return pkey != NULL && EVP_PKEY_is_a(pkey, "EC") &&
           EVP_PKEY_get_group_name(pkey, name, sizeof name, &n) == 1 && strcmp(name, "prime256v1") == 0;
}

enum err_code jose_key_from_pem(struct slice pem, struct jose_key **ret, struct err *e)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    EVP_PKEY *pkey = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    struct jose_key *k;

    BIO_free(bio);
    if (!is_p256(pkey)) {
        EVP_PKEY_free(pkey);
        return err_set(e, ERR_INVALID, "not a P-256 private key in PEM form");
    }
    k = wrap(pkey, true);
    if (k == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    *ret = k;
    return ERR_OK;
}

enum err_code jose_key_to_pem(const struct jose_key *k, char **ret, struct err *e)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    char *data, *copy;
    long n;

    if (bio == NULL || PEM_write_bio_PKCS8PrivateKey(bio, k->pkey, NULL, NULL, 0, NULL, NULL) != 1) {
        BIO_free(bio);
        return err_set(e, ERR_NO_MEMORY, "could not encode the key");
    }
    n = BIO_get_mem_data(bio, &data);
    copy = strndup(data, (size_t)n);
    BIO_free(bio);
    if (copy == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    *ret = copy;
    return ERR_OK;
}

static EVP_PKEY *from_point(const unsigned char point[65])
{
    OSSL_PARAM params[3];
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *pkey = NULL;
    char group[] = "prime256v1";
    unsigned char copy[65];

    memcpy(copy, point, sizeof copy);
    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
    params[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy, sizeof copy);
    params[2] = OSSL_PARAM_construct_end();
    /* fromdata checks that the point is on the curve */
    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    return pkey;
}

enum err_code jose_key_from_jwk(const json_t *jwk, struct jose_key **ret, struct err *e)
{
    unsigned char point[65] = {4};
    const char *x = json_str(jwk, "x", ""), *y = json_str(jwk, "y", "");
    EVP_PKEY *pkey;
    struct jose_key *k;
    size_t nx = 0, ny = 0;

    if (strcmp(json_str(jwk, "kty", ""), "EC") != 0 || strcmp(json_str(jwk, "crv", ""), "P-256") != 0 ||
        json_object_get(jwk, "d") != NULL)
        return err_set(e, ERR_INVALID, "not a public P-256 JWK");
    if (!b64u_decode(slice_of(x), point + 1, 32, &nx) || !b64u_decode(slice_of(y), point + 33, 32, &ny) || nx != 32 ||
        ny != 32)
        return err_set(e, ERR_INVALID, "JWK coordinates are not 32 bytes each");
    pkey = from_point(point);
    if (pkey == NULL)
        return err_set(e, ERR_INVALID, "JWK is not a point on the curve");
    k = wrap(pkey, false);
    if (k == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    *ret = k;
    return ERR_OK;
}

json_t *jose_key_to_jwk(const struct jose_key *k)
{
    return json_pack("{s:s,s:s,s:s,s:s}", "kty", "EC", "crv", "P-256", "x", k->x, "y", k->y);
}

const char *jose_key_kid(const struct jose_key *k)
{
    return k->kid;
}

bool jose_key_is_private(const struct jose_key *k)
{
    return k->is_private;
}

enum err_code jose_es256_sign(const struct jose_key *k, struct slice data, unsigned char sig[64], struct err *e)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char der[80];
    const unsigned char *p = der;
    size_t n = sizeof der;
    ECDSA_SIG *s = NULL;
    bool ok = false;

    if (k->is_private && ctx != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, k->pkey) == 1 &&
        EVP_DigestSign(ctx, der, &n, (const unsigned char *)data.p, data.n) == 1)
        s = d2i_ECDSA_SIG(NULL, &p, (long)n);
    if (s != NULL)
        ok = BN_bn2binpad(ECDSA_SIG_get0_r(s), sig, 32) == 32 && BN_bn2binpad(ECDSA_SIG_get0_s(s), sig + 32, 32) == 32;
    ECDSA_SIG_free(s);
    EVP_MD_CTX_free(ctx);
    return ok ? ERR_OK : err_set(e, ERR_INTERNAL, "could not sign");
}

bool jose_es256_verify(const struct jose_key *k, struct slice data, const unsigned char sig[64])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    ECDSA_SIG *s = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(sig, 32, NULL), *t = BN_bin2bn(sig + 32, 32, NULL);
    unsigned char *der = NULL;
    bool ok = false;
    int n;

    if (s != NULL && r != NULL && t != NULL && ECDSA_SIG_set0(s, r, t) == 1) {
        r = t = NULL;
        n = i2d_ECDSA_SIG(s, &der);
        ok = n > 0 && ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, k->pkey) == 1 &&
             EVP_DigestVerify(ctx, der, (size_t)n, (const unsigned char *)data.p, data.n) == 1;
    }
    OPENSSL_free(der);
    BN_free(r);
    BN_free(t);
    ECDSA_SIG_free(s);
    EVP_MD_CTX_free(ctx);
    return ok;
}

enum err_code jose_ecdh(const struct jose_key *own, const struct jose_key *peer, unsigned char z[32], struct err *e)
{
    EVP_PKEY_CTX *ctx = own->is_private ? EVP_PKEY_CTX_new(own->pkey, NULL) : NULL;
    size_t n = 32;
    bool ok = ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, peer->pkey) == 1 &&
              EVP_PKEY_derive(ctx, z, &n) == 1 && n == 32;

    EVP_PKEY_CTX_free(ctx);
    return ok ? ERR_OK : err_set(e, ERR_INTERNAL, "could not agree on a key");
}
