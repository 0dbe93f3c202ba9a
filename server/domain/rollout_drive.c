/* What moves a rollout: releasing, halting, changing state.  Inside a transaction. */
#include "domain/rollout_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "domain/device_status.h"
#include "domain/fleet_cache.h"
#include "domain/issue.h"
#include "domain/recovery.h"

#include <stdio.h>
#include <string.h>

static bool in_list(const char *word, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strcmp(word, *words) == 0)
            return true;
    }
    return false;
}

bool rollout_word_failed(const char *word)
{
    static const char *const words[] = {"rejected",  "reverted",  "degraded", "interrupted",
                                        "timed-out", "unhealthy", NULL};

    return in_list(word, words);
}

bool rollout_word_on_the_way(const char *word)
{
    static const char *const words[] = {"offered", "fetched", NULL};

    return in_list(word, words);
}

const char *rollout_device_word(const struct rollout_device *d)
{
    static const char *const gone[] = {"revoked", "retired", "rejected", NULL};
    const char *word;

    if (!rollout_word_on_the_way(d->state) && strcmp(d->state, "confirmed") != 0)
        return d->state;
    if (in_list(d->device_state, gone))
        return "skipped";
    word =
        rollout_device_state(d->status, d->digest, d->etag, d->rev, d->desired_rev, d->offered_rev);
    if (strcmp(d->state, "confirmed") == 0) /* only a failure takes that back */
        return strcmp(word, "reverted") == 0 || strcmp(word, "degraded") == 0 ? word : d->state;
    if (strcmp(word, "queued") == 0) /* it has a bundle that it is not offered */
        return strcmp(d->device_state, "held") == 0 ? "skipped" : "offered";
    /* A device that is only observed has seen it: there is nothing more to come. */
    return strcmp(word, "fetched") == 0 && strncmp(d->made_for, "observe,", 8) == 0 ? "observed"
                                                                                    : word;
}

int64_t rollout_seen_ms(struct app *app, const char *device_id, int64_t stored_ms)
{
    struct fleet_view v;
    int64_t seen = stored_ms;

    if (app->fleet != NULL && fleet_get(app->fleet, device_id, &v)) {
        seen = v.seen_wall_ms > seen ? v.seen_wall_ms : seen;
        fleet_view_clear(&v);
    }
    return seen;
}

