/* What administrators do with commands. */
#include "domain/command.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/strbuf.h"
#include "domain/change.h"
#include "domain/command_private.h"
#include "domain/fleet_cache.h"
#include "domain/page.h"
#include "store/device_store.h"
#include "store/fleet_store.h"

#include <stdio.h>

static json_t *or_null(json_t *j)
{
    return j == NULL ? json_null() : json_incref(j);
}

json_t *command_to_json(const struct command_row *c)
{
    json_t *j = json_pack("{s:s,s:{s:s,s:s},s:s,s:o,s:s,s:s,s:s}", "id", c->id, "device", "id",
                          c->device_id, "name", c->device_name, "kind", c->kind, "args",
                          c->args == NULL ? json_object() : json_incref(c->args), "reason",
                          c->reason, "state", c->state, "by", c->by);

    if (j == NULL)
        return NULL;
    (void)json_object_set_new(j, "created_at", time_json(c->created_ms));
    (void)json_object_set_new(j, "expires_at", time_json(c->expires_ms));
    (void)json_object_set_new(j, "delivered_at", time_json(c->delivered_ms));
    (void)json_object_set_new(j, "started_at", time_json(c->started_ms));
    (void)json_object_set_new(j, "ended_at", time_json(c->ended_ms));
    (void)json_object_set_new(j, "result", or_null(c->result));
    (void)json_object_set_new(j, "problem", or_null(c->problem));
    (void)json_object_set_new(j, "output_bytes", json_integer((json_int_t)c->output_bytes));
    (void)json_object_set_new(j, "version", json_integer((json_int_t)c->version));
    return j;
}

enum err_code command_find(struct db *db, const char *id, bool lock, struct arena *a,
                           struct command_row *ret, struct err *e)
{
    enum err_code rc = ERR_NOT_FOUND;

    if (uuid_is_valid(id))
        rc = lock ? command_store_lock(db, id, a, ret, e) : command_store_get(db, id, a, ret, e);
    return rc == ERR_NOT_FOUND ? err_set(e, ERR_NOT_FOUND, "there is no command \"%s\"", id) : rc;
}

enum err_code command_audit(struct db *db, const struct actor *by, const char *action,
                            const struct command_row *c, struct err *e)
{
    AUTO(json_free)
    json_t *detail =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:O?}", "device", c->device_id, "name", c->device_name,
                  "kind", c->kind, "state", c->state, "reason", c->reason, "args", c->args);
    char object[64];

    (void)snprintf(object, sizeof object, "command/%s", c->id);
    return audit_append(db, by, action, object, detail, e);
}

void command_committed(struct db *db, struct app *app)
{
    struct err e = {0};

    if (app->fleet != NULL && fleet_cache_refresh(app->fleet, db, &e) != ERR_OK)
        log_event(LOG_LEVEL_WARN, "fleet.refresh_failed", KV_STR("error", err_word(e.code)));
}

/* --- give --- */

struct giving {
    const char *ref;
    const struct command_order *o;
    struct arena *a;
    json_t *json;
    char id[UUID_TEXT_SIZE];
};

static bool in_service(const char *state)
{
    static const char *const words[] = {"observing", "managed", "held", "quarantined"};

    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strcmp(words[i], state) == 0)
            return true;
    }
    return false;
}

static enum err_code check_device(struct db *db, const struct device *d, struct err *e)
{
    int64_t open = 0;
    enum err_code rc;

    if (!in_service(d->state))
        return err_set(e, ERR_CONFLICT, "device \"%s\" is %s: it takes no commands", d->name,
                       d->state);
    rc = command_store_count_open(db, d->id, &open, e);
    if (rc == ERR_OK && open >= COMMAND_OPEN_MAX)
        return err_set(e, ERR_CONFLICT,
                       "device \"%s\" has %d commands open already; cancel some or wait", d->name,
                       COMMAND_OPEN_MAX);
    return rc;
}

