/* Reading rollouts. */
#include "domain/rollout_private.h"

#include "base/clock.h"
#include "base/rand.h"
#include "domain/dry_run.h"
#include "domain/page.h"

#include <stdio.h>
#include <string.h>

enum { DEVICES_SHOWN = 500 };

json_t *rollout_row_json(const struct rollout_row *r)
{
    json_t *j = json_pack("{s:s,s:I,s:s,s:s,s:s,s:i,s:i,s:I,s:o,s:o,s:o,s:s,s:s,s:o,s:I}", "id",
                          r->id, "pub", (json_int_t)r->pub, "state", r->state, "reason", r->reason,
                          "strategy", json_str(r->strategy, "strategy", "all"), "wave", r->wave,
                          "waves_total", r->n_waves, "term", (json_int_t)r->term, "created_at",
                          time_json(r->created_ms), "since", time_json(r->state_ms), "ended_at",
                          time_json(r->ended_ms), "author", r->author, "approver", r->approver,
                          "reverts", r->reverts[0] == '\0' ? json_null() : json_string(r->reverts),
                          "version", (json_int_t)r->version);

    if (j != NULL && r->counts != NULL)
        (void)json_object_set(j, "counts", (json_t *)(uintptr_t)r->counts);
    if (j != NULL && r->of_device != NULL)
        (void)json_object_set_new(j, "device_state", json_string(r->of_device));
    (void)json_object_set_new(j, "expedited", json_boolean(r->urgent[0] != '\0'));
    (void)json_object_set_new(j, "waits",
                              r->waits[0] == '\0' ? json_null() : json_string(r->waits));
    return j;
}

static json_t *device_json(const struct rollout_device *d)
{
    const char *word = rollout_device_word(d);
    const json_t *attempt = json_object_get(d->status, "last_attempt"), *problem = d->problem;

    if (problem == NULL && json_int(attempt, "rev", -1) == d->rev)
        problem = json_object_get(attempt, "problem");
    return json_pack("{s:s,s:s,s:s,s:s,s:i,s:I,s:o,s:o,s:o,s:o}", "id", d->id, "name", d->name,
                     "state", word, "reason", d->reason, "wave", d->wave, "rev", (json_int_t)d->rev,
                     "problem",
                     problem == NULL ? json_null() : json_incref((json_t *)(uintptr_t)problem),
                     "released_at", time_json(d->released_ms), "fetched_at",
                     time_json(d->fetched_ms), "ended_at", time_json(d->ended_ms));
}

enum err_code rollout_list(struct db *db, const char *device, const char *cursor, int64_t limit,
                           struct arena *a, json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *items = json_array();
    struct rollout_row *v = NULL;
    size_t n = 0;
    enum err_code rc;

    if (page_cursor(cursor, e) != ERR_OK)
        return e->code;
    rc = rollout_store_list(db, device, cursor, limit, a, &v, &n, e);
    for (size_t i = 0; i < n && rc == ERR_OK; i++)
        (void)json_array_append_new(items, rollout_row_json(&v[i]));
    if (rc == ERR_OK)
        *ret = page_json(TAKE(items), n, limit, n == 0 ? "" : v[n - 1].id);
    return rc;
}

/* --- its waves and devices --- */

static const char *wave_state(const struct rollout_row *r, int wave)
{
    if (wave > r->wave)
        return "waiting";
    if (wave < r->wave || strcmp(r->state, "completed") == 0)
        return "done";
    return r->state;
}

static json_t *waves_json(const struct rollout_row *r, const json_t *counts)
{
    json_t *waves = json_array(), *c;
    size_t i;

    for (int w = 0; w < r->n_waves; w++)
        (void)json_array_append_new(waves, json_pack("{s:i,s:s,s:i,s:{}}", "wave", w, "state",
                                                     wave_state(r, w), "devices", 0, "counts"));
    json_array_foreach(counts, i, c)
    {
        json_t *w = json_array_get(waves, (size_t)json_int(c, "wave", 0));
        json_int_t n = json_int(c, "n", 0);
        (void)json_object_set_new(json_object_get(w, "counts"), json_str(c, "state", ""),
                                  json_integer(n));
        (void)json_object_set_new(w, "devices", json_integer(json_int(w, "devices", 0) + n));
    }
    return waves;
}

