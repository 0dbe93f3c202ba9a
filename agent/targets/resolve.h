/*
 * resolve.h - what names lead to, by the host's own resolver, with one deadline for all of them.
 * A thread each, since neither getaddrinfo nor res_nquery can be stopped; a late one frees its own
 * memory.
 */
#pragma once

#include "json/json_in.h"

enum { RESOLVE_NAMES_MAX = 64, RESOLVE_MX_MAX = 16 /* domains; and hosts of one */ };

/* names, domains: arrays of strings (borrowed; NULL: none).  *ret_names: {name: [addresses]};
 * *ret_mx: {domain: [{"preference","host","addresses"}]}, an empty array where DNS says that there
 * is no MX.  What was not answered in time, or not at all, is absent.  New references. */
void resolve_all(const json_t *names, const json_t *domains, int64_t timeout_ms, json_t **ret_names,
                 json_t **ret_mx);