enum err_code rollout_begin(struct rollout_run *x, struct db *db, struct app *app, struct arena *a,
                            int64_t term, struct err *e)
{
    *x =
        (struct rollout_run){.db = db, .app = app, .a = a, .now_ms = clock_wall_ms(), .term = term};
    if (a == NULL || (x->notes = json_array()) == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (arena_defer(a, (void (*)(void *))json_decref, x->notes))
        return ERR_OK;
    json_decref(x->notes);
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

struct rollout_run rollout_beside(const struct rollout_run *x)
{
    return (struct rollout_run){.db = x->db,
                                .app = x->app,
                                .a = x->a,
                                .now_ms = x->now_ms,
                                .term = x->term,
                                .notes = x->notes};
}

enum err_code rollout_note(struct rollout_run *x, const char *action, const char *object,
                           json_t *detail, struct err *e)
{
    json_t *note = json_pack("{s:s,s:s,s:o}", "action", action, "object", object, "detail", detail);

    return note == NULL || json_array_append_new(x->notes, note) != 0
               ? err_set(e, ERR_NO_MEMORY, "out of memory")
               : ERR_OK;
}

enum err_code rollout_write_notes(struct rollout_run *x, struct err *e)
{
    const struct actor system = ACTOR_SYSTEM;
    enum err_code rc = ERR_OK;
    json_t *note;
    size_t i;

    json_array_foreach(x->notes, i, note)
    {
        if (rc == ERR_OK)
            rc = audit_append(x->db, &system, json_str(note, "action", ""),
                              json_str(note, "object", ""), json_object_get(note, "detail"), e);
    }
    (void)json_array_clear(x->notes);
    return rc;
}

enum err_code rollout_reload(struct rollout_run *x, struct err *e)
{
    const struct rollout_device_filter all = {.wave = -1,
                                              .state = "",
                                              .after = -1,
                                              .lean = x->lean,
                                              .sample = atomic_load(&x->app->figures_one_in)};
    enum err_code rc = rollout_device_store_list(x->db, x->row.id, &all, x->a, &x->d, &x->n, e);

    for (size_t i = 0; i < x->n && rc == ERR_OK; i++)
        x->d[i].seen_ms = rollout_seen_ms(x->app, x->d[i].id, x->d[i].seen_ms);
    return rc;
}

enum err_code rollout_load(struct rollout_run *x, const char *id, struct err *e)
{
    enum err_code rc = recovery_lock(x->db, x->app, e); /* before rows: whoever issues takes it */

    if (rc == ERR_OK)
        rc = rollout_store_lock(x->db, id, x->a, &x->row, e);
    if (rc == ERR_OK)
        rc = strategy_read(x->row.strategy, "/strategy", &x->s, e);
    if (rc == ERR_OK)
        strategy_settle(&x->s, 0);
    if (rc == ERR_OK)
        rc = rollout_store_waits(x->db, &x->row, x->a, &x->urgent_first, &x->silent, e);
    return rc == ERR_OK ? rollout_reload(x, e) : rc;
}

/* --- releasing --- */

static bool shares_set(const char *sets, const char *busy)
{
    struct slice rest = slice_of(sets);

    while (rest.n > 0) {
        struct slice one = slice_cut(&rest, ',');
        char id[40];
        (void)snprintf(id, sizeof id, "%.*s", (int)one.n, one.p);
        if (strstr(busy, id) != NULL)
            return true;
    }
    return false;
}

const char *rollout_skip_reason(const struct rollout_run *x, const struct rollout_device *d,
                                bool strict)
{
    static const char *const serving[] = {"observing", "managed", "held", "quarantined", NULL};
    /* Presence of the last half minute dies with a parent: nobody is away who was not given time to
     * come back. */
    int64_t seen_ms = d->seen_ms > x->app->started_ms ? d->seen_ms : x->app->started_ms;

    if (!in_list(d->device_state, serving))
        return "gone";
    if (x->s.kind == STRATEGY_ALL && !strict)
        return NULL; /* all of them get it at once: whoever is away finds it when it returns */
    if (strcmp(d->device_state, "held") == 0)
        return "held";
    if (strcmp(d->device_state, "quarantined") == 0)
        return "quarantined";
    return x->now_ms - seen_ms > x->s.offline_after_s * 1000 ? "offline" : NULL;
}

struct picking {
    const char **ids;
    size_t n, room;
    json_t *skipped;
    struct strbuf busy; /* MX sets with a member on its way */
};

static void pick(struct rollout_run *x, struct picking *p, const struct rollout_device *d)
{
    const char *skip = rollout_skip_reason(x, d, false);

    if (skip != NULL) {
        (void)json_array_append_new(p->skipped, json_pack("{s:s,s:s,s:s}", "device_id", d->id,
                                                          "state", "skipped", "reason", skip));
        return;
    }
    if (d->busy) /* what it was offered before comes to its end first */
        return;
    if (p->room == 0 || (d->mx[0] != '\0' && shares_set(d->mx, strbuf_str(&p->busy))))
        return;
    p->ids[p->n++] = d->id;
    p->room--;
    strbuf_printf(&p->busy, "%s,", d->mx);
}

struct issue_of rollout_gives(const struct rollout_run *x)
{
    return (struct issue_of){x->row.pub, x->row.urgent, x->row.id, x->row.wave};
}

/* Bundles of one wave carry its number. */
static enum err_code issue_wave(struct rollout_run *x, const struct picking *p, struct err *e)
{
    const struct issue_of of = rollout_gives(x);
    const char *all = issue_id_array(p->ids, p->n, x->a);
    enum err_code rc = all == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                   : rollout_device_store_keep(x->db, x->row.id, all, e);

    if (rc == ERR_OK)
        rc = issue_devices(x->db, x->app, &of, p->ids, p->n, x->a, e);
    if (rc == ERR_OK)
        rc = rollout_device_store_release(x->db, x->row.id, all, x->now_ms, e);
    x->changed = true;
    return rc;
}

enum err_code rollout_release(struct rollout_run *x, struct err *e)
{
    struct picking p = {.ids = arena_alloc(x->a, (x->n + 1) * sizeof *p.ids),
                        .skipped = json_array(),
                        .busy = STRBUF_INIT(8 * MIB)};
    const char *busy = "";
    size_t on_the_way = 0, limit = strategy_unavailable(&x->s, x->n);
    enum err_code rc = p.ids == NULL || p.skipped == NULL
                           ? err_set(e, ERR_NO_MEMORY, "out of memory")
                           : rollout_device_store_busy_mx(x->db, x->now_ms, x->a, &busy, e);

    for (size_t i = 0; i < x->n; i++)
        on_the_way += rollout_word_on_the_way(x->d[i].state);
    p.room = limit > on_the_way ? limit - on_the_way : 0;
    strbuf_printf(&p.busy, "%s,", busy);
    for (size_t i = 0; i < x->n && rc == ERR_OK; i++) {
        if (x->d[i].wave <= x->row.wave && strcmp(x->d[i].state, "queued") == 0)
            pick(x, &p, &x->d[i]);
    }
    if (rc == ERR_OK && p.n > 0)
        rc = issue_wave(x, &p, e);
    if (rc == ERR_OK)
        rc = rollout_device_store_set(x->db, x->row.id, p.skipped, x->now_ms, e);
    if (rc == ERR_OK && (p.n > 0 || json_array_size(p.skipped) > 0))
        rc = rollout_reload(x, e);
    strbuf_clear(&p.busy);
    json_decref(p.skipped);
    return rc;
}

/* --- changing state --- */

enum err_code rollout_enter(struct rollout_run *x, const char *state, const char *reason,
                            struct err *e)
{
    static const char *const over[] = {"completed", "superseded", "cancelled", "reverted", NULL};
    const char *from = x->row.state;
    char action[40], object[64];
    enum err_code rc;

    x->row.state = state;
    x->row.reason = reason;
    x->row.state_ms = x->now_ms;
    if (strcmp(state, "paused") != 0)
        x->row.waits = "";
    x->row.ended_ms = in_list(state, over) ? x->now_ms : 0;
    x->changed = true;
    rc = rollout_store_save(x->db, &x->row, x->term, e);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(action, sizeof action, "rollout.%s", state);
    (void)snprintf(object, sizeof object, "rollout/%s", x->row.id);
    log_event(LOG_LEVEL_INFO, "rollout.state", KV_STR("rollout", x->row.id),
              KV_INT("pub", x->row.pub), KV_STR("state", state), KV_INT("wave", x->row.wave),
              KV_STR("reason", reason));
    return x->told ? ERR_OK
                   : rollout_note(x, action, object,
                                  json_pack("{s:I,s:i,s:s,s:s,s:s}", "pub", (json_int_t)x->row.pub,
                                            "wave", x->row.wave, "from", from, "to", state,
                                            "reason", reason),
                                  e);
}

/* Nobody may be left between two publications: a fresh rev with the content it had. */
static enum err_code give_back(struct rollout_run *x, struct err *e)
{
    const char **ids = arena_alloc(x->a, (x->n + 1) * sizeof *ids), *all;
    size_t n = 0;
    enum err_code rc;

    if (ids == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < x->n; i++) {
        const char *word = x->d[i].state;
        if (rollout_word_on_the_way(word) || rollout_word_failed(word))
            ids[n++] = x->d[i].id;
    }
    all = issue_id_array(ids, n, x->a);
    if (all == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (n == 0)
        return ERR_OK;
    rc = rollout_target_store_reset_pub(x->db, x->row.id, all, e);
    return rc == ERR_OK ? issue_reissue(x->db, x->app, ids, n, x->a, e) : rc;
}

enum err_code rollout_tell_reverted(struct rollout_run *x, const char *state, struct err *e)
{
    struct rollout_run old = rollout_beside(x);
    enum err_code rc;

    if (x->row.reverts[0] == '\0')
        return ERR_OK;
    rc = rollout_load(&old, x->row.reverts, e);
    if (rc != ERR_OK || strcmp(old.row.state, "reverting") != 0)
        return rc;
    return rollout_enter(&old, state, strcmp(state, "halted") == 0 ? "revert-stopped" : "", e);
}

enum err_code rollout_halt(struct rollout_run *x, const char *reason, struct err *e)
{
    /* With everybody offered at once there is no stable part to go back to: what failed stays
     * asked for and is shown as failed. */
    enum err_code rc = x->s.kind == STRATEGY_ALL ? ERR_OK : give_back(x, e);

    if (rc == ERR_OK)
        rc = rollout_tell_reverted(x, "halted", e);
    x->row.auto_revert = x->s.revert && x->term != 0 && x->row.reverts[0] == '\0';
    return rc == ERR_OK ? rollout_enter(x, "halted", reason, e) : rc;
}
