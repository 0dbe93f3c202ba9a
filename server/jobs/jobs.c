#include "jobs/jobs.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "domain/alert_engine.h"
#include "domain/command.h"
#include "domain/device.h"
#include "domain/device_instance.h"
#include "domain/event_policy.h"
#include "domain/fleet_cache.h"
#include "domain/keyring.h"
#include "domain/list.h"
#include "domain/list_give.h"
#include "domain/parent.h"
#include "domain/recovery.h"
#include "domain/rollout.h"
#include "jobs/alert_sender.h"
#include "store/bundle_store.h"
#include "store/command_store.h"
#include "store/dry_run_store.h"
#include "store/fleet_store.h"
#include "store/rollout_store.h"
#include "store/secret_store.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum {
    ENGINE_REST = 4, /* times as long as a pass took */
    ENGINE_REST_MAX_MS = 5 * 1000,
    TICK_MS = 100,           /* between two looks at the connection, for hints */
    LOOK_MS = 30 * 1000,     /* between two looks at the database when nothing is said */
    LOOK_SOON_MS = 5 * 1000, /* the same while hints come */
    LEAD_MS = 5 * 1000,      /* the lease, of 15 s, is renewed while there is something to do */
    CLEAN_MS = 300 * 1000,
    CLEAN_IDLE_MS = 3600 * 1000,
    AWAY_MS = 1000,             /* shorter is no outage of the database */
    AWAY_TOLD_MS = 600 * 1000,  /* so long after that it is spoken of */
    FACTS_AGAIN_MS = 60 * 1000, /* while this parent has something to say of itself */
    EVENTS_MS = 60 * 1000, /* between two looks at what is to be kept of them, while some come */
    EVENTS_AGAIN_MS = 3 * 1000, /* somebody read a day that was to go */
    PAUSE_MAX_MS = 1000,        /* shorter than a parent is given to hear of what a device has */
    TRIM_AFTER_MS = 3 * 1000,   /* the last rollout has ended */
    BUNDLES_KEPT = 5,
    COMPARED = 64,     /* devices whose figures a rollout is compared with, about */
    FEW_DEVICES = 128, /* with fewer than that no plan is bad */
    QUIET_MS = 30 * 1000
};

/* Times are of the monotonic clock; INT64_MAX: never. */
struct jobs {
    struct app *app;
    struct db *db;
    pthread_t thread;
    atomic_bool stop;
    char holder[UUID_TEXT_SIZE]; /* this process, in leases */
    int64_t term;                /* 0: somebody else leads */
    int64_t lead_ms;             /* when the lease is asked for again */
    int64_t wake_ms;             /* when the last whole second of wake-ups began */
    int64_t complained_ms;
    /* A pass over thousands of devices takes at most a fifth of this thread; one that was kept
     * waiting by the database does not keep the rollouts waiting four times as long. */
    int64_t engine_rests_ms;
    /* What is to be done, as the last look and the hints since say. */
    unsigned opened; /* times the connection had been */
    bool changes, rollouts, unended, token_key_old, witness;
    bool lists_due;    /* they changed, and could not be read */
    bool engine_asked; /* for one pass, whatever the look says */
    int64_t looked_ms, look_ms, hold_ms, command_ms;
    /* Alerts: when the rules, and the notices, are next looked at; what was last said of this
     * parent itself. */
    struct alert_sender *sender;
    int64_t alert_ms, notice_ms, facts_ms;
    json_t *facts;
    int64_t away_since_ms, away_s, back_ms; /* the database; 0: not away */
    bool remember; /* who is to be told when the database is away may be others now */
    bool clock_wrong;
    bool drove;                   /* a rollout, since memory was given back */
    int64_t trim_ms;              /* when it is again */
    bool grew;                    /* the fleet, perhaps */
    size_t analyzed;              /* devices there were when the tables were */
    int64_t cleaned_ms, clean_ms; /* clean_ms: not before */
    uint64_t cleaned_at;          /* statements of requests by then */
    bool followed;                /* the policy of events, once: */
    int64_t followed_ms;
    uint64_t followed_at;
};

