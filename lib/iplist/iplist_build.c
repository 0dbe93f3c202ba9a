#include "iplist/iplist_private.h"

#include <stdlib.h>

/* An item while it is sorted: IPv4 first. */
static int by_place(const void *a, const void *b)
{
    const struct iplist_item *x = a, *y = b;
    bool x4 = x->bits >= 96 && iplist_key_is_v4(x->net);
    bool y4 = y->bits >= 96 && iplist_key_is_v4(y->net);
    int order;

    if (x4 != y4)
        return x4 ? -1 : 1;
    order = iplist_key_order(x->net, y->net);
    if (order != 0)
        return order;
    if (x->bits != y->bits)
        return x->bits < y->bits ? -1 : 1;
    if (x->expires_ms != y->expires_ms) { /* the later one first, and 0 is the latest */
        if (x->expires_ms == 0 || y->expires_ms == 0)
            return x->expires_ms == 0 ? -1 : 1;
        return x->expires_ms > y->expires_ms ? -1 : 1;
    }
    return x->id < y->id ? -1 : x->id > y->id;
}

static bool take(const struct iplist_row *r, struct iplist_item *ret)
{
    struct iplist_key6 tail;

    if (r->bits > 128 || r->expires_ms < 0 || r->id == 0)
        return false;
    *ret = (struct iplist_item){.net = iplist_key(&r->net),
                                .expires_ms = r->expires_ms,
                                .id = r->id,
                                .out = IPLIST_NONE,
                                .bits = r->bits};
    tail = iplist_tail(r->bits);
    return (ret->net.hi & tail.hi) == 0 && (ret->net.lo & tail.lo) == 0;
}

/* Sort, drop what is there twice; returns how many are left. */
static size_t settle(struct iplist_item *items, size_t n)
{
    size_t kept = 0;

    if (n > 0)
        qsort(items, n, sizeof *items, by_place);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || items[kept - 1].bits != items[i].bits ||
            iplist_key_order(items[kept - 1].net, items[i].net) != 0)
            items[kept++] = items[i];
    return kept;
}

/* The segments of one family, in the order of addresses. */
struct cut {
    struct iplist_key6 *key;
    uint32_t *seg;
    size_t n;
};

static void cut_at(struct cut *c, struct iplist_key6 key, uint32_t row)
{
    if (c->n == 0 || iplist_key_order(c->key[c->n - 1], key) != 0)
        c->n++;
    c->key[c->n - 1] = key;
    c->seg[c->n - 1] = row;
}

static struct iplist_key6 last_of(const struct iplist_item *r)
{
    struct iplist_key6 tail = iplist_tail(r->bits);

    return (struct iplist_key6){r->net.hi | tail.hi, r->net.lo | tail.lo};
}

/* Behind the row's last address the row around it goes on; nothing is behind the last address of
 * all. */
static void leave(struct cut *c, const struct iplist_item *r, struct iplist_key6 end)
{
    struct iplist_key6 k = last_of(r);

    if (iplist_key_order(k, end) == 0)
        return;
    k.hi += k.lo == UINT64_MAX;
    k.lo++;
    cut_at(c, k, r->out);
}

/* Find each row's outer one and the segments of items first..end. */
static size_t cut_family(struct iplist_item *items, size_t from, size_t to,
                         struct iplist_key6 start, struct iplist_key6 end, struct cut *c)
{
    uint32_t in = IPLIST_NONE; /* the innermost row where we are */
    size_t nested = 0;

    if (from == to)
        return 0;
    cut_at(c, start, IPLIST_NONE);
    for (size_t i = from; i < to; i++) {
        while (in != IPLIST_NONE && iplist_key_order(last_of(&items[in]), items[i].net) < 0) {
            leave(c, &items[in], end);
            in = items[in].out;
        }
        items[i].out = in;
        nested += in != IPLIST_NONE;
        in = (uint32_t)i;
        cut_at(c, items[i].net, in);
    }
    for (; in != IPLIST_NONE; in = items[in].out)
        leave(c, &items[in], end);
    return nested;
}

static void put_tops(uint32_t *top, const uint32_t *key4, uint32_t n)
{
    uint32_t at = 0;

    for (uint32_t h = 0; h < IPLIST_TOPS; h++) {
        while (at + 1 < n && key4[at + 1] <= h << 16)
            at++;
        top[h] = at;
    }
}

