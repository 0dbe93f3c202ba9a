/*
 * syn_hold.h - a port changes its owner without a refused connection: while nobody listens on it,
 * the kernel drops what wants to open a connection (SYN), and the client asks again by itself a
 * second later.  Everything that is open goes on.
 *
 * How: nftables, a table of our own (inet inari_hold) with a set of ports whose elements have a
 * timeout.  So whoever dies while it holds leaves nothing shut: the kernel forgets the port.
 * Threads: one; one hold at a time.
 */
#pragma once

#include "base/err.h"

enum { SYN_HOLD_MAX_MS = 8000, SYN_HOLD_PORTS = 16 };

/* ERR_UNAVAILABLE: nft is not there, or may not; then connections of that moment are refused. */
MUST_USE enum err_code syn_hold_begin(const int *ports, size_t n, struct err *e);
/* Let them in again.  Harmless when nothing is held. */
void syn_hold_end(void);