static int64_t at_most(int64_t ms, int64_t max)
{
    return ms < max ? ms : max;
}

/* --- knowing --- */

static void look_by(struct jobs *j, int64_t ms)
{
    if (ms < j->look_ms)
        j->look_ms = ms;
}

/* Somebody wrote something: this parent or another one.  A connection that was opened anew may have
 * missed that. */
static enum err_code take_hints(struct jobs *j, struct err *e)
{
    bool any = false, got = true;
    struct db_hint hint;
    enum err_code rc = ERR_OK;

    while (rc == ERR_OK && got) {
        rc = db_wait(j->db, 0, &hint, &got, e);
        any = any || (rc == ERR_OK && got);
    }
    j->changes = j->changes || fleet_take_doubt(j->app->fleet);
    j->engine_asked =
        fleet_take_returned(j->app->fleet) || j->engine_asked; /* it may have to catch up */
    if (rc == ERR_OK && db_times_opened(j->db) != j->opened) {
        /* The server at the other end may be another one now, which does not know everything. */
        if (j->opened != 0) {
            fleet_cache_forget(j->app->fleet);
            atomic_store(&j->app->suspect, true);
        }
        j->opened = db_times_opened(j->db);
        look_by(j, clock_mono_ms());
        any = true;
    }
    if (any)
        j->changes = j->rollouts = j->remember = true;
    if (any || atomic_exchange(&j->app->alerts_doubt, false))
        look_by(j, j->looked_ms + LOOK_SOON_MS);
    return rc;
}

/* Until a rollout has ended some devices say every minute how their mail goes (app.h): also while
 * it is halted or paused, when a person decides by that and a resumed one is compared with it.  One
 * that begins is known here within a pass, or a look in a parent that does not lead; what else
 * becomes of it, within a look. */
static void ask_for_figures(struct jobs *j, bool open)
{
    int was = atomic_load(&j->app->figures_one_in);

    if (open != (was != 0))
        atomic_store(&j->app->figures_one_in,
                     open ? 1 + (int)(fleet_count(j->app->fleet) / COMPARED) : 0);
}

static int64_t due_in(int64_t ms)
{
    return ms < 0 ? INT64_MAX : clock_mono_ms() + ms;
}

static enum err_code look(struct jobs *j, struct err *e)
{
    struct fleet_news news = {0};
    enum err_code rc = fleet_cache_look(j->app->fleet, j->db, KEYRING_TOKEN_ROTATE_S, &news, e);

    if (rc != ERR_OK)
        return rc;
    j->looked_ms = clock_mono_ms();
    j->look_ms = j->looked_ms + LOOK_MS;
    j->changes = j->changes || news.changes;
    j->rollouts = news.rollouts;
    j->unended = news.unended;
    ask_for_figures(j, news.rollouts || news.unended);
    j->token_key_old = news.token_key_old;
    j->hold_ms = due_in(news.hold_in_ms);
    j->command_ms = due_in(news.command_in_ms);
    j->alert_ms = due_in(news.alert_in_ms);
    j->notice_ms = due_in(news.notice_in_ms);
    return ERR_OK;
}

static enum err_code poll_changes(struct jobs *j, struct err *e)
{
    enum err_code rc = fleet_cache_refresh(j->app->fleet, j->db, e);

    if (rc == ERR_OK && fleet_take_trust_changed(j->app->fleet)) {
        rc = keyring_reload(j->db, j->app, e);
        atomic_store(&j->app->suspect, true); /* a fence began or ended, perhaps */
    }
    if (rc == ERR_OK && (j->lists_due || fleet_take_lists_changed(j->app->fleet))) {
        rc = list_give_refresh(j->db, j->app, e);
        j->lists_due = rc != ERR_OK;
    }
    j->changes = rc != ERR_OK;
    j->witness = j->grew = true;
    return rc;
}

static enum err_code check(struct jobs *j, struct err *e)
{
    enum err_code rc = recovery_check_witness(j->db, j->app, e);

    if (rc == ERR_OK)
        atomic_store(&j->app->suspect, false);
    return rc;
}

