#include "http/hosts.h"

#include "http/gate.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <unistd.h>

bool hosts_has(const struct hosts *h, const char *name)
{
    struct in6_addr v6;
    char text[INET6_ADDRSTRLEN];

    for (size_t i = 0; i < h->n; i++)
        if (strcmp(h->name[i], name) == 0)
            return true;
    /* Other spellings of an IPv6 address. */
    if (strchr(name, ':') == NULL || inet_pton(AF_INET6, name, &v6) != 1 ||
        inet_ntop(AF_INET6, &v6, text, sizeof text) == NULL || strcmp(text, name) == 0)
        return false;
    return hosts_has(h, text);
}

static void add(struct hosts *h, const char *name)
{
    if (h->n < HOSTS_MAX && name[0] != '\0' && strlen(name) < HOSTS_NAME_MAX && !hosts_has(h, name))
        (void)snprintf(h->name[h->n++], HOSTS_NAME_MAX, "%s", name);
}

static bool is_address(const char *name)
{
    struct in6_addr raw;

    return inet_pton(AF_INET, name, &raw) == 1 || inet_pton(AF_INET6, name, &raw) == 1;
}

/* The configured words that are addresses, or those that are not. */
static enum err_code add_configured(struct hosts *h, const char *configured, bool addresses,
                                    struct err *e)
{
    struct slice rest = slice_of(configured);
    char name[GATE_HOST_MAX];

    while (rest.n > 0) {
        size_t n = 0;
        while (n < rest.n && strchr(", \t", rest.p[n]) == NULL)
            n++;
        if (n > 0) {
            if (!gate_host((struct slice){rest.p, n}, name))
                return err_set(e, ERR_INVALID, "api.hosts: \"%.*s\" is not a host name", (int)n,
                               rest.p);
            if (is_address(name) == addresses)
                add(h, name);
        }
        rest.p += n < rest.n ? n + 1 : n;
        rest.n -= n < rest.n ? n + 1 : n;
    }
    return ERR_OK;
}

static void add_own_names(struct hosts *h)
{
    struct addrinfo hints = {.ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM}, *found = NULL;
    char name[HOST_NAME_MAX + 1] = "", host[GATE_HOST_MAX];

    if (gethostname(name, sizeof name - 1) == 0 && gate_host(slice_of(name), host)) {
        if (getaddrinfo(name, NULL, &hints, &found) == 0) {
            char fqdn[GATE_HOST_MAX];
            if (found->ai_canonname != NULL && gate_host(slice_of(found->ai_canonname), fqdn))
                add(h, fqdn);
            freeaddrinfo(found);
        }
        add(h, host);
    }
    add(h, "localhost");
}

static void add_addresses(struct hosts *h)
{
    struct ifaddrs *all = NULL;
    char text[INET6_ADDRSTRLEN];

    if (getifaddrs(&all) != 0)
        return;
    for (struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
        const void *raw = NULL;
        if (i->ifa_addr == NULL)
            continue;
        if (i->ifa_addr->sa_family == AF_INET)
            raw = &((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr;
        else if (i->ifa_addr->sa_family == AF_INET6)
            raw = &((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr;
        if (raw != NULL && inet_ntop(i->ifa_addr->sa_family, raw, text, sizeof text) != NULL)
            add(h, text);
    }
    freeifaddrs(all);
}

enum err_code hosts_collect(const char *configured, struct hosts *ret, struct err *e)
{
    *ret = (struct hosts){0};
    if (configured != NULL && add_configured(ret, configured, false, e) != ERR_OK)
        return e->code;
    add_own_names(ret);
    ret->first_address = ret->n;
    if (configured != NULL && add_configured(ret, configured, true, e) != ERR_OK)
        return e->code;
    add(ret, "127.0.0.1");
    add(ret, "::1");
    add_addresses(ret);
    return ERR_OK;
}
