/* The engine: one transaction a rollout and pass, under the lease. */
#include "domain/rollout_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "domain/dry_run.h"
#include "domain/issue.h"
#include "domain/publish.h"

#include <stdio.h>
#include <string.h>

enum {
    INCONCLUSIVE_LIMIT = 3, /* times the bake time before a person is asked */
    NOTED_DEVICES = 100     /* in one audit entry */
};

/* --- what the devices say --- */

static void settle_to(json_t *rows, const struct rollout_device *d, const char *state,
                      const char *reason)
{
    const json_t *attempt = json_object_get(d->status, "last_attempt");
    json_t *problem =
        json_int(attempt, "rev", 0) == d->rev ? json_object_get(attempt, "problem") : NULL;

    if (!rollout_word_failed(state) || json_is_null(problem))
        problem = NULL;
    (void)json_array_append_new(rows, json_pack("{s:s,s:s,s:s,s:O?}", "device_id", d->id, "state",
                                                state, "reason", reason, "problem", problem));
}

static const char *gone_reason(const struct rollout_device *d)
{
    return strcmp(d->device_state, "held") == 0 ? "held" : "gone";
}

/* Silence: never fetched while away is no failure, silence after the fetch is (protocol.md 6.12).
 */
static const char *late(const struct rollout_run *x, const struct rollout_device *d,
                        const char *word, const char **reason)
{
    int64_t since = d->fetched_ms != 0 ? d->fetched_ms : d->released_ms;
    bool seen = d->seen_ms > d->released_ms;

    if (x->silent)
        return word; /* nobody is heard: that says nothing of this device */
    if (strcmp(word, "offered") == 0 && !seen &&
        x->now_ms - d->released_ms > x->s.offline_after_s * 1000 &&
        x->now_ms - x->app->started_ms > x->s.offline_after_s * 1000) {
        *reason = "offline";
        return "skipped";
    }
    if ((strcmp(word, "fetched") == 0 || seen) &&
        x->now_ms - since > x->s.apply_deadline_s * 1000) {
        *reason = "deadline";
        return "timed-out";
    }
    return word;
}

/* They went away before they fetched it: when they come back they catch up with what was completed,
 * not with what may have been halted since.  Where everybody gets it at once it stays offered. */
static enum err_code withdraw(struct rollout_run *x, const char *const *ids, size_t n,
                              struct err *e)
{
    const char *all = issue_id_array(ids, n, x->a);
    enum err_code rc;

    if (n == 0 || x->s.kind == STRATEGY_ALL)
        return ERR_OK;
    if (all == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = rollout_target_store_reset_pub(x->db, x->row.id, all, e);
    x->changed = true;
    return rc == ERR_OK ? issue_reissue(x->db, x->app, ids, n, x->a, e) : rc;
}

/* One audit entry for all that failed at once; a wave may be thousands. */
static enum err_code note_failures(struct rollout_run *x, const json_t *rows, struct err *e)
{
    json_t *list = json_array(), *row;
    char object[64];
    size_t i, n = 0;

    json_array_foreach(rows, i, row)
    {
        if (!rollout_word_failed(json_str(row, "state", "")))
            continue;
        if (n++ < NOTED_DEVICES)
            (void)json_array_append_new(list, json_pack("{s:O,s:O,s:O}", "device",
                                                        json_object_get(row, "device_id"), "state",
                                                        json_object_get(row, "state"), "reason",
                                                        json_object_get(row, "reason")));
    }
    if (n == 0) {
        json_decref(list);
        return ERR_OK;
    }
    (void)snprintf(object, sizeof object, "rollout/%s", x->row.id);
    return rollout_note(x, "rollout.device_failed", object,
                        json_pack("{s:I,s:i,s:I,s:o}", "pub", (json_int_t)x->row.pub, "wave",
                                  x->row.wave, "n", (json_int_t)n, "devices", list),
                        e);
}

enum err_code rollout_devices_set(struct rollout_run *x, const json_t *rows, struct err *e)
{
    enum err_code rc;

    if (json_array_size(rows) == 0)
        return ERR_OK;
    rc = rollout_device_store_set(x->db, x->row.id, rows, x->now_ms, e);
    if (rc == ERR_OK)
        rc = note_failures(x, rows, e);
    return rc == ERR_OK ? rollout_reload(x, e) : rc;
}

static enum err_code settle(struct rollout_run *x, struct err *e)
{
    AUTO(json_free) json_t *rows = json_array();
    const char **gone = arena_alloc(x->a, (x->n + 1) * sizeof *gone);
    size_t n_gone = 0;
    enum err_code rc = gone == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;

