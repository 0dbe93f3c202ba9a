/* The sender filter's settings against the device: P02 and P05 of who may name a client's address,
 * P10 of its program. */
#include "plan/plan_private.h"

static bool same(const struct ipnet *a, const struct ipnet *b)
{
    return a->v6 == b->v6 && memcmp(a->addr, b->addr, sizeof a->addr) == 0;
}

/* Programs of this device behind a balancer's row could say that they are anybody, a permitted
 * sender for example. */
static void check_balancer(struct plan_builder *b, const char *row, const struct ipnet *net)
{
    static const struct ipnet loop[2] = {{.bits = 8, .addr = {127}},
                                         {.v6 = true, .bits = 128, .addr = {[15] = 1}}};
    const char *own = ipnet_contains(net, &loop[net->v6]) || ipnet_contains(&loop[net->v6], net)
                          ? "loopback"
                          : NULL;
    struct finding *f;

    for (size_t i = 0; own == NULL && i < b->facts->n_addresses; i++) {
        struct ipnet a;
        if (ipnet_address(slice_of(b->facts->addresses[i]), &a) == IPNET_OK &&
            ipnet_contains(net, &a))
            own = b->facts->addresses[i];
    }
    if (own == NULL)
        return;
    f = finding_add(b->f, F_P02_BALANCER_OWN, plan_at(b, "sender_filter.balancers", row), row, own,
                    NULL, NULL);
    if (f != NULL)
        f->forceable = true;
}

/* Cut out of mynetworks behind the filter anyway; a row that says nothing else is a mistake to be
 * told of. */
static void check_relay_own(struct plan_builder *b)
{
    size_t n;
    const char **rows = plan_rows(b, "smtp.relay_networks", &n);

    for (size_t i = 0; i < n; i++) {
        struct ipnet net, own;
        if (ipnet_parse(slice_of(rows[i]), &net) != IPNET_OK || net.bits != (net.v6 ? 128 : 32))
            continue;
        for (size_t k = 0; k < b->facts->n_addresses; k++) {
            if (ipnet_address(slice_of(b->facts->addresses[k]), &own) == IPNET_OK &&
                same(&own, &net) && !ipnet_is_loopback(&own)) {
                (void)finding_warn(b->f, F_P02_RELAY_OWN,
                                   plan_at(b, "smtp.relay_networks", rows[i]), rows[i], NULL, NULL,
                                   NULL);
                break;
            }
        }
    }
}

void plan_check_front(struct plan_builder *b)
{
    if (!b->front)
        return;
    plan_check_width(b, "sender_filter.balancers", F_P05_BALANCER_EVERYONE, F_P05_BALANCER_WIDE,
                     check_balancer);
    check_relay_own(b);
    if (b->facts->reported && b->facts->foxproxy == NULL)
        (void)finding_add(b->f, F_P10_FOXPROXY_MISSING, plan_at(b, "path.mode", NULL), NULL, NULL,
                          NULL, NULL);
}