static enum err_code give_tx(struct db *db, void *ctx, struct err *e)
{
    struct giving *g = ctx;
    struct device d;
    struct command_row c;
    AUTO(json_free)
    json_t *args =
        g->o->args == NULL ? json_object() : json_incref((json_t *)(uintptr_t)g->o->args);
    enum err_code rc = device_store_lock(db, g->ref, g->a, &d, e);

    if (rc == ERR_OK)
        rc = check_device(db, &d, e);
    if (rc != ERR_OK)
        return rc;
    c = (struct command_row){.id = g->id,
                             .device_id = d.id,
                             .kind = command_kind_names[g->o->kind],
                             .args = args,
                             .reason = g->o->reason,
                             .by = g->o->by->name,
                             .expires_ms = clock_wall_ms() + g->o->expires_in_s * 1000};
    rc = command_store_insert(db, &c, e);
    if (rc == ERR_OK)
        rc = command_store_get(db, g->id, g->a, &c, e);
    if (rc != ERR_OK)
        return rc;
    json_decref(g->json);
    g->json = command_to_json(&c);
    rc = fleet_store_note(db, "device", d.id, e);
    return rc == ERR_OK ? command_audit(db, g->o->by, "command.give", &c, e) : rc;
}

enum err_code command_give(struct db *db, struct app *app, const char *ref,
                           const struct command_order *o, struct arena *a, json_t **ret,
                           struct err *e)
{
    struct giving g = {.ref = ref, .o = o, .a = a};
    struct command_args args;
    enum err_code rc;

    if (o->kind == COMMAND_DRY_RUN)
        return err_field(e, ERR_INVALID, "/kind",
                         "the parent gives this order by itself: POST /drafts/{id}/dry-run");
    rc = command_args_read(o->kind, o->args, "/args", &args, e);
    if (rc != ERR_OK)
        return rc;
    uuid7(g.id);
    rc = change_run(db, "command.give", o->dry_run, give_tx, &g, e);
    if (rc != ERR_OK) {
        json_decref(g.json);
        return rc;
    }
    if (!o->dry_run) {
        log_event(LOG_LEVEL_INFO, "command.given", KV_STR("command", g.id),
                  KV_STR("kind", command_kind_names[o->kind]), KV_STR("by", o->by->name));
        command_committed(db, app);
    }
    *ret = g.json;
    return ERR_OK;
}

/* --- cancel --- */

struct cancelling {
    const char *id;
    const struct actor *by;
    struct arena *a;
    json_t *json;
};

static enum err_code cancel_tx(struct db *db, void *ctx, struct err *e)
{
    struct cancelling *x = ctx;
    struct command_row c;
    enum err_code rc = command_find(db, x->id, true, x->a, &c, e);

    if (rc == ERR_OK && command_state_of(c.state) != COMMAND_QUEUED)
        return err_set(e, ERR_CONFLICT,
                       "the command is %s: only one that the device has not taken can be cancelled",
                       c.state);
    if (rc != ERR_OK)
        return rc;
    c.state = command_state_names[COMMAND_CANCELLED];
    c.ended_ms = clock_wall_ms();
    rc = command_store_save(db, &c, e);
    if (rc != ERR_OK)
        return rc;
    c.version++;
    json_decref(x->json);
    x->json = command_to_json(&c);
    rc = fleet_store_note(db, "device", c.device_id, e);
    return rc == ERR_OK ? command_audit(db, x->by, "command.cancel", &c, e) : rc;
}

enum err_code command_cancel(struct db *db, struct app *app, const char *id, const struct actor *by,
                             bool dry_run, struct arena *a, json_t **ret, struct err *e)
{
    struct cancelling x = {.id = id, .by = by, .a = a};
    enum err_code rc = change_run(db, "command.cancel", dry_run, cancel_tx, &x, e);

    if (rc != ERR_OK) {
        json_decref(x.json);
        return rc;
    }
    if (!dry_run)
        command_committed(db, app);
    *ret = x.json;
    return ERR_OK;
}

/* --- look --- */

enum err_code command_get(struct db *db, const char *id, struct arena *a, json_t **ret,
                          int64_t *ret_version, struct err *e)
{
    struct command_row c;
    enum err_code rc = command_find(db, id, false, a, &c, e);

    if (rc != ERR_OK)
        return rc;
    *ret = command_to_json(&c);
    *ret_version = c.version;
    return ERR_OK;
}

