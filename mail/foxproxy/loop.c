#include "foxproxy/loop.h"

#include "base/clock.h"
#include "foxproxy/session.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

enum { EVENTS = 256, LONGEST_SLEEP_MS = 1000 };

/* A share of the descriptors, so that what lingers never takes those of sessions. */
static uint32_t linger_most(const struct front *f)
{
    struct rlimit r;
    uint64_t share = LOOP_LINGER_MAX;

    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur / 4 / f->loops < share)
        share = r.rlim_cur / 4 / f->loops;
    return (uint32_t)share;
}

enum err_code loop_new(struct front *f, unsigned index, struct loop **ret, struct err *e)
{
    struct loop *l = calloc(1, sizeof *l);
    struct epoll_event ev = {.events = EPOLLIN};

    if (l == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    l->front = f;
    l->index = index;
    l->wake_handle = HANDLE_WAKE;
    l->buf = malloc(LOOP_BUF);
    l->ep = epoll_create1(EPOLL_CLOEXEC);
    l->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    linger_init(&l->linger, linger_most(f));
    ev.data.ptr = &l->wake_handle;
    if (l->buf == NULL || l->ep < 0 || l->wake < 0 ||
        epoll_ctl(l->ep, EPOLL_CTL_ADD, l->wake, &ev) != 0) {
        loop_free(l);
        return err_errno(e, ERR_STORAGE, errno, "could not make an event loop");
    }
    l->rep_handle = HANDLE_REPUTATION;
    ev.data.ptr = &l->rep_handle;
    if (reputation_loop_new(f->rep, &l->rep, e) != ERR_OK) {
        loop_free(l);
        return e->code;
    }
    if (epoll_ctl(l->ep, EPOLL_CTL_ADD, reputation_loop_fd(l->rep), &ev) != 0) {
        loop_free(l);
        return err_errno(e, ERR_STORAGE, errno, "could not make an event loop");
    }
    atomic_store(&l->turned_ms, clock_mono_ms());
    *ret = l;
    return ERR_OK;
}

void loop_free(struct loop *l)
{
    if (l == NULL)
        return;
    for (int i = 0; i < SESSION_LISTS; i++)
        while (l->queue[i].first != NULL)
            session_end(l, l->queue[i].first);
    l->again = NULL;
    for (struct session *s = l->dead; s != NULL; s = s->next)
        s->waiting = false;
    session_free_dead(l);
    accept_leave(l);
    linger_clear(&l->linger);
    reputation_loop_free(l->rep);
    snapshot_unref(l->snap);
    if (l->ep >= 0)
        (void)close(l->ep);
    if (l->wake >= 0)
        (void)close(l->wake);
    free(l->buf);
    free(l);
}

void loop_wake(struct loop *l)
{
    uint64_t one = 1;

    (void)!write(l->wake, &one, sizeof one);
}

static void adopt(struct loop *l)
{
    struct front *f = l->front;
    struct snapshot *old = l->snap;

    (void)pthread_mutex_lock(&f->lock);
    l->snap = snapshot_ref(f->snap);
    (void)pthread_mutex_unlock(&f->lock);
    accept_adopt(l);
    atomic_store(&l->seen, l->snap->generation);
    snapshot_unref(old);
}

static void sooner(int64_t *at, int64_t other)
{
    if (other >= 0 && other < *at)
        *at = other;
}

static int sleep_ms(struct loop *l)
{
    int64_t now = l->now_ms, at = now + LONGEST_SLEEP_MS;
    int rep = reputation_loop_timeout_ms(l->rep, now);

    l->rep_at_ms = rep < 0 ? INT64_MAX : now + rep;
    if (l->again != NULL)
        return 0;
    sooner(&at, l->rep_at_ms);
    sooner(&at, linger_next_ms(&l->linger));
    sooner(&at, session_next_ms(l));
    if (l->accept_again_ms != 0)
        sooner(&at, l->accept_again_ms);
    return at <= now ? 0 : (int)(at - now);
}

static void event(struct loop *l, const struct epoll_event *ev)
{
    enum handle *h = ev->data.ptr;
    uint64_t wakes;

    switch (*h) {
    case HANDLE_WAKE:
        (void)!read(l->wake, &wakes, sizeof wakes);
        break;
    case HANDLE_LISTENER:
        accept_ready(l, (struct loop_listener *)(void *)h);
        break;
    case HANDLE_REPUTATION:
        l->rep_ready = true;
        break;
    case HANDLE_CLIENT:
    case HANDLE_BACKEND:
        session_event(l, (struct end *)(void *)h, ev->events);
        break;
    }
}

static void figures(struct loop *l)
{
    atomic_store_explicit(&l->count.lingering, l->linger.n, memory_order_relaxed);
    atomic_store_explicit(&l->count.linger_cut, l->linger.cut, memory_order_relaxed);
    atomic_store_explicit(&l->turned_ms, l->now_ms, memory_order_relaxed);
}

void *loop_run(void *loop)
{
    struct loop *l = loop;
    struct epoll_event ev[EVENTS];

    l->now_ms = clock_mono_ms();
    while (!atomic_load_explicit(&l->front->stop, memory_order_relaxed)) {
        int n;
        if (atomic_load(&l->front->generation) != atomic_load(&l->seen))
            adopt(l); /* before anything is decided in this turn; nothing points at what it frees */
        n = epoll_wait(l->ep, ev, EVENTS, sleep_ms(l));
        l->now_ms = clock_mono_ms();
        for (int i = 0; i < n; i++)
            event(l, &ev[i]);
        if (l->rep_ready || l->now_ms >= l->rep_at_ms) {
            l->rep_ready = false;
            reputation_loop_run(l->rep, l->now_ms);
        }
        flow_again(l);
        linger_run(&l->linger, l->now_ms);
        session_timers(l);
        accept_rested(l);
        session_free_dead(l);
        figures(l);
    }
    return NULL;
}
