/*
 * syn_hold.h - a port changes its owner without a refused connection: while nobody listens on it,
 * the kernel drops what wants to open a connection (SYN), and the client asks again by itself a
 * second later.  Everything that is open goes on.
 *
 * How: nftables, a table of our own (inet inari_hold) with a set of ports whose elements have a
 * timeout.  So whoever dies while it holds leaves nothing shut: the kernel forgets the port.
 * Where systemd is, the helper has no right over the packet filter: a unit of its own does it,
 * inari-hold@<port>-<port>.service, which runs `inari-helper --hold` with that right and no other.
 * Threads: one; one hold at a time.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>

enum { SYN_HOLD_MAX_MS = 8000, SYN_HOLD_PORTS = 16 };

/* ERR_UNAVAILABLE: nft is not there, or may not; then connections of that moment are refused. */
MUST_USE enum err_code syn_hold_begin(bool systemd, const int *ports, size_t n, struct err *e);
/* Let them in again.  Harmless when nothing is held. */
void syn_hold_end(bool systemd, const int *ports, size_t n);

/* What the unit runs: "25-2525", "" to let in again.  ERR_INVALID: no such ports. */
MUST_USE enum err_code syn_hold_unit(const char *ports, struct err *e);
