#include "jobs/jobs.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "domain/command.h"
#include "domain/device.h"
#include "domain/fleet_cache.h"
#include "domain/keyring.h"
#include "domain/recovery.h"
#include "domain/rollout.h"
#include "store/bundle_store.h"
#include "store/command_store.h"
#include "store/fleet_store.h"
#include "store/rollout_store.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum {
    ENGINE_REST = 4,
    /* times as long as a pass took */ TICK_MS = 100,
    BUNDLES_KEPT = 5,
    QUIET_MS = 30 * 1000
};

struct jobs {
    struct app *app;
    struct db *db;
    pthread_t thread;
    atomic_bool stop;
    char holder[UUID_TEXT_SIZE]; /* this process, in leases */
    int64_t term;                /* 0: somebody else leads */
    int64_t wake_ms;             /* when the last whole second of wake-ups began */
    int64_t complained_ms;
    int64_t
        engine_rests_ms; /* a pass over thousands of devices takes at most a fifth of this thread */
};

static enum err_code poll_changes(struct jobs *j, struct err *e)
{
    enum err_code rc = fleet_cache_refresh(j->app->fleet, j->db, e);

    if (rc == ERR_OK && fleet_take_trust_changed(j->app->fleet))
        rc = keyring_reload(j->db, j->app, e);
    return rc;
}

static enum err_code watch_ahead(struct jobs *j, struct err *e)
{
    return recovery_watch(j->db, j->app, e);
}

static enum err_code flush_presence(struct jobs *j, struct err *e)
{
    return fleet_cache_flush_presence(j->app->fleet, j->db, e);
}

static enum err_code compare_digests(struct jobs *j, struct err *e)
{
    return fleet_cache_refresh_status(j->app->fleet, j->db, e);
}

static enum err_code lead(struct jobs *j, struct err *e)
{
    int64_t before = j->term;
    enum err_code rc = lease_store_take(j->db, "engine", j->holder, &j->term, e);

    if (rc != ERR_OK)
        j->term = 0;
    if (j->term != before && j->term != 0)
        log_event(LOG_LEVEL_INFO, "lease.taken", KV_STR("name", "engine"), KV_INT("term", j->term));
    return rc;
}

static enum err_code end_holds(struct jobs *j, struct err *e)
{
    return j->term == 0 ? ERR_OK : device_end_holds(j->db, j->app, e);
}

static enum err_code expire_commands(struct jobs *j, struct err *e)
{
    return j->term == 0 ? ERR_OK : command_expire(j->db, j->app, e);
}

static enum err_code engine(struct jobs *j, struct err *e)
{
    int64_t began = clock_mono_ms(), ended;
    enum err_code rc;

    if (j->term == 0 || began < j->engine_rests_ms)
        return ERR_OK;
    rc = rollout_engine(j->db, j->app, j->holder, j->term, e);
    ended = clock_mono_ms();
    j->engine_rests_ms = ended + ENGINE_REST * (ended - began);
    return rc;
}

static enum err_code rotate(struct jobs *j, struct err *e)
{
    return j->term == 0 ? ERR_OK : keyring_rotate_tokens(j->db, j->app, NULL, e);
}

static enum err_code clean(struct jobs *j, struct err *e)
{
    enum err_code rc = j->term == 0 ? ERR_OK : fleet_store_trim(j->db, e);

    if (rc == ERR_OK && j->term != 0)
        rc = bundle_store_trim(j->db, BUNDLES_KEPT, e);
    return rc == ERR_OK && j->term != 0 ? command_store_trim(j->db, e) : rc;
}

static struct job {
    const char *name;
    int64_t every_ms;
    enum err_code (*run)(struct jobs *j, struct err *e);
    int64_t due_ms;
} table[] = {
    {"changes", 1000, poll_changes, 0},
    {"ahead", 1000, watch_ahead, 0},

    {"lease", 5000, lead, 0},
    {"rollouts", 500, engine, 0},
    {"holds", 10000, end_holds, 0},
    {"status", 15000, compare_digests, 0},
    {"presence", 30000, flush_presence, 0},
    {"commands", 5000, expire_commands, 0},
    {"token_key", 60000, rotate, 0},
    {"clean", 300000, clean, 0},
};

static void complain(struct jobs *j, const char *name, const struct err *e)
{
    int64_t now = clock_mono_ms();

    if (j->complained_ms != 0 && now - j->complained_ms < QUIET_MS)
        return;
    j->complained_ms = now;
    log_event(LOG_LEVEL_WARN, "job.failed", KV_STR("job", name), KV_STR("error", e->msg));
}

/* No job takes more than a quarter of the thread, which has polls to wake: looking at a rollout to
 * 10,000 devices takes a second. */
static int64_t pause_after(const struct job *job, int64_t took_ms)
{
    return took_ms * 3 > job->every_ms ? took_ms * 3 : job->every_ms;
}

static void run_due(struct jobs *j)
{
    struct err e;

    for (size_t i = 0; i < COUNT_OF(table) && !atomic_load(&j->stop); i++) {
        int64_t now = clock_mono_ms();
        if (now < table[i].due_ms)
            continue;
        e = (struct err){0};
        if (table[i].run(j, &e) != ERR_OK)
            complain(j, table[i].name, &e);
        table[i].due_ms = pause_after(&table[i], clock_mono_ms() - now) + clock_mono_ms();
    }
}

/* As many polls of a burst as the rate of a second at once, then at the pace.  Returns how many
 * still wait. */
static size_t wake(struct jobs *j)
{
    int64_t now = clock_mono_ms(), rate = j->app->wake_rate;
    size_t max = rate == 0 ? SIZE_MAX : (size_t)(rate * TICK_MS + 999) / 1000, left = 0;
    struct err e = {0};

    if (rate != 0 && now - j->wake_ms >= 1000) {
        j->wake_ms = now;
        max = (size_t)rate;
    }
    if (fleet_wake_queued(j->app->fleet, j->db, max, &left, &e) != ERR_OK)
        complain(j, "bundles", &e);
    return left;
}

static void *run(void *arg)
{
    static const struct timespec tick = {0, TICK_MS * 1000000L};
    struct jobs *j = arg;
    struct err e;
    size_t left = 0;

    while (!atomic_load(&j->stop)) {
        if (left > 0)
            (void)nanosleep(&tick, NULL);
        else
            fleet_wait_work(j->app->fleet, TICK_MS);
        left = wake(j);
        e = (struct err){0};
        if (fleet_load_wanted(j->app->fleet, j->db, &e) != ERR_OK)
            complain(j, "bundles", &e);
        run_due(j);
    }
    if (fleet_cache_flush_presence(j->app->fleet, j->db, &e) != ERR_OK)
        complain(j, "presence", &e);
    return NULL;
}

enum err_code jobs_start(struct app *app, const char *conninfo, struct jobs **ret, struct err *e)
{
    struct jobs *j = calloc(1, sizeof *j);

    if (j == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    j->app = app;
    uuid7(j->holder);
    j->db = db_open(conninfo, "inarid jobs");
    if (j->db == NULL || pthread_create(&j->thread, NULL, run, j) != 0) {
        db_close(j->db);
        free(j);
        return err_set(e, ERR_NO_MEMORY, "could not start the job thread");
    }
    *ret = j;
    return ERR_OK;
}

void jobs_stop(struct jobs *j)
{
    if (j == NULL)
        return;
    atomic_store(&j->stop, true);
    (void)pthread_join(j->thread, NULL);
    db_close(j->db);
    free(j);
}
