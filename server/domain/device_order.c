/* Orders of administrators about a device: one transaction with row lock, new bundle, change note
 * and audit entry. */
#include "domain/change.h"
#include "domain/check.h"
#include "domain/device.h"
#include "domain/enrol.h"
#include "domain/issue.h"
#include "store/device_store.h"
#include "store/fleet_store.h"
#include "store/identity_store.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const device_mode_names[] = {"observe", "manage", NULL};
const char *const device_placement_names[] = {"edge", "inner", NULL};
const char *const device_drift_names[] = {"inherit", "report", "enforce", "adopt", NULL};
const char *const device_as_names[] = {"new", "replacement", NULL};

enum { AS_NEW, AS_REPLACEMENT };

struct run {
    struct app *app;
    const char *ref;
    const struct device_order *o;
    struct arena *a;
    struct device d; /* as it becomes */
    char id[37];
    bool replaced; /* id is another device: the one whose place d has taken */
    json_t *json;  /* the device afterwards, read inside the transaction: a dry run shows what would
                      be */
};

static bool is(const struct device *d, const char *state)
{
    return strcmp(d->state, state) == 0;
}

static bool in_service(const struct device *d)
{
    return is(d, "observing") || is(d, "managed") || is(d, "held") || is(d, "quarantined");
}

static enum err_code not_now(const struct device *d, const char *what, struct err *e)
{
    return err_set(e, ERR_CONFLICT, "device \"%s\" is %s: it cannot be %s", d->name, d->state,
                   what);
}

static const char *state_by_mode(const struct device *d)
{
    return strcmp(d->mode, "manage") == 0 ? "managed" : "observing";
}

static enum err_code change(struct run *r, struct err *e)
{
    struct device *d = &r->d;

    if (r->o->name != NULL) {
        if (!device_name_ok(r->o->name))
            return err_field(e, ERR_INVALID, "/name",
                             "a name has 1 to 63 of a-z, 0-9, \".\", \"-\" and \"_\" and is not "
                             "shaped like an id");
        d->name = r->o->name;
    }
    if (r->o->mode >= 0) {
        if (!in_service(d))
            return not_now(d, "given a mode", e);
        d->mode = device_mode_names[r->o->mode];
        if (!is(d, "held") && !is(d, "quarantined"))
            d->state = state_by_mode(d);
    }
    if (r->o->placement >= 0)
        d->placement = device_placement_names[r->o->placement];
    if (r->o->drift >= 0)
        d->drift = device_drift_names[r->o->drift];
    return ERR_OK;
}

static enum err_code hold(struct run *r, struct err *e)
{
    if (!in_service(&r->d))
        return not_now(&r->d, "held", e);
    r->d.state = "held";
    r->d.held_until_ms = clock_wall_ms() + r->o->minutes * 60000;
    r->d.held_reason = r->o->reason;
    return ERR_OK;
}

static enum err_code release(struct run *r, struct err *e)
{
    if (!is(&r->d, "held"))
        return not_now(&r->d, "released", e);
    r->d.state = state_by_mode(&r->d);
    r->d.held_until_ms = 0;
    r->d.held_reason = "";
    r->d.offered_rev = r->d.desired_rev;
    return ERR_OK;
}

/* Who looks like a device that is known is not let in by the way. */
static enum err_code check_as(const struct run *r, struct err *e)
{
    if (!is(&r->d, "pending") && !is(&r->d, "reattach"))
        return not_now(&r->d, "approved", e);
    if (r->o->as < 0 && r->d.replaces != NULL)
        return err_field(e, ERR_INVALID, "/as",
                         "this machine seems to be device \"%s\" installed anew: say whether it is "
                         "a replacement or new",
                         json_str(r->d.replaces, "name", ""));
    if (r->o->as == AS_REPLACEMENT && r->d.replaces == NULL)
        return err_field(e, ERR_INVALID, "/as", "there is no device that it would replace");
    return ERR_OK;
}

static enum err_code approve(struct run *r, struct err *e)
{
    AUTO_STR char *receipt = NULL;
    enum err_code rc = check_as(r, e);

