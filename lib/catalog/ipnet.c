#include "catalog/ipnet.h"

#include <arpa/inet.h>
#include <stdio.h>

enum ipnet_fault ipnet_address(struct slice s, struct ipnet *ret)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    char text[INET6_ADDRSTRLEN];
    struct ipnet n = {0};

    if (s.n == 0 || s.n >= sizeof text)
        return IPNET_SYNTAX;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (strlen(text) != s.n)
        return IPNET_SYNTAX;
    n.v6 = memchr(text, ':', s.n) != NULL;
    n.bits = n.v6 ? 128 : 32;
    if (inet_pton(n.v6 ? AF_INET6 : AF_INET, text, n.addr) != 1)
        return IPNET_SYNTAX;
    if (n.v6 && memcmp(n.addr, mapped, sizeof mapped) == 0)
        return IPNET_MAPPED;
    *ret = n;
    return IPNET_OK;
}

/* 255.255.240.0 -> 20; false when the ones are not in front. */
static bool mask_bits(struct slice s, unsigned *ret)
{
    struct ipnet m;
    uint32_t v;
    unsigned bits = 0;

    if (ipnet_address(s, &m) != IPNET_OK || m.v6)
        return false;
    v = (uint32_t)m.addr[0] << 24 | (uint32_t)m.addr[1] << 16 | (uint32_t)m.addr[2] << 8 |
        m.addr[3];
    while (bits < 32 && (v & 0x80000000u) != 0) {
        v <<= 1;
        bits++;
    }
    if (v != 0)
        return false;
    *ret = bits;
    return true;
}

static bool clear_host_bits(struct ipnet *n)
{
    bool had = false;

    for (unsigned i = 0; i < (n->v6 ? 16u : 4u); i++) {
        unsigned keep = n->bits >= (i + 1) * 8 ? 8 : n->bits <= i * 8 ? 0 : n->bits - i * 8;
        unsigned char mask = (unsigned char)(0xff00u >> keep);
        if ((n->addr[i] & (unsigned char)~mask) != 0)
            had = true;
        n->addr[i] = (unsigned char)(n->addr[i] & mask);
    }
    return had;
}

enum ipnet_fault ipnet_parse(struct slice s, struct ipnet *ret)
{
    struct slice rest = s;
    struct slice addr = slice_cut(&rest, '/');
    struct ipnet n;
    enum ipnet_fault fault;
    uint64_t bits;

    if (rest.p == NULL && memchr(addr.p == NULL ? "" : addr.p, '.', addr.n) != NULL) {
        struct slice colon = addr;
        struct slice first = slice_cut(&colon, ':');
        if (colon.p != NULL && memchr(first.p, '.', first.n) != NULL) {
            addr = first;
            rest = colon;
        }
    }
    fault = ipnet_address(addr, &n);
    if (fault != IPNET_OK)
        return fault;
    if (rest.p != NULL) {
        if (parse_u64(rest, 0, n.bits, &bits) && (rest.n == 1 || rest.p[0] != '0'))
            n.bits = (unsigned)bits;
        else if (n.v6 || !mask_bits(rest, &n.bits))
            return IPNET_SYNTAX;
    }
    fault = clear_host_bits(&n) ? IPNET_HOST_BITS : IPNET_OK;
    *ret = n;
    return fault;
}

void ipnet_format_prefix(const struct ipnet *n, char out[IPNET_TEXT_MAX])
{
    char text[INET6_ADDRSTRLEN] = "";

    (void)inet_ntop(n->v6 ? AF_INET6 : AF_INET, n->addr, text, sizeof text);
    (void)snprintf(out, IPNET_TEXT_MAX, "%s/%u", text, n->bits);
}

void ipnet_format(const struct ipnet *n, char out[IPNET_TEXT_MAX])
{
    ipnet_format_prefix(n, out);
    if (n->bits == (n->v6 ? 128u : 32u))
        *strchr(out, '/') = '\0';
}

bool ipnet_contains(const struct ipnet *net, const struct ipnet *inner)
{
    struct ipnet cut = *inner;

    if (net->v6 != inner->v6 || net->bits > inner->bits)
        return false;
    cut.bits = net->bits;
    (void)clear_host_bits(&cut);
    return memcmp(cut.addr, net->addr, sizeof cut.addr) == 0;
}

bool ipnet_is_loopback(const struct ipnet *a)
{
    static const struct ipnet v4 = {.v6 = false, .bits = 8, .addr = {127}};
    static const struct ipnet v6 = {.v6 = true, .bits = 128, .addr = {[15] = 1}};

    return ipnet_contains(a->v6 ? &v6 : &v4, a);
}
