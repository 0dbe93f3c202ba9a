/* P01: every address and port has one owner; P04: the scan service's port has one at all. */
#include "plan/plan_private.h"

#include <stdio.h>

struct claim {
    const char *address, *what, *setting;
    int64_t port;
    bool ours;   /* Postfix or foxproxy binds it */
    bool public; /* either of them, as the path goes */
};

static bool overlap(const char *a, const char *b)
{
    bool a_any = strcmp(a, "0.0.0.0") == 0, b_any = strcmp(b, "0.0.0.0") == 0;
    bool a6 = strchr(a, ':') != NULL, b6 = strchr(b, ':') != NULL;
    struct ipnet x, y;

    if (strcmp(a, "::") == 0 || strcmp(b, "::") == 0)
        return true; /* a foreign "::" may hold both families */
    if (a6 != b6)
        return false;
    if (a_any || b_any)
        return true;
    return ipnet_address(slice_of(a), &x) == IPNET_OK &&
           ipnet_address(slice_of(b), &y) == IPNET_OK && memcmp(x.addr, y.addr, sizeof x.addr) == 0;
}

static size_t claims_of(const struct plan_builder *b, struct claim *v)
{
    static const struct {
        const char *what, *setting;
    } roles[] = {
        [ROLE_PUBLIC] = {"the public listener", "smtp.listen_port"},
        [ROLE_SUBMISSION] = {"the submission listener", "smtp.listen_port"},
        [ROLE_REINJECT] = {"the re-injection listener", "scan.reinject_port"},
        [ROLE_PROBE] = {"the probe listener", NULL},
        [ROLE_DIGEST] = {"the digest listener", NULL},
        [ROLE_FRONT] = {"the listener behind the sender filter", "sender_filter.backend_port"},
    };
    size_t n = 0;

    for (size_t i = 0; i < b->n_listeners; i++) {
        const struct plan_listener *l = &b->listeners[i];
        v[n++] = (struct claim){l->address, roles[l->role].what,   roles[l->role].setting, l->port,
                                true,       l->role == ROLE_PUBLIC};
    }
    v[n++] = (struct claim){"127.0.0.1", "the agent's sink", NULL, PLAN_PORT_SINK, false, false};
    if (b->plain)
        v[n++] = (struct claim){
            "127.0.0.1", "the scan service", "scan.port", plan_int(b, "scan.port"), false, false};
    return n;
}

static void check_pair(struct plan_builder *b, const struct claim *x, const struct claim *y)
{
    const char *setting = x->setting != NULL ? x->setting : y->setting;
    char port[16];

    if (x->port != y->port || !overlap(x->address, y->address) || strcmp(x->what, y->what) == 0)
        return;
    (void)snprintf(port, sizeof port, "%lld", (long long)x->port);
    (void)finding_add(b->f, F_P01_TWICE, setting == NULL ? "/settings" : plan_at(b, setting, NULL),
                      port, x->what, y->what, NULL);
}

/* The public port goes from one to the other when the path changes; no other port ever does. */
static bool may_have(const struct claim *c, const char *owner)
{
    return strcmp(owner, "postfix") == 0 || strcmp(owner, "master") == 0 ||
           (c->public && strcmp(owner, "foxproxy") == 0);
}

static void check_taken(struct plan_builder *b, const struct claim *c)
{
    for (size_t i = 0; i < b->facts->n_listeners; i++) {
        const struct plan_listener_fact *l = &b->facts->listeners[i];
        char where[80];
        struct finding *f;
        if (l->port != c->port || may_have(c, l->owner) || !overlap(c->address, l->address))
            continue;
        (void)snprintf(where, sizeof where, "%s port %lld", c->address, (long long)c->port);
        f = finding_add(b->f, F_P01_TAKEN,
                        c->setting == NULL ? "/settings" : plan_at(b, c->setting, NULL), where,
                        l->owner[0] == '\0' ? "?" : l->owner, NULL, NULL);
        /* an owner nobody could name may be Postfix itself (another process namespace): not for
         * ever in the way */
        if (f != NULL)
            f->forceable = l->owner[0] == '\0' || strcmp(l->owner, "unknown") == 0;
        return;
    }
}

static void check_local(struct plan_builder *b)
{
    static const char *const keys[] = {"smtp.listen_address", "delivery.bind_address"};

    for (size_t k = 0; k < COUNT_OF(keys); k++) {
        const char *address = plan_str(b, keys[k]);
        bool found = address[0] == '\0' || b->facts->n_addresses == 0;
        struct ipnet is, own;
        if (!found && ipnet_address(slice_of(address), &is) == IPNET_OK) {
            found = ipnet_is_loopback(&is);
            for (size_t i = 0; !found && i < b->facts->n_addresses; i++)
                found = ipnet_address(slice_of(b->facts->addresses[i]), &own) == IPNET_OK &&
                        own.v6 == is.v6 && memcmp(own.addr, is.addr, sizeof own.addr) == 0;
        }
        if (!found)
            (void)finding_add(b->f, F_P01_NOT_LOCAL, plan_at(b, keys[k], NULL), address, NULL, NULL,
                              NULL);
    }
}

/* Forceable, so a warning on the device: mail waits while the scan service restarts, it never
 * passes unscanned. */
static void check_scanner(struct plan_builder *b)
{
    char where[32];
    struct finding *f;

    for (size_t i = 0; i < b->facts->n_listeners; i++) {
        if (b->facts->listeners[i].port == plan_int(b, "scan.port") &&
            overlap("127.0.0.1", b->facts->listeners[i].address))
            return;
    }
    (void)snprintf(where, sizeof where, "127.0.0.1:%lld", (long long)plan_int(b, "scan.port"));
    f = finding_add(b->f, F_P04_NO_SCANNER, plan_at(b, "path.mode", NULL), where, NULL, NULL, NULL);
    if (f != NULL)
        f->forceable = true;
}

void plan_check_ports(struct plan_builder *b)
{
    struct claim v[PLAN_LISTENERS_MAX + 2];
    size_t n = claims_of(b, v);

    for (size_t i = 0; i < n; i++) {
        for (size_t k = i + 1; k < n; k++)
            check_pair(b, &v[i], &v[k]);
        if (v[i].ours)
            check_taken(b, &v[i]);
    }
    check_local(b);
    if (b->plain && b->facts->n_listeners > 0)
        check_scanner(b);
}