/* So that each parent knows what the others gave out. */
static enum err_code witness(struct jobs *j, struct err *e)
{
    enum err_code rc = recovery_write_witness(j->db, j->app, e);

    j->witness = rc != ERR_OK;
    return rc;
}

static enum err_code watch_ahead(struct jobs *j, struct err *e)
{
    return recovery_watch(j->db, j->app, e);
}

/* The parent goes by its database's clock; one that differs from it is said once, and when it is
 * right again. */
static enum err_code watch_clock(struct jobs *j, struct err *e)
{
    int64_t off = clock_own_ms() - clock_wall_ms();
    bool wrong = llabs(off) > CLOCK_WRONG_MS;

    (void)e;
    if (wrong != j->clock_wrong)
        log_event(wrong ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO,
                  wrong ? "parent.clock_wrong" : "parent.clock_right",
                  KV_INT("ahead_of_database_ms", off));
    j->clock_wrong = wrong;
    return ERR_OK;
}

/* While it is away, those are told who are remembered (alert_outage.h); how long it was is written
 * down when it is back. */
static enum err_code watch_database(struct jobs *j, struct err *e)
{
    int64_t now = clock_mono_ms();

    (void)e;
    if (!db_reached()) {
        j->away_since_ms = j->away_since_ms == 0 ? now : j->away_since_ms;
        if (now - j->away_since_ms >= AWAY_MS)
            alert_sender_away(j->sender, (now - j->away_since_ms) / 1000);
    } else if (j->away_since_ms != 0) {
        if (now - j->away_since_ms >= AWAY_MS) {
            j->away_s = (now - j->away_since_ms) / 1000;
            j->back_ms = now;
        }
        j->away_since_ms = 0;
        alert_sender_away(j->sender, 0);
        j->remember = true; /* those that were told are told of the next one too */
    }
    if (j->away_s != 0 && now - j->back_ms > AWAY_TOLD_MS)
        j->away_s = 0;
    return ERR_OK;
}

static enum err_code remember(struct jobs *j, struct err *e)
{
    struct alert_outage *o = NULL;
    enum err_code rc = alert_outage_load(j->db, &o, e);

    if (rc != ERR_OK)
        return rc;
    j->remember = false;
    alert_sender_remember(j->sender, o);
    return ERR_OK;
}

/* What this parent knows of itself; a change of it is looked at like any other. */
static enum err_code watch_self(struct jobs *j, struct err *e)
{
    json_t *facts = alert_engine_facts(j->app, j->away_s);
    int64_t now = clock_mono_ms();

    if (facts == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (j->facts == NULL || !json_equal(j->facts, facts)) {
        if (json_array_size(j->facts) + json_array_size(facts) > 0)
            j->facts_ms = now + 2 * AWAY_TOLD_MS;
        j->alert_ms = now;
    }
    json_decref(j->facts);
    j->facts = facts;
    return ERR_OK;
}

/* --- doing, as the one parent that leads --- */

/* The lease is asked for only when there is something to do. */
static bool leads(struct jobs *j, enum err_code *rc, struct err *e)
{
    int64_t before = j->term, now = clock_mono_ms();

    *rc = ERR_OK;
    if (now < j->lead_ms)
        return j->term != 0;
    *rc = lease_store_take(j->db, "engine", j->holder, &j->term, e);
    if (*rc != ERR_OK)
        j->term = 0;
    else
        j->lead_ms = now + LEAD_MS;
    if (j->term != before && j->term != 0)
        log_event(LOG_LEVEL_INFO, "lease.taken", KV_STR("name", "engine"), KV_INT("term", j->term));
    return j->term != 0;
}

static enum err_code end_holds(struct jobs *j, struct err *e)
{
    enum err_code rc;

    if (leads(j, &rc, e))
        rc = device_end_holds(j->db, j->app, e);
    if (rc == ERR_OK) { /* by whoever leads */
        j->hold_ms = INT64_MAX;
        look_by(j, j->looked_ms + LOOK_SOON_MS);
    }
    return rc;
}

static enum err_code expire_commands(struct jobs *j, struct err *e)
{
    enum err_code rc;