    if (rc != ERR_OK || r->o->as == AS_REPLACEMENT)
        return rc;
    rc = enrol_receipt(r->app, r->d.id, r->d.kid, r->o->by->name, &receipt, e);
    if (rc != ERR_OK)
        return rc;
    r->d.state = state_by_mode(&r->d);
    r->d.approver = r->o->by->name;
    r->d.receipt = arena_strdup(r->a, receipt);
    return r->d.receipt == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}

/* Tokens of the generation before end with it. */
static enum err_code put_away(struct run *r, const char *state, struct err *e)
{
    if (is(&r->d, state) || is(&r->d, "retired"))
        return not_now(&r->d, state, e);
    r->d.state = state;
    r->d.gen++;
    return ERR_OK;
}

static enum err_code decide(struct run *r, struct err *e)
{
    switch (r->o->what) {
    case ORDER_CHANGE:
        return change(r, e);
    case ORDER_HOLD:
        return hold(r, e);
    case ORDER_RELEASE:
        return release(r, e);
    case ORDER_APPROVE:
        return approve(r, e);
    case ORDER_REJECT:
        return is(&r->d, "pending") || is(&r->d, "reattach") ? put_away(r, "rejected", e)
                                                             : not_now(&r->d, "rejected", e);
    case ORDER_REVOKE:
        return put_away(r, "revoked", e);
    case ORDER_RETIRE:
        return put_away(r, "retired", e);
    case ORDER_REINSTATE:
        if (!is(&r->d, "revoked"))
            return not_now(&r->d, "reinstated", e);
        r->d.state = "pending";
        r->d.mode = "observe"; /* nobody knows what was done to it meanwhile */
        return ERR_OK;
    case ORDER_DELETE:
        return is(&r->d, "retired") || is(&r->d, "rejected")
                   ? ERR_OK
                   : not_now(&r->d, "deleted before it is retired", e);
    }
    return err_set(e, ERR_INTERNAL, "no such order");
}

static enum err_code audit(struct db *db, const struct run *r, const struct device *before,
                           struct err *e)
{
    static const char *const actions[] = {"device.change", "device.hold",    "device.release",
                                          "device.revoke", "device.approve", "device.reject",
                                          "device.retire", "device.delete",  "device.reinstate"};
    AUTO(json_free)
    json_t *detail =
        json_pack("{s:{s:s,s:s,s:s,s:s,s:s},s:{s:s,s:s,s:s,s:s,s:s}}", "before", "name",
                  before->name, "state", before->state, "mode", before->mode, "placement",
                  before->placement, "drift", before->drift, "after", "name", r->d.name, "state",
                  r->d.state, "mode", r->d.mode, "placement", r->d.placement, "drift", r->d.drift);
    char object[64];

    if (r->o->reason != NULL && detail != NULL)
        (void)json_object_set_new(detail, "reason", json_string(r->o->reason));
    if (r->o->what == ORDER_HOLD && detail != NULL)
        (void)json_object_set_new(detail, "minutes", json_integer(r->o->minutes));
    (void)snprintf(object, sizeof object, "device/%s", r->d.id);
    return audit_append(db, r->o->by, actions[r->o->what], object, detail, e);
}

/* The rest of the order is about the device that was replaced. */
static enum err_code replace(struct db *db, struct run *r, struct err *e)
{
    enum err_code rc = enrol_replace(db, r->app, &r->d, r->o->by, r->a, r->id, e);

    if (rc == ERR_OK)
        rc = issue_reissue(db, r->app, (const char *const[]){r->id}, 1, r->a, e);
    if (rc == ERR_OK) /* last: see revision_store.c */
        rc = fleet_store_note(db, "device", r->d.id, e);
    r->replaced = rc == ERR_OK;
    return rc;
}

static enum err_code store(struct db *db, struct run *r, struct err *e)
{
    enum err_code rc;

