/* P06 on one device: no next hop leads back to it. */
#include "plan/plan_private.h"

#include <strings.h>

bool plan_next_hop(struct slice *rest, struct plan_hop *ret)
{
    struct slice one, host;
    uint64_t port;

    if (rest->p == NULL || rest->n == 0)
        return false;
    one = slice_trim(slice_cut(rest, ','));
    *ret = (struct plan_hop){.port = 25};
    host = one;
    if (one.n > 0 && one.p[0] == '[') {
        const char *end = memchr(one.p, ']', one.n);
        size_t n = end == NULL ? one.n - 1 : (size_t)(end - one.p) - 1;
        host = (struct slice){one.p + 1, n};
        one = (struct slice){one.p + n + 1, one.n - n - 1};
    } else {
        one = host;
        host = slice_cut(&one, ':');
        if (one.p != NULL) { /* back onto the colon */
            one.p--;
            one.n++;
        }
    }
    if (host.n == 0 || host.n >= sizeof ret->host)
        return true; /* nothing to compare */
    memcpy(ret->host, host.p, host.n);
    for (size_t i = 0; one.p != NULL && i < one.n; i++) {
        if (one.p[i] == ':' &&
            parse_u64((struct slice){one.p + i + 1, one.n - i - 1}, 1, 65535, &port))
            ret->port = (int64_t)port;
    }
    ret->is_address = ipnet_address(host, &ret->address) == IPNET_OK;
    return true;
}

static bool is_own_address(const struct ipnet *a, const struct plan_facts *facts)
{
    for (size_t i = 0; i < facts->n_addresses; i++) {
        struct ipnet own;
        if (ipnet_address(slice_of(facts->addresses[i]), &own) == IPNET_OK && own.v6 == a->v6 &&
            memcmp(own.addr, a->addr, sizeof own.addr) == 0)
            return true;
    }
    return ipnet_is_loopback(a);
}

bool plan_hop_is_device(const struct plan_hop *hop, const struct plan_facts *facts,
                        const char *hostname)
{
    if (hop->is_address)
        return is_own_address(&hop->address, facts);
    if (hop->host[0] == '\0')
        return false;
    if (strcasecmp(hop->host, "localhost") == 0 || strcasecmp(hop->host, hostname) == 0 ||
        (facts->hostname != NULL && strcasecmp(hop->host, facts->hostname) == 0))
        return true;
    for (size_t i = 0; i < facts->n_names; i++) {
        if (strcasecmp(facts->names[i].name, hop->host) != 0)
            continue;
        for (size_t k = 0; k < facts->names[i].n; k++) {
            struct ipnet a;
            if (ipnet_address(slice_of(facts->names[i].addresses[k]), &a) == IPNET_OK &&
                is_own_address(&a, facts))
                return true;
        }
    }
    return false;
}

/* Another program on the same host (a mail store on port 2600) is no loop: only our listeners and
 * port 25 are. */
static bool is_mail_port(const struct plan_builder *b, int64_t port)
{
    bool is = port == 25 || port == PLAN_PORT_SINK || port == plan_int(b, "scan.port");

    for (size_t i = 0; i < b->n_listeners; i++)
        is = is || b->listeners[i].port == port;
    return is;
}

static void check_hops(struct plan_builder *b, const char *hops, const char *key, const char *row)
{
    struct slice rest = slice_of(hops);
    struct plan_hop hop;

    while (plan_next_hop(&rest, &hop)) {
        if (plan_hop_is_device(&hop, b->facts, plan_str(b, "smtp.hostname")) &&
            is_mail_port(b, hop.port)) {
            (void)finding_add(b->f, F_P06_OWN_ADDRESS, plan_at(b, key, row), hops, NULL, NULL,
                              NULL);
            return;
        }
    }
}

void plan_check_loops(struct plan_builder *b)
{
    const char *row;
    json_t *v;

    check_hops(b, plan_str(b, "smtp.relayhost"), "smtp.relayhost", NULL);
    json_object_foreach((json_t *)(uintptr_t)plan_get(b, "smtp.routes"), row, v)
        check_hops(b, json_str(v, "next_hop", ""), "smtp.routes", row);
}
