/* Connections closed under a sender: a request refused by its headers is answered while its body is
 * still on the way. To close then makes the kernel send a reset, which takes the answer from the
 * peer before it was read. So the socket lives on for a moment and what arrives is thrown away;
 * libmicrohttpd knows nothing of it. */
#include "http/http_private.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINGER_MS = 3000, LINGER_BYTES = 16 * 1024 * 1024, TURN_BYTES = 1024 * 1024 };

void linger_add(struct lingers *l, int fd)
{
    int own;

    (void)pthread_mutex_lock(&l->lock);
    own = l->n < LINGERS_MAX ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (own >= 0) {
        (void)shutdown(own, SHUT_WR);
        l->v[l->n++] = (struct lingering){own, LINGER_BYTES, clock_mono_ms() + LINGER_MS};
    }
    (void)pthread_mutex_unlock(&l->lock);
}

/* false: the peer has closed, or has had enough of our time. */
static bool drain(struct lingering *x, int64_t now_ms)
{
    static char nowhere[64 * 1024]; /* one thread */

    for (size_t turn = 0; turn < TURN_BYTES && x->left > 0;) {
        ssize_t n = recv(x->fd, nowhere, sizeof nowhere, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        if (n < 0)
            break;
        turn += (size_t)n;
        x->left -= (size_t)n < x->left ? (size_t)n : x->left;
    }
    return x->left > 0 && now_ms < x->until_ms;
}

bool linger_turn(struct lingers *l)
{
    int64_t now = clock_mono_ms();
    bool any;

    (void)pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < l->n;) {
        if (drain(&l->v[i], now)) {
            i++;
            continue;
        }
        (void)close(l->v[i].fd);
        l->v[i] = l->v[--l->n];
    }
    any = l->n > 0;
    (void)pthread_mutex_unlock(&l->lock);
    return any;
}

void linger_end(struct lingers *l)
{
    for (size_t i = 0; i < l->n; i++)
        (void)close(l->v[i].fd);
    l->n = 0;
    (void)pthread_mutex_destroy(&l->lock);
}