    if (leads(j, &rc, e))
        rc = command_expire(j->db, j->app, e);
    if (rc == ERR_OK) {
        j->command_ms = INT64_MAX;
        look_by(j, j->looked_ms + LOOK_SOON_MS);
    }
    return rc;
}

static enum err_code engine(struct jobs *j, struct err *e)
{
    int64_t began, ended;
    size_t n = 0;
    enum err_code rc;

    j->engine_asked = false; /* whoever leads passes all the time, and sees it too */
    if (!leads(j, &rc, e))
        return rc; /* until a look says that nothing is open, or that nobody leads */
    began = clock_mono_ms();
    rc = rollout_engine(j->db, j->app, j->holder, j->term, &n, e);
    ended = clock_mono_ms();
    j->engine_rests_ms = ended + at_most(ENGINE_REST * (ended - began), ENGINE_REST_MAX_MS);
    j->rollouts = rc != ERR_OK || n > 0;
    if (rc == ERR_OK)
        ask_for_figures(j, n > 0 || j->unended);
    j->drove = j->drove || n > 0;
    if (!j->rollouts && j->drove) {
        j->drove = false;
        j->trim_ms = ended + TRIM_AFTER_MS;
    }
    return rc;
}

static enum err_code alerts(struct jobs *j, struct err *e)
{
    int64_t n = 0;
    enum err_code rc;

    if (!leads(j, &rc, e)) {
        /* Whoever does sees the same, but not what this one knows of itself. */
        j->alert_ms = j->facts_ms > clock_mono_ms() ? clock_mono_ms() + LEAD_MS : INT64_MAX;
        look_by(j, clock_mono_ms() +
                       LEAD_MS); /* is it done?  A leader that died does nothing for a while */
        return rc;
    }
    rc = alert_engine_run(j->db, j->app, j->facts, &n, e);
    j->alert_ms = j->facts_ms > clock_mono_ms() ? clock_mono_ms() + FACTS_AGAIN_MS : INT64_MAX;
    if (rc == ERR_OK)
        look_by(j, clock_mono_ms()); /* which says when there is something to do again */
    if (n > 0)
        j->notice_ms = clock_mono_ms();
    return rc;
}

static enum err_code notices(struct jobs *j, struct err *e)
{
    (void)e;
    alert_sender_wake(j->sender);
    j->notice_ms = INT64_MAX;
    return ERR_OK;
}

/* The engine says what it is. */
static enum err_code listen_to_fleet(struct jobs *j, struct err *e)
{
    (void)e;
    j->engine_asked = j->engine_asked || rollout_may_be_silent(j->app);
    return ERR_OK;
}

/* What bundles, reports and passes needed for a moment goes back to the system. */
static enum err_code give_back(struct jobs *j, struct err *e)
{
    (void)e;
    (void)malloc_trim(0);
    j->trim_ms = INT64_MAX;
    return ERR_OK;
}

static enum err_code rotate(struct jobs *j, struct err *e)
{
    enum err_code rc;

    if (leads(j, &rc, e))
        rc = keyring_rotate_tokens(j->db, j->app, NULL, e);
    if (rc == ERR_OK)
        j->token_key_old = false;
    return rc;
}

/* PostgreSQL does that by itself, but not within the minute, in which thousands may join. */
static enum err_code analyze(struct jobs *j, struct err *e)
{
    size_t n = fleet_count(j->app->fleet);
    enum err_code rc = ERR_OK;

    j->grew = false;
    if (n < FEW_DEVICES || n < 2 * j->analyzed)
        return ERR_OK;
    if (leads(j, &rc, e))
        rc = fleet_store_analyze(j->db, e);
    if (rc == ERR_OK) /* by whoever leads */
        j->analyzed = n;
    return rc;
}

static enum err_code clean(struct jobs *j, struct err *e)
{
    enum err_code rc;
    bool mine = leads(j, &rc, e);

