/* P05 and P08 for lists: nobody lets in everyone, nobody shuts out their own hosts, unless with a
 * reason. */
#include "domain/check.h"
#include "domain/list.h"

#include <ifaddrs.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

typedef unsigned __int128 wide; /* one IPv6 address */

enum {
    EXACT_ROWS = 20000, /* above it only networks that alone could add up to everyone count */
    SAID_MAX = 100,     /* rows that are named; one is enough to refuse */
};

struct range {
    wide first, last;
};

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

static struct range range_of(const struct ipnet *n)
{
    unsigned free_bits = (n->v6 ? 128u : 32u) - n->bits;
    wide size = free_bits >= 128 ? ~(wide)0 : ((wide)1 << free_bits) - 1, v = 0;

    for (unsigned i = 0; i < (n->v6 ? 16u : 4u); i++)
        v = v << 8 | n->addr[i];
    return (struct range){v, v + size};
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

static const char *const not_public[] = {"0.0.0.0/8",      "10.0.0.0/8",     "100.64.0.0/10",
                                         "127.0.0.0/8",    "169.254.0.0/16", "172.16.0.0/12",
                                         "192.168.0.0/16", "198.18.0.0/15",  "224.0.0.0/3"};

/* Networks of one family, and how many public addresses they are together. */
struct set {
    struct range *v;
    size_t n;
    wide count;
    const char *widest;
    unsigned widest_bits;
};

static enum err_code read_set(const char *const *nets, size_t n, bool v6, struct arena *a,
                              struct set *ret, struct err *e)
{
    *ret = (struct set){.v = arena_alloc(a, (n + 1) * sizeof *ret->v), .widest_bits = 129};
    if (ret->v == NULL)
        return no_memory(e);
    for (size_t i = 0; i < n; i++) {
        struct ipnet net;
        if (ipnet_parse(slice_of(nets[i]), &net) != IPNET_OK || net.v6 != v6)
            continue;
        if (net.bits < ret->widest_bits) {
            ret->widest_bits = net.bits;
            ret->widest = nets[i];
        }
        ret->v[ret->n++] = range_of(&net);
    }
    ret->n = merge(ret->v, ret->n);
    if (v6) { /* 2000::/3 is all there is */
        ret->count = count_in(ret->v, ret->n, (struct range){(wide)1 << 125, ((wide)1 << 126) - 1});
        return ERR_OK;
    }
    ret->count = count_in(ret->v, ret->n, (struct range){0, 0xffffffffu});
    for (size_t i = 0; i < COUNT_OF(not_public); i++) {
        struct ipnet net;
        if (ipnet_parse(slice_of(not_public[i]), &net) == IPNET_OK)
            ret->count -= count_in(ret->v, ret->n, range_of(&net));
    }
    return ERR_OK;
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

static void force(struct finding *f)
{
    if (f != NULL)
        f->forceable = true;
}

struct texts {
    const char **v;
    size_t n;
};

/* all: with what was brought, before: without, brought: that alone. */
static enum err_code judge_width(const char *list, struct texts all, struct texts before,
                                 struct texts brought, struct arena *a, struct findings *f,
                                 struct err *e)
{
    bool approved = strcmp(list, "approved") == 0;

