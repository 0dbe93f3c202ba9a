#include "domain/parent.h"

#include "base/clock.h"
#include "domain/audit.h"
#include "domain/rollout.h"
#include "store/device_store.h"
#include "store/parent_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REMOVAL_NAMES = 10, REMOVAL_PAGE = 500 };

static json_t *words(const char *const *v)
{
    json_t *list = json_array();

    for (; v != NULL && *v != NULL; v++)
        (void)json_array_append_new(list, json_string(*v));
    return list;
}

static json_t *at(int64_t ms)
{
    char text[CLOCK_TEXT_SIZE];

    if (ms == 0)
        return json_null();
    clock_format(ms, text);
    return json_string(text);
}

enum err_code parent_describe(struct db *db, const struct app *app, struct arena *a, json_t **ret,
                              struct err *e)
{
    struct parent_facts f;
    json_t *heard = NULL;
    enum err_code rc = parent_store_facts(db, a, &f, e);
    int64_t end = app->certificate_end_ms == NULL ? 0 : app->certificate_end_ms();
    int64_t off = clock_own_ms() - clock_wall_ms();

    if (rc == ERR_OK)
        rc = rollout_silence_condition(db, a, &heard, e);
    if (rc != ERR_OK)
        return rc;
    *ret = json_pack(
        "{s:[o],s:s,s:s,s:I,s:s,s:o,s:o,s:I,s:b,s:I,s:I,s:O,s:b,s:b,s:{s:s,s:I,s:I},s:{s:o,s:o}}",
        "conditions", heard, "version", INARI_VERSION, "fleet", app->fleet_id, "epoch",
        (json_int_t)app->epoch, "issuer", app->issuer, "addresses", words(app->addresses), "time",
        at(clock_wall_ms()), "clock_offset_ms", (json_int_t)off, "clock_wrong",
        llabs(off) > CLOCK_WRONG_MS, "pub", (json_int_t)f.pub, "devices", (json_int_t)f.devices,
        "device_states", f.device_states, "fenced", f.fenced, "lab", app->lab, "database",
        "version", f.server_version, "size_bytes", (json_int_t)f.size_bytes, "schema",
        (json_int_t)f.schema, "certificate", "pins", words(app->tls_pins), "not_after", at(end));
    return *ret == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}

struct removal {
    bool force;
    size_t children;
    char names[700]; /* of the first ten */
};

static void count(struct removal *r, const struct device *d)
{
    size_t at = strlen(r->names);

    if (strcmp(d->state, "retired") == 0 || strcmp(d->state, "rejected") == 0 ||
        strcmp(d->state, "revoked") == 0)
        return;
    if (r->children++ < REMOVAL_NAMES)
        (void)snprintf(r->names + at, sizeof r->names - at, "%s%s", at == 0 ? "" : ", ", d->name);
}

static enum err_code removal_in_tx(struct db *db, void *ctx, struct err *e)
{
    struct removal *r = ctx;
    const struct actor by = ACTOR_SYSTEM;
    AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
    AUTO(json_free) json_t *detail = NULL;
    const struct device_filter all = {.state = "", .group = "", .text = ""};
    const char *after = "";
    struct device *v = NULL;
    size_t n = REMOVAL_PAGE;
    enum err_code rc = ERR_OK;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    r->children = 0;
    r->names[0] = '\0';
    while (rc == ERR_OK && n == REMOVAL_PAGE) {
        rc = device_store_list(db, &all, ATTENTION_PERSON, after, REMOVAL_PAGE, a, &v, &n, e);
        for (size_t i = 0; rc == ERR_OK && i < n; i++) {
            count(r, &v[i]);
            after = v[i].name;
        }
    }
    if (rc != ERR_OK || r->children == 0)
        return rc;
    if (!r->force)
        return err_set(e, ERR_CONFLICT,
                       "%zu children are registered here: %s%s; retire each of them first",
                       r->children, r->names, r->children > REMOVAL_NAMES ? " and more" : "");
    detail = json_pack("{s:I}", "children", (json_int_t)r->children);
    return audit_append(db, &by, "parent.remove_forced", "parent", detail, e);
}

enum err_code parent_may_remove(struct db *db, bool force, size_t *ret_children, struct err *e)
{
    struct removal r = {.force = force};
    enum err_code rc = tx_run(db, "parent_may_remove", removal_in_tx, &r, e);

    *ret_children = r.children;
    return rc;
}
