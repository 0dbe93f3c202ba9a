#include "jose/jose.h"

#include "base/rand.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum { IV = 12, TAG = 16, KEY = 32, JWE_MAX = 64 * 1024 * 1024 };

/* RFC 7518 4.6.2 with direct agreement: one round of the Concat KDF gives all 256 bits. */
static void derive(const unsigned char z[32], unsigned char key[KEY])
{
    static const unsigned char info[] = {0, 0, 0, 7, 'A', '2', '5', '6', 'G', 'C', 'M', /* AlgorithmID */
                                         0, 0, 0, 0,                                    /* PartyUInfo */
                                         0, 0, 0, 0,                                    /* PartyVInfo */
                                         0, 0, 1, 0};                                   /* 256 bits */
    unsigned char text[4 + 32 + sizeof info] = {0, 0, 0, 1};

    memcpy(text + 4, z, 32);
    memcpy(text + 36, info, sizeof info);
    sha256((struct slice){(char *)text, sizeof text}, key);
    secret_wipe(text, sizeof text);
}

static bool seal(const unsigned char key[KEY], const unsigned char iv[IV], struct slice aad, struct slice plain,
                 unsigned char *out, unsigned char tag[TAG])
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0;
    bool ok = c != NULL && EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, iv) == 1 &&
              EVP_EncryptUpdate(c, NULL, &n, (const unsigned char *)aad.p, (int)aad.n) == 1 &&
              EVP_EncryptUpdate(c, out, &n, (const unsigned char *)plain.p, (int)plain.n) == 1 &&
              EVP_EncryptFinal_ex(c, out + n, &n) == 1 &&
              EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG, tag) == 1;

    EVP_CIPHER_CTX_free(c);
    return ok;
}

static bool open_sealed(const unsigned char key[KEY], const unsigned char iv[IV], struct slice aad, struct slice in,
                        unsigned char tag[TAG], unsigned char *out)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0;
    bool ok = c != NULL && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, iv) == 1 &&
              EVP_DecryptUpdate(c, NULL, &n, (const unsigned char *)aad.p, (int)aad.n) == 1 &&
              EVP_DecryptUpdate(c, out, &n, (const unsigned char *)in.p, (int)in.n) == 1 &&
              EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1 && EVP_DecryptFinal_ex(c, out + n, &n) == 1;

    EVP_CIPHER_CTX_free(c);
    return ok;
}

/* The content key that our side and theirs share. */
static enum err_code agree(const struct jose_key *own, const struct jose_key *peer, unsigned char key[KEY], struct err *e)
{
    unsigned char z[32];
    enum err_code rc = jose_ecdh(own, peer, z, e);

    if (rc == ERR_OK)
        derive(z, key);
    secret_wipe(z, sizeof z);
    return rc;
}

static enum err_code header_of(const struct jose_key *once, struct strbuf *b, struct err *e)
{
    AUTO(json_free) json_t *epk = jose_key_to_jwk(once);
    AUTO(json_free) json_t *j = json_pack("{s:s,s:s,s:O?}", "alg", "ECDH-ES", "enc", "A256GCM", "epk", epk);
    AUTO_STR char *text = j == NULL ? NULL : json_canonical(j);

    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    b64u_add(b, slice_of(text));
    return strbuf_check(b, e);
}

enum err_code jose_jwe_encrypt(const struct jose_key *to, struct slice plain, char **ret, struct err *e)
{
    AUTO(jose_key_free) struct jose_key *once = jose_key_new();
    AUTO_STRBUF struct strbuf out = STRBUF_INIT((size_t)JWE_MAX * 2);
    AUTO_STR char *sealed = malloc(plain.n + 1);
    unsigned char key[KEY], iv[IV], tag[TAG];
    struct slice aad;
    bool ok;
    enum err_code rc = once == NULL || sealed == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                       : plain.n > JWE_MAX            ? err_set(e, ERR_TOO_LARGE, "too much to encrypt at once")
                                                      : header_of(once, &out, e);

    if (rc == ERR_OK)
        rc = agree(once, to, key, e);
    if (rc != ERR_OK)
        return rc;
    aad = strbuf_slice(&out);
    rand_bytes(iv, sizeof iv);
    ok = seal(key, iv, aad, plain, (unsigned char *)sealed, tag);
    secret_wipe(key, sizeof key);
    strbuf_puts(&out, ".."); /* no encrypted key: it is agreed on */
    b64u_add(&out, (struct slice){(char *)iv, sizeof iv});
    strbuf_putc(&out, '.');
    b64u_add(&out, (struct slice){sealed, plain.n});
    strbuf_putc(&out, '.');
    b64u_add(&out, (struct slice){(char *)tag, sizeof tag});
    rc = ok ? strbuf_check(&out, e) : err_set(e, ERR_INTERNAL, "could not encrypt");
    if (rc == ERR_OK)
        *ret = strbuf_take(&out);
    return rc;
}

static enum err_code read_header(struct slice text, struct jose_key **ret, struct err *e)
{
    AUTO(json_free) json_t *j = NULL;
    unsigned char raw[1024];
    size_t n = 0;

    if (!b64u_decode(text, raw, sizeof raw, &n) || json_in_parse((struct slice){(char *)raw, n}, sizeof raw, &j, NULL) != ERR_OK ||
        strcmp(json_str(j, "alg", ""), "ECDH-ES") != 0 || strcmp(json_str(j, "enc", ""), "A256GCM") != 0 ||
        json_object_get(j, "crit") != NULL || json_object_get(j, "zip") != NULL)
        return err_set(e, ERR_MALFORMED, "not an encrypted text of our kind");
    return jose_key_from_jwk(json_object_get(j, "epk"), ret, e);
}

enum err_code jose_jwe_decrypt(const struct jose_key *own, struct slice text, char **ret, size_t *ret_n, struct err *e)
{
    AUTO(jose_key_free) struct jose_key *once = NULL;
    AUTO_STR char *sealed = malloc(text.n + 1), *plain = malloc(text.n + 1);
    unsigned char key[KEY], iv[IV], tag[TAG];
    struct slice part[5], rest = text;
    size_t n_iv = 0, n_tag = 0, n = 0;
    bool ok;
    enum err_code rc;

    for (int i = 0; i < 5; i++)
        part[i] = slice_cut(&rest, '.');
    if (sealed == NULL || plain == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (rest.n > 0 || part[1].n > 0 || !b64u_decode(part[2], iv, sizeof iv, &n_iv) || n_iv != IV ||
        !b64u_decode(part[3], (unsigned char *)sealed, text.n, &n) || !b64u_decode(part[4], tag, sizeof tag, &n_tag) ||
        n_tag != TAG)
        return err_set(e, ERR_MALFORMED, "not an encrypted text of our kind");
    rc = read_header(part[0], &once, e);
    if (rc == ERR_OK)
        rc = agree(own, once, key, e);
    if (rc != ERR_OK)
        return rc;
    ok = open_sealed(key, iv, part[0], (struct slice){sealed, n}, tag, (unsigned char *)plain);
    secret_wipe(key, sizeof key);
    if (!ok)
        return err_set(e, ERR_SIGNATURE, "it was encrypted to another key, or changed on the way");
    plain[n] = '\0';
    *ret = TAKE(plain);
    *ret_n = n;
    return ERR_OK;
}
