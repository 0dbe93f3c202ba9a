/* The sender filter on the finished plan: what stands behind it believes its word about clients, so
 * nobody else may reach it, and without it nothing may wait for that word. */
#include "plan/plan_private.h"

#include <stdio.h>

static const char *option(const struct plan_service *s, const char *name)
{
    for (size_t i = 0; i < s->n_options; i++) {
        if (strcmp(s->options[i].name, name) == 0)
            return s->options[i].value;
    }
    return "";
}

static const struct plan_service *service_at(const struct plan *p, const char *address,
                                             int64_t port)
{
    char name[80];

    (void)snprintf(name, sizeof name, "%s:%lld", address, (long long)port);
    for (size_t i = 0; i < p->n_services; i++) {
        if (strcmp(p->services[i].service, name) == 0)
            return &p->services[i];
    }
    return NULL;
}

static void open_to_others(struct findings *f, const char *where, const char *what, const char *is)
{
    (void)finding_add(f, F_P02_FRONT_OPEN, "/settings/path.mode", where, what, is, NULL);
}

/* "key = value" is a line of the file. */
static bool says(const char *ini, const char *key, const char *value)
{
    char line[160];

    (void)snprintf(line, sizeof line, "\n%s = %s\n", key, value);
    return strstr(ini, line) != NULL;
}

/* Whoever is cut out of mynetworks stands before whoever is in it: the first match counts. */
static void check_backend(const struct plan *p, const struct plan_listener *l, struct findings *f)
{
    static const char head[] = PLAN_NO_LOOPBACK;
    const struct plan_service *s = service_at(p, l->address, l->port);
    char where[80];
    struct ipnet a;

    (void)snprintf(where, sizeof where, "%s:%lld", l->address, (long long)l->port);
    if (s == NULL || ipnet_address(slice_of(l->address), &a) != IPNET_OK ||
        !ipnet_is_loopback(&a)) {
        open_to_others(f, where, "address", l->address);
        return;
    }
    if (strcmp(option(s, "smtpd_upstream_proxy_protocol"), "haproxy") != 0)
        open_to_others(f, where, "smtpd_upstream_proxy_protocol",
                       option(s, "smtpd_upstream_proxy_protocol"));
    if (strncmp(option(s, "mynetworks"), head, sizeof head - 1) != 0)
        open_to_others(f, where, "mynetworks", option(s, "mynetworks"));
    if (!says(p->foxproxy, "backend", where))
        open_to_others(f, "foxproxy.ini", "backend", where);
    if (!says(p->foxproxy, "max_sessions", s->maxproc))
        (void)finding_add(f, F_P09_ORDER, "/settings/sender_filter.max_sessions",
                          "sender_filter.max_sessions", "foxproxy.ini", where, s->maxproc);
}

/* Every door is foxproxy's; one listener stands behind it, and no door of Postfix's own beside it.
 */
static void check_doors(const struct plan *p, struct findings *f)
{
    size_t fronts = 0;

    for (size_t i = 0; i < p->n_listeners; i++) {
        const struct plan_listener *l = &p->listeners[i];
        char four[80], six[80];
        if (l->role == ROLE_FRONT) {
            check_backend(p, l, f);
            fronts++;
        }
        if (l->role != ROLE_PUBLIC)
            continue;
        (void)snprintf(four, sizeof four, "%s:%lld", l->address, (long long)l->port);
        (void)snprintf(six, sizeof six, "[%s]:%lld", l->address, (long long)l->port);
        if (!says(p->foxproxy, "listen", four) && !says(p->foxproxy, "listen", six))
            open_to_others(f, "foxproxy.ini", "listen", four);
    }
    if (fronts != 1)
        open_to_others(f, "foxproxy.ini", "backend", "-");
    for (size_t i = 0; i < p->n_services; i++) {
        const char *name = p->services[i].service;
        if (strcmp(p->services[i].type, "inet") == 0 && strncmp(name, "127.0.0.1:", 10) != 0)
            open_to_others(f, name, "listener", "Postfix");
    }
}

/* P13: no filter, so nobody would ever send the header that these wait for. */
static void check_left(const struct plan *p, struct findings *f)
{
    for (size_t i = 0; i < p->n_listeners; i++) {
        if (p->listeners[i].role == ROLE_FRONT)
            (void)finding_add(f, F_P13_FRONT_LEFT, "/settings/path.mode", p->mail_path,
                              p->listeners[i].address, NULL, NULL);
    }
    for (size_t i = 0; i < p->n_services; i++) {
        const struct plan_service *s = &p->services[i];
        char probe[32];
        (void)snprintf(probe, sizeof probe, "127.0.0.1:%d", PLAN_PORT_PROBE);
        if (option(s, "smtpd_upstream_proxy_protocol")[0] != '\0' && strcmp(s->service, probe) != 0)
            (void)finding_add(f, F_P13_FRONT_LEFT, "/settings/path.mode", p->mail_path, s->service,
                              NULL, NULL);
    }
}

void plan_verify_front(const struct plan *p, struct findings *f)
{
    bool front = strcmp(p->mail_path, "front") == 0;

    if (front != (p->foxproxy != NULL))
        (void)finding_add(f, F_P13_FRONT_LEFT, "/settings/path.mode", p->mail_path, "foxproxy",
                          NULL, NULL);
    if (p->foxproxy == NULL) {
        check_left(p, f);
        return;
    }
    check_doors(p, f);
}
