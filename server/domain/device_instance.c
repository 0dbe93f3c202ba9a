#include "domain/device_instance.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "domain/change.h"
#include "domain/command.h"
#include "domain/device.h"
#include "domain/fleet_cache.h"
#include "domain/issue.h"
#include "domain/page.h"
#include "store/command_store.h"
#include "store/fleet_store.h"
#include "store/identity_store.h"

#include <stdio.h>

enum { ROTATE_EXPIRES_S = 7 * 86400, EVENTS_MAX = 100 };

const char *const instance_decision_names[] = {"keep", "clear", NULL};

/* --- what was found --- */

struct found {
    const char *id;
    struct instances i;
    struct arena *a;
};

static json_t *instance_json(const struct instance *one)
{
    return json_pack("{s:s,s:s,s:I,s:o}", "boot", one->boot, "machine", one->machine, "seq",
                     (json_int_t)one->seq, "seen_at", time_json(one->seen_ms));
}

static json_t *fork_json(const struct instances *i)
{
    return json_pack("{s:o,s:s,s:s,s:[o,o]}", "since", time_json(clock_wall_ms()), "machine",
                     i->keep_machine, "boot", i->keep_boot, "instances", instance_json(&i->before),
                     instance_json(&i->now));
}

static bool in_service(const struct device *d)
{
    return strcmp(d->state, "observing") == 0 || strcmp(d->state, "managed") == 0 ||
           strcmp(d->state, "held") == 0 || strcmp(d->state, "quarantined") == 0;
}

static enum err_code audit(struct db *db, const struct actor *by, const char *action,
                           const char *id, const json_t *detail, struct err *e)
{
    char object[64];

    (void)snprintf(object, sizeof object, "device/%s", id);
    return audit_append(db, by, action, object, detail, e);
}

static enum err_code reverted(struct db *db, const struct found *f, const struct device *d,
                              struct err *e)
{
    struct actor by = ACTOR_SYSTEM;
    AUTO(json_free)
    json_t *detail = json_pack("{s:s,s:s,s:I}", "name", d->name, "boot", f->i.now.boot, "seq",
                               (json_int_t)f->i.now.seq);
    enum err_code rc = identity_store_reverted(db, d->id, e);

    return rc == ERR_OK ? audit(db, &by, "device.reverted", d->id, detail, e) : rc;
}

static enum err_code forked(struct db *db, const struct found *f, const struct device *d,
                            struct err *e)
{
    struct actor by = ACTOR_SYSTEM;
    AUTO(json_free) json_t *fork = fork_json(&f->i);
    bool decided = f->i.keep_machine[0] != '\0';
    enum err_code rc = fork == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;

    if (rc == ERR_OK)
        rc = identity_store_fork(db, d->id, fork, decided ? d->state : "quarantined", e);
    if (rc == ERR_OK)
        rc = fleet_store_note(db, "device", d->id, e);
    return rc == ERR_OK ? audit(db, &by, "device.fork", d->id, fork, e) : rc;
}

static enum err_code found_tx(struct db *db, void *ctx, struct err *e)
{
    struct found *f = ctx;
    struct device d;
    enum err_code rc = device_store_lock(db, f->id, f->a, &d, e);

    if (rc == ERR_NOT_FOUND)
        return ERR_OK;
    if (rc != ERR_OK || !in_service(&d))
        return rc;
    if (f->i.event == INSTANCE_REVERTED)
        return reverted(db, f, &d, e);
    return d.fork == NULL ? forked(db, f, &d, e) : ERR_OK;
}

enum err_code device_instance_events(struct db *db, struct app *app, struct err *e)
{
    enum err_code rc = ERR_OK;
    char id[37];

