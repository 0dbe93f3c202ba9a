#include "domain/device.h"

#include "base/clock.h"
#include "domain/device_instance.h"
#include "domain/device_status.h"
#include "domain/fleet_cache.h"
#include "domain/issue.h"
#include "domain/page.h"
#include "plan/plan.h"
#include "store/fleet_store.h"
#include "store/revision_store.h"
#include "store/status_store.h"

#include <stdio.h>
#include <string.h>

/* The newest of what this parent saw and what any parent flushed. */
static int64_t last_seen(const struct app *app, const struct device *d, int64_t *ret_limited)
{
    struct fleet_view v;
    int64_t seen = d->seen_ms;

    *ret_limited = 0;
    if (app->fleet != NULL && fleet_get(app->fleet, d->id, &v)) {
        if (v.seen_wall_ms > seen)
            seen = v.seen_wall_ms;
        *ret_limited = v.limited;
        fleet_view_clear(&v);
    }
    return seen;
}

static const char *presence(int64_t seen_ms)
{
    int64_t age = clock_wall_ms() - seen_ms;

    if (seen_ms == 0)
        return "never";
    return age < DEVICE_LATE_MS ? "online" : age < DEVICE_LOST_MS ? "late" : "lost";
}

static json_t *part(const json_t *status, const char *name)
{
    json_t *v = json_object_get(status, name);

    return v == NULL ? json_null() : json_incref(v);
}

static json_t *desired_json(const struct device *d)
{
    if (d->digest[0] == '\0')
        return json_null();
    return json_pack("{s:I,s:I,s:I,s:s}", "epoch", (json_int_t)d->epoch, "pub", (json_int_t)d->pub,
                     "rev", (json_int_t)d->desired_rev, "digest", d->digest);
}

/* What the daemons said they run, with the revision it belongs to where one is known: read back,
 * never assumed. */
static json_t *running_json(const struct device *d)
{
    static const char *const known[] = {"on_disk", "lkg", "observed"};
    const json_t *running = json_object_get(d->status, "running");
    const char *digest = json_str(json_object_get(running, "postfix"), "digest", "");
    json_t *j = json_is_object(running) ? json_copy((json_t *)(uintptr_t)running) : json_null();

    if (digest[0] == '\0' || !json_is_object(j))
        return j;
    (void)json_object_set_new(j, "digest", json_string(digest));
    if (strcmp(digest, d->digest) == 0) {
        (void)json_object_set_new(j, "pub", json_integer(d->pub));
        (void)json_object_set_new(j, "rev", json_integer(d->desired_rev));
        return j;
    }
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        const json_t *t = json_object_get(d->status, known[i]);
        if (strcmp(json_str(t, "digest", ""), digest) != 0)
            continue;
        (void)json_object_set_new(j, "pub", json_integer(json_int(t, "pub", 0)));
        (void)json_object_set_new(j, "rev", json_integer(json_int(t, "rev", 0)));
        return j;
    }
    return j;
}

static json_t *key_json(const struct device *d)
{
    json_t *next = d->next_kid[0] == '\0'
                       ? json_null()
                       : json_pack("{s:s,s:o}", "kid", d->next_kid, "since", time_json(d->next_ms));

    return json_pack("{s:s,s:o,s:I,s:o}", "kid", d->kid, "since", time_json(d->key_ms), "rotations",
                     (json_int_t)d->key_rotations, "next", next);
}

/* What the device says of itself, and what this parent sees of it. */
static json_t *conditions_json(const struct app *app, const struct device *d)
{
    json_t *own = device_instance_conditions(app, d);
    json_t *said = json_object_get(d->status, "conditions");

    if (json_is_array(said) && own != NULL)
        (void)json_array_extend(own, said);
    return own;
}