    for (size_t i = 0; i < x->n && rc == ERR_OK; i++) {
        const struct rollout_device *d = &x->d[i];
        const char *word = rollout_device_word(d), *reason = "";
        if (strcmp(word, "interrupted") == 0)
            word = "fetched"; /* the device tries once more by itself */
        if (rollout_word_on_the_way(word))
            word = late(x, d, word, &reason);
        else if (strcmp(word, "skipped") == 0 && rollout_word_on_the_way(d->state))
            reason = gone_reason(d);
        if (strcmp(word, d->state) != 0)
            settle_to(rows, d, word, reason);
        if (strcmp(reason, "offline") == 0 && strcmp(word, d->state) != 0)
            gone[n_gone++] = d->id;
    }
    if (rc == ERR_OK)
        rc = withdraw(x, gone, n_gone, e);
    return rc == ERR_OK ? rollout_devices_set(x, rows, e) : rc;
}

/* --- what follows --- */

struct count {
    size_t members, queued, on_the_way, failed, confirmed, skipped;
};

static struct count count_wave(const struct rollout_run *x, int wave)
{
    struct count c = {0};

    for (size_t i = 0; i < x->n; i++) {
        const struct rollout_device *d = &x->d[i];
        if (d->wave != wave)
            continue;
        c.members++;
        c.queued += strcmp(d->state, "queued") == 0;
        c.on_the_way += rollout_word_on_the_way(d->state);
        c.failed += rollout_word_failed(d->state) && !d->forgiven;
        c.confirmed += strcmp(d->state, "confirmed") == 0 || strcmp(d->state, "observed") == 0;
        c.skipped += strcmp(d->state, "skipped") == 0;
    }
    return c;
}

/* Waves count as the first one until one device has confirmed: an absent canary proves nothing. */
static int rank_of(const struct rollout_run *x, int wave)
{
    for (int w = 0; w < wave; w++) {
        if (count_wave(x, w).confirmed > 0)
            return w + 1;
    }
    return 0;
}

bool rollout_failed(const struct rollout_run *x)
{
    for (int w = 0; w <= x->row.wave; w++) {
        struct count c = count_wave(x, w);
        if (c.failed > strategy_failures(&x->s, rank_of(x, w), c.members - c.skipped))
            return true;
    }
    return false;
}

/* Whoever was away, held, new or regrouped meanwhile gets what everybody has, as it comes back. */
enum err_code rollout_complete(struct rollout_run *x, struct err *e)
{
    size_t behind = 0;
    enum err_code rc = rollout_tell_reverted(x, "reverted", e);

    if (rc == ERR_OK)
        rc = rollout_enter(x, "completed", "", e);
    return rc == ERR_OK ? rollout_catch_up(x, &behind, e) : rc;
}

/* What nobody has tried is not what everybody gets together when they come back. */
static enum err_code last_wave_over(struct rollout_run *x, struct err *e)
{
    return rollout_nobody_was_there(x) ? rollout_wait_for_anybody(x, e) : rollout_complete(x, e);
}

static enum err_code next_wave(struct rollout_run *x, struct err *e)
{
    if (x->row.wave + 1 >= x->row.n_waves)
        return last_wave_over(x, e);
    x->row.wave++;
    return rollout_enter(x, "running", "", e);
}

/* Newcomers began with what the fleet has, and go with the last wave, never with a canary. */
static enum err_code let_join(struct rollout_run *x, struct err *e)
{
    int64_t n = 0;
    enum err_code rc = ERR_OK;

    if (x->row.wave > 0 && x->row.wave + 1 == x->row.n_waves)
        rc = rollout_device_store_join(x->db, x->row.id, x->row.wave, &n, e);
    return rc == ERR_OK && n > 0 ? rollout_reload(x, e) : rc;
}

static enum err_code running(struct rollout_run *x, struct err *e)
{
    struct count c = {0};
    enum err_code rc = let_join(x, e);

    if (rc == ERR_OK)
        rc = rollout_release(x, e);