    for (int n = 0; n < EVENTS_MAX && rc == ERR_OK; n++) {
        AUTO(arena_free) struct arena *a = arena_new(4 * MIB);
        struct found f = {.id = id, .a = a};
        if (a == NULL)
            return err_set(e, ERR_NO_MEMORY, "out of memory");
        if (!fleet_take_event(app->fleet, id, &f.i))
            return ERR_OK;
        rc = tx_run(db, "device.instance", found_tx, &f, e);
        fleet_event_done(app->fleet, id, f.i.event, rc == ERR_OK);
        if (rc == ERR_OK && f.i.event == INSTANCE_FORK) {
            log_event(LOG_LEVEL_WARN, "device.fork", KV_STR("device", id),
                      KV_STR("boot", f.i.now.boot), KV_STR("other", f.i.before.boot));
            (void)issue_committed(db, app, NULL);
        } else if (rc == ERR_OK) {
            log_event(LOG_LEVEL_WARN, "device.reverted", KV_STR("device", id),
                      KV_STR("boot", f.i.now.boot));
            fleet_set_status(app->fleet, id, "");
        }
    }
    return rc;
}

/* --- what people see --- */

static void add_item(json_t *items, const struct device *d, const struct instances *rule,
                     const json_t *one)
{
    const char *boot = json_str(one, "boot", ""), *machine = json_str(one, "machine", "");
    bool waits = rule->keep_boot[0] == '\0' && rule->keep_machine[0] == '\0';
    json_t *j = json_deep_copy(one);

    if (boot[0] == '\0' || j == NULL) {
        json_decref(j);
        return;
    }
    (void)json_object_set_new(j, "enrolled", json_boolean(strcmp(machine, d->fingerprint) == 0));
    (void)json_object_set_new(j, "verdict",
                              json_string(!rule->forked                              ? "goes-on"
                                          : waits                                    ? "waits"
                                          : instances_set_aside(rule, boot, machine) ? "set-aside"
                                                                                     : "goes-on"));
    (void)json_array_append_new(items, j);
}

/* The rule as stored, and what this parent heard since. */
static void rule_of(const struct app *app, const struct device *d, struct instances *rule)
{
    *rule = (struct instances){0};
    if (app->fleet != NULL)
        (void)fleet_instances(app->fleet, d->id, rule);
    rule->forked = d->fork != NULL;
    text_copy(rule->keep_machine, sizeof rule->keep_machine, json_str(d->fork, "machine", ""));
    text_copy(rule->keep_boot, sizeof rule->keep_boot, json_str(d->fork, "boot", ""));
}

static json_t *items_json(const struct device *d, const struct instances *rule)
{
    json_t *items = json_array(), *v;
    size_t i;

    if (rule->now.boot[0] == '\0' &&
        d->fork != NULL) { /* none was heard since this parent started */
        json_array_foreach(json_object_get(d->fork, "instances"), i, v) add_item(items, d, rule, v);
        return items;
    }
    if (rule->forked) {
        v = instance_json(&rule->before);
        add_item(items, d, rule, v);
        json_decref(v);
    }
    v = instance_json(&rule->now);
    add_item(items, d, rule, v);
    json_decref(v);
    return items;
}

static bool machine_changed(const struct device *d, const struct instances *rule)
{
    return !rule->forked && rule->now.machine[0] != '\0' &&
           strcmp(rule->now.machine, d->fingerprint) != 0;
}

json_t *device_instance_json(const struct app *app, const struct device *d)
{
    struct instances rule;

    rule_of(app, d, &rule);
    return json_pack("{s:b,s:o,s:o,s:o,s:b,s:o}", "forked", rule.forked, "since",
                     rule.forked ? json_string(json_str(d->fork, "since", "")) : json_null(),
                     "keeps",
                     !rule.forked                   ? json_null()
                     : rule.keep_boot[0] != '\0'    ? json_string("instance")
                     : rule.keep_machine[0] != '\0' ? json_string("machine")
                                                    : json_string("nobody"),
                     "reverted_at", time_json(d->reverted_ms), "machine_changed",
                     machine_changed(d, &rule), "items", items_json(d, &rule));
}