static json_t *device_json(const struct app *app, const struct device *d)
{
    int64_t limited = 0, seen = last_seen(app, d, &limited);
    const char *agent =
        json_str(d->status, "agent_version", json_str(d->inventory, "agent_version", ""));
    json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:O,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o}", "id",
                          d->id, "name", d->name, "state", d->state, "mode", d->mode, "placement",
                          d->placement, "drift", d->drift, "groups", d->groups, "presence",
                          presence(seen), "sync", device_sync(d), "desired", desired_json(d),
                          "observed", part(d->status, "observed"), "on_disk",
                          part(d->status, "on_disk"), "running", running_json(d), "last_attempt",
                          part(d->status, "last_attempt"), "conditions", conditions_json(app, d));
    json_t *more = json_pack(
        "{s:s,s:s,s:o,s:o,s:I,s:s,s:s,s:s,s:o,s:I,s:I,s:o,s:o,s:o,s:O?,s:s?}", "agent_version",
        agent, "address", d->address, "last_seen", time_json(seen), "enrolled_at",
        time_json(d->enrolled_ms), "version", (json_int_t)d->version, "fingerprint", d->fingerprint,
        "kid", d->kid, "held_reason", d->held_reason, "held_until", time_json(d->held_until_ms),
        "offered_rev", (json_int_t)d->offered_rev, "polls_limited", (json_int_t)limited, "key",
        key_json(d), "instances", device_instance_json(app, d), "drain",
        part(json_object_get(json_object_get(d->status, "running"), "postfix"), "drain"),
        "replaces", d->replaces, "became", d->became[0] == '\0' ? NULL : d->became);

    if (j == NULL || more == NULL || json_object_update_missing(j, more) != 0) {
        json_decref(j);
        j = NULL;
    }
    json_decref(more);
    return j;
}

enum err_code device_get(struct db *db, struct app *app, const char *ref, struct arena *a,
                         json_t **ret, int64_t *ret_version, struct err *e)
{
    struct device d;
    enum err_code rc = device_store_get(db, ref, a, &d, e);

    if (rc != ERR_OK)
        return rc;
    *ret = device_json(app, &d);
    if (*ret != NULL)
        (void)json_object_set_new(*ret, "health", part(d.status, "health"));
    *ret_version = d.version;
    return *ret == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}

/* --- the list --- */

const char *const device_attention_names[] = {"person", "trouble", "look", "none", NULL};

/* A cursor by attention is "RANK.NAME", by name the name. */
static enum err_code read_cursor(const struct device_filter *f, const char *cursor,
                                 enum device_attention *ret_rank, const char **ret_after,
                                 struct err *e)
{
    *ret_rank = ATTENTION_PERSON;
    *ret_after = cursor;
    if (!f->by_attention || cursor[0] == '\0')
        return ERR_OK;
    if (cursor[0] < '0' || cursor[0] > '0' + ATTENTION_NONE || cursor[1] != '.')
        return err_field(e, ERR_INVALID, "/query/cursor", "this is not a cursor of this list");
    *ret_rank = (enum device_attention)(cursor[0] - '0');
    *ret_after = cursor + 2;
    return ERR_OK;
}

static json_t *next_json(const struct device_filter *f, const struct device *last)
{
    return f->by_attention ? json_sprintf("%d.%s", (int)last->attention, last->name)
                           : json_string(last->name);
}

enum err_code device_list(struct db *db, struct app *app, const struct device_filter *f,
                          const char *cursor, int64_t limit, struct arena *a, json_t **ret,
                          struct err *e)
{
    AUTO(json_free) json_t *items = json_array();
    enum device_attention rank = ATTENTION_PERSON;
    const char *after = "";
    struct device *v = NULL;
    size_t n = 0;
    enum err_code rc = read_cursor(f, cursor, &rank, &after, e);

    if (rc == ERR_OK)
        rc = device_store_list(db, f, rank, after, limit, a, &v, &n, e);
    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        json_t *j = device_json(app, &v[i]);
        if (f->by_attention)
            (void)json_object_set_new(j, "attention",
                                      json_string(device_attention_names[v[i].attention]));
        (void)json_array_append_new(items, j);
    }
    if (rc == ERR_OK)
        *ret = json_pack("{s:O,s:o}", "items", items, "next",
                         n > 0 && (int64_t)n == limit ? next_json(f, &v[n - 1]) : json_null());
    return rc;
}

/* --- what it reported and what it gets --- */

