#include "domain/drift.h"

#include "base/clock.h"
#include "domain/command.h"
#include "domain/device.h"
#include "domain/drift_policy.h"
#include "domain/revision.h"
#include "store/drift_store.h"

#include <stdio.h>
#include <stdlib.h>

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

/* The layer that wins, as explain has it, without its value: that is "expected".  Of a list the one
 * that was edited last. */
static enum err_code set_by(struct db *db, const char *device, const struct setting *s,
                            enum lang lang, json_t **ret, struct err *e)
{
    static const char *const names[] = {"layer", "name", "pub", "author", "reason", "at"};
    AUTO(json_free) json_t *all = NULL;
    const json_t *chosen = NULL;
    size_t i;
    json_t *v;
    enum err_code rc = settings_explain(db, device, s->key, lang, &all, e);

    if (rc != ERR_OK)
        return rc;
    json_array_foreach(json_object_get(all, "layers"), i, v)
    {
        bool list = s->value.type == SET_LIST;
        if (list ? json_int(v, "pub", 0) >= json_int(chosen, "pub", 0)
                 : json_bool(v, "wins", false))
            chosen = v;
    }
    if (chosen == NULL)
        return ERR_OK;
    *ret = json_object();
    for (size_t k = 0; k < COUNT_OF(names); k++) {
        json_t *m = json_object_get(chosen, names[k]);
        (void)json_object_set_new(*ret, names[k], m == NULL ? json_null() : json_incref(m));
    }
    return ERR_OK;
}

struct listing {
    struct db *db;
    const struct device *d;
    enum lang lang;
    json_t *policy, *items; /* policy: drift_policy_make() */
    struct drift_adoption *adoptions;
    size_t n_adoptions;
};

static json_t *adoption_json(const struct listing *l, const char *name, const json_t *row)
{
    char at[CLOCK_TEXT_SIZE];

    for (size_t i = 0; i < l->n_adoptions; i++) {
        const struct drift_adoption *x = &l->adoptions[i];
        if (strcmp(x->item, name) != 0 || strcmp(x->since, json_str(row, "since", "")) != 0)
            continue;
        clock_format(x->at_ms, at);
        return json_pack("{s:o,s:o,s:s}", "draft",
                         x->draft_id[0] == '\0' ? json_null() : json_string(x->draft_id), "problem",
                         x->problem[0] == '\0' ? json_null() : json_string(x->problem), "at", at);
    }
    return json_null();
}

static enum err_code add_item(struct listing *l, const json_t *row, struct err *e)
{
    static const char *const names[] = {
        "file",   "item",  "expected", "found",           "since",
        "action", "tries", "problem",  "file_changed_at", "file_owner"};
    const struct setting *s = drift_setting_of(row);
    json_t *out = json_object(), *by = NULL;
    char name[1200];
    enum err_code rc = ERR_OK;

    drift_item_name(row, name, sizeof name);
    (void)json_object_set_new(out, "name", json_string(name));
    for (size_t k = 0; k < COUNT_OF(names); k++) {
        json_t *m = json_object_get(row, names[k]);
        (void)json_object_set_new(out, names[k], m == NULL ? json_null() : json_incref(m));
    }
    (void)json_object_set_new(out, "policy", json_string(drift_policy_of(l->policy, name)));
    if (s != NULL && json_array_size(l->items) < DRIFT_EXPLAINED_MAX)
        rc = set_by(l->db, l->d->id, s, l->lang, &by, e);
    (void)json_object_set_new(out, "key", s == NULL ? json_null() : json_string(s->key));
    (void)json_object_set_new(out, "label",
                              s == NULL ? json_null() : json_string(s->label[l->lang]));
    (void)json_object_set_new(out, "set_by", by == NULL ? json_null() : by);
    (void)json_object_set_new(out, "adoption", adoption_json(l, name, row));
    return json_array_append_new(l->items, out) == 0 ? rc : no_memory(e);
}

