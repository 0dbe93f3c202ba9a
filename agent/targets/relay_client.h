/*
 * relay_client.h - who the agent pretends to be when it asks whether the relay is open: an address
 * of no network that may relay, one of each family, so that a refusal is right and an acceptance is
 * a fault (docs/internals/helper.md). Pure.
 */
#pragma once

#include "catalog/ipnet.h"
#include "plan/plan.h"

struct relay_clients {
    char text[2][IPNET_TEXT_MAX]; /* IPv4, IPv6 */
};

/* 192.0.2.1 and 2001:db8::1 (addresses for documentation) when the plan's relay networks leave them
 * out, else the first other one that they leave out.  ERR_REFUSED: the networks hold every address
 * that is tried, which is next to the whole Internet; e says so. */
MUST_USE enum err_code relay_clients_choose(const struct plan *p, struct relay_clients *ret,
                                            struct err *e);