enum err_code device_status_get(struct db *db, const char *ref, struct arena *a, json_t **ret,
                                struct err *e)
{
    struct device d;
    json_t *doc = NULL;
    const char *jws = "";
    int64_t at = 0;
    enum err_code rc = device_store_get(db, ref, a, &d, e);

    if (rc == ERR_OK)
        rc = status_store_get(db, d.id, a, &doc, &jws, &at, e);
    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_NOT_FOUND, "device \"%s\" has sent no status yet", ref);
    if (rc == ERR_OK)
        *ret = json_pack("{s:O,s:s,s:o}", "status", doc, "jws", jws, "received_at", time_json(at));
    return rc;
}

enum err_code device_proposal_get(struct db *db, const char *ref, struct arena *a, json_t **ret,
                                  struct err *e)
{
    struct device d;
    json_t *doc = NULL;
    int64_t at = 0;
    enum err_code rc = device_store_get(db, ref, a, &d, e);

    if (rc == ERR_OK)
        rc = status_store_proposal(db, d.id, a, &doc, &at, e);
    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_NOT_FOUND, "device \"%s\" has proposed nothing yet", ref);
    if (rc == ERR_OK) {
        *ret = json_copy(doc);
        (void)json_object_set_new(*ret, "received_at", time_json(at));
    }
    return rc;
}

static enum err_code effective(struct db *db, const struct device *d, struct arena *a,
                               int64_t *ret_pub, json_t **ret, struct err *e)
{
    struct catalog_layer *layers = NULL;
    struct revision_row head = {0};
    size_t n = 0;
    enum err_code rc = revision_store_get(db, 0, a, &head, e);

    *ret_pub = head.pub;
    if (rc == ERR_OK)
        rc = issue_layers(db, head.content, d->id, a, &layers, &n, e);
    return rc == ERR_OK ? catalog_merge(layers, n, ret, e) : rc;
}

enum err_code device_effective(struct db *db, const char *ref, struct arena *a, json_t **ret,
                               struct err *e)
{
    AUTO(json_free) json_t *settings = NULL;
    struct device d;
    int64_t pub = 0;
    enum err_code rc = device_store_get(db, ref, a, &d, e);

    if (rc == ERR_OK)
        rc = effective(db, &d, a, &pub, &settings, e);
    if (rc == ERR_OK)
        *ret = json_pack("{s:I,s:O}", "pub", (json_int_t)pub, "settings", settings);
    return rc;
}

enum err_code device_bundle(struct db *db, const char *ref, struct arena *a, char **ret,
                            char ret_etag[65], struct err *e)
{
    struct device d;
    struct fleet_bundle b;
    enum err_code rc = device_store_get(db, ref, a, &d, e);

    if (rc == ERR_OK)
        rc = fleet_store_bundle(db, d.id, d.epoch, d.desired_rev, a, &b, e);
    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_NOT_FOUND, "device \"%s\" has no bundle", ref);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(ret_etag, 65, "%s", b.etag);
    *ret = strdup(b.jws);
    return *ret == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}

enum err_code device_plan(struct db *db, const char *ref, struct arena *a, json_t **ret,
                          struct findings *f, struct err *e)
{
    AUTO(json_free) json_t *settings = NULL;
    const json_t *known;
    struct plan_facts facts = {0};
    struct plan *plan = NULL;
    struct device d;
    int64_t pub = 0;
    enum err_code rc = device_store_get(db, ref, a, &d, e);

    if (rc == ERR_OK)
        rc = effective(db, &d, a, &pub, &settings, e);
    known = rc == ERR_OK ? json_object_get(d.inventory, "facts") : NULL;
    if (rc == ERR_OK && json_is_object(known))
        rc = plan_facts_from_json(known, a, &facts, e);
    if (rc == ERR_OK) {
        facts.device_id = d.id;
        facts.placement = d.placement;
        facts.now_ms = clock_wall_ms();
        rc = plan_make(settings, &facts, "", a, &plan, f, e);
    }
    if (rc == ERR_OK)
        *ret = json_pack("{s:I,s:b,s:o}", "pub", (json_int_t)pub, "facts", json_is_object(known),
                         "plan", plan == NULL || f->errors > 0 ? json_null() : plan_to_json(plan));
    return rc;
}
