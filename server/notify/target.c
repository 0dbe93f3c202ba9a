#include "notify/target.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

struct network {
    const char *text;
    bool inner; /* smart hosts may be there */
};

/* Special-purpose registries of IANA (RFC 6890 and what came later); IPv4 inside IPv6 is unwrapped
 * before. */
static const struct network four[] = {
    {"0.0.0.0/8", false},       {"10.0.0.0/8", true},      {"100.64.0.0/10", true},
    {"127.0.0.0/8", true},      {"169.254.0.0/16", false}, {"172.16.0.0/12", true},
    {"192.0.0.0/24", false},    {"192.0.2.0/24", false},   {"192.31.196.0/24", false},
    {"192.52.193.0/24", false}, {"192.88.99.0/24", false}, {"192.168.0.0/16", true},
    {"192.175.48.0/24", false}, {"198.18.0.0/15", false},  {"198.51.100.0/24", false},
    {"203.0.113.0/24", false},  {"224.0.0.0/4", false},    {"240.0.0.0/4", false},
};
static const struct network six[] = {
    {"::/128", false},    {"::1/128", true},        {"64:ff9b:1::/48", false}, {"100::/64", false},
    {"2001::/23", false}, {"2001:db8::/32", false}, {"2002::/16", false},      {"3fff::/20", false},
    {"5f00::/16", false}, {"fc00::/7", true},       {"fe80::/10", false},      {"fec0::/10", false},
    {"ff00::/8", false},
};

static bool in_network(int family, const unsigned char *addr, struct slice text)
{
    unsigned char net[16];
    char host[64];
    struct slice rest = text, name = slice_cut(&rest, '/');
    uint64_t bits = family == AF_INET ? 32 : 128;

    if (name.n == 0 || name.n >= sizeof host)
        return false;
    memcpy(host, name.p, name.n);
    host[name.n] = '\0';
    if (inet_pton(family, host, net) != 1 || (rest.n > 0 && !parse_u64(rest, 0, bits, &bits)))
        return false;
    for (uint64_t i = 0; i < bits; i++)
        if (((addr[i / 8] ^ net[i / 8]) >> (7 - i % 8) & 1) != 0)
            return false;
    return true;
}

static bool in_list(int family, const unsigned char *addr, const char *list)
{
    struct slice rest = slice_of(list);

    while (rest.n > 0) {
        size_t n = strcspn(rest.p, ", \t");
        if (in_network(family, addr, (struct slice){rest.p, n}))
            return true;
        n += n < rest.n;
        rest = (struct slice){rest.p + n, rest.n - n};
    }
    return false;
}

/* IPv4 that is written as IPv6: mapped, compatible, translated (NAT64). */
static const unsigned char *inside(const unsigned char *a)
{
    static const unsigned char zero[12];
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static const unsigned char nat64[12] = {0, 0x64, 0xff, 0x9b};

    if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0)
        return a + 12;
    return memcmp(a, zero, 12) == 0 && (a[12] != 0 || a[13] != 0 || a[14] != 0) ? a + 12 : NULL;
}

bool target_ok(const struct sockaddr *sa, enum target_policy policy, const char *allowed)
{
    int family = sa->sa_family;
    const unsigned char *addr;
    const struct network *list;
    size_t n;

    if (family == AF_INET) {
        addr = (const unsigned char *)&((const struct sockaddr_in *)(const void *)sa)->sin_addr;
    } else if (family == AF_INET6) {
        addr = (const unsigned char *)&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
        if (inside(addr) != NULL) {
            addr = inside(addr);
            family = AF_INET;
        }
    } else {
        return false;
    }
    if (policy == TARGET_PUBLIC && allowed != NULL && in_list(family, addr, allowed))
        return true;
    list = family == AF_INET ? four : six;
    n = family == AF_INET ? COUNT_OF(four) : COUNT_OF(six);
    for (size_t i = 0; i < n; i++)
        if (in_network(family, addr, slice_of(list[i].text)))
            return policy == TARGET_INNER && list[i].inner;
    return true;
}

void target_text(const struct sockaddr *sa, char buf[TARGET_TEXT_SIZE])
{
    const void *addr =
        sa->sa_family == AF_INET6
            ? (const void *)&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr
            : (const void *)&((const struct sockaddr_in *)(const void *)sa)->sin_addr;

    if ((sa->sa_family != AF_INET && sa->sa_family != AF_INET6) ||
        inet_ntop(sa->sa_family, addr, buf, TARGET_TEXT_SIZE) == NULL)
        (void)snprintf(buf, TARGET_TEXT_SIZE, "?");
}
