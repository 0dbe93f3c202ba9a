#include "http/selfsigned.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/rand.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

enum { PEM_MAX = 64 * 1024 };

DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY_free);
DEFINE_CLEANUP(X509, X509_free);
DEFINE_CLEANUP(BIO, BIO_free_all);

static enum err_code write_bio(BIO *bio, const char *path, mode_t mode, struct err *e)
{
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);

    return file_write_atomic(path, (struct slice){p, (size_t)n}, mode, e);
}

enum err_code selfsigned_key(const char *path, struct err *e)
{
    AUTO(EVP_PKEY_free) EVP_PKEY *key = EVP_EC_gen("P-256");
    AUTO(BIO_free_all) BIO *bio = BIO_new(BIO_s_secmem());

    if (key == NULL || bio == NULL ||
        PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        return err_set(e, ERR_INTERNAL, "could not make a TLS key");
    return write_bio(bio, path, 0600, e);
}

static enum err_code load_key(const char *path, EVP_PKEY **ret, struct err *e)
{
    char *pem = NULL;
    size_t n = 0;
    BIO *bio;

    if (file_read(path, PEM_MAX, &pem, &n, e) != ERR_OK)
        return e->code;
    bio = BIO_new_mem_buf(pem, (int)n);
    *ret = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    secret_wipe(pem, n);
    free(pem);
    return *ret != NULL ? ERR_OK : err_set(e, ERR_INVALID, "\"%s\" is not a private key", path);
}

static bool add_extension(X509 *crt, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;
    int ok;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, crt, crt, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ok = ext != NULL && X509_add_ext(crt, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

static bool add_names(X509 *crt, const struct hosts *names)
{
    AUTO_STRBUF struct strbuf san = STRBUF_INIT(32 * KIB);

    for (size_t i = 0; i < names->n; i++)
        if (strchr(names->name[i], '_') == NULL)
            strbuf_printf(&san, "%s%s:%s", san.n > 0 ? "," : "",
                          i < names->first_address ? "DNS" : "IP", names->name[i]);
    return strbuf_ok(&san) && add_extension(crt, NID_subject_alt_name, strbuf_str(&san));
}

static bool fill(X509 *crt, EVP_PKEY *key, const struct hosts *names)
{
    X509_NAME *subject = X509_get_subject_name(crt);
    const char *cn = names->n > 0 && strlen(names->name[0]) <= 64 ? names->name[0] : "localhost";
    int64_t now = clock_wall_s();
    uint64_t serial;

    rand_bytes(&serial, sizeof serial);
    /* An hour back: the first child's clock may be a little late. */
    return X509_set_version(crt, 2) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(crt), serial >> 1) == 1 &&
           ASN1_TIME_set(X509_getm_notBefore(crt), now - 3600) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(crt), now + SELFSIGNED_DAYS * INT64_C(86400)) != NULL &&
           X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, (const unsigned char *)"Inari",
                                      -1, -1, 0) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1,
                                      -1, 0) == 1 &&
           X509_set_issuer_name(crt, subject) == 1 && X509_set_pubkey(crt, key) == 1 &&
           add_extension(crt, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(crt, NID_key_usage, "critical,digitalSignature") &&
           add_extension(crt, NID_ext_key_usage, "serverAuth") &&
           add_extension(crt, NID_subject_key_identifier, "hash") && add_names(crt, names) &&
           X509_sign(crt, key, EVP_sha256()) != 0;
}

enum err_code selfsigned_crt(const char *key_path, const char *crt_path, const struct hosts *names,
                             struct err *e)
{
    AUTO(EVP_PKEY_free) EVP_PKEY *key = NULL;
    AUTO(X509_free) X509 *crt = X509_new();
    AUTO(BIO_free_all) BIO *bio = BIO_new(BIO_s_mem());

    if (load_key(key_path, &key, e) != ERR_OK)
        return e->code;
    if (crt == NULL || bio == NULL || !fill(crt, key, names) || PEM_write_bio_X509(bio, crt) != 1)
        return err_set(e, ERR_INTERNAL, "could not make a certificate for \"%s\"", key_path);
    return write_bio(bio, crt_path, 0644, e);
}
