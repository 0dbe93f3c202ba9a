/*
 * sockets.h - who listens where, from the kernel's table (P01: never from a bind that succeeds,
 * SO_REUSEPORT lets a second owner in silently), and short dialogues with listeners.
 */
#pragma once

#include "base/arena.h"
#include "base/strbuf.h"

#include <netinet/in.h>

struct listener {
    const char *address; /* "0.0.0.0", "::", "127.0.0.1" */
    int port;
    const char *owner; /* program name of the process, "postfix" for its master; "" unknown */
    int pid;           /* 0 unknown */
    int group;         /* its process group */
};
/* TCP listeners of this network namespace, at most LISTENERS_MAX. */
enum { LISTENERS_MAX = 512 };
MUST_USE enum err_code sockets_listeners(struct arena *a, struct listener **ret, size_t *ret_n,
                                         struct err *e);
/* Do two listening addresses collide on one port?  "" is every address. */
bool sockets_overlap(const char *a, const char *b);
/* Is it an address of this machine (or unspecified)? */
bool sockets_is_local(const char *address);
/* Connect within timeout_ms to address (numeric) and port; -1 on failure. */
int sockets_connect(const char *address, int port, int timeout_ms);
int sockets_connect_unix(const char *path, int timeout_ms);
/* Read one SMTP reply (all lines) into buf; its code, or 0. */
int sockets_reply(int fd, char *buf, size_t size, int timeout_ms);
/* First port from start on that nobody listens on, skipping those already handed out. */
int sockets_free_port(const struct listener *v, size_t n, int start);
