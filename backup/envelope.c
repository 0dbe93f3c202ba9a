#include "envelope.h"

#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <unistd.h>

enum { PBKDF2_ROUNDS = 600000 };

/* Everything one call opens; all of it freed in one place. */
struct work {
    BIO *in, *out;
    X509 *cert;
    EVP_PKEY *pkey;
    CMS_ContentInfo *cms;
};

static void work_clear(struct work *w)
{
    CMS_ContentInfo_free(w->cms);
    EVP_PKEY_free(w->pkey);
    X509_free(w->cert);
    BIO_free_all(w->in);
    BIO_free_all(w->out);
    ERR_clear_error();
}

static enum err_code fail(enum err_code code, const char *what, struct err *e)
{
    char why[200] = "";

    ERR_error_string_n(ERR_peek_last_error(), why, sizeof why);
    return err_set(e, code, "%s (%s)", what, why);
}

/* A new file of the caller's alone. */
static enum err_code create(const char *path, BIO **ret, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_errno(e, errno == EEXIST ? ERR_CONFLICT : ERR_STORAGE, errno,
                         "could not make \"%s\"", path);
    *ret = BIO_new_fd(fd, BIO_CLOSE);
    if (*ret != NULL)
        return ERR_OK;
    (void)close(fd);
    (void)unlink(path);
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

static enum err_code finish(struct work *w, const char *path, struct err *e)
{
    int fd = -1;

    if (BIO_flush(w->out) == 1 && BIO_get_fd(w->out, &fd) > 0 && fsync(fd) == 0)
        return ERR_OK;
    return err_errno(e, ERR_STORAGE, errno, "could not write \"%s\"", path);
}

static enum err_code read_pem(const char *path, bool key, struct work *w, struct err *e)
{
    BIO *b = BIO_new_file(path, "r");

    if (b == NULL)
        return err_errno(e, ERR_NOT_FOUND, errno, "could not read \"%s\"", path);
    if (key)
        w->pkey = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
    else
        w->cert = PEM_read_bio_X509(b, NULL, NULL, NULL);
    BIO_free(b);
    if ((key ? (void *)w->pkey : (void *)w->cert) != NULL)
        return ERR_OK;
    return err_set(e, ERR_INVALID, "\"%s\" holds no PEM %s", path,
                   key ? "private key" : "certificate");
}

static enum err_code add_recipient(struct work *w, const struct envelope_key *key, struct err *e)
{
    bool fine;

    w->cms = CMS_encrypt(NULL, NULL, EVP_aes_256_gcm(), CMS_BINARY | CMS_STREAM | CMS_PARTIAL);
    if (w->cms == NULL)
        return fail(ERR_INTERNAL, "could not begin to encrypt", e);
    if (key->certificate != NULL) {
        if (read_pem(key->certificate, false, w, e) != ERR_OK)
            return e->code;
        fine = CMS_add1_recipient_cert(w->cms, w->cert, 0) != NULL;
    } else { /* OpenSSL owns the copy from here on */
        unsigned char *pass = (unsigned char *)OPENSSL_strdup(key->passphrase);
        fine =
            pass != NULL && CMS_add0_recipient_password(w->cms, PBKDF2_ROUNDS, NID_undef, NID_undef,
                                                        pass, (ossl_ssize_t)strlen(key->passphrase),
                                                        EVP_aes_256_cbc()) != NULL;
    }
    return fine ? ERR_OK
                : fail(ERR_INVALID, "the recipient's certificate cannot be used for encryption", e);
}

enum err_code envelope_seal(const char *in, const char *out, const struct envelope_key *key,
                            struct err *e)
{
    struct work w = {.in = BIO_new_file(in, "rb")};
    bool made = false;
    enum err_code rc =
        w.in == NULL ? err_errno(e, ERR_STORAGE, errno, "could not read \"%s\"", in) : ERR_OK;

    if (rc == ERR_OK)
        rc = add_recipient(&w, key, e);
    if (rc == ERR_OK) {
        rc = create(out, &w.out, e);
        made = rc == ERR_OK;
    }
    if (rc == ERR_OK && i2d_CMS_bio_stream(w.out, w.cms, w.in, CMS_BINARY | CMS_STREAM) != 1)
        rc = fail(ERR_STORAGE, "could not encrypt", e);
    if (rc == ERR_OK)
        rc = finish(&w, out, e);
    work_clear(&w);
    if (rc != ERR_OK && made)
        (void)unlink(out);
    return rc;
}

static enum err_code decrypt(struct work *w, const struct envelope_key *key, struct err *e)
{
    bool fine;

    if (key->private_key != NULL) {
        if (read_pem(key->private_key, true, w, e) != ERR_OK)
            return e->code;
        fine = CMS_decrypt_set1_pkey(w->cms, w->pkey, NULL) == 1;
    } else {
        char *pass = OPENSSL_strdup(key->passphrase);
        fine = pass != NULL && CMS_decrypt_set1_password(w->cms, (unsigned char *)pass,
                                                         (ossl_ssize_t)strlen(pass)) == 1;
        OPENSSL_clear_free(pass, pass == NULL ? 0 : strlen(pass));
    }
    if (fine && CMS_decrypt(w->cms, NULL, NULL, NULL, w->out, CMS_BINARY) == 1)
        return ERR_OK;
    return err_set(e, ERR_SIGNATURE,
                   "it was made for another key or passphrase, or it was damaged or changed");
}

enum err_code envelope_open(const char *in, const char *out, const struct envelope_key *key,
                            struct err *e)
{
    struct work w = {.in = BIO_new_file(in, "rb")};
    bool made = false;
    char more;
    enum err_code rc =
        w.in == NULL ? err_errno(e, ERR_NOT_FOUND, errno, "could not read \"%s\"", in) : ERR_OK;

    if (rc == ERR_OK) {
        w.cms = d2i_CMS_bio(w.in, NULL);
        if (w.cms == NULL || OBJ_obj2nid(CMS_get0_type(w.cms)) != NID_id_smime_ct_authEnvelopedData)
            rc = err_set(e, ERR_MALFORMED,
                         "\"%s\" is no backup of ours, or its beginning or end is missing", in);
        else if (BIO_read(w.in, &more, 1) > 0)
            rc = err_set(e, ERR_MALFORMED, "\"%s\" has bytes behind its end", in);
    }
    if (rc == ERR_OK) {
        rc = create(out, &w.out, e);
        made = rc == ERR_OK;
    }
    if (rc == ERR_OK)
        rc = decrypt(&w, key, e);
    if (rc == ERR_OK)
        rc = finish(&w, out, e);
    work_clear(&w);
    if (rc != ERR_OK && made)
        (void)unlink(out);
    return rc;
}
