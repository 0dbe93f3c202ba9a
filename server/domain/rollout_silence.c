/* More than 55 % of the fleet late within one window: the parent or its network, not the devices
 * (protocol.md 6.11). */
#include "domain/rollout_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "domain/fleet_cache.h"

enum {
    LOOK_EVERY_MS = 1000,
    TOO_MANY_PERCENT = 55,
    AT_LEAST = 3,
    LATE_S = 150,          /* three held polls of 50 s */
    WINDOW_MS = 600 * 1000 /* whoever was silent before that does not count: it is simply away */
};

struct counting {
    int64_t of, gone;
};

/* By the monotonic clock where this parent heard the device itself: a wall clock that jumps
 * silences nobody.  One that was away long before this parent started is not expected. */
static int64_t age_of(struct app *app, const struct rollout_target *t, int64_t wall_ms,
                      int64_t mono_ms)
{
    int64_t age = wall_ms - t->seen_ms, heard = fleet_heard_ms(app->fleet, t->id);
    int64_t here = mono_ms - (heard != 0 ? heard : app->started_mono_ms);

    if (heard == 0 && app->started_ms - t->seen_ms > LATE_S * 1000 + WINDOW_MS)
        return INT64_MAX;
    return age < 0 || age > here ? here : age;
}

static struct counting count(struct app *app, const struct rollout_target *v, size_t n,
                             int64_t late_ms, int64_t window_ms)
{
    int64_t wall_ms = clock_wall_ms(), mono_ms = clock_mono_ms();
    struct counting c = {0};

    for (size_t i = 0; i < n; i++) {
        int64_t age = age_of(app, &v[i], wall_ms, mono_ms);
        c.of += age < late_ms + window_ms;
        c.gone += age >= late_ms && age < late_ms + window_ms;
    }
    return c;
}

static bool too_many(const struct counting *c)
{
    return c->gone >= AT_LEAST && c->gone * 100 > TOO_MANY_PERCENT * c->of;
}

struct silence {
    struct app *app;
    const char *holder;
    int64_t term;
    bool changed, silent;
};

static enum err_code begin(struct db *db, struct silence *s, const struct counting *c,
                           int64_t late_ms, struct err *e)
{
    const struct actor system = ACTOR_SYSTEM;
    AUTO(json_free)
    json_t *doc =
        json_pack("{s:I,s:I,s:I,s:I}", "since_ms", (json_int_t)clock_wall_ms(), "late_ms",
                  (json_int_t)late_ms, "gone", (json_int_t)c->gone, "of", (json_int_t)c->of);
    enum err_code rc = doc == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                   : rollout_store_silence_save(db, doc, e);

    s->changed = s->silent = true;
    log_event(LOG_LEVEL_ERROR, "fleet.silent", KV_INT("gone", c->gone), KV_INT("of", c->of));
    return rc == ERR_OK ? audit_append(db, &system, "fleet.silent", "parent", doc, e) : rc;
}

static enum err_code end(struct db *db, struct silence *s, const json_t *doc,
                         const struct counting *c, struct err *e)
{
    const struct actor system = ACTOR_SYSTEM;
    int64_t lasted = clock_wall_ms() - json_int(doc, "since_ms", 0) + json_int(doc, "late_ms", 0);
    AUTO(json_free)
    json_t *detail = json_pack("{s:I,s:I,s:I}", "lasted_ms", (json_int_t)lasted, "gone",
                               (json_int_t)c->gone, "of", (json_int_t)c->of);
    enum err_code rc = detail == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                      : rollout_store_silence_save(db, NULL, e);

    if (rc == ERR_OK && lasted > 0)
        rc = rollout_device_store_shift(db, lasted, clock_wall_ms(), e);
    s->changed = true;
    s->silent = false;
    log_event(LOG_LEVEL_INFO, "fleet.heard", KV_INT("gone", c->gone), KV_INT("of", c->of),
              KV_INT("lasted_ms", lasted));
    return rc == ERR_OK ? audit_append(db, &system, "fleet.heard", "parent", detail, e) : rc;
}

static enum err_code look_tx(struct db *db, void *ctx, struct err *e)
{
    struct silence *s = ctx;
    AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
    struct rollout_target *v = NULL;
    const json_t *doc = NULL;
    struct counting c;
    int64_t patience = 0, late_ms, window_ms = WINDOW_MS;
    size_t n = 0;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                 : lease_store_hold(db, "engine", s->holder, s->term, e);

    if (rc == ERR_OK)
        rc = rollout_store_silence(db, a, &doc, e);
    if (rc == ERR_OK)
        rc = rollout_store_patience(db, &patience, e);
    if (rc == ERR_OK)
        rc = rollout_target_store_seen(db, a, &v, &n, e);
    if (rc != ERR_OK)
        return rc;
    s->silent = doc != NULL;
    late_ms = LATE_S * 1000; /* before anybody is passed over as away */
    if (patience > 0 && patience * 800 < late_ms)
        late_ms = patience * 800;
    if (doc != NULL) { /* it is about those that were there when it began */
        late_ms = json_int(doc, "late_ms", late_ms);
        window_ms += clock_wall_ms() - json_int(doc, "since_ms", 0);
    }
    c = count(s->app, v, n, late_ms, window_ms);
    if (too_many(&c) == s->silent)
        return ERR_OK;
    return s->silent ? end(db, s, doc, &c, e) : begin(db, s, &c, late_ms, e);
}

enum err_code rollout_silence(struct db *db, struct app *app, const char *holder, int64_t term,
                              bool *ret_changed, bool *ret_silent, struct err *e)
{
    struct silence s = {app, holder, term, false, app->silent};
    int64_t now = clock_mono_ms();
    enum err_code rc = ERR_OK;

    if (app->fleet != NULL && now >= app->silence_due_ms) {
        rc = tx_run(db, "rollout.silence", look_tx, &s, e);
        app->silence_due_ms = now + LOOK_EVERY_MS;
    }
    if (rc == ERR_OK)
        app->silent = s.silent;
    *ret_changed = *ret_changed || s.changed;
    *ret_silent = s.silent;
    return rc;
}

bool rollout_may_be_silent(struct app *app)
{
    struct counting c = {0};

    fleet_count_heard(app->fleet, clock_mono_ms(), LATE_S * 1000, WINDOW_MS, &c.of, &c.gone);
    return too_many(&c);
}

enum err_code rollout_silence_condition(struct db *db, struct arena *a, json_t **ret, struct err *e)
{
    const json_t *doc = NULL;
    char since[CLOCK_TEXT_SIZE];
    enum err_code rc = rollout_store_silence(db, a, &doc, e);

    if (rc != ERR_OK)
        return rc;
    clock_format(json_int(doc, "since_ms", 0), since);
    *ret =
        json_pack("{s:s,s:s,s:s,s:s?,s:I,s:I}", "type", "FleetHeard", "status",
                  doc == NULL ? "True" : "False", "reason", doc == NULL ? "" : "fleet-silent",
                  "since", doc == NULL ? NULL : since, "gone", (json_int_t)json_int(doc, "gone", 0),
                  "of", (json_int_t)json_int(doc, "of", 0));
    return *ret == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}
