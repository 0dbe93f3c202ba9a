/*
 * socket_cgroup.h - the control group a listening socket was made in, as the kernel tells anybody (sock_diag).  Under
 * systemd each service has its own: that names the owner where another process's descriptors may not be read.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct socket_cgroup {
    unsigned long inode;
    uint64_t id; /* as process_cgroup() gives it */
};
/* TCP listeners of this network namespace, at most max; how many there are in v.  0: the kernel does not say. */
size_t socket_cgroups(struct socket_cgroup *v, size_t max);
