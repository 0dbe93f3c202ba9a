#include "http/trickle.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum {
    RECORD_HEAD =
        5, /* RFC 8446 5.1: every record has one, so fewer bytes are of no use to anybody */
    WAIT_MAX = 2048, /* more would let whoever announces a large record grow the kernel's buffer */
    FILES_MAX = 1 << 20,
};

/* By descriptor, as the callback is told nothing else: the bytes the kernel waits for.  Kept from
 * the first listener to the end of the process. */
static _Atomic(uint16_t) *waits;
static size_t waits_n;

void trickle_start(void)
{
    struct rlimit r;

    if (waits != NULL || getrlimit(RLIMIT_NOFILE, &r) != 0)
        return;
    waits_n = r.rlim_cur < FILES_MAX ? (size_t)r.rlim_cur : FILES_MAX;
    waits = calloc(waits_n, sizeof *waits);
    if (waits == NULL)
        waits_n = 0;
}

static void wait_for(int fd, size_t n)
{
    int bytes = n < WAIT_MAX ? (int)n : WAIT_MAX;

    if (atomic_load_explicit(&waits[fd], memory_order_relaxed) == bytes)
        return;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
    atomic_store_explicit(&waits[fd], (uint16_t)bytes, memory_order_relaxed);
}

/* recv() for GnuTLS, which asks for the head of a record, then for the rest of it, and again for
 * what is missing.  To wait for more than that would be to wait for ever. */
static ssize_t pull(gnutls_transport_ptr_t at, void *buf, size_t n)
{
    int fd = (int)(intptr_t)at;
    ssize_t got = recv(fd, buf, n, 0);
    int error = errno;

    if (got < 0 && error == EAGAIN)
        wait_for(fd, n);
    else if (got > 0)
        wait_for(fd, (size_t)got < n ? n - (size_t)got : RECORD_HEAD);
    errno = error;
    return got;
}

void trickle_watch(gnutls_session_t session, int fd)
{
    if (fd < 0 || (size_t)fd >= waits_n)
        return;
    atomic_store_explicit(&waits[fd], 1, memory_order_relaxed); /* of whoever had it before */
    wait_for(fd, RECORD_HEAD);
    gnutls_transport_set_pull_function(session, pull);
}
