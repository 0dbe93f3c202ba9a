/*
 * Parked requests: a hash by key, a wheel of 250 ms slots by deadline, an epoll that only watches
 * for hang-ups. Resuming one connection makes libmicrohttpd scan all suspended ones, so deadlines
 * are batched by slot (docs/internals/http.md).  One lock; libmicrohttpd's are taken below it.
 */
#include "http/park_private.h"

#include "base/clock.h"
#include "base/slice.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

enum { BUCKETS = 4096, TICK_MS = 250, SLOTS = 512 /* 128 s */, EVENTS = 256 };

static struct {
    pthread_mutex_t lock;
    struct parked *bucket[BUCKETS];
    uint64_t woken[BUCKETS]; /* park.now of the bucket's last wake-up */
    struct parked *slot[SLOTS];
    struct parked **by_fd;
    size_t fds;
    _Atomic uint64_t
        now; /* number of the last wake-up; changed under the lock, read by every poll without */
    uint64_t serial, total;
    int64_t tick; /* slots before this one are done */
    int count, epoll, event;
    bool closed, stop, runs;
    pthread_t thread;
} park = {.lock = PTHREAD_MUTEX_INITIALIZER, .epoll = -1, .event = -1};

static size_t bucket_of(const char *key)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (; *key != '\0'; key++)
        h = (h ^ (unsigned char)*key) * UINT64_C(0x100000001b3);
    return (size_t)((h ^ (h >> 29)) % BUCKETS);
}

static void link_in(struct parked **head, struct parked *p, bool by_key)
{
    struct parked **next = by_key ? &p->key_next : &p->slot_next;

    *next = *head;
    if (*head != NULL)
        *(by_key ? &(*head)->key_at : &(*head)->slot_at) = next;
    *(by_key ? &p->key_at : &p->slot_at) = head;
    *head = p;
}

static void unlink_slot(struct parked *p)
{
    *p->slot_at = p->slot_next;
    if (p->slot_next != NULL)
        p->slot_next->slot_at = p->slot_at;
}

static struct parked **slot_of(int64_t due_ms)
{
    int64_t tick = due_ms / TICK_MS + 1; /* the first tick that is not too early */

    if (tick < park.tick)
        tick = park.tick;
    if (tick >= park.tick + SLOTS)
        tick = park.tick + SLOTS - 1;
    return &park.slot[tick % SLOTS];
}

/* Take p out and let its connection go on.  Lock held; p is gone afterwards. */
static void resume(struct parked *p, enum park_end end)
{
    struct MHD_Connection *mc = p->mc;

    *p->key_at = p->key_next;
    if (p->key_next != NULL)
        p->key_next->key_at = p->key_at;
    unlink_slot(p);
    (void)epoll_ctl(park.epoll, EPOLL_CTL_DEL, p->fd, NULL);
    park.by_fd[p->fd] = NULL;
    park.count--;
    p->end = end;
    MHD_resume_connection(mc);
}

uint64_t park_now(void)
{
    return atomic_load(&park.now);
}

enum park_result park_add(struct parked *p, struct MHD_Connection *mc, int fd, const char *key,
                          int64_t due_mono_ms, uint64_t before)
{
    size_t b = bucket_of(key);
    struct epoll_event ev = {.events = EPOLLRDHUP | EPOLLONESHOT};
    enum park_result result = PARK_OK;

    (void)pthread_mutex_lock(&park.lock);
    if (park.closed || !park.runs || fd < 0 || (size_t)fd >= park.fds ||
        strlen(key) >= PARK_KEY_SIZE)
        result = PARK_REFUSED;
    else if (park.woken[b] > before)
        result = PARK_STALE;
    if (result == PARK_OK) {
        *p = (struct parked){.mc = mc,
                             .fd = fd,
                             .serial = ++park.serial,
                             .due_ms = due_mono_ms,
                             .end = PARK_EXPIRED};
        (void)snprintf(p->key, sizeof p->key, "%s", key);
        ev.data.u64 = (p->serial << 24) | (uint64_t)fd;
        if (epoll_ctl(park.epoll, EPOLL_CTL_ADD, fd, &ev) != 0) {
            result = PARK_REFUSED;
        } else {
            /* Suspended before it can be found, so that a resume never comes first. */
            MHD_suspend_connection(mc);
            link_in(&park.bucket[b], p, true);
            link_in(slot_of(due_mono_ms), p, false);
            park.by_fd[fd] = p;
            park.count++;
            park.total++;
        }
    }
    (void)pthread_mutex_unlock(&park.lock);
    return result;
}

static int wake_key(const char *key)
{
    size_t b = bucket_of(key);
    int n = 0;

    park.woken[b] = atomic_fetch_add(&park.now, 1) + 1;
    for (struct parked *p = park.bucket[b], *next; p != NULL; p = next) {
        next = p->key_next;
        if (strcmp(p->key, key) == 0) {
            resume(p, PARK_WOKEN);
            n++;
        }
    }
    return n;
}