    if (rc != ERR_OK)
        return rc;
    for (int w = 0; w <= x->row.wave; w++) {
        struct count one = count_wave(x, w);
        c.queued += one.queued;
        c.on_the_way += one.on_the_way;
    }
    if (c.queued + c.on_the_way > 0)
        return ERR_OK;
    if (count_wave(x, x->row.wave).confirmed > 0 &&
        strategy_bake_s(&x->s, rank_of(x, x->row.wave)) > 0)
        return rollout_enter(x, "baking", "", e);
    return next_wave(x, e);
}

static enum err_code baking(struct rollout_run *x, struct err *e)
{
    int64_t bake_ms = strategy_bake_s(&x->s, rank_of(x, x->row.wave)) * 1000;
    int64_t baked_ms = x->now_ms - x->row.state_ms;
    bool told = x->row.state_ms < x->row.created_ms; /* by a person to go on: promote */
    enum guard_verdict v;
    enum err_code rc = rollout_guard(x, baked_ms >= bake_ms, &v, e);

    if (rc != ERR_OK)
        return rc;
    if (rollout_failed(x))
        return rollout_halt(x, "unhealthy", e);
    if (baked_ms < bake_ms)
        return ERR_OK;
    if (v != GUARD_INCONCLUSIVE || told)
        return next_wave(x, e);
    if (baked_ms < INCONCLUSIVE_LIMIT * bake_ms)
        return ERR_OK;
    x->row.paused_from = "baking";
    return rollout_enter(x, "paused", ROLLOUT_INCONCLUSIVE, e);
}

static enum err_code step(struct rollout_run *x, struct err *e)
{
    bool runs = strcmp(x->row.state, "running") == 0;

    if (strcmp(x->row.state, "shadow") == 0)
        return rollout_shadow(x, e);
    if (!runs && strcmp(x->row.state, "baking") != 0)
        return ERR_OK;
    if (rollout_failed(x))
        return rollout_halt(x, "failures", e);
    return runs ? running(x, e) : baking(x, e);
}

struct pass {
    struct app *app;
    const char *id, *holder;
    int64_t term;
    bool changed;
    bool rests; /* it waits for devices that were not heard for long: their poll is what tells */
    size_t behind;
};

/* The rollout, for the holder of the lease alone. */
static enum err_code take(struct db *db, const struct pass *p, struct arena *a,
                          struct rollout_run *ret, struct err *e)
{
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                 : lease_store_hold(db, "engine", p->holder, p->term, e);

    if (rc == ERR_OK)
        rc = rollout_begin(ret, db, p->app, a, p->term, e);
    return rc == ERR_OK ? rollout_load(ret, p->id, e) : rc;
}

/* As many steps as follow from what is known now: waves without devices pass at once. */
static enum err_code pass_tx(struct db *db, void *ctx, struct err *e)
{
    struct pass *p = ctx;
    AUTO(arena_free) struct arena *a = arena_new(ROLLOUT_ARENA);
    struct rollout_run x;
    enum err_code rc = take(db, p, a, &x, e);

    if (rc == ERR_OK)
        rc = settle(&x, e);
    for (int i = 0; i < 2 * STRATEGY_WAVES_MAX && rc == ERR_OK; i++) {
        const char *state = x.row.state;
        int wave = x.row.wave;
        rc = rollout_standing(&x, e); /* each time: one that was tried just now begins by waiting */
        if (rc == ERR_OK)
            rc = step(&x, e);
        if (strcmp(state, x.row.state) == 0 && wave == x.row.wave)
            break;
    }
    if (rc != ERR_OK)
        return rc;
    p->changed = x.changed;
    p->rests = rollout_waits_for_anybody(&x) && !rollout_somebody_soon(&x);
    return rollout_write_notes(&x, e);
}

/* The strategy said: put it back by yourself.  Refused, it waits for a person like any other halt.
 */
static enum err_code give_up_revert(struct db *db, void *ctx, struct err *e)
{
    struct pass *p = ctx;
    AUTO(arena_free) struct arena *a = arena_new(ROLLOUT_ARENA);
    struct rollout_run x;
    enum err_code rc = take(db, p, a, &x, e);

