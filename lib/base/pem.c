#include "base/pem.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

static int no_password(char *buf, int size, int rw, void *ctx)
{
    (void)buf;
    (void)size;
    (void)rw;
    (void)ctx;
    return -1;
}

static BIO *open_text(struct slice text)
{
    return text.n == 0 || text.n > PEM_TEXT_MAX ? NULL : BIO_new_mem_buf(text.p, (int)text.n);
}

static X509 *first_cert(struct slice text)
{
    BIO *b = open_text(text);
    X509 *cert = b == NULL ? NULL : PEM_read_bio_X509(b, NULL, no_password, NULL);

    BIO_free(b);
    return cert;
}

static EVP_PKEY *first_key(struct slice text)
{
    BIO *b = open_text(text);
    EVP_PKEY *key = b == NULL ? NULL : PEM_read_bio_PrivateKey(b, NULL, no_password, NULL);

    BIO_free(b);
    return key;
}

static int64_t time_ms(const ASN1_TIME *t)
{
    struct tm tm;

    return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) * 1000 : 0;
}

static void add_name(struct pem_info *ret, const ASN1_STRING *s)
{
    int n = ASN1_STRING_length(s);
    const unsigned char *p = ASN1_STRING_get0_data(s);

    if (n < 1 || n >= PEM_NAME_MAX || ret->n_names == PEM_NAMES_MAX)
        return;
    for (int i = 0; i < n; i++)
        if (p[i] <= ' ' || p[i] >= 0x7f)
            return;
    memcpy(ret->name[ret->n_names], p, (size_t)n);
    ret->name[ret->n_names++][n] = '\0';
}

static void names_of(const X509 *cert, struct pem_info *ret)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    const X509_NAME *subject = X509_get_subject_name(cert);
    bool any = false;
    int at;

    for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
        if (g->type == GEN_DNS) {
            any = true;
            add_name(ret, g->d.dNSName);
        }
    }
    GENERAL_NAMES_free(all);
    at = any ? -1 : X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at >= 0)
        add_name(ret, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

void pem_look(struct slice text, struct pem_info *ret)
{
    X509 *cert = first_cert(text);
    EVP_PKEY *key = first_key(text);

    *ret = (struct pem_info){.is_cert = cert != NULL, .is_key = key != NULL};
    if (cert != NULL) {
        ret->not_before_ms = time_ms(X509_get0_notBefore(cert));
        ret->not_after_ms = time_ms(X509_get0_notAfter(cert));
        names_of(cert, ret);
    }
    ret->key_matches = cert != NULL && key != NULL && X509_check_private_key(cert, key) == 1;
    X509_free(cert);
    EVP_PKEY_free(key);
    ERR_clear_error();
}

bool pem_match(struct slice cert_text, struct slice key_text)
{
    X509 *cert = first_cert(cert_text);
    EVP_PKEY *key = first_key(key_text);
    bool match = cert != NULL && key != NULL && X509_check_private_key(cert, key) == 1;

    X509_free(cert);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return match;
}
