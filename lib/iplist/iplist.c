#include "iplist/iplist_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct iplist {
    void *map; /* ours, or NULL: borrowed */
    size_t map_n;
    uint32_t rows4, rows6, segs4, segs6;
    const struct iplist_key6 *key6;
    const struct iplist_item *item;
    const uint32_t *key4, *seg4, *seg6, *top4;
};

static bool head_ok(const struct iplist_head *h, size_t n)
{
    return memcmp(h->magic, IPLIST_MAGIC, sizeof h->magic) == 0 && h->order == IPLIST_ORDER &&
           h->zero == 0 && h->rows4 <= IPLIST_ROWS_MAX && h->rows6 <= IPLIST_ROWS_MAX - h->rows4 &&
           (h->rows4 == 0) == (h->segs4 == 0) && (h->rows6 == 0) == (h->segs6 == 0) &&
           h->segs4 <= 2 * h->rows4 + 1 && h->segs6 <= 2 * h->rows6 + 1 &&
           iplist_parts(h).size == n;
}

/* A way out leads to an earlier row of the same family: it ends. */
static bool items_ok(const struct iplist *l, uint32_t from, uint32_t to, uint8_t least_bits)
{
    for (uint32_t i = from; i < to; i++) {
        const struct iplist_item *it = &l->item[i];
        if (it->bits < least_bits || it->bits > 128 || it->id == 0 || it->expires_ms < 0 ||
            (it->out != IPLIST_NONE && (it->out >= i || it->out < from)))
            return false;
    }
    return true;
}

static bool segs4_ok(const struct iplist *l)
{
    for (uint32_t i = 0; i < l->segs4; i++)
        if ((i == 0 ? l->key4[0] != 0 : l->key4[i] <= l->key4[i - 1]) ||
            (l->seg4[i] != IPLIST_NONE && l->seg4[i] >= l->rows4))
            return false;
    if (l->segs4 > 0)
        for (uint32_t h = 0; h < IPLIST_TOPS; h++)
            if (l->top4[h] >= l->segs4 || l->key4[l->top4[h]] > h << 16 ||
                (l->top4[h] + 1 < l->segs4 && l->key4[l->top4[h] + 1] <= h << 16))
                return false;
    return true;
}

static bool segs6_ok(const struct iplist *l)
{
    for (uint32_t i = 0; i < l->segs6; i++)
        if ((i == 0 ? l->key6[0].hi != 0 || l->key6[0].lo != 0
                    : iplist_key_order(l->key6[i - 1], l->key6[i]) >= 0) ||
            (l->seg6[i] != IPLIST_NONE &&
             (l->seg6[i] < l->rows4 || l->seg6[i] >= l->rows4 + l->rows6)))
            return false;
    return true;
}

enum err_code iplist_read(struct slice file, struct iplist **ret, struct err *e)
{
    struct iplist_head h;
    struct iplist_parts p;
    struct iplist *l;
    uint64_t sum;

    if (file.n < sizeof h + sizeof sum || (uintptr_t)file.p % 8 != 0)
        return err_set(e, ERR_MALFORMED, "this is no list of networks");
    memcpy(&h, file.p, sizeof h);
    if (!head_ok(&h, file.n))
        return err_set(e, ERR_MALFORMED, "this is no list of networks, or not a whole one");
    p = iplist_parts(&h);
    memcpy(&sum, file.p + p.sum, sizeof sum);
    if (sum != iplist_sum(file.p, p.sum))
        return err_set(e, ERR_MALFORMED, "the list of networks is damaged");
    l = calloc(1, sizeof *l);
    if (l == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    l->rows4 = h.rows4;
    l->rows6 = h.rows6;
    l->segs4 = h.segs4;
    l->segs6 = h.segs6;
    l->key6 = (const struct iplist_key6 *)(const void *)(file.p + p.key6);
    l->item = (const struct iplist_item *)(const void *)(file.p + p.item);
    l->key4 = (const uint32_t *)(const void *)(file.p + p.key4);
    l->seg4 = (const uint32_t *)(const void *)(file.p + p.seg4);
    l->seg6 = (const uint32_t *)(const void *)(file.p + p.seg6);
    l->top4 = (const uint32_t *)(const void *)(file.p + p.top4);
    if (!items_ok(l, 0, l->rows4, 96) || !items_ok(l, l->rows4, l->rows4 + l->rows6, 0) ||
        !segs4_ok(l) || !segs6_ok(l)) {
        free(l);
        return err_set(e, ERR_MALFORMED, "the list of networks contradicts itself");
    }
    *ret = l;
    return ERR_OK;
}

enum err_code iplist_open_fd(int fd, struct iplist **ret, struct err *e)
{
    struct stat st;
    struct iplist *l = NULL;
    enum err_code rc;
    void *map;