static json_t *total_counts(const json_t *counts)
{
    json_t *total = json_object(), *c;
    size_t i;

    json_array_foreach(counts, i, c)
    {
        const char *state = json_str(c, "state", "");
        (void)json_object_set_new(total, state,
                                  json_integer(json_int(total, state, 0) + json_int(c, "n", 0)));
    }
    return total;
}

static enum err_code page(struct db *db, const char *id, const struct rollout_device_filter *f,
                          struct arena *a, json_t **ret_items, json_t **ret_next, struct err *e)
{
    AUTO(json_free) json_t *items = json_array();
    struct rollout_device *d = NULL;
    size_t n = 0;
    char next[24];
    enum err_code rc = rollout_device_store_list(db, id, f, a, &d, &n, e);

    if (rc != ERR_OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(items, device_json(&d[i]));
    (void)snprintf(next, sizeof next, "%d", n == 0 ? 0 : d[n - 1].place);
    *ret_next = n > 0 && (int64_t)n == f->limit ? json_string(next) : json_null();
    *ret_items = TAKE(items);
    return ERR_OK;
}

static enum err_code known(struct db *db, const char *id, struct arena *a, struct rollout_row *r,
                           struct err *e)
{
    return uuid_is_valid(id) ? rollout_store_get(db, id, a, r, e)
                             : err_set(e, ERR_NOT_FOUND, "there is no rollout \"%s\"", id);
}

enum err_code rollout_get(struct db *db, const char *id, struct arena *a, json_t **ret,
                          int64_t *ret_version, struct err *e)
{
    const struct rollout_device_filter f = {
        .wave = -1, .state = "", .after = -1, .limit = DEVICES_SHOWN};
    AUTO(json_free) json_t *counts = NULL;
    json_t *devices = NULL, *next = NULL, *shadow = NULL, *j;
    struct rollout_row r;
    enum err_code rc = known(db, id, a, &r, e);

    if (rc == ERR_OK)
        rc = rollout_device_store_counts(db, id, a, &counts, e);
    if (rc == ERR_OK)
        rc = dry_run_of_rollout(db, id, a, &shadow, e);
    if (rc == ERR_OK)
        rc = page(db, id, &f, a, &devices, &next, e);
    if (rc != ERR_OK) {
        json_decref(shadow);
        return rc;
    }
    j = rollout_row_json(&r);
    (void)json_object_set_new(j, "counts", total_counts(counts));
    (void)json_object_set(j, "how", (json_t *)(uintptr_t)r.strategy);
    (void)json_object_set_new(j, "waves", waves_json(&r, counts));
    (void)json_object_set_new(j, "shadow", shadow);
    (void)json_object_set_new(j, "devices", devices);
    (void)json_object_set_new(j, "devices_next", next);
    *ret = j;
    *ret_version = r.version;
    return j == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}

enum err_code rollout_device_list(struct db *db, const char *id, int wave, const char *state,
                                  const char *cursor, int64_t limit, struct arena *a, json_t **ret,
                                  struct err *e)
{
    struct rollout_device_filter f = {.wave = wave, .state = state, .after = -1, .limit = limit};
    json_t *items = NULL, *next = NULL;
    struct rollout_row r;
    int64_t after;
    enum err_code rc = known(db, id, a, &r, e);

    if (rc == ERR_OK && cursor[0] != '\0') {
        if (!parse_i64(slice_of(cursor), 0, INT32_MAX, &after))
            return err_field(e, ERR_INVALID, "/query/cursor", "not a cursor of this list");
        f.after = (int)after;
    }
    if (rc == ERR_OK)
        rc = page(db, id, &f, a, &items, &next, e);
    if (rc == ERR_OK)
        *ret = json_pack("{s:o,s:o}", "items", items, "next", next);
    return rc;
}
