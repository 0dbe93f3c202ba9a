/* P02 and P05: who may relay, judged on the union of the rows. */
#include "plan/plan_private.h"

#include <stdio.h>
#include <stdlib.h>

typedef unsigned __int128 wide; /* one IPv6 address */

struct range {
    wide first, last;
};

static wide number(const struct ipnet *n)
{
    wide v = 0;

    for (unsigned i = 0; i < (n->v6 ? 16u : 4u); i++)
        v = v << 8 | n->addr[i];
    return v;
}

static struct range range_of(const struct ipnet *n)
{
    unsigned free_bits = (n->v6 ? 128u : 32u) - n->bits;
    wide size = free_bits >= 128 ? ~(wide)0 : ((wide)1 << free_bits) - 1;

    return (struct range){number(n), number(n) + size};
}

static int by_first(const void *a, const void *b)
{
    const struct range *x = a, *y = b;

    return x->first < y->first ? -1 : x->first > y->first;
}

static size_t merge(struct range *v, size_t n)
{
    size_t used = 0;

    if (n > 1)
        qsort(v, n, sizeof *v, by_first);
    for (size_t i = 0; i < n; i++) {
        if (used > 0 && (v[i].first <= v[used - 1].last || v[i].first == v[used - 1].last + 1)) {
            if (v[i].last > v[used - 1].last)
                v[used - 1].last = v[i].last;
        } else {
            v[used++] = v[i];
        }
    }
    return used;
}

/* How many addresses of the (disjoint) ranges lie in r. */
static wide count_in(const struct range *v, size_t n, struct range r)
{
    wide total = 0;

    for (size_t i = 0; i < n; i++) {
        wide first = v[i].first > r.first ? v[i].first : r.first;
        wide last = v[i].last < r.last ? v[i].last : r.last;
        if (first <= last)
            total += last - first + 1;
    }
    return total;
}

/* IPv4 addresses nobody on the Internet has: private, shared, link-local, loopback, benchmarking,
 * multicast and up. */
static const char *const not_public[] = {"0.0.0.0/8",      "10.0.0.0/8",     "100.64.0.0/10",
                                         "127.0.0.0/8",    "169.254.0.0/16", "172.16.0.0/12",
                                         "192.168.0.0/16", "198.18.0.0/15",  "224.0.0.0/3"};

static wide public_count(const struct range *v, size_t n, bool v6)
{
    wide total;

    if (v6) /* 2000::/3 is all there is */
        return count_in(v, n, (struct range){(wide)1 << 125, ((wide)1 << 126) - 1});
    total = count_in(v, n, (struct range){0, 0xffffffffu});
    for (size_t i = 0; i < COUNT_OF(not_public); i++) {
        struct ipnet net;
        if (ipnet_parse(slice_of(not_public[i]), &net) == IPNET_OK)
            total -= count_in(v, n, range_of(&net));
    }
    return total;
}

static void power_text(wide count, bool v6, char *buf, size_t size)
{
    unsigned bits = 0;

    if (!v6) {
        (void)snprintf(buf, size, "%llu", (unsigned long long)count);
        return;
    }
    while (count >> bits > 1)
        bits++;
    (void)snprintf(buf, size, "2^%u", bits);
}

static void judge(struct plan_builder *b, const char *key, struct range *v, size_t n, bool v6,
                  const char *widest, const enum finding_id id[2])
{
    wide all = v6 ? (wide)1 << 125 : (wide)3700000000u; /* public unicast IPv4, about */
    wide bound = v6 ? (wide)1 << 96 : 65536;
    wide count = public_count(v, merge(v, n), v6);
    char text[32];
    struct finding *f;

    power_text(count, v6, text, sizeof text);
    if (count >= all / 2) {
        (void)finding_add(b->f, id[0], plan_at(b, key, widest), text, widest, NULL, NULL);
    } else if (count > bound) {
        f = finding_add(b->f, id[1], plan_at(b, key, widest), text, widest, v6 ? "/32" : "/16",
                        NULL);
        if (f != NULL)
            f->forceable = true;
    }
}

/* A row that reaches loopback: no foreign address of a proxy in front would be needed any more. */
static void check_loopback(struct plan_builder *b, const char *row, const struct ipnet *n)
{
    static const struct ipnet v4 = {.bits = 8, .addr = {127}},
                              v6 = {.v6 = true, .bits = 128, .addr = {[15] = 1}};
    const struct ipnet *loop = n->v6 ? &v6 : &v4;

    if (ipnet_contains(n, loop) || ipnet_contains(loop, n)) {
        struct finding *f =
            finding_add(b->f, F_P02_RELAY_LOOPBACK, plan_at(b, "smtp.relay_networks", row), row,
                        NULL, NULL, NULL);
        if (f != NULL)
            f->forceable = true;
    }
}

void plan_check_width(struct plan_builder *b, const char *key, enum finding_id everyone,
                      enum finding_id too_wide,
                      void (*each)(struct plan_builder *b, const char *row,
                                   const struct ipnet *net))
{
    size_t n, used[2] = {0, 0};
    const char **rows = plan_rows(b, key, &n);
    struct range *v[2] = {arena_alloc(b->a, (n + 1) * sizeof **v),
                          arena_alloc(b->a, (n + 1) * sizeof **v)};
    const char *widest[2] = {NULL, NULL};
    unsigned widest_bits[2] = {0, 0};

    if (v[0] == NULL || v[1] == NULL) {
        b->oom = true;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct ipnet net;
        if (ipnet_parse(slice_of(rows[i]), &net) != IPNET_OK) {
            (void)finding_add(b->f, F_V_CIDR, plan_at(b, key, rows[i]), rows[i], NULL, NULL, NULL);
            continue;
        }
        v[net.v6][used[net.v6]++] = range_of(&net);
        if (widest[net.v6] == NULL || net.bits < widest_bits[net.v6]) {
            widest[net.v6] = rows[i];
            widest_bits[net.v6] = net.bits;
        }
        if (each != NULL)
            each(b, rows[i], &net);
    }
    for (int v6 = 0; v6 < 2; v6++)
        judge(b, key, v[v6], used[v6], v6 != 0, widest[v6],
              (const enum finding_id[]){everyone, too_wide});
}

void plan_check_relay(struct plan_builder *b)
{
    plan_check_width(b, "smtp.relay_networks", F_P05_EVERYONE, F_P05_TOO_WIDE, check_loopback);
    if (strcmp(plan_str(b, "smtp.client_connection_mode"), "permit_list") == 0 &&
        json_object_size(plan_get(b, "smtp.client_access")) == 0)
        (void)finding_add(b->f, F_P05_NOBODY_ALLOWED, plan_at(b, "smtp.client_access", NULL), NULL,
                          NULL, NULL, NULL);
}
