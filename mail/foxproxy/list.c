#include "foxproxy/list.h"

#include "base/clock.h"
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>

enum { HASH_STEP = 256 * 1024 };

static enum err_code hash_file(int fd, const char *path, char ret[65], struct err *e)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char *buf = malloc(HASH_STEP), sum[EVP_MAX_MD_SIZE];
    bool ok = ctx != NULL && buf != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
    enum err_code rc = ok ? ERR_OK : err_set(e, ERR_NO_MEMORY, "out of memory");
    off_t at = 0;

    while (rc == ERR_OK) {
        ssize_t n = pread(fd, buf, HASH_STEP, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = err_errno(e, ERR_STORAGE, errno, "could not read \"%s\"", path);
        if (n <= 0)
            break;
        (void)EVP_DigestUpdate(ctx, buf, (size_t)n);
        at += n;
    }
    if (rc == ERR_OK) {
        (void)EVP_DigestFinal_ex(ctx, sum, NULL);
        hex_encode(sum, SHA256_SIZE, ret);
    }
    free(buf);
    EVP_MD_CTX_free(ctx);
    return rc;
}

enum err_code list_open(const char *path, struct list **ret, struct err *e)
{
    AUTO(list_unref) struct list *l = calloc(1, sizeof *l);
    AUTO_FD int fd = -1;

    if (l == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    atomic_init(&l->refs, 1);
    if (strlen(path) >= sizeof l->path)
        return err_set(e, ERR_INVALID, "the path of a list is too long");
    memcpy(l->path, path, strlen(path) + 1);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_errno(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_STORAGE, errno,
                         "could not open \"%s\"", path);
    if (iplist_open_fd(fd, &l->rows, e) != ERR_OK)
        return err_wrap(e, "list \"%s\"", path);
    if (hash_file(fd, path, l->sha256, e) != ERR_OK)
        return e->code;
    l->loaded_ms = clock_wall_ms();
    *ret = TAKE(l);
    return ERR_OK;
}

struct list *list_ref(struct list *l)
{
    if (l != NULL)
        (void)atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    return l;
}

void list_unref(struct list *l)
{
    if (l == NULL || atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) != 1)
        return;
    iplist_close(l->rows);
    free(l);
}