    if (r->o->what == ORDER_APPROVE && r->o->as == AS_REPLACEMENT)
        return replace(db, r, e);
    if (r->o->what == ORDER_DELETE)
        return device_store_delete(db, r->d.id, e);
    rc = device_store_save(db, &r->d, e);
    if (rc == ERR_OK && r->o->what == ORDER_APPROVE)
        rc = identity_store_is_new(db, r->d.id, e);
    if (rc == ERR_CONFLICT)
        return err_field(e, ERR_CONFLICT, "/name", "another device has the name \"%s\"", r->d.name);
    if (rc == ERR_OK && in_service(&r->d))
        rc = issue_reissue(db, r->app, (const char *const[]){r->d.id}, 1, r->a, e);
    return rc;
}

/* Would the device, with what is published, refuse to be managed like that? */
static enum err_code check_plan(struct db *db, const struct run *r, const struct device *before,
                                struct err *e)
{
    bool manage = strcmp(r->d.mode, "manage") == 0 && in_service(&r->d);
    bool same =
        strcmp(before->mode, r->d.mode) == 0 && strcmp(before->placement, r->d.placement) == 0;
    struct findings *f = r->o->f;
    json_t *plan = NULL;
    enum err_code rc;

    if (f == NULL || r->o->what != ORDER_CHANGE || !manage || same)
        return ERR_OK;
    findings_clear(f);
    rc = device_plan(db, r->id, r->a, &plan, f, e);
    json_decref(plan);
    if (rc == ERR_OK && check_hard(f) > 0)
        rc = err_set(e, ERR_INVALID, "device \"%s\" cannot be managed with the published settings",
                     r->d.name);
    return rc;
}

static enum err_code order_tx(struct db *db, void *ctx, struct err *e)
{
    struct run *r = ctx;
    struct device before;
    int64_t version = 0;
    enum err_code rc = device_store_lock(db, r->ref, r->a, &r->d, e);

    if (rc != ERR_OK)
        return rc;
    before = r->d;
    r->replaced = false;
    (void)snprintf(r->id, sizeof r->id, "%s", r->d.id);
    if (r->o->version != 0 && r->o->version != r->d.version)
        return err_set(e, ERR_STALE_EDIT, "the present version is \"%lld\"",
                       (long long)r->d.version);
    rc = decide(r, e);
    if (rc == ERR_OK)
        rc = store(db, r, e);
    if (rc == ERR_OK)
        rc = check_plan(db, r, &before, e);
    if (rc == ERR_OK && r->o->what != ORDER_DELETE) {
        json_decref(r->json);
        r->json = NULL;
        rc = device_get(db, r->app, r->id, r->a, &r->json, &version, e);
    }
    if (rc == ERR_OK)
        rc = fleet_store_note(db, "device", r->id, e);
    return rc == ERR_OK && !r->replaced ? audit(db, r, &before, e) : rc;
}

enum err_code device_order_run(struct db *db, struct app *app, const char *ref,
                               const struct device_order *order, struct arena *a, json_t **ret,
                               struct err *e)
{
    struct run r = {.app = app, .ref = ref, .o = order, .a = a};
    enum err_code rc = change_run(db, "device.order", order->dry_run, order_tx, &r, e);

    if (rc != ERR_OK) {
        json_decref(r.json);
        return rc;
    }
    if (!order->dry_run) {
        log_event(LOG_LEVEL_INFO, "device.changed", KV_STR("device", r.id),
                  KV_STR("state", r.d.state), KV_STR("mode", r.d.mode));
        (void)issue_committed(db, app, NULL);
    }
    *ret = r.json;
    return ERR_OK;
}

enum err_code device_end_holds(struct db *db, struct app *app, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(16 * MIB);
    struct actor by = ACTOR_SYSTEM;
    struct device_order order = {.what = ORDER_RELEASE, .reason = "the hold is over", .by = &by};
    const char **ids = NULL;
    size_t n = 0;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                 : device_store_hold_over(db, a, &ids, &n, e);

    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        json_t *ignored = NULL;
        rc = device_order_run(db, app, ids[i], &order, a, &ignored, e);
        json_decref(ignored);
        if (rc == ERR_CONFLICT || rc == ERR_NOT_FOUND) /* released or gone meanwhile */
            rc = ERR_OK;
    }
    return rc;
}