/* What the device reported, as a number that changes when an item or a value does. */
static bool version_of(const json_t *rows, int64_t *ret)
{
    AUTO(json_free) json_t *seen = json_array();
    char sum[65];
    size_t i;
    json_t *v;

    json_array_foreach(rows, i, v)
    {
        (void)json_array_append_new(
            seen, json_pack("[O?,O?,O?,O?]", json_object_get(v, "file"), json_object_get(v, "item"),
                            json_object_get(v, "expected"), json_object_get(v, "found")));
    }
    if (seen == NULL || !json_digest(seen, sum))
        return false;
    sum[12] = '\0'; /* 48 bits */
    *ret = (int64_t)strtoll(sum, NULL, 16) + 1;
    return true;
}

static enum err_code read_device(struct db *db, const char *ref, struct arena *a, struct device *d,
                                 struct err *e)
{
    enum err_code rc = device_store_get(db, ref, a, d, e);

    return rc == ERR_OK && d->status == NULL
               ? err_set(e, ERR_NOT_FOUND, "device \"%s\" has sent no status yet", ref)
               : rc;
}

enum err_code drift_list(struct db *db, const char *ref, enum lang lang, struct arena *a,
                         json_t **ret, int64_t *ret_version, struct err *e)
{
    AUTO(json_free) json_t *items = json_array(), *policy = NULL, *settings = NULL;
    struct listing l = {.db = db, .lang = lang, .items = items};
    char at[CLOCK_TEXT_SIZE];
    struct device d;
    size_t i;
    json_t *v;
    enum err_code rc = read_device(db, ref, a, &d, e);

    if (rc == ERR_OK)
        rc = device_effective(db, d.id, a, &settings, e);
    if (rc == ERR_OK)
        rc = drift_store_list(db, d.id, a, &l.adoptions, &l.n_adoptions, e);
    if (rc != ERR_OK)
        return rc;
    l.d = &d;
    l.policy = policy = drift_policy_make(json_object_get(settings, "settings"), d.drift);
    if (policy == NULL || !version_of(json_object_get(d.status, "drift"), ret_version))
        return no_memory(e);
    json_array_foreach(json_object_get(d.status, "drift"), i, v)
    {
        if (rc == ERR_OK)
            rc = add_item(&l, v, e);
    }
    if (rc != ERR_OK)
        return rc;
    clock_format(d.status_ms, at);
    *ret = json_pack("{s:{s:s,s:s},s:s,s:s,s:s,s:O}", "device", "id", d.id, "name", d.name,
                     "policy", json_str(policy, "postfix", "report"), "policy_set", d.drift,
                     "received_at", at, "items", items);
    return *ret != NULL ? ERR_OK : no_memory(e);
}

/* --- an order --- */

static bool is_drift(const json_t *rows, const char *name)
{
    char other[1200];
    size_t i;
    json_t *v;

    json_array_foreach(rows, i, v)
    {
        drift_item_name(v, other, sizeof other);
        if (strcmp(other, name) == 0)
            return true;
    }
    return false;
}

enum err_code drift_enforce_order(struct db *db, struct app *app, const char *ref,
                                  const struct drift_order *o, struct arena *a, struct findings *f,
                                  json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *args = json_object();
    const struct command_order order = {COMMAND_DRIFT_ENFORCE, args,  o->reason,
                                        COMMAND_EXPIRES_S,     o->by, o->dry_run};
    struct device d;
    size_t i;
    json_t *v;
    enum err_code rc = read_device(db, ref, a, &d, e);

    if (rc != ERR_OK)
        return rc;
    json_array_foreach(o->items, i, v)
    {
        char pointer[40];
        const char *name = json_is_string(v) ? json_string_value(v) : "";
        (void)snprintf(pointer, sizeof pointer, "/items/%zu", i);
        if (!is_drift(json_object_get(d.status, "drift"), name))
            (void)finding_add(f, F_P14_DRIFT_GONE, pointer, name, NULL, NULL, NULL);
    }
    if (f->errors > 0)
        return err_set(e, ERR_INVALID, "%zu of the items are no drift", f->errors);
    if (o->items != NULL)
        (void)json_object_set(args, "items", (json_t *)(uintptr_t)o->items);
    return command_give(db, app, d.id, &order, a, ret, e);
}