    if (mine) {
        rc = fleet_store_trim(j->db, e);
        if (rc == ERR_OK)
            rc = bundle_store_trim(j->db, BUNDLES_KEPT, e);
        if (rc == ERR_OK)
            rc = dry_run_store_trim(j->db, e);
        if (rc == ERR_OK)
            rc = command_store_trim(j->db, e);
        if (rc == ERR_OK)
            rc = list_clean(j->db, j->app, e);
        if (rc == ERR_OK)
            rc = secret_store_trim(j->db, false, e);
        if (rc == ERR_OK)
            rc = alert_engine_trim(j->db, e);
    }
    if (rc == ERR_OK) {
        j->cleaned_ms = clock_mono_ms();
        j->cleaned_at = db_request_statement_count();
    }
    /* Right after a start it is often still the one before that leads. */
    j->clean_ms = clock_mono_ms() + (mine || rc != ERR_OK ? CLEAN_MS : 0);
    return rc;
}

static enum err_code keep_events(struct jobs *j, struct err *e)
{
    enum err_code rc;

    atomic_store(&j->app->event_policy_changed, false);
    if (leads(j, &rc, e))
        rc = event_policy_follow(j->db, e);
    j->followed = rc == ERR_OK;
    j->followed_ms = clock_mono_ms();
    j->followed_at = db_request_statement_count();
    return rc;
}

/* --- when --- */

static bool always(const struct jobs *j, int64_t now)
{
    (void)j;
    (void)now;
    return true;
}

static bool changes_due(const struct jobs *j, int64_t now)
{
    (void)now;
    return j->changes;
}

static bool check_due(const struct jobs *j, int64_t now)
{
    (void)now;
    return atomic_load(&j->app->suspect);
}

static bool witness_due(const struct jobs *j, int64_t now)
{
    (void)now;
    return j->witness;
}

static bool look_due(const struct jobs *j, int64_t now)
{
    return now >= j->look_ms;
}

static bool rollouts_due(const struct jobs *j, int64_t now)
{
    return (j->rollouts || j->engine_asked) && now >= j->engine_rests_ms;
}

static bool hold_due(const struct jobs *j, int64_t now)
{
    return now >= j->hold_ms;
}

static bool command_due(const struct jobs *j, int64_t now)
{
    return now >= j->command_ms;
}

static bool alerts_due(const struct jobs *j, int64_t now)
{
    return now >= j->alert_ms && j->facts != NULL;
}

static bool remember_due(const struct jobs *j, int64_t now)
{
    (void)now;
    return j->remember;
}

static bool notices_due(const struct jobs *j, int64_t now)
{
    return now >= j->notice_ms;
}

static bool trim_due(const struct jobs *j, int64_t now)
{
    return now >= j->trim_ms;
}

static bool rotation_due(const struct jobs *j, int64_t now)
{
    (void)now;
    return j->token_key_old;
}

static bool analysis_due(const struct jobs *j, int64_t now)
{
    (void)now;
    return j->grew;
}

/* Where nobody asked for anything there is little to clean. */
static bool cleaning_due(const struct jobs *j, int64_t now)
{
    return now >= j->clean_ms &&
           (db_request_statement_count() != j->cleaned_at || now - j->cleaned_ms >= CLEAN_IDLE_MS);
}

/* Also where nothing comes: a day is made before it begins, and one that is too old goes. */
static bool events_due(const struct jobs *j, int64_t now)
{
    int64_t since = now - j->followed_ms;
    bool idle = db_request_statement_count() == j->followed_at && j->followed;

    return atomic_load(&j->app->event_policy_changed) || j->followed_ms == 0 ||
           since >= (!j->followed ? EVENTS_AGAIN_MS
                     : idle       ? CLEAN_IDLE_MS
                                  : EVENTS_MS);
}

static struct job {
    const char *name;
    int64_t every_ms; /* at most so often */
    bool (*due)(const struct jobs *j, int64_t now);
    enum err_code (*run)(struct jobs *j, struct err *e);
    int64_t due_ms;
} table[] = {
    {"hints", TICK_MS, always, take_hints, 0},
    {"check", TICK_MS, check_due, check, 0},
    {"look", 1000, look_due, look, 0},
    {"changes", TICK_MS, changes_due, poll_changes, 0},
    {"ahead", 1000, always, watch_ahead, 0},
    {"clock", 1000, always, watch_clock, 0},
    {"witness", 5000, witness_due, witness, 0},
    {"silence", 5000, always, listen_to_fleet, 0},
    {"rollouts", 500, rollouts_due, engine, 0},
    {"database", 1000, always, watch_database, 0},
    {"self", 1000, always, watch_self, 0},
    {"remember", 10000, remember_due, remember, 0},
    {"alerts", 1000, alerts_due, alerts, 0},
    {"notices", 500, notices_due, notices, 0},
    {"holds", 1000, hold_due, end_holds, 0},
    {"commands", 1000, command_due, expire_commands, 0},
    {"token_key", 60000, rotation_due, rotate, 0},
    {"statistics", 2000, analysis_due, analyze, 0},
    {"memory", 10000, trim_due, give_back, 0},
    {"clean", 15000, cleaning_due, clean, 0},
    {"events", 1000, events_due, keep_events, 0},
};

static void complain(struct jobs *j, const char *name, const struct err *e)
{
    int64_t now = clock_mono_ms();

    if (j->complained_ms != 0 && now - j->complained_ms < QUIET_MS)
        return;
    j->complained_ms = now;
    log_event(LOG_LEVEL_WARN, "job.failed", KV_STR("job", name), KV_STR("error", e->msg));
}

/* No job takes more than a quarter of the thread, which has polls to wake.  Not for long: one that
 * took a minute waited for a database that stood still, and has the more to hear of now. */
static int64_t pause_after(const struct job *job, int64_t took_ms)
{
    int64_t pause_ms = at_most(took_ms * 3, PAUSE_MAX_MS);

    return pause_ms > job->every_ms ? pause_ms : job->every_ms;
}

static void run_due(struct jobs *j)
{
    struct err e;

    for (size_t i = 0; i < COUNT_OF(table) && !atomic_load(&j->stop); i++) {
        int64_t now = clock_mono_ms();
        if (now < table[i].due_ms || !table[i].due(j, now))
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
    struct fleet_news ignored;
    struct err e;
    size_t left = 0;

    if (db_listen(j->db, "inari_change", &e) != ERR_OK) /* the next connection will */
        complain(j, "hints", &e);
    while (!atomic_load(&j->stop)) {
        if (left > 0)
            (void)nanosleep(&tick, NULL);
        else
            fleet_wait_work(j->app->fleet, TICK_MS);
        left = wake(j);
        e = (struct err){0};
        if (fleet_load_wanted(j->app->fleet, j->db, &e) != ERR_OK)
            complain(j, "bundles", &e);
        e = (struct err){0};
        if (device_instance_events(j->db, j->app, &e) != ERR_OK)
            complain(j, "instances", &e);
        run_due(j);
    }
    if (fleet_cache_look(j->app->fleet, j->db, KEYRING_TOKEN_ROTATE_S, &ignored, &e) != ERR_OK)
        complain(j, "presence", &e);
    return NULL;
}

enum err_code jobs_start(struct app *app, const char *conninfo, struct jobs **ret, struct err *e)
{
    struct jobs *j = calloc(1, sizeof *j);

    if (j == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    j->app = app;
    j->hold_ms = j->command_ms = j->trim_ms = j->alert_ms = j->notice_ms = INT64_MAX;
    j->cleaned_ms = clock_mono_ms();
    uuid7(j->holder);
    if (alert_sender_start(app, conninfo, &j->sender, e) != ERR_OK) {
        free(j);
        return e->code;
    }
    j->db = db_open(conninfo, "inarid jobs");
    if (j->db == NULL || pthread_create(&j->thread, NULL, run, j) != 0) {
        alert_sender_stop(j->sender);
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
    alert_sender_stop(j->sender);
    json_decref(j->facts);
    db_close(j->db);
    rollout_figures_free(j->app->figures);
    j->app->figures = NULL;
    free(j);
}
