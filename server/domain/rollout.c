#include "domain/rollout.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "domain/device_status.h"
#include "store/rollout_store.h"

#include <string.h>

static json_t *time_or_null(int64_t ms)
{
    char text[CLOCK_TEXT_SIZE];

    if (ms == 0)
        return json_null();
    clock_format(ms, text);
    return json_string(text);
}

static const char *state_of(const struct rollout_device *d)
{
    static const char *const gone[] = {"revoked", "retired", "rejected", NULL};
    const char *word;

    for (int i = 0; gone[i] != NULL; i++) {
        if (strcmp(d->state, gone[i]) == 0)
            return "skipped";
    }
    word = rollout_device_state(d->status, d->digest, d->etag, d->rev, d->desired_rev,
                                d->offered_rev);
    /* A device that is only observed has seen it: there is nothing more to come. */
    return strcmp(word, "fetched") == 0 && strncmp(d->made_for, "observe,", 8) == 0 ? "observed"
                                                                                    : word;
}

static json_t *device_json(const struct rollout_device *d)
{
    const json_t *attempt = json_object_get(d->status, "last_attempt");
    json_t *problem =
        json_int(attempt, "rev", 0) == d->rev ? json_object_get(attempt, "problem") : NULL;

    return json_pack("{s:s,s:s,s:s,s:I,s:o}", "id", d->id, "name", d->name, "state", state_of(d),
                     "rev", (json_int_t)d->rev, "problem",
                     problem == NULL ? json_null() : json_incref(problem));
}

static json_t *rollout_json(const struct rollout_row *r, json_t *devices)
{
    return json_pack("{s:s,s:I,s:s,s:I,s:o,s:o,s:o}", "id", r->id, "pub", (json_int_t)r->pub,
                     "state", r->state, "term", (json_int_t)r->term, "created_at",
                     time_or_null(r->created_ms), "ended_at", time_or_null(r->ended_ms), "devices",
                     devices);
}

static enum err_code devices_json(struct db *db, const struct rollout_row *r, struct arena *a,
                                  json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *v = json_array();
    struct rollout_device *d = NULL;
    size_t n = 0;
    enum err_code rc = rollout_store_devices(db, r->id, a, &d, &n, e);

    for (size_t i = 0; i < n && rc == ERR_OK; i++)
        (void)json_array_append_new(v, device_json(&d[i]));
    if (rc == ERR_OK)
        *ret = TAKE(v);
    return rc;
}

enum err_code rollout_list(struct db *db, const char *cursor, int64_t limit, struct arena *a,
                           json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *items = json_array();
    struct rollout_row *v = NULL;
    size_t n = 0;
    enum err_code rc;

    if (cursor[0] != '\0' && !uuid_is_valid(cursor))
        return err_field(e, ERR_INVALID, "/query/cursor", "not a cursor of this list");
    rc = rollout_store_list(db, cursor, limit, a, &v, &n, e);
    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        json_t *devices = NULL;
        rc = devices_json(db, &v[i], a, &devices, e);
        if (rc == ERR_OK)
            (void)json_array_append_new(items, rollout_json(&v[i], devices));
    }
    if (rc == ERR_OK)
        *ret = json_pack("{s:O,s:o}", "items", items, "next",
                         n > 0 && (int64_t)n == limit ? json_string(v[n - 1].id) : json_null());
    return rc;
}

enum err_code rollout_get(struct db *db, const char *id, struct arena *a, json_t **ret,
                          struct err *e)
{
    struct rollout_row r;
    json_t *devices = NULL;
    enum err_code rc = uuid_is_valid(id)
                           ? rollout_store_get(db, id, a, &r, e)
                           : err_set(e, ERR_NOT_FOUND, "there is no rollout \"%s\"", id);

    if (rc == ERR_OK)
        rc = devices_json(db, &r, a, &devices, e);
    if (rc == ERR_OK)
        *ret = rollout_json(&r, devices);
    return rc;
}

static enum err_code pass(struct db *db, const struct rollout_row *r, const char *holder,
                          int64_t term, struct arena *a, struct err *e)
{
    struct rollout_device *d = NULL;
    size_t n = 0, on_the_way = 0, failed = 0;
    bool done = false;
    enum err_code rc = rollout_store_devices(db, r->id, a, &d, &n, e);

    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        const char *s = state_of(&d[i]);
        on_the_way +=
            strcmp(s, "queued") == 0 || strcmp(s, "offered") == 0 || strcmp(s, "fetched") == 0;
        failed += strcmp(s, "rejected") == 0 || strcmp(s, "reverted") == 0 ||
                  strcmp(s, "degraded") == 0 || strcmp(s, "interrupted") == 0;
    }
    if (rc != ERR_OK || on_the_way > 0)
        return rc;
    rc = rollout_store_end(db, r->id, failed > 0 ? "halted" : "completed", holder, term, &done, e);
    if (rc == ERR_OK && done)
        log_event(LOG_LEVEL_INFO, "rollout.ended", KV_STR("rollout", r->id), KV_INT("pub", r->pub),
                  KV_INT("devices", n), KV_INT("failed", failed));
    return rc;
}

enum err_code rollout_engine(struct db *db, const char *holder, int64_t term, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(256 * MIB);
    struct rollout_row *v = NULL;
    size_t n = 0;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                 : rollout_store_running(db, a, &v, &n, e);

    for (size_t i = 0; i < n && rc == ERR_OK; i++)
        rc = pass(db, &v[i], holder, term, a, e);
    return rc;
}