static void add_condition(json_t *out, const char *reason, const char *since, const char *message)
{
    (void)json_array_append_new(
        out, json_pack("{s:s,s:s,s:s,s:s,s:s}", "type", "IdentityUnique", "status",
                       strcmp(reason, "Reverted") == 0 ? "True" : "False", "reason", reason,
                       "message", message, "since", since));
}

json_t *device_instance_conditions(const struct app *app, const struct device *d)
{
    json_t *out = json_array();
    char since[CLOCK_TEXT_SIZE];
    struct instances rule;

    rule_of(app, d, &rule);
    if (rule.forked && rule.keep_machine[0] == '\0' && rule.keep_boot[0] == '\0')
        add_condition(out, "Fork", json_str(d->fork, "since", ""),
                      "two machines use this device's identity and nothing tells which is the "
                      "original: both keep what they run until you decide (inarictl instances)");
    else if (rule.forked)
        add_condition(out, "Fork", json_str(d->fork, "since", ""),
                      "two machines use this device's identity: one goes on, the other is set "
                      "aside and keeps what it runs; decide with inarictl instances");
    else if (machine_changed(d, &rule)) {
        clock_format(rule.now.seen_ms, since);
        add_condition(out, "MachineChanged", since,
                      "it runs on another machine than it was enrolled on; if that is meant: "
                      "inarictl instances NAME clear");
    } else if (d->reverted_ms != 0) {
        clock_format(d->reverted_ms, since);
        add_condition(out, "Reverted", since,
                      "an older snapshot of it came back and was brought up to date");
    }
    return out;
}

/* --- what people decide --- */

struct deciding {
    struct app *app;
    const char *ref, *boot, *reason;
    enum instance_decision what;
    const struct actor *by;
    struct arena *a;
    struct instances rule;
    json_t *json;
    char id[37], order[UUID_TEXT_SIZE];
};

/* The start that is named, from what this parent heard and from what was stored. */
static bool find_boot(const struct device *d, const struct instances *rule, const char *boot,
                      char ret_machine[65])
{
    AUTO(json_free) json_t *items = items_json(d, rule);
    size_t i;
    json_t *v;

    json_array_foreach(items, i, v)
    {
        if (strcmp(json_str(v, "boot", ""), boot) != 0)
            continue;
        text_copy(ret_machine, 65, json_str(v, "machine", ""));
        return true;
    }
    return false;
}

static bool two_machines(const struct instances *rule)
{
    return rule->now.machine[0] != '\0' && strcmp(rule->now.machine, rule->before.machine) != 0;
}

/* The one that goes on gets a new key, and with it the other has none. */
static enum err_code order_rotation(struct db *db, struct deciding *x, const struct device *d,
                                    struct err *e)
{
    AUTO(json_free) json_t *args = json_object();
    struct command_row c = {.id = x->order,
                            .device_id = d->id,
                            .kind = "rotate-key",
                            .args = args,
                            .reason = x->reason,
                            .by = x->by->name,
                            .expires_ms = clock_wall_ms() + (int64_t)ROTATE_EXPIRES_S * 1000};

    return command_store_insert(db, &c, e);
}

/* Undecided it was quarantined.  Any other state is somebody's decision about something else. */
static const char *state_after(const struct device *d)
{
    if (strcmp(d->state, "quarantined") != 0)
        return d->state;
    if (d->held_until_ms != 0) /* that it is over by now, the job thread finds */
        return "held";
    return strcmp(d->mode, "manage") == 0 ? "managed" : "observing";
}

static enum err_code keep(struct db *db, struct deciding *x, const struct device *d, struct err *e)
{
    AUTO(json_free) json_t *fork = NULL;
    char machine[65] = "";
    enum err_code rc;