    for (int v6 = 0; v6 < 2; v6++) {
        wide everyone = (v6 ? (wide)1 << 125 : (wide)3700000000u) / 2;
        wide bound = v6 ? (wide)1 << 96 : 65536;
        struct set now, old, new;
        char text[32];
        enum err_code rc = read_set(all.v, all.n, v6 != 0, a, &now, e);
        if (rc == ERR_OK)
            rc = read_set(before.v, before.n, v6 != 0, a, &old, e);
        if (rc == ERR_OK)
            rc = read_set(brought.v, brought.n, v6 != 0, a, &new, e);
        if (rc != ERR_OK)
            return rc;
        if (new.count == 0)
            continue;
        power_text(now.count, v6 != 0, text, sizeof text);
        if (now.count >= everyone) {
            struct finding *x =
                finding_add(f, F_P05_LIST_EVERYONE, "/rows", text, now.widest, list, NULL);
            if (!approved)
                force(x);
        } else if (approved && now.count > bound && (old.count <= bound || new.count > bound)) {
            force(finding_add(f, F_P05_LIST_TOO_WIDE, "/rows", text, new.widest, list,
                              v6 ? "/32" : "/16"));
        }
    }
    return ERR_OK;
}

/* --- P08 --- */

enum own_kind { OWN_DEVICE, OWN_PARENT, OWN_KNOWN, OWN_PRIVATE, OWN_CALLER };
struct own {
    enum own_kind kind;
    struct ipnet net;
    const char *text, *name;
};
struct owns {
    struct own *v;
    size_t n, size;
    bool oom;
};

static void add_own(struct owns *o, enum own_kind kind, const char *text, const char *name)
{
    struct ipnet net;
    enum ipnet_fault fault = ipnet_parse(slice_of(text), &net);

    if ((fault != IPNET_OK && fault != IPNET_HOST_BITS) || net.bits == 0)
        return;
    if (o->n == o->size) {
        size_t size = o->size == 0 ? 64 : o->size * 2;
        struct own *v = realloc(o->v, size * sizeof *v);
        o->oom = o->oom || v == NULL;
        if (v == NULL)
            return;
        o->v = v;
        o->size = size;
    }
    o->v[o->n++] = (struct own){kind, net, text, name};
}

static void add_parent(struct owns *o, const struct app *app, struct arena *a)
{
    struct ifaddrs *all = NULL;

    for (size_t i = 0; app->addresses != NULL && app->addresses[i] != NULL; i++) {
        const char *host = strstr(app->addresses[i], "://");
        struct slice rest = slice_of(host == NULL ? app->addresses[i] : host + 3);
        bool v6 = rest.n > 0 && rest.p[0] == '[';
        const char *text;
        if (v6)
            rest = (struct slice){rest.p + 1, rest.n - 1};
        text = arena_slice_dup(a, slice_cut(&rest, v6 ? ']' : ':'));
        add_own(o, OWN_PARENT, text == NULL ? "" : text, "");
    }
    if (getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
        char text[INET6_ADDRSTRLEN];
        const void *raw = NULL;
        if (i->ifa_addr != NULL && i->ifa_addr->sa_family == AF_INET)
            raw = &((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr;
        else if (i->ifa_addr != NULL && i->ifa_addr->sa_family == AF_INET6)
            raw = &((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr;
        if (raw != NULL && inet_ntop(i->ifa_addr->sa_family, raw, text, sizeof text) != NULL) {
            const char *kept = arena_strdup(a, text);
            add_own(o, OWN_PARENT, kept == NULL ? "" : kept, "");
        }
    }
    freeifaddrs(all);
}

static enum err_code collect(struct db *db, const struct list_change *c, struct arena *a,
                             struct owns *o, struct err *e)
{
    static const char *const private_ranges[] = {"10.0.0.0/8",  "172.16.0.0/12",  "192.168.0.0/16",
                                                 "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10",
                                                 "fc00::/7",    "fe80::/10",      "::1/128"};
    json_t *devices = NULL, *known = NULL, *d, *address;
    size_t i, k;
    enum err_code rc = list_store_own(db, a, &devices, &known, e);

    if (rc != ERR_OK)
        return rc;
    /* In the order in which one is named when several are met: the narrowest reason first. */
    add_own(o, OWN_CALLER, c->by->address, "");
    json_array_foreach(devices, i, d)
    {
        json_array_foreach(json_object_get(d, "addresses"), k, address)
        {
            add_own(o, OWN_DEVICE, json_is_string(address) ? json_string_value(address) : "",
                    json_str(d, "name", ""));
        }
    }
    add_parent(o, c->app, a);
    json_array_foreach(known, i, d)
    {
        add_own(o, OWN_KNOWN, json_is_string(d) ? json_string_value(d) : "", "");
    }
    for (i = 0; i < COUNT_OF(private_ranges); i++)
        add_own(o, OWN_PRIVATE, private_ranges[i], "");
    return o->oom ? no_memory(e) : ERR_OK;
}

static void say(const struct own *o, const char *row, struct findings *f)
{
    static const enum finding_id ids[] = {
        [OWN_DEVICE] = F_P08_LIST_DEVICE,    [OWN_PARENT] = F_P08_LIST_PARENT,
        [OWN_KNOWN] = F_P08_LIST_KNOWN_HOST, [OWN_PRIVATE] = F_P08_LIST_PRIVATE,
        [OWN_CALLER] = F_P08_LIST_CALLER,
    };

    force(finding_add(f, ids[o->kind], "/rows", row, o->text, o->name, NULL));
}

static bool meet(const struct ipnet *a, const struct ipnet *b)
{
    return ipnet_contains(a, b) || ipnet_contains(b, a);
}

/* Does r meet one of the disjoint ranges, in order? */
static bool among(const struct range *v, size_t n, struct range r)
{
    size_t lo = 0, hi = n;

    while (lo < hi) { /* the first that does not end before r begins */
        size_t mid = (lo + hi) / 2;
        if (v[mid].last < r.first)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && v[lo].first <= r.last;
}

static enum err_code judge_own(struct db *db, const struct list_change *c, struct texts brought,
                               struct arena *a, struct err *e)
{
    struct owns o = {0};
    struct range *v[2] = {NULL, NULL};
    size_t n[2] = {0, 0};
    enum err_code rc = collect(db, c, a, &o, e);

    for (int i = 0; i < 2 && rc == ERR_OK; i++)
        if ((v[i] = arena_alloc(a, (o.n + 1) * sizeof **v)) == NULL)
            rc = no_memory(e);
    for (size_t i = 0; i < o.n && rc == ERR_OK; i++)
        v[o.v[i].net.v6][n[o.v[i].net.v6]++] = range_of(&o.v[i].net);
    for (int i = 0; i < 2 && rc == ERR_OK; i++)
        n[i] = merge(v[i], n[i]);
    for (size_t i = 0; i < brought.n && rc == ERR_OK && c->f->n < SAID_MAX; i++) {
        struct ipnet net;
        size_t k = 0;
        if (ipnet_parse(slice_of(brought.v[i]), &net) != IPNET_OK ||
            !among(v[net.v6], n[net.v6], range_of(&net)))
            continue;
        while (k < o.n && !meet(&net, &o.v[k].net))
            k++;
        if (k < o.n)
            say(&o.v[k], brought.v[i], c->f);
    }
    free(o.v);
    return rc;
}

enum err_code list_judge(struct db *db, const char *list, int64_t version, int64_t rows,
                         const struct list_change *c, struct arena *a, struct err *e)
{
    bool wide_only = rows > EXACT_ROWS;
    struct texts all = {0}, before = {0}, brought = {0};
    enum err_code rc = list_store_brought(db, list, version, a, &brought.v, &brought.n, e);

    findings_clear(c->f);
    if (rc != ERR_OK || brought.n == 0)
        return rc; /* taking away endangers nobody */
    rc = list_store_nets(db, list, wide_only, 0, a, &all.v, &all.n, e);
    if (rc == ERR_OK)
        rc = list_store_nets(db, list, wide_only, version, a, &before.v, &before.n, e);
    if (rc == ERR_OK)
        rc = judge_width(list, all, before, brought, a, c->f, e);
    if (rc == ERR_OK && strcmp(list, "blocked") == 0)
        rc = judge_own(db, c, brought, a, e);
    if (rc == ERR_OK && check_hard(c->f) > 0)
        return err_set(e, ERR_INVALID, "list %s cannot be changed so", list);
    if (rc == ERR_OK && check_forceable(c->f) > 0 && c->force == NULL)
        return err_field(e, ERR_INVALID, "/query/force",
                         "what speaks against this needs a reason: give it with ?force=");
    return rc;
}