static enum err_code check_filter(struct db *db, struct command_filter *f, struct arena *a,
                                  struct err *e)
{
    struct device d;
    enum err_code rc;

    if (f->before[0] != '\0' && !uuid_is_valid(f->before))
        return err_field(e, ERR_INVALID, "/query/cursor", "this is not a cursor of this list");
    if (f->state[0] != '\0' && command_state_of(f->state) < 0)
        return err_field(e, ERR_INVALID, "/query/state", "\"%.60s\" is not a state of a command",
                         f->state);
    if (f->kind[0] != '\0' && command_kind_of(f->kind) < 0)
        return err_field(e, ERR_INVALID, "/query/kind", "there is no command of kind \"%.60s\"",
                         f->kind);
    if (f->device_id[0] == '\0')
        return ERR_OK;
    rc = device_store_get(db, f->device_id, a, &d, e);
    if (rc == ERR_OK)
        f->device_id = d.id;
    return rc;
}

enum err_code command_list(struct db *db, const char *device, const char *state, const char *kind,
                           const char *cursor, int64_t limit, struct arena *a, json_t **ret,
                           struct err *e)
{
    struct command_filter f = {device, state, kind, cursor, limit};
    struct command_row *v = NULL;
    size_t n = 0;
    json_t *items;
    enum err_code rc = check_filter(db, &f, a, e);

    if (rc == ERR_OK)
        rc = command_store_list(db, &f, a, &v, &n, e);
    if (rc != ERR_OK)
        return rc;
    items = json_array();
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(items, command_to_json(&v[i]));
    *ret = json_pack("{s:o,s:o}", "items", items, "next",
                     n > 0 && (int64_t)n == limit ? json_string(v[n - 1].id) : json_null());
    return ERR_OK;
}

enum { PIECES = 8 };

enum err_code command_output(struct db *db, const char *id, int64_t from, struct arena *a,
                             json_t **ret, struct err *e)
{
    AUTO_STRBUF struct strbuf text = STRBUF_INIT((size_t)PIECES * COMMAND_PIECE_MAX + 1);
    struct command_row c;
    struct command_piece *v = NULL;
    size_t n = 0;
    int64_t first, next;
    enum err_code rc = command_find(db, id, false, a, &c, e);

    if (rc == ERR_OK)
        rc = command_store_output(db, id, from, PIECES, a, &v, &n, e);
    for (size_t i = 0; i < n && rc == ERR_OK; i++)
        strbuf_puts(&text, v[i].text);
    if (rc == ERR_OK)
        rc = strbuf_check(&text, e);
    if (rc != ERR_OK)
        return rc;
    first = n > 0 ? v[0].from : c.output_bytes < from ? c.output_bytes : from;
    next = first + (int64_t)text.n;
    *ret = json_pack("{s:I,s:s,s:I,s:b}", "from", (json_int_t)first, "text", strbuf_str(&text),
                     "next", (json_int_t)next, "complete",
                     command_state_of(c.state) >= COMMAND_DONE && next >= c.output_bytes);
    return *ret != NULL ? ERR_OK : err_set(e, ERR_NO_MEMORY, "out of memory");
}

/* --- time --- */

static enum err_code expire_tx(struct db *db, void *ctx, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(16 * MIB);
    const char **devices = NULL;
    size_t n = 0, *total = ctx;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                 : command_store_expire(db, a, &devices, &n, e);

    *total = n;
    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        if (i == 0 || strcmp(devices[i], devices[i - 1]) != 0)
            rc = fleet_store_note(db, "device", devices[i], e);
    }
    return rc;
}

enum err_code command_expire(struct db *db, struct app *app, struct err *e)
{
    size_t n = 0;
    enum err_code rc = tx_run(db, "command.expire", expire_tx, &n, e);

    if (rc == ERR_OK && n > 0) {
        log_event(LOG_LEVEL_INFO, "command.expired", KV_INT("count", (int64_t)n));
        command_committed(db, app);
    }
    return rc;
}
