/*
 * tcp_port.h - what the kernel says about one TCP port of this network namespace, whoever owns it.
 * Source: /proc/self/net/tcp and tcp6.  Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct tcp_port {
    size_t listeners; /* sockets that accept connections */
    size_t waiting;  /* connections not taken yet by their owner, handshakes under way among them */
    size_t sessions; /* established */
};
/* All zero when the tables cannot be read. */
void tcp_port_look(int port, struct tcp_port *ret);

enum tcp_port_state {
    TCP_PORT_OWNED, /* somebody listens */
    TCP_PORT_FREE,  /* nobody does */
    TCP_PORT_TAKEN, /* no connection waits for its owner */
    TCP_PORT_QUIET, /* and no session is open */
};
/* Wait for that of all the ports; false: not within timeout_ms. */
bool tcp_port_wait(const int *ports, size_t n, enum tcp_port_state state, int timeout_ms);
