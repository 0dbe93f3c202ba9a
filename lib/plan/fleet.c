/*
 * What no single device shows: P06 mail going round between devices, P11 groups of one placement.
 * Next hops are found through one index of all devices' names and addresses, so that a list of
 * 100,000 routes costs one look-up a hop; candidates for a circle are only domains that some device
 * hands to another one.
 */
#include "plan/plan_private.h"

#include <stdio.h>
#include <stdlib.h>

enum { CIRCLES_MAX = 20 }; /* enough for a person; each stands for a route to change */

struct fleet {
    const struct plan_member *m;
    size_t n;
    json_t *index; /* name or address -> number of the member */
    struct findings *f;
    size_t reported;
};

static const char *setting(const struct plan_member *m, const char *key)
{
    return json_str(m->settings, key, "");
}

/* Names compare without case: settings are in lower case already, facts are not. */
static void lower(const char *in, char *out, size_t size)
{
    size_t n = 0;

    for (; in[n] != '\0' && n + 1 < size; n++)
        out[n] = in[n] >= 'A' && in[n] <= 'Z' ? (char)(in[n] - 'A' + 'a') : in[n];
    out[n] = '\0';
}

static void add_index(struct fleet *x, const char *name, size_t i)
{
    char text[256];

    if (name == NULL || name[0] == '\0')
        return;
    lower(name, text, sizeof text);
    if (json_object_get(x->index, text) == NULL)
        (void)json_object_set_new(x->index, text, json_integer((json_int_t)i));
}

static void add_addresses(struct fleet *x, const char *const *list, size_t n, size_t i)
{
    for (size_t k = 0; k < n; k++) {
        struct ipnet a;
        char text[IPNET_TEXT_MAX];
        if (ipnet_address(slice_of(list[k]), &a) != IPNET_OK || ipnet_is_loopback(&a))
            continue;
        ipnet_format(&a, text);
        add_index(x, text, i);
    }
}

static void build_index(struct fleet *x)
{
    for (size_t i = 0; i < x->n; i++) {
        const struct plan_facts *facts = x->m[i].facts;
        add_index(x, setting(&x->m[i], "smtp.hostname"), i);
        if (facts == NULL)
            continue;
        add_index(x, facts->hostname, i);
        add_addresses(x, facts->addresses, facts->n_addresses, i);
        add_addresses(x, facts->proxy_addresses, facts->n_proxy_addresses, i);
    }
}

/* The member a name or address belongs to, or n. */
static size_t member_at(const struct fleet *x, const char *name)
{
    char text[256];
    const json_t *v;

    lower(name, text, sizeof text);
    v = json_object_get(x->index, text);
    return v == NULL ? x->n : (size_t)json_integer_value(v);
}

static size_t member_of_any(const struct fleet *x, const char *const *addresses, size_t n)
{
    size_t to = x->n;

    for (size_t k = 0; k < n && to == x->n; k++)
        to = member_at(x, addresses[k]);
    return to;
}

/* The first member among the best mail exchangers, other than from itself: Postfix leaves itself
 * out. */
static size_t member_of_mx(const struct fleet *x, size_t from, const struct plan_mx_fact *mx)
{
    for (size_t i = 0; i < mx->n && mx->hosts[i].preference == mx->hosts[0].preference; i++) {
        size_t to = member_at(x, mx->hosts[i].host);
        if (to == x->n)
            to = member_of_any(x, mx->hosts[i].addresses, mx->hosts[i].n);
        if (to != x->n && to != from)
            return to;
    }
    return x->n;
}

static size_t member_of_hop(const struct fleet *x, size_t from, const struct plan_hop *hop)
{
    const struct plan_facts *facts = x->m[from].facts;
    const struct plan_mx_fact *mx = facts == NULL ? NULL : plan_mx_of(hop, facts);
    size_t to = x->n;

    if (hop->is_address) {
        char text[IPNET_TEXT_MAX];
        ipnet_format(&hop->address, text);
        to = member_at(x, text);
    } else if (mx != NULL && mx->n > 0) {
        to = member_of_mx(x, from, mx);
    } else {
        to = member_at(x, hop->host);
        for (size_t i = 0; to == x->n && facts != NULL && i < facts->n_names; i++) {
            if (strcmp(facts->names[i].name, hop->host) == 0)
                to = member_of_any(x, facts->names[i].addresses, facts->names[i].n);
        }
    }
    if (to < x->n && hop->port != 25 &&
        hop->port != json_int(x->m[to].settings, "smtp.listen_port", 25))
        to = x->n;                 /* another program there */
    return to == from ? x->n : to; /* to itself: plan_make() has said so */
}

/* The next hops of a domain on a member: exact route, route of a parent with sub-domains, default
 * route. */
static const char *hops_for(const struct plan_member *m, const char *domain)
{
    const json_t *routes = json_object_get(m->settings, "smtp.routes"),
                 *row = json_object_get(routes, domain);

    if (domain[0] == '\0')
        return setting(m, "smtp.relayhost");
    for (const char *p = domain; row == NULL && (p = strchr(p, '.')) != NULL;) {
        p++;
        row = json_object_get(routes, p);
        if (row != NULL && !json_bool(row, "subdomains", false))
            row = NULL;
    }
    return row == NULL ? setting(m, "smtp.relayhost") : json_str(row, "next_hop", "");
}

