/* P06 on one device: no next hop leads back to it. */
#include "plan/plan_private.h"

#include <stdio.h>
#include <strings.h>

bool plan_next_hop(struct slice *rest, struct plan_hop *ret)
{
    struct slice one, host;
    bool brackets;
    uint64_t port;

    if (rest->p == NULL || rest->n == 0)
        return false;
    one = slice_trim(slice_cut(rest, ','));
    *ret = (struct plan_hop){.port = 25};
    host = one;
    brackets = one.n > 0 && one.p[0] == '[';
    if (brackets) {
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
    ret->by_mx = !ret->is_address && !brackets;
    return true;
}

static bool is_among(const struct ipnet *a, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct ipnet own;
        if (ipnet_address(slice_of(list[i]), &own) == IPNET_OK && own.v6 == a->v6 &&
            memcmp(own.addr, a->addr, sizeof own.addr) == 0)
            return true;
    }
    return false;
}

static bool is_own_address(const struct ipnet *a, const struct plan_facts *facts)
{
    return ipnet_is_loopback(a) || is_among(a, facts->addresses, facts->n_addresses) ||
           is_among(a, facts->proxy_addresses, facts->n_proxy_addresses);
}

bool plan_is_device_address(const char *address, const struct plan_facts *facts)
{
    struct ipnet a;

    return ipnet_address(slice_of(address), &a) == IPNET_OK && is_own_address(&a, facts);
}

bool plan_is_device_name(const char *name, const struct plan_facts *facts, const char *hostname)
{
    return name[0] != '\0' &&
           (strcasecmp(name, "localhost") == 0 || strcasecmp(name, hostname) == 0 ||
            (facts->hostname != NULL && strcasecmp(name, facts->hostname) == 0));
}

const struct plan_mx_fact *plan_mx_of(const struct plan_hop *hop, const struct plan_facts *facts)
{
    for (size_t i = 0; hop->by_mx && i < facts->n_mx; i++) {
        if (strcasecmp(facts->mx[i].domain, hop->host) == 0)
            return &facts->mx[i];
    }
    return NULL;
}

/* The device among the best mail exchangers: Postfix leaves out itself and whatever is no better,
 * and returns the mail when nothing remains (smtp_addr.c, "loops back to myself"). */
static const char *own_exchanger(const struct plan_mx_fact *mx, const struct plan_facts *facts,
                                 const char *hostname)
{
    for (size_t i = 0; i < mx->n && mx->hosts[i].preference == mx->hosts[0].preference; i++) {
        const struct plan_mx_host *h = &mx->hosts[i];
        bool own = plan_is_device_name(h->host, facts, hostname);
        for (size_t k = 0; !own && k < h->n; k++)
            own = plan_is_device_address(h->addresses[k], facts);
        if (own)
            return h->host;
    }
    return NULL;
}

bool plan_hop_is_device(const struct plan_hop *hop, const struct plan_facts *facts,
                        const char *hostname)
{
    const struct plan_mx_fact *mx = plan_mx_of(hop, facts);

    if (hop->is_address)
        return is_own_address(&hop->address, facts);
    if (mx != NULL && mx->n > 0)
        return own_exchanger(mx, facts, hostname) != NULL;
    if (plan_is_device_name(hop->host, facts, hostname))
        return true;
    for (size_t i = 0; i < facts->n_names; i++) {
        if (strcasecmp(facts->names[i].name, hop->host) != 0)
            continue;
        for (size_t k = 0; k < facts->names[i].n; k++) {
            if (plan_is_device_address(facts->names[i].addresses[k], facts))
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

/* The row of a keyed set of domains that covers domain: itself, or a parent with sub-domains. */
static const char *covering(const json_t *list, const char *domain)
{
    if (json_object_get(list, domain) != NULL)
        return domain;
    for (const char *p = strchr(domain, '.'); p != NULL; p = strchr(p, '.')) {
        p++;
        if (json_bool(json_object_get(list, p), "subdomains", false))
            return p;
    }
    return NULL;
}

static void say_loop(struct plan_builder *b, const struct plan_hop *hop, const char *hops,
                     const char *at)
{
    const struct plan_mx_fact *mx = plan_mx_of(hop, b->facts);

    if (mx != NULL && mx->n > 0)
        (void)finding_add(b->f, F_P06_OWN_MX, at, hop->host,
                          own_exchanger(mx, b->facts, plan_str(b, "smtp.hostname")), NULL, NULL);
    else
        (void)finding_add(b->f, F_P06_OWN_ADDRESS, at, hops, NULL, NULL, NULL);
}

/* A domain whose mail we take is likely to have us as its mail exchanger.  Only the device's
 * resolver knows. */
static bool mx_is_doubtful(const struct plan_builder *b, const struct plan_hop *hop)
{
    return hop->by_mx && plan_mx_of(hop, b->facts) == NULL &&
           covering(plan_get(b, "smtp.relay_domains"), hop->host) != NULL;
}

static void check_hops(struct plan_builder *b, const char *hops, const char *key, const char *row)
{
    struct slice rest = slice_of(hops);
    struct plan_hop hop;

    while (plan_next_hop(&rest, &hop)) {
        if (!is_mail_port(b, hop.port))
            continue;
        if (plan_hop_is_device(&hop, b->facts, plan_str(b, "smtp.hostname"))) {
            say_loop(b, &hop, hops, plan_at(b, key, row));
            return;
        }
        if (mx_is_doubtful(b, &hop)) {
            (void)finding_warn(b->f, F_P06_MX_UNKNOWN, plan_at(b, key, row), hop.host, NULL, NULL,
                               NULL);
            return;
        }
    }
}

/* Relay domains that no route and no smtp.relayhost covers: their mail goes to their own MX. */
static void check_routeless(struct plan_builder *b)
{
    const json_t *domains = plan_get(b, "smtp.relay_domains"), *routes = plan_get(b, "smtp.routes");
    const char *domain, *first = NULL;
    char count[24];
    size_t n = 0;
    json_t *v;

    if (plan_str(b, "smtp.relayhost")[0] != '\0')
        return;
    json_object_foreach((json_t *)(uintptr_t)domains, domain, v)
    {
        struct plan_hop hop = {.port = 25, .by_mx = true};
        const struct plan_mx_fact *mx;
        if (strlen(domain) >= sizeof hop.host || covering(routes, domain) != NULL)
            continue;
        memcpy(hop.host, domain, strlen(domain) + 1);
        mx = plan_mx_of(&hop, b->facts);
        if (mx == NULL) {
            n++;
            first = first == NULL || strcmp(domain, first) < 0 ? domain : first;
        } else if (plan_hop_is_device(&hop, b->facts, plan_str(b, "smtp.hostname"))) {
            say_loop(b, &hop, domain, plan_at(b, "smtp.relay_domains", domain));
        }
    }
    (void)snprintf(count, sizeof count, "%zu", n);
    if (first != NULL)
        (void)finding_warn(b->f, F_P06_NO_ROUTE, plan_at(b, "smtp.relay_domains", first), first,
                           count, NULL, NULL);
}

void plan_check_loops(struct plan_builder *b)
{
    const char *row;
    json_t *v;

    check_hops(b, plan_str(b, "smtp.relayhost"), "smtp.relayhost", NULL);
    json_object_foreach((json_t *)(uintptr_t)plan_get(b, "smtp.routes"), row, v)
        check_hops(b, json_str(v, "next_hop", ""), "smtp.routes", row);
    check_routeless(b);
}
