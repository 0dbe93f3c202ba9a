#include "foxproxy/front.h"

#include "base/clock.h"
#include "base/log.h"
#include "foxproxy/loop.h"

#include <stdlib.h>
#include <time.h>

enum { ADOPT_MS = 2000, LOOK_US = 200 };

/* Changes are rare and made by people or the agent: looking a few times is cheaper than a lock that
 * loops would take. */
static bool all_seen(struct front *f, uint64_t generation)
{
    int64_t until = clock_mono_ms() + ADOPT_MS;
    const struct timespec nap = {.tv_nsec = LOOK_US * 1000L};

    for (unsigned i = 0; i < f->loops; i++) {
        while (atomic_load(&f->loop[i]->seen) < generation) {
            if (clock_mono_ms() >= until)
                return false;
            (void)nanosleep(&nap, NULL);
        }
    }
    return true;
}

enum err_code front_start(struct front *f, unsigned n, struct snapshot *snap,
                          struct reputation *rep, struct err *e)
{
    *f = (struct front){.snap = snap, .rep = rep};
    (void)pthread_mutex_init(&f->lock, NULL);
    snap->generation = 1;
    atomic_store(&f->generation, 1);
    f->loop = calloc(n, sizeof(struct loop *));
    if (f->loop == NULL) {
        front_stop(f);
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    }
    for (unsigned i = 0; i < n; i++) {
        struct loop *l;
        f->loops = i + 1; /* their share of the descriptors */
        if (loop_new(f, i, &l, e) != ERR_OK) {
            f->loops = i;
            front_stop(f);
            return e->code;
        }
        if (pthread_create(&l->thread, NULL, loop_run, l) != 0) {
            loop_free(l);
            f->loops = i;
            front_stop(f);
            return err_set(e, ERR_UNAVAILABLE, "could not start a thread");
        }
        f->loop[i] = l;
    }
    /* Who waits in a listener's queue is a loop's from now on, whatever is published next. */
    if (!all_seen(f, snap->generation))
        log_event(LOG_LEVEL_ERROR, "loop.stalled", KV_INT("generation", 1));
    return ERR_OK;
}

bool front_publish(struct front *f, struct snapshot *snap)
{
    struct snapshot *old = f->snap;

    snap->generation = old->generation + 1;
    (void)pthread_mutex_lock(&f->lock);
    f->snap = snap;
    (void)pthread_mutex_unlock(&f->lock);
    atomic_store(&f->generation, snap->generation);
    for (unsigned i = 0; i < f->loops; i++)
        loop_wake(f->loop[i]);
    snapshot_unref(old);
    if (all_seen(f, snap->generation))
        return true;
    log_event(LOG_LEVEL_ERROR, "loop.stalled", KV_INT("generation", snap->generation));
    return false;
}

void front_stop(struct front *f)
{
    atomic_store(&f->stop, true);
    for (unsigned i = 0; i < f->loops; i++)
        loop_wake(f->loop[i]);
    for (unsigned i = 0; i < f->loops; i++)
        (void)pthread_join(f->loop[i]->thread, NULL);
    for (unsigned i = 0; i < f->loops; i++)
        loop_free(f->loop[i]);
    free(f->loop);
    f->loop = NULL;
    f->loops = 0;
    snapshot_unref(f->snap);
    f->snap = NULL;
    (void)pthread_mutex_destroy(&f->lock);
}

int64_t front_stalled_ms(const struct front *f, int64_t now_ms)
{
    int64_t worst = 0;

    for (unsigned i = 0; i < f->loops; i++) {
        int64_t ms = now_ms - atomic_load(&f->loop[i]->turned_ms);
        worst = ms > worst ? ms : worst;
    }
    return worst;
}

static void add(atomic_uint_fast64_t *sum, const atomic_uint_fast64_t *one)
{
    count_add(sum, atomic_load_explicit(one, memory_order_relaxed));
}

void front_counters(const struct front *f, struct loop_counters *ret)
{
    memset(ret, 0, sizeof *ret);
    for (unsigned i = 0; i < f->loops; i++) {
        const struct loop_counters *c = &f->loop[i]->count;
#define X(name) add(&ret->name, &c->name);
        LOOP_COUNTERS(X)
#undef X
        for (size_t r = 0; r < REPLIES; r++)
            add(&ret->refused[r], &c->refused[r]);
        add(&ret->lingering, &c->lingering);
        add(&ret->linger_cut, &c->linger_cut);
    }
}
