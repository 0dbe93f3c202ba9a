#include "targets/tcp_port.h"

#include "base/clock.h"

#include <poll.h>
#include <stdio.h>

enum { STEP_MS = 3, ESTABLISHED = 0x01, SYN_RECEIVED = 0x03, LISTENS = 0x0a };

static void read_table(const char *path, int port, struct tcp_port *t)
{
    char line[512];
    FILE *f = fopen(path, "re");

    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        unsigned local, state, unread;
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*s %x %*x:%x", &local, &state, &unread) != 3 ||
            local != (unsigned)port)
            continue;
        t->listeners += state == LISTENS;
        t->waiting +=
            state == LISTENS ? unread : state == SYN_RECEIVED; /* of a listener: its queue */
        t->sessions += state == ESTABLISHED;
    }
    if (f != NULL)
        (void)fclose(f);
}

void tcp_port_look(int port, struct tcp_port *ret)
{
    *ret = (struct tcp_port){0};
    read_table("/proc/self/net/tcp", port, ret);
    read_table("/proc/self/net/tcp6", port, ret);
}

static bool is(const int *ports, size_t n, enum tcp_port_state state)
{
    for (size_t i = 0; i < n; i++) {
        struct tcp_port t;
        tcp_port_look(ports[i], &t);
        if ((state == TCP_PORT_OWNED && t.listeners == 0) ||
            (state == TCP_PORT_FREE && t.listeners != 0) ||
            (state >= TCP_PORT_TAKEN && t.waiting != 0) ||
            (state == TCP_PORT_QUIET && t.sessions != 0))
            return false;
    }
    return true;
}

bool tcp_port_wait(const int *ports, size_t n, enum tcp_port_state state, int timeout_ms)
{
    int64_t until = clock_mono_ms() + timeout_ms;

    while (!is(ports, n, state)) {
        if (clock_mono_ms() >= until)
            return false;
        (void)poll(NULL, 0, STEP_MS);
    }
    return true;
}
