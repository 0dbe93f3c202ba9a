#include "targets/tls_file.h"

#include "base/file.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <time.h>

enum { TLS_FILE_MAX = 1024 * 1024 };

/* Never ask for a passphrase: an encrypted key is one Postfix cannot use either. */
static int no_password(char *buf, int size, int rw, void *ctx)
{
    (void)buf;
    (void)size;
    (void)rw;
    (void)ctx;
    return -1;
}

static void load(const char *path, X509 **cert, EVP_PKEY **key, bool *readable)
{
    char *text = NULL;
    size_t n = 0;
    BIO *b;

    *cert = NULL;
    *key = NULL;
    *readable = file_read(path, TLS_FILE_MAX, &text, &n, NULL) == ERR_OK;
    if (!*readable)
        return;
    b = BIO_new_mem_buf(text, (int)n);
    if (b != NULL)
        *cert = PEM_read_bio_X509(b, NULL, no_password, NULL);
    BIO_free(b);
    b = BIO_new_mem_buf(text, (int)n);
    if (b != NULL)
        *key = PEM_read_bio_PrivateKey(b, NULL, no_password, NULL);
    BIO_free(b);
    explicit_bzero(text, n);
    free(text);
}

static int64_t not_after(const X509 *cert)
{
    struct tm tm;

    return ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1 ? (int64_t)timegm(&tm) * 1000 : 0;
}

void tls_file_look(const char *path, const char *peer, struct tls_file *ret)
{
    EVP_PKEY *key;
    X509 *cert;

    *ret = (struct tls_file){0};
    load(path, &cert, &key, &ret->readable);
    ret->is_cert = cert != NULL;
    ret->is_key = key != NULL;
    if (cert != NULL)
        ret->not_after_ms = not_after(cert);
    if (peer != NULL && (cert != NULL) != (key != NULL) && strcmp(path, peer) != 0)
        ret->key_matches = cert != NULL ? tls_file_match(path, peer) : tls_file_match(peer, path);
    else if (cert != NULL && key != NULL)
        ret->key_matches = X509_check_private_key(cert, key) == 1;
    X509_free(cert);
    EVP_PKEY_free(key);
}

bool tls_file_match(const char *cert_path, const char *key_path)
{
    EVP_PKEY *key, *other_key;
    X509 *cert, *other_cert;
    bool readable, match;

    load(cert_path, &cert, &other_key, &readable);
    load(key_path, &other_cert, &key, &readable);
    match = cert != NULL && key != NULL && X509_check_private_key(cert, key) == 1;
    X509_free(cert);
    X509_free(other_cert);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other_key);
    return match;
}
