#include "domain/seal.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/rand.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { NONCE_SIZE = 12, TAG_SIZE = 16 };

enum err_code seal_key_load(const char *state_dir, bool may_make, unsigned char key[SEAL_KEY_SIZE],
                            bool *ret_made, struct err *e)
{
    char path[512];
    AUTO_STR char *text = NULL;
    size_t n = 0;
    struct stat st;
    enum err_code rc;

    (void)snprintf(path, sizeof path, "%s/parent.key", state_dir);
    rc = file_read(path, 4096, &text, &n, e);
    if (rc == ERR_NOT_FOUND && may_make) {
        rand_bytes(key, SEAL_KEY_SIZE);
        *ret_made = true;
        return file_write_atomic(path, (struct slice){(const char *)key, SEAL_KEY_SIZE}, 0600, e);
    }
    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_STORAGE,
                       "the database holds sealed keys but \"%s\" is missing: copy it from the "
                       "first parent or restore it "
                       "from the backup",
                       path);
    if (rc != ERR_OK)
        return rc;
    if (n != SEAL_KEY_SIZE || stat(path, &st) != 0 || (st.st_mode & 077) != 0) {
        secret_wipe(text, n);
        return err_set(e, ERR_STORAGE,
                       "\"%s\" must be exactly %d bytes and readable by its owner only", path,
                       SEAL_KEY_SIZE);
    }
    memcpy(key, text, SEAL_KEY_SIZE);
    secret_wipe(text, n);
    *ret_made = false;
    return ERR_OK;
}

enum err_code seal_box(const unsigned char key[SEAL_KEY_SIZE], const char *name, struct slice plain,
                       unsigned char *out, struct err *e)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0, last = 0;
    bool ok;

    rand_bytes(out, NONCE_SIZE);
    ok = ctx != NULL && plain.n <= 64 * KIB &&
         EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, out) == 1 &&
         EVP_EncryptUpdate(ctx, NULL, &n, (const unsigned char *)name, (int)strlen(name)) == 1 &&
         EVP_EncryptUpdate(ctx, out + NONCE_SIZE, &n, (const unsigned char *)plain.p,
                           (int)plain.n) == 1 &&
         EVP_EncryptFinal_ex(ctx, out + NONCE_SIZE + n, &last) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, out + NONCE_SIZE + plain.n) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok ? ERR_OK : err_set(e, ERR_INTERNAL, "could not seal \"%s\"", name);
}

enum err_code seal_open(const unsigned char key[SEAL_KEY_SIZE], const char *name, struct slice box,
                        unsigned char *out, struct err *e)
{
    const unsigned char *in = (const unsigned char *)box.p;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    unsigned char tag[TAG_SIZE];
    int n = 0, last = 0, size;
    bool ok = false;

    if (ctx != NULL && box.n >= SEAL_OVERHEAD && box.n <= 64 * KIB + SEAL_OVERHEAD) {
        size = (int)(box.n - SEAL_OVERHEAD);
        memcpy(tag, in + NONCE_SIZE + size, TAG_SIZE);
        ok =
            EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, in) == 1 &&
            EVP_DecryptUpdate(ctx, NULL, &n, (const unsigned char *)name, (int)strlen(name)) == 1 &&
            EVP_DecryptUpdate(ctx, out, &n, in + NONCE_SIZE, size) == 1 &&
            EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, tag) == 1 &&
            EVP_DecryptFinal_ex(ctx, out + n, &last) == 1;
    }
    EVP_CIPHER_CTX_free(ctx);
    return ok ? ERR_OK
              : err_set(e, ERR_SIGNATURE,
                        "sealed key \"%s\" does not open with this parent's key file", name);
}
