#include "targets/tls_file.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

struct text {
    char *p;
    size_t n;
    bool readable;
};

static struct text load(const char *path)
{
    struct text t = {0};

    t.readable = file_read(path, PEM_TEXT_MAX, &t.p, &t.n, NULL) == ERR_OK;
    return t;
}

static struct slice view(const struct text *t)
{
    return (struct slice){t->p, t->readable ? t->n : 0};
}

static void wipe(struct text *t) /* it may hold a private key */
{
    if (t->p != NULL)
        explicit_bzero(t->p, t->n);
    free(t->p);
}

void tls_file_look(const char *path, const char *peer, struct tls_file *ret)
{
    struct text t = load(path);

    *ret = (struct tls_file){.readable = t.readable};
    pem_look(view(&t), &ret->pem);
    wipe(&t);
    if (peer != NULL && ret->pem.is_cert != ret->pem.is_key && strcmp(path, peer) != 0)
        ret->pem.key_matches =
            ret->pem.is_cert ? tls_file_match(path, peer) : tls_file_match(peer, path);
}

bool tls_file_match(const char *cert_path, const char *key_path)
{
    struct text cert = load(cert_path), key = load(key_path);
    bool match = pem_match(view(&cert), view(&key));

    wipe(&cert);
    wipe(&key);
    return match;
}
