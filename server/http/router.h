/*
 * router.h - from method and path to a route of the table.  Literal segments win over {placeholders}.
 * Threads: a router is immutable once made.
 */
#pragma once

#include "http/request.h"

struct router;

enum { ROUTER_PARAMS = 4, ROUTER_SEGMENTS = 10, ROUTER_PARAM_MAX = 200 };

struct router_match {
    const struct route *route;
    size_t index;                         /* in the table */
    struct slice param[ROUTER_PARAMS];    /* views of path, still percent-encoded */
    char allow[64];                       /* methods of the path, for 405 */
};

/* table (borrowed) ends with method NULL.  NULL: out of memory, or a path that breaks a limit above. */
MUST_USE struct router *router_new(const struct route *table);
void router_free(struct router *r);
/* ERR_NOT_FOUND; ERR_METHOD_NOT_ALLOWED with ret->allow filled.  HEAD is answered by GET routes. */
MUST_USE enum err_code router_find(const struct router *r, struct slice method, struct slice path,
                                   struct router_match *ret, struct err *e);
size_t router_count(const struct router *r);
const struct route *router_route(const struct router *r, size_t i);
