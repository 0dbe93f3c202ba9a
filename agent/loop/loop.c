#include "loop/loop.h"

#include "base/clock.h"
#include "base/log.h"

#include <signal.h>
#include <stdlib.h>

int64_t loop_now_ms(const struct loop *l)
{
    int64_t now = clock_wall_ms() + l->parent.offset_ms;

    /* A machine that starts in 1970: time has not gone back behind what the parent told last. */
    return !l->parent.offset_known && now < l->memory.server_ms ? l->memory.server_ms : now;
}

void loop_wake(struct loop *l, int64_t mono_ms)
{
    if (mono_ms < l->wake_at)
        l->wake_at = mono_ms;
}

void loop_touch(struct loop *l)
{
    l->report.touched = true;
}

void loop_save(struct loop *l)
{
    struct err e = {0};

    if (memory_save(&l->memory, &e) == ERR_OK)
        return;
    if (condition_set(&l->conditions, COND_STORAGE_OK, COND_FALSE, "Storage", "%s", e.msg))
        loop_touch(l);
}

struct bundle_known loop_known(const struct loop *l)
{
    return (struct bundle_known){
        .trust = l->id.trust,
        .fleet = l->id.fleet,
        .device = l->id.device_id,
        .now_ms = loop_now_ms(l),
        .epoch = l->memory.epoch,
        .rev = l->memory.rev,
        .etag = l->memory.etag,
    };
}

void loop_crash_at(const char *point)
{
#ifdef INARI_TEST_HOOKS
    const char *wanted = getenv("INARI_CRASH_AT");

    if (wanted != NULL && strcmp(wanted, point) == 0)
        (void)raise(SIGKILL);
#else
    (void)point;
#endif
}