    if (rc != ERR_OK || !x.row.auto_revert)
        return rc;
    x.row.auto_revert = false;
    rc = rollout_enter(&x, "halted", "revert-refused", e);
    return rc == ERR_OK ? rollout_write_notes(&x, e) : rc;
}

static enum err_code revert(struct db *db, struct pass *p, struct err *e)
{
    const struct actor by = ACTOR_SYSTEM;
    const struct publish how = {.by = &by,
                                .reason = "automatic revert after a failed rollout",
                                .force_reason = "automatic revert after a failed rollout",
                                .any_owner = true,
                                .confirm = ROLLOUT_NOT_SAID};
    const struct publish_fence fence = {p->holder, p->term};
    struct published out = {0};
    enum err_code rc = publish_revert(db, p->app, p->id, &how, &fence, &out, e);

    published_clear(&out);
    if (rc == ERR_OK || rc == ERR_OVERLOADED || rc == ERR_OUTCOME_UNKNOWN || rc == ERR_NO_MEMORY)
        return rc; /* of the moment: the next pass tries again */
    log_event(LOG_LEVEL_WARN, "rollout.revert_refused", KV_STR("rollout", p->id),
              KV_STR("error", e->msg));
    return tx_run(db, "rollout.revert_refused", give_up_revert, p, e);
}

static enum err_code catch_up_tx(struct db *db, void *ctx, struct err *e)
{
    struct pass *p = ctx;
    AUTO(arena_free) struct arena *a = arena_new(ROLLOUT_ARENA);
    struct rollout_run x;
    enum err_code rc = take(db, p, a, &x, e);

    p->behind = 0;
    if (rc == ERR_OK)
        rc = rollout_catch_up(&x, &p->behind, e);
    if (rc != ERR_OK)
        return rc;
    p->changed = x.changed;
    return rollout_write_notes(&x, e);
}

/* The rollouts that everybody is to have, with devices that have not. */
static enum err_code catch_up(struct db *db, const struct pass *like, struct arena *a,
                              bool *ret_changed, size_t *ret_n, struct err *e)
{
    struct rollout_row *v = NULL;
    size_t n = 0;
    enum err_code rc = rollout_store_lagging(db, a, &v, &n, e);

    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        struct pass p = *like;
        p.id = v[i].id;
        p.changed = false;
        rc = tx_run(db, "rollout.catch_up", catch_up_tx, &p, e);
        *ret_changed = *ret_changed || (rc == ERR_OK && p.changed);
        *ret_n += p.behind;
    }
    return rc;
}

/* One rollout's fault is not the others': they go on, and the pass says it at its end.  Without a
 * database, or the lease, there is nothing to go on with. */
static enum err_code drive(struct db *db, struct pass *p, const struct rollout_row *row,
                           struct err *ret_failed)
{
    struct err e = {0};
    enum err_code rc = tx_run(db, "rollout.pass", pass_tx, p, &e);

    if (rc == ERR_OK && row->auto_revert && strcmp(row->state, "halted") == 0)
        rc = revert(db, p, &e);
    if (rc == ERR_OK)
        return ERR_OK;
    p->changed = false;
    if (ret_failed->code == ERR_OK)
        (void)err_set(ret_failed, rc, "rollout %s: %s", p->id, e.msg);
    return rc == ERR_UNAVAILABLE || rc == ERR_CONFLICT ? rc : ERR_OK;
}

enum err_code rollout_engine(struct db *db, struct app *app, const char *holder, int64_t term,
                             size_t *ret_n, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(16 * MIB);
    struct rollout_row *v = NULL;
    struct pass any = {.app = app, .id = "", .holder = holder, .term = term};
    bool changed = false, silent = false;
    struct err failed = {0};
    size_t n = 0, open = 0;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                 : rollout_silence(db, app, holder, term, &changed, &silent, e);

    if (rc == ERR_OK)
        rc = rollout_store_open(db, a, &v, &n, e);

    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        struct pass p = any;
        p.id = v[i].id;
        rc = drive(db, &p, &v[i], &failed);
        changed = changed || p.changed;
        open += !p.rests;
    }
    if (rc == ERR_OK && !silent)
        rc = catch_up(db, &any, a, &changed, &open, e);
    if (rc == ERR_OK)
        rc = dry_run_engine(db, holder, term, &changed, &open, e);
    if (changed)
        (void)issue_committed(db, app, NULL);
    *ret_n = open + silent;
    if (failed.code == ERR_OK)
        return rc;
    *e = failed;
    return failed.code;
}
