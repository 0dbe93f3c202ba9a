#include "foxproxy/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

enum { V4_BITS = 96 };

bool addr_parse(struct slice s, struct iplist_addr *ret)
{
    char text[INET6_ADDRSTRLEN];
    struct iplist_addr a = {0};
    uint8_t v4[4];

    if (s.n == 0 || s.n >= sizeof text || memchr(s.p, '\0', s.n) != NULL)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (inet_pton(AF_INET, text, v4) == 1)
        a = iplist_v4(v4);
    else if (inet_pton(AF_INET6, text, a.b) != 1)
        return false;
    *ret = a;
    return true;
}

bool addr_port_parse(struct slice s, struct addr_port *ret)
{
    struct slice host = s, port = {0};
    struct addr_port a;
    uint64_t n;
    bool v6 = s.n > 0 && s.p[0] == '[';

    for (size_t i = s.n; i > 0; i--) {
        if (s.p[i - 1] != ':')
            continue;
        host = (struct slice){s.p, i - 1};
        port = (struct slice){s.p + i, s.n - i};
        break;
    }
    if (v6 && (host.n < 2 || host.p[host.n - 1] != ']'))
        return false;
    if (v6)
        host = (struct slice){host.p + 1, host.n - 2};
    if (!parse_u64(port, 1, UINT16_MAX, &n) || !addr_parse(host, &a.addr) ||
        iplist_is_v4(&a.addr) == v6)
        return false;
    a.port = (uint16_t)n;
    *ret = a;
    return true;
}

/* The bits of a behind the first n are zero. */
static bool clean_behind(const struct iplist_addr *a, unsigned n)
{
    for (unsigned bit = n; bit < 128; bit++)
        if ((a->b[bit / 8] & (0x80U >> bit % 8)) != 0)
            return false;
    return true;
}

bool addr_net_parse(struct slice s, struct addr_net *ret)
{
    struct slice rest = s, host = slice_cut(&rest, '/');
    struct addr_net n;
    uint64_t bits = 128;
    bool v4, colon = host.n > 0 && memchr(host.p, ':', host.n) != NULL;

    if (!addr_parse(host, &n.net))
        return false;
    v4 = iplist_is_v4(&n.net);
    if (v4 && colon)
        return false;
    if (host.n < s.n) {
        if (!parse_u64(rest, 0, v4 ? 32 : 128, &bits))
            return false;
        bits += v4 ? V4_BITS : 0;
    }
    n.bits = (uint8_t)bits;
    if (!clean_behind(&n.net, n.bits))
        return false;
    *ret = n;
    return true;
}

bool addr_net_has(const struct addr_net *n, const struct iplist_addr *a)
{
    unsigned whole = n->bits / 8, rest = n->bits % 8;

    /* ::/0 is every IPv6 address and no IPv4 one, as in the lists. */
    if (n->bits < V4_BITS && iplist_is_v4(a))
        return false;
    if (memcmp(n->net.b, a->b, whole) != 0)
        return false;
    return rest == 0 || ((n->net.b[whole] ^ a->b[whole]) & (0xff00U >> rest & 0xffU)) == 0;
}

void addr_text(const struct iplist_addr *a, char buf[ADDR_TEXT_SIZE])
{
    if (iplist_is_v4(a))
        (void)inet_ntop(AF_INET, a->b + 12, buf, ADDR_TEXT_SIZE);
    else
        (void)inet_ntop(AF_INET6, a->b, buf, ADDR_TEXT_SIZE);
}

void addr_port_text(const struct addr_port *a, char buf[ADDR_TEXT_SIZE])
{
    char host[ADDR_TEXT_SIZE];

    addr_text(&a->addr, host);
    (void)snprintf(buf, ADDR_TEXT_SIZE, iplist_is_v4(&a->addr) ? "%s:%u" : "[%s]:%u", host,
                   a->port);
}

bool addr_of_sockaddr(const struct sockaddr_storage *ss, struct addr_port *ret)
{
    if (ss->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)ss;
        uint8_t v4[4];
        memcpy(v4, &in->sin_addr, sizeof v4);
        ret->addr = iplist_v4(v4);
        ret->port = ntohs(in->sin_port);
        return true;
    }
    if (ss->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)ss;
        memcpy(ret->addr.b, &in6->sin6_addr, sizeof ret->addr.b);
        ret->port = ntohs(in6->sin6_port);
        return true;
    }
    return false;
}

socklen_t addr_to_sockaddr(const struct addr_port *a, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof *ret);
    if (iplist_is_v4(&a->addr)) {
        struct sockaddr_in *in = (void *)ret;
        in->sin_family = AF_INET;
        in->sin_port = htons(a->port);
        memcpy(&in->sin_addr, a->addr.b + 12, 4);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (void *)ret;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(a->port);
    memcpy(&in6->sin6_addr, a->addr.b, sizeof a->addr.b);
    return sizeof *in6;
}

bool addr_is_nobody(const struct iplist_addr *a)
{
    static const uint8_t zero[12] = {0};
    uint8_t first = a->b[12];

    if (iplist_is_v4(a))
        return first == 0 || first == 127 || (first >= 224 && first <= 239) ||
               memcmp(a->b + 12, "\xff\xff\xff\xff", 4) == 0;
    return a->b[0] == 0xff || memcmp(a->b, zero, sizeof zero) == 0;
}