    if (fstat(fd, &st) != 0)
        return err_errno(e, ERR_STORAGE, errno, "could not look at the list of networks");
    if (!S_ISREG(st.st_mode) || st.st_size <= 0)
        return err_set(e, ERR_MALFORMED, "this is no list of networks");
    /* All of it is read at once anyway: to be checked. */
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (map == MAP_FAILED)
        return err_errno(e, errno == ENOMEM ? ERR_NO_MEMORY : ERR_STORAGE, errno,
                         "could not map the list of networks");
    rc = iplist_read((struct slice){map, (size_t)st.st_size}, &l, e);
    if (rc != ERR_OK) {
        (void)munmap(map, (size_t)st.st_size);
        return rc;
    }
    l->map = map;
    l->map_n = (size_t)st.st_size;
    *ret = l;
    return ERR_OK;
}

enum err_code iplist_open(const char *path, struct iplist **ret, struct err *e)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return err_errno(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_STORAGE, errno,
                         "could not open \"%s\"", path);
    return iplist_open_fd(fd, ret, e);
}

void iplist_close(struct iplist *l)
{
    if (l == NULL)
        return;
    if (l->map != NULL)
        (void)munmap(l->map, l->map_n);
    free(l);
}

/* The last key that is not above a lies in lo..hi. */
static uint32_t find4(const struct iplist *l, uint32_t a)
{
    uint32_t h = a >> 16;
    uint32_t lo = l->top4[h];
    uint32_t hi = h + 1 < IPLIST_TOPS ? l->top4[h + 1] : l->segs4 - 1;

    while (lo < hi) {
        uint32_t mid = hi - (hi - lo) / 2;
        if (l->key4[mid] <= a)
            lo = mid;
        else
            hi = mid - 1;
    }
    return l->seg4[lo];
}

static uint32_t find6(const struct iplist *l, struct iplist_key6 a)
{
    uint32_t lo = 0, hi = l->segs6 - 1;

    while (lo < hi) {
        uint32_t mid = hi - (hi - lo) / 2;
        if (iplist_key_order(l->key6[mid], a) <= 0)
            lo = mid;
        else
            hi = mid - 1;
    }
    return l->seg6[lo];
}

static struct iplist_row row_of(const struct iplist_item *it)
{
    return (struct iplist_row){
        .net = iplist_unkey(it->net), .bits = it->bits, .expires_ms = it->expires_ms, .id = it->id};
}

bool iplist_find(const struct iplist *l, const struct iplist_addr *a, int64_t now_ms,
                 struct iplist_row *ret)
{
    struct iplist_key6 k = iplist_key(a), tail;
    bool v4 = iplist_key_is_v4(k);
    uint32_t at;

    if (v4 ? l->rows4 == 0 : l->rows6 == 0)
        return false;
    for (at = v4 ? find4(l, (uint32_t)k.lo) : find6(l, k); at != IPLIST_NONE;
         at = l->item[at].out) {
        const struct iplist_item *it = &l->item[at];
        if (it->expires_ms != 0 && it->expires_ms <= now_ms)
            continue;
        /* A file whose checksum was made to fit may lead to a row of elsewhere: that is no match.
         */
        tail = iplist_tail(it->bits);
        if ((it->net.hi ^ k.hi) & ~tail.hi || (it->net.lo ^ k.lo) & ~tail.lo)
            continue;
        *ret = row_of(it);
        return true;
    }
    return false;
}

size_t iplist_rows(const struct iplist *l)
{
    return (size_t)l->rows4 + l->rows6;
}

struct iplist_row iplist_at(const struct iplist *l, size_t i)
{
    return row_of(&l->item[i]);
}