static void report(struct fleet *x, const char *domain, const size_t *path, size_t depth,
                   size_t back)
{
    char way[FINDING_ARG_MAX] = "", at[192];
    size_t first = 0, used = 0;

    while (path[first] != back)
        first++;
    for (size_t i = first; i <= depth && used < sizeof way; i++)
        used += (size_t)snprintf(way + used, sizeof way - used, "%s -> ", x->m[path[i]].name);
    if (used < sizeof way)
        (void)snprintf(way + used, sizeof way - used, "%s", x->m[back].name);
    json_pointer_add(at, sizeof at, "/settings",
                     domain[0] == '\0' ? "smtp.relayhost" : "smtp.routes");
    if (domain[0] != '\0') {
        char row[192];
        json_pointer_add(row, sizeof row, at, strncmp(domain, "*.", 2) == 0 ? domain + 2 : domain);
        (void)finding_add(x->f, F_P06_CIRCLE, row, domain, way, NULL, NULL);
    } else {
        (void)finding_add(x->f, F_P06_CIRCLE, at, "*", way, NULL, NULL);
    }
    x->reported++;
}

/* Depth first without recursion: state 0 unseen, 1 on the path, 2 done.  Each path entry remembers
 * its hops' rest. */
static bool find_circle(struct fleet *x, const char *domain, size_t start, unsigned char *state,
                        size_t *path, struct slice *rest)
{
    size_t depth = 0;
    struct plan_hop hop;

    path[0] = start;
    rest[0] = slice_of(hops_for(&x->m[start], domain));
    state[start] = 1;
    for (;;) {
        size_t to;
        if (!plan_next_hop(&rest[depth], &hop)) {
            state[path[depth]] = 2;
            if (depth == 0)
                return false;
            depth--;
            continue;
        }
        to = member_of_hop(x, path[depth], &hop);
        if (to == x->n || state[to] == 2)
            continue;
        if (state[to] == 1) {
            report(x, domain, path, depth, to);
            return true;
        }
        state[to] = 1;
        path[++depth] = to;
        rest[depth] = slice_of(hops_for(&x->m[to], domain));
    }
}

static bool leads_to_member(const struct fleet *x, size_t from, const char *hops)
{
    struct slice rest = slice_of(hops);
    struct plan_hop hop;

    while (plan_next_hop(&rest, &hop)) {
        if (member_of_hop(x, from, &hop) < x->n)
            return true;
    }
    return false;
}

static json_t *candidates(const struct fleet *x)
{
    json_t *all = json_object();

    for (size_t i = 0; i < x->n; i++) {
        const char *domain;
        json_t *row;
        if (leads_to_member(x, i, setting(&x->m[i], "smtp.relayhost")))
            (void)json_object_set_new(all, "", json_true());
        json_object_foreach(json_object_get(x->m[i].settings, "smtp.routes"), domain, row)
        {
            char below[300];
            if (!leads_to_member(x, i, json_str(row, "next_hop", "")))
                continue;
            (void)json_object_set_new(all, domain, json_true());
            (void)snprintf(below, sizeof below, "*.%s", domain);
            if (json_bool(row, "subdomains", false))
                (void)json_object_set_new(all, below, json_true());
        }
    }
    return all;
}

static void check_circles(struct fleet *x)
{
    AUTO(json_free) json_t *all = candidates(x);
    unsigned char *state = calloc(x->n + 1, 1);
    size_t *path = calloc(x->n + 1, sizeof *path);
    struct slice *rest = calloc(x->n + 1, sizeof *rest);
    const char *domain;
    json_t *v;

    json_object_foreach(all, domain, v)
    {
        if (state == NULL || path == NULL || rest == NULL || x->reported >= CIRCLES_MAX)
            break;
        memset(state, 0, x->n);
        for (size_t i = 0; i < x->n; i++) {
            if (state[i] == 0 && find_circle(x, domain, i, state, path, rest))
                break;
        }
    }
    free(state);
    free(path);
    free(rest);
}

static void check_placement(const struct fleet *x)
{
    AUTO(json_free)
    json_t *first = json_object(); /* group -> the first member with a known placement */

    for (size_t i = 0; i < x->n; i++) {
        const struct plan_member *m = &x->m[i];
        for (size_t g = 0; m->facts != NULL && m->facts->placement != NULL && g < m->n_groups;
             g++) {
            const json_t *v = json_object_get(first, m->groups[g]);
            const struct plan_member *other;
            if (v == NULL) {
                (void)json_object_set_new(first, m->groups[g], json_integer((json_int_t)i));
                continue;
            }
            other = &x->m[json_integer_value(v)];
            if (strcmp(other->facts->placement, m->facts->placement) != 0)
                (void)finding_add(x->f, F_P11_MIXED, "", m->groups[g], other->name,
                                  other->facts->placement, m->name);
        }
    }
}

void plan_check_fleet(const struct plan_member *members, size_t n, struct findings *f)
{
    struct fleet x = {.m = members, .n = n, .index = json_object(), .f = f};

    build_index(&x);
    check_circles(&x);
    check_placement(&x);
    json_decref(x.index);
}