int park_wake(const char *key)
{
    int n;

    (void)pthread_mutex_lock(&park.lock);
    n = wake_key(key);
    (void)pthread_mutex_unlock(&park.lock);
    return n;
}

void park_wake_many(char (*keys)[PARK_KEY_SIZE], size_t n)
{
    (void)pthread_mutex_lock(&park.lock);
    for (size_t i = 0; i < n; i++)
        (void)wake_key(keys[i]);
    (void)pthread_mutex_unlock(&park.lock);
}

/* Wake-ups by key are in no order of ours (the hash's), so that paced ones do not always favour the
 * same. */
static void wake_all(int per_second, enum park_end end)
{
    int64_t now = clock_mono_ms();
    int i = 0;

    uint64_t number = atomic_fetch_add(&park.now, 1) + 1;
    for (size_t b = 0; b < BUCKETS; b++) {
        park.woken[b] = number;
        for (struct parked *p = park.bucket[b], *next; p != NULL; p = next, i++) {
            next = p->key_next;
            if (per_second <= 0) {
                resume(p, end);
                continue;
            }
            unlink_slot(p);
            p->due_ms = now + i * INT64_C(1000) / per_second;
            p->end = end;
            link_in(slot_of(p->due_ms), p, false);
        }
    }
}

void park_wake_all(int per_second)
{
    (void)pthread_mutex_lock(&park.lock);
    wake_all(per_second, PARK_WOKEN);
    (void)pthread_mutex_unlock(&park.lock);
}

int park_count(void)
{
    int n;

    (void)pthread_mutex_lock(&park.lock);
    n = park.count;
    (void)pthread_mutex_unlock(&park.lock);
    return n;
}

uint64_t park_total(void)
{
    uint64_t n;

    (void)pthread_mutex_lock(&park.lock);
    n = park.total;
    (void)pthread_mutex_unlock(&park.lock);
    return n;
}

static void run_wheel(int64_t now_ms)
{
    int64_t tick = now_ms / TICK_MS;

    /* After a long stop of the machine one round covers every slot. */
    if (tick - park.tick > SLOTS)
        park.tick = tick - SLOTS;
    for (; park.tick <= tick; park.tick++)
        for (struct parked *p = park.slot[park.tick % SLOTS], *next; p != NULL; p = next) {
            next = p->slot_next;
            resume(p, p->end);
        }
}

static void hang_ups(const struct epoll_event *ev, int n)
{
    for (int i = 0; i < n; i++) {
        size_t fd = (size_t)(ev[i].data.u64 & 0xffffff);
        struct parked *p = ev[i].data.u64 == 0 || fd >= park.fds ? NULL : park.by_fd[fd];
        /* Resumed meanwhile, and the descriptor maybe used again: the serial tells. */
        if (p != NULL && ((p->serial << 24) | fd) == ev[i].data.u64)
            resume(p, PARK_HANGUP);
    }
}

static void *run(void *unused)
{
    struct epoll_event ev[EVENTS];

    (void)unused;
    for (;;) {
        int n = epoll_wait(park.epoll, ev, EVENTS, TICK_MS);
        bool stop;
        (void)pthread_mutex_lock(&park.lock);
        hang_ups(ev, n);
        run_wheel(clock_mono_ms());
        stop = park.stop;
        (void)pthread_mutex_unlock(&park.lock);
        if (stop)
            return NULL;
    }
}

bool park_start(void)
{
    struct epoll_event ev = {.events = EPOLLIN};
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return false;
    park.fds = r.rlim_cur < 0xffffff ? (size_t)r.rlim_cur : 0xffffff;
    park.by_fd = calloc(park.fds, sizeof(struct parked *));
    park.epoll = epoll_create1(EPOLL_CLOEXEC);
    park.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    park.tick = clock_mono_ms() / TICK_MS;
    park.closed = park.stop = false;
    if (park.by_fd == NULL || park.epoll < 0 || park.event < 0 ||
        epoll_ctl(park.epoll, EPOLL_CTL_ADD, park.event, &ev) != 0)
        return false;
    park.runs = pthread_create(&park.thread, NULL, run, NULL) == 0;
    return park.runs;
}

void park_close(int per_second)
{
    (void)pthread_mutex_lock(&park.lock);
    park.closed = true;
    wake_all(per_second, PARK_EXPIRED);
    (void)pthread_mutex_unlock(&park.lock);
}

void park_stop(void)
{
    (void)pthread_mutex_lock(&park.lock);
    park.stop = true;
    (void)pthread_mutex_unlock(&park.lock);
    if (park.runs) {
        (void)eventfd_write(park.event, 1);
        (void)pthread_join(park.thread, NULL);
        park.runs = false;
    }
    if (park.epoll >= 0)
        (void)close(park.epoll);
    if (park.event >= 0)
        (void)close(park.event);
    park.epoll = park.event = -1;
    free(park.by_fd);
    park.by_fd = NULL;
}
