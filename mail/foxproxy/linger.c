#include "foxproxy/linger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const int64_t delay_ms[LINGER_STAGES] = {2, 20, 200, 1000, 3000};
enum { RING_FIRST = 64, DRAIN_STEP = 4096 };

void linger_init(struct lingerers *l, uint32_t most)
{
    *l = (struct lingerers){.most = most};
}

void linger_clear(struct lingerers *l)
{
    while (linger_cut(l))
        ;
    for (size_t i = 0; i < LINGER_STAGES; i++)
        free(l->stage[i].v);
    *l = (struct lingerers){0};
}

static bool grow(struct linger_ring *r)
{
    uint32_t size = r->size == 0 ? RING_FIRST : r->size * 2;
    struct linger_one *v = malloc(size * sizeof *v);

    if (v == NULL)
        return false;
    for (uint32_t i = 0; i < r->n; i++)
        v[i] = r->v[(r->head + i) & (r->size - 1)];
    free(r->v);
    r->v = v;
    r->size = size;
    r->head = 0;
    return true;
}

static bool push(struct linger_ring *r, struct linger_one one)
{
    if (r->n == r->size && !grow(r))
        return false;
    r->v[(r->head + r->n++) & (r->size - 1)] = one;
    return true;
}

static struct linger_one pop(struct linger_ring *r)
{
    struct linger_one one = r->v[r->head];

    r->head = (r->head + 1) & (r->size - 1);
    r->n--;
    return one;
}

bool linger_cut(struct lingerers *l)
{
    for (size_t i = LINGER_STAGES; i-- > 0;) {
        if (l->stage[i].n == 0)
            continue;
        (void)close(pop(&l->stage[i]).fd);
        l->n--;
        l->cut++;
        return true;
    }
    return false;
}

void linger_add(struct lingerers *l, int fd, int64_t now_ms)
{
    if (l->n >= l->most)
        (void)linger_cut(l);
    if (!push(&l->stage[0], (struct linger_one){now_ms + delay_ms[0], fd, 0})) {
        (void)close(fd);
        l->cut++;
        return;
    }
    l->n++;
}

int64_t linger_next_ms(const struct lingerers *l)
{
    int64_t next = -1;

    for (size_t i = 0; l->n > 0 && i < LINGER_STAGES; i++) {
        const struct linger_ring *r = &l->stage[i];
        if (r->n > 0 && (next < 0 || r->v[r->head].due_ms < next))
            next = r->v[r->head].due_ms;
    }
    return next;
}

/* Read what is there.  false: the peer has closed, is broken, or says too much. */
static bool drain(struct linger_one *one, bool *cut)
{
    char trash[DRAIN_STEP] UNINITIALIZED;

    while (one->bytes < LINGER_BYTES) {
        ssize_t n = recv(one->fd, trash, sizeof trash, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 && errno == EAGAIN;
        one->bytes += (uint32_t)n;
    }
    *cut = true;
    return false;
}

void linger_run(struct lingerers *l, int64_t now_ms)
{
    for (size_t i = LINGER_STAGES; i-- > 0;) { /* the last first, so that none is looked at twice */
        struct linger_ring *r = &l->stage[i];
        while (r->n > 0 && r->v[r->head].due_ms <= now_ms) {
            struct linger_one one = pop(r);
            bool cut = false, open = drain(&one, &cut);
            if (open && i + 1 < LINGER_STAGES) {
                one.due_ms = now_ms + delay_ms[i + 1];
                if (push(&l->stage[i + 1], one))
                    continue;
            }
            l->cut += open || cut;
            l->n--;
            (void)close(one.fd);
        }
    }
}
