/* Asking devices, and what they said. */
#include "domain/dry_run.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "domain/rollout_private.h"
#include "store/fleet_store.h"
#include "store/revision_store.h"

#include <stdio.h>
#include <string.h>

enum { PER_SECOND = 50 /* devices that are through within a second */ };

/* --- begin --- */

/* Why a device cannot be asked now; NULL: it can. */
static const char *away_reason(struct app *app, const struct rollout_target *t, int64_t limit_ms)
{
    if (strcmp(t->state, "managed") != 0)
        return t->state; /* held, quarantined */
    return rollout_seen_ms(app, t->id, t->seen_ms) < limit_ms ? "offline" : NULL;
}

static json_t *ask_whom(struct app *app, const struct dry_run_new *w, int64_t now_ms,
                        size_t *ret_asked)
{
    json_t *rows = json_array();
    int64_t limit_ms = now_ms - w->offline_after_s * 1000;

    for (size_t i = 0; i < w->n; i++) {
        const struct rollout_target *t = &w->targets[i];
        const char *away;
        char id[UUID_TEXT_SIZE];
        if (!w->changes[i].changed || strcmp(t->mode, "manage") != 0)
            continue; /* where only is observed nothing will be written */
        away = away_reason(app, t, limit_ms);
        uuid7(id);
        *ret_asked += away == NULL;
        (void)json_array_append_new(rows, json_pack("{s:s,s:s?,s:s,s:s}", "device_id", t->id,
                                                    "command_id", away == NULL ? id : NULL, "state",
                                                    away == NULL ? "asked" : "away", "reason",
                                                    away == NULL ? "" : away));
    }
    return rows;
}

static const char *ids_of(const json_t *rows, struct arena *a)
{
    const char **ids = arena_alloc(a, (json_array_size(rows) + 1) * sizeof *ids);
    size_t i, n = 0;
    json_t *v;

    json_array_foreach(rows, i, v)
    {
        if (ids != NULL && json_is_string(json_object_get(v, "command_id")))
            ids[n++] = json_str(v, "device_id", "");
    }
    return ids == NULL ? NULL : issue_id_array(ids, n, a);
}

enum err_code dry_run_make(struct db *db, struct app *app, struct dry_run_new *w, struct arena *a,
                           struct err *e)
{
    AUTO(json_free) json_t *rows = NULL;
    int64_t now_ms = clock_wall_ms(), wait_ms;
    size_t asked = 0;
    enum err_code rc;

    rows = ask_whom(app, w, now_ms, &asked);
    wait_ms = w->wait_s * 1000 + (int64_t)asked * 1000 / PER_SECOND;
    w->row.created_ms = now_ms;
    w->row.deadline_ms = now_ms + wait_ms;
    rc = dry_run_store_insert(db, &w->row, e);
    if (rc == ERR_OK && json_array_size(rows) > 0)
        rc = dry_run_store_add(db, &w->row, rows, now_ms + wait_ms, e);
    log_event(LOG_LEVEL_INFO, "dry_run.begun", KV_STR("dry_run", w->row.id),
              KV_INT("pub", w->row.pub), KV_INT("asked", (int64_t)asked),
              KV_INT("away", (int64_t)(json_array_size(rows) - asked)));
    return rc == ERR_OK && asked > 0 ? fleet_store_note_devices(db, ids_of(rows, a), e) : rc;
}

/* --- go on --- */

/* NULL: somebody is waited for. */
static const char *outcome(const json_t *counts, bool give_up)
{
    if (json_int(counts, "refused", 0) > 0)
        return "refused"; /* one is enough: the others need not answer */
    if (json_int(counts, "asked", 0) > 0 && !give_up)
        return NULL;
    return give_up ? "cancelled" : json_int(counts, "passed", 0) > 0 ? "passed" : "inconclusive";
}

enum err_code dry_run_step(struct db *db, const char *id, bool give_up, int64_t now_ms,
                           struct arena *a, struct dry_run_row *ret, struct err *e)
{
    const char **ids = NULL, *state;
    size_t n = 0;
    enum err_code rc = dry_run_store_settle(db, id, now_ms, e);

    if (rc == ERR_OK)
        rc = dry_run_store_get(db, id, a, ret, e);
    if (rc != ERR_OK || strcmp(ret->state, "running") != 0)
        return rc;
    state = outcome(ret->counts, give_up);
    if (state == NULL)
        return ERR_OK;
    rc = dry_run_store_end(db, id, state, now_ms, a, &ids, &n, e);
    ret->state = state;
    ret->ended_ms = now_ms;
    log_event(LOG_LEVEL_INFO, "dry_run.ended", KV_STR("dry_run", id), KV_STR("state", state),
              KV_INT("passed", json_int(ret->counts, "passed", 0)),
              KV_INT("refused", json_int(ret->counts, "refused", 0)));
    return rc == ERR_OK && n > 0 ? fleet_store_note_devices(db, issue_id_array(ids, n, a), e) : rc;
}

struct pass {
    const char *id, *holder;
    int64_t term;
    bool give_up, changed;
};

static enum err_code pass_tx(struct db *db, void *ctx, struct err *e)
{
    struct pass *p = ctx;
    AUTO(arena_free) struct arena *a = arena_new(16 * MIB);
    struct dry_run_row r = {0};
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                 : lease_store_hold(db, "engine", p->holder, p->term, e);

    if (rc == ERR_OK)
        rc = dry_run_step(db, p->id, p->give_up, clock_wall_ms(), a, &r, e);
    p->changed = rc == ERR_OK && strcmp(r.state, "running") != 0;
    return rc;
}

enum err_code dry_run_engine(struct db *db, const char *holder, int64_t term, bool *ret_changed,
                             size_t *ret_n, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(1 * MIB);
    struct dry_run_row *v = NULL;
    size_t n = 0;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                 : dry_run_store_open(db, a, &v, &n, e);

    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        struct pass p = {v[i].id, holder, term, v[i].rollout_id[0] != '\0', false};
        rc = tx_run(db, "dry_run.pass", pass_tx, &p, e);
        *ret_changed = *ret_changed || p.changed;
        *ret_n += !p.changed;
    }
    return rc;
}

/* --- what the device is to try --- */

enum err_code dry_run_bundle(struct db *db, struct app *app, const char *device_id,
                             const char *command_id, struct arena *a, char **ret, struct err *e)
{
    struct dry_run_subject of = {0};
    enum err_code rc = uuid_is_valid(command_id)
                           ? dry_run_store_content(db, command_id, device_id, a, &of, e)
                           : err_set(e, ERR_NOT_FOUND, "this dry run is over, or there was none");

    return rc == ERR_OK
               ? issue_trial(db, app, &(struct issue_trial_of){of.pub, of.content, of.urgent},
                             device_id, command_id, a, ret, e)
               : rc;
}