    if (d->fork == NULL)
        return err_set(e, ERR_CONFLICT,
                       "device \"%s\" has one instance: there is nothing to decide", d->name);
    if (x->boot == NULL || !find_boot(d, &x->rule, x->boot, machine))
        return err_field(e, ERR_INVALID, "/boot",
                         "name one of the instances that inarictl instances shows");
    fork = json_deep_copy(d->fork);
    (void)json_object_set_new(fork, "machine", json_string(two_machines(&x->rule) ? machine : ""));
    (void)json_object_set_new(fork, "boot", json_string(two_machines(&x->rule) ? "" : x->boot));
    rc = identity_store_fork(db, d->id, fork, state_after(d), e);
    if (rc == ERR_OK && machine[0] != '\0')
        rc = identity_store_machine(db, d->id, machine, e);
    return rc == ERR_OK ? order_rotation(db, x, d, e) : rc;
}

static enum err_code clear(struct db *db, struct deciding *x, const struct device *d, struct err *e)
{
    const char *machine = x->rule.now.machine;
    enum err_code rc;

    if (d->fork == NULL && !machine_changed(d, &x->rule))
        return err_set(e, ERR_CONFLICT,
                       "device \"%s\" has one instance: there is nothing to decide", d->name);
    rc = identity_store_fork(db, d->id, NULL, state_after(d), e);
    /* While two speak nobody knows whose machine it is: then the enrolled one stays. */
    if (rc == ERR_OK && d->fork == NULL && machine[0] != '\0')
        rc = identity_store_machine(db, d->id, machine, e);
    return rc;
}

static enum err_code decide_tx(struct db *db, void *ctx, struct err *e)
{
    struct deciding *x = ctx;
    struct device d;
    int64_t version = 0;
    enum err_code rc = device_store_lock(db, x->ref, x->a, &d, e);
    AUTO(json_free) json_t *detail = NULL;

    if (rc != ERR_OK)
        return rc;
    text_copy(x->id, sizeof x->id, d.id);
    if (!in_service(&d))
        return err_set(e, ERR_CONFLICT, "device \"%s\" is %s: reinstate or approve it first",
                       d.name, d.state);
    rule_of(x->app, &d, &x->rule);
    rc = x->what == INSTANCE_KEEP ? keep(db, x, &d, e) : clear(db, x, &d, e);
    if (rc == ERR_OK)
        rc = fleet_store_note(db, "device", d.id, e);
    json_decref(x->json);
    x->json = NULL;
    if (rc == ERR_OK)
        rc = device_get(db, x->app, d.id, x->a, &x->json, &version, e);
    detail = json_pack("{s:s,s:s,s:s*,s:s}", "name", d.name, "decision",
                       instance_decision_names[x->what], "boot", x->boot, "reason", x->reason);
    return rc == ERR_OK ? audit(db, x->by, "device.instances", d.id, detail, e) : rc;
}

enum err_code device_instance_decide(struct db *db, struct app *app, const char *ref,
                                     enum instance_decision what, const char *boot,
                                     const char *reason, const struct actor *by, bool dry_run,
                                     struct arena *a, json_t **ret, struct err *e)
{
    struct deciding x = {
        .app = app, .ref = ref, .boot = boot, .reason = reason, .what = what, .by = by, .a = a};
    enum err_code rc;

    uuid7(x.order);
    rc = change_run(db, "device.instances", dry_run, decide_tx, &x, e);
    if (rc != ERR_OK) {
        json_decref(x.json);
        return rc;
    }
    if (!dry_run)
        (void)issue_committed(db, app, NULL);
    *ret = x.json;
    return ERR_OK;
}

enum err_code device_instance_check(const struct app *app, const char *device_id, const char *boot,
                                    struct err *e)
{
    const struct instance *one;
    struct instances rule;

    if (app->fleet == NULL || !fleet_instances(app->fleet, device_id, &rule) || !rule.forked)
        return ERR_OK;
    one = boot == NULL                          ? NULL
          : strcmp(boot, rule.now.boot) == 0    ? &rule.now
          : strcmp(boot, rule.before.boot) == 0 ? &rule.before
                                                : NULL;
    if (one != NULL && !instances_set_aside(&rule, one->boot, one->machine))
        return ERR_OK;
    return err_set(e, ERR_IDENTITY_FORK, "two machines use the identity of device \"%s\"",
                   device_id);
}
