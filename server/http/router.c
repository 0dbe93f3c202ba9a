#include "http/router.h"

#include <stdlib.h>

struct pattern {
    const struct route *route;
    struct slice method;
    struct slice segment[ROUTER_SEGMENTS];
    size_t n;
    unsigned literal; /* bit i, counted from the left: segment i is no placeholder; a bigger value
                         wins */
};

enum { LITERALS = 1024 /* power of two, several times the routes */ };

struct router {
    struct pattern *patterns;
    size_t n;
    const struct pattern
        *literal[LITERALS]; /* paths without placeholders, by hash; open addressing */
};

static size_t hash_of(struct slice method, struct slice path)
{
    uint32_t h = 2166136261u ^ (uint32_t)(unsigned char)method.p[0] ^ (uint32_t)(method.n << 8);

    for (size_t i = 0; i < path.n; i++)
        h = (h ^ (unsigned char)path.p[i]) * 16777619u;
    return (h ^ h >> 15) % LITERALS;
}

/* A literal path needs no cutting into segments and beats every placeholder. */
static const struct pattern *find_literal(const struct router *r, struct slice method,
                                          struct slice path)
{
    for (size_t i = hash_of(method, path); r->literal[i] != NULL; i = (i + 1) % LITERALS)
        if (slice_is(path, r->literal[i]->route->path) && slice_eq(method, r->literal[i]->method))
            return r->literal[i];
    return NULL;
}

static void add_literal(struct router *r, const struct pattern *p)
{
    size_t i = hash_of(p->method, slice_of(p->route->path));

    if (strchr(p->route->path, '{') != NULL)
        return;
    while (r->literal[i] != NULL)
        i = (i + 1) % LITERALS;
    r->literal[i] = p;
}

static bool compile(const struct route *route, struct pattern *p)
{
    struct slice path = slice_of(route->path);
    size_t params = 0;

    p->route = route;
    p->method = slice_of(route->method);
    if (path.n == 0 || path.p[0] != '/')
        return false;
    path.p++, path.n--;
    do {
        struct slice s = slice_cut(&path, '/');
        if (p->n == ROUTER_SEGMENTS)
            return false;
        if (s.n > 0 && s.p[0] == '{')
            params++;
        else
            p->literal |= 1u << (ROUTER_SEGMENTS - p->n);
        p->segment[p->n++] = s;
    } while (path.n > 0);
    return params <= ROUTER_PARAMS;
}

struct router *router_new(const struct route *table)
{
    struct router *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    while (table[r->n].method != NULL)
        r->n++;
    r->patterns = calloc(r->n + 1, sizeof *r->patterns);
    if (r->patterns == NULL || r->n > LITERALS / 2) {
        router_free(r);
        return NULL;
    }
    for (size_t i = 0; i < r->n; i++) {
        if (!compile(&table[i], &r->patterns[i])) {
            router_free(r);
            return NULL;
        }
        add_literal(r, &r->patterns[i]);
    }
    return r;
}

void router_free(struct router *r)
{
    if (r == NULL)
        return;
    free(r->patterns);
    free(r);
}

size_t router_count(const struct router *r)
{
    return r->n;
}

const struct route *router_route(const struct router *r, size_t i)
{
    return r->patterns[i].route;
}

static bool fits(const struct pattern *p, const struct slice *segment)
{
    /* From the right: the paths of a group differ there. */
    for (size_t i = p->n; i-- > 0;)
        if (p->literal & (1u << (ROUTER_SEGMENTS - i)) ? !slice_eq(p->segment[i], segment[i])
                                                       : segment[i].n == 0)
            return false;
    return true;
}

static void take_params(const struct pattern *p, const struct slice *segment,
                        struct router_match *ret)
{
    size_t k = 0;

    for (size_t i = 0; i < p->n; i++)
        if (!(p->literal & (1u << (ROUTER_SEGMENTS - i))))
            ret->param[k++] = segment[i];
}

static void allow_add(struct router_match *ret, struct slice method)
{
    size_t n = strlen(ret->allow);

    if (n + method.n + 3 <= sizeof ret->allow) {
        if (n > 0) {
            memcpy(ret->allow + n, ", ", 2);
            n += 2;
        }
        memcpy(ret->allow + n, method.p, method.n);
        ret->allow[n + method.n] = '\0';
    }
}

enum err_code router_find(const struct router *r, struct slice method, struct slice path,
                          struct router_match *ret, struct err *e)
{
    struct slice segment[ROUTER_SEGMENTS];
    const struct pattern *best = NULL;
    bool path_known = false;
    size_t n = 0;

    *ret = (struct router_match){0};
    if (slice_is(method, "HEAD"))
        method = slice_of("GET");
    if (path.n == 0 || path.p[0] != '/' || method.n == 0)
        return err_set(e, ERR_NOT_FOUND, "no such address");
    best = find_literal(r, method, path);
    if (best != NULL) {
        ret->route = best->route;
        ret->index = (size_t)(best - r->patterns);
        return ERR_OK;
    }
    path.p++, path.n--;
    do {
        if (n == ROUTER_SEGMENTS)
            return err_set(e, ERR_NOT_FOUND, "no such address");
        segment[n++] = slice_cut(&path, '/');
    } while (path.p != NULL);
    for (size_t i = 0; i < r->n; i++) {
        const struct pattern *p = &r->patterns[i];
        if (p->n != n || !fits(p, segment))
            continue;
        path_known = true;
        allow_add(ret, p->method);
        if (slice_eq(p->method, method) && (best == NULL || p->literal > best->literal)) {
            best = p;
            ret->index = i;
        }
    }
    if (best == NULL)
        return path_known ? err_set(e, ERR_METHOD_NOT_ALLOWED, "this address takes %s", ret->allow)
                          : err_set(e, ERR_NOT_FOUND, "no such address");
    ret->route = best->route;
    take_params(best, segment, ret);
    return ERR_OK;
}