static char *lay_out(const struct iplist_item *items, struct iplist_head *h, const struct cut *v4,
                     const struct cut *v6, size_t *ret_n)
{
    struct iplist_parts p = iplist_parts(h);
    char *file = calloc(1, p.size);
    uint32_t *key4;
    uint64_t sum;

    if (file == NULL)
        return NULL;
    memcpy(file, h, sizeof *h);
    memcpy(file + p.key6, v6->key, v6->n * sizeof *v6->key);
    memcpy(file + p.item, items, ((size_t)h->rows4 + h->rows6) * sizeof *items);
    key4 = (uint32_t *)(void *)(file + p.key4);
    for (size_t i = 0; i < v4->n; i++)
        key4[i] = (uint32_t)v4->key[i].lo;
    memcpy(file + p.seg4, v4->seg, v4->n * sizeof *v4->seg);
    memcpy(file + p.seg6, v6->seg, v6->n * sizeof *v6->seg);
    if (h->rows4 > 0)
        put_tops((uint32_t *)(void *)(file + p.top4), key4, h->segs4);
    sum = iplist_sum(file, p.sum);
    memcpy(file + p.sum, &sum, sizeof sum);
    *ret_n = p.size;
    return file;
}

static enum err_code build(struct iplist_item *items, size_t n, struct iplist_key6 *keys,
                           uint32_t *segs, char **ret, size_t *ret_n, struct iplist_report *rep,
                           struct err *e)
{
    static const struct iplist_key6 start4 = {0, 0xffffULL << 32};
    static const struct iplist_key6 end4 = {0, 0xffffULL << 32 | UINT32_MAX};
    static const struct iplist_key6 start6 = {0, 0}, end6 = {UINT64_MAX, UINT64_MAX};
    struct iplist_head h = {.magic = IPLIST_MAGIC, .order = IPLIST_ORDER};
    size_t kept = settle(items, n), n4 = 0;
    struct cut v4 = {keys, segs, 0}, v6;

    while (n4 < kept && items[n4].bits >= 96 && iplist_key_is_v4(items[n4].net))
        n4++;
    rep->nested = cut_family(items, 0, n4, start4, end4, &v4);
    v6 = (struct cut){keys + v4.n, segs + v4.n, 0};
    rep->nested += cut_family(items, n4, kept, start6, end6, &v6);
    rep->rows = kept;
    rep->duplicates = n - kept;
    h.rows4 = (uint32_t)n4;
    h.rows6 = (uint32_t)(kept - n4);
    h.segs4 = (uint32_t)v4.n;
    h.segs6 = (uint32_t)v6.n;
    *ret = lay_out(items, &h, &v4, &v6, ret_n);
    return *ret != NULL ? ERR_OK : err_set(e, ERR_NO_MEMORY, "out of memory");
}

enum err_code iplist_build(const struct iplist_row *rows, size_t n, char **ret, size_t *ret_n,
                           struct iplist_report *rep, struct err *e)
{
    struct iplist_report own;
    struct iplist_item *items = NULL;
    struct iplist_key6 *keys = NULL;
    uint32_t *segs = NULL;
    char *file = NULL;
    enum err_code rc;

    rep = rep == NULL ? &own : rep;
    *rep = (struct iplist_report){0};
    if (n > IPLIST_ROWS_MAX)
        return err_set(e, ERR_TOO_LARGE, "a list may have at most %d rows", IPLIST_ROWS_MAX);
    items = calloc(n + 1, sizeof *items);
    keys = calloc(2 * n + 2, sizeof *keys);
    segs = calloc(2 * n + 2, sizeof *segs);
    rc = items != NULL && keys != NULL && segs != NULL ? ERR_OK
                                                       : err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; rc == ERR_OK && i < n; i++)
        if (!take(&rows[i], &items[i])) {
            rep->bad = i;
            rc = err_set(e, ERR_INVALID, "row %zu is no network with an id", i);
        }
    if (rc == ERR_OK)
        rc = build(items, n, keys, segs, &file, ret_n, rep, e);
    if (rc == ERR_OK)
        *ret = file;
    free(items);
    free(keys);
    free(segs);
    return rc;
}
