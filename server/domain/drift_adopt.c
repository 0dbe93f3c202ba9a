/* Found values as changes of a draft (drift.h). */
#include "domain/drift.h"

#include "base/log.h"
#include "catalog/ipnet.h"
#include "domain/adopt.h"
#include "domain/device.h"
#include "domain/drift_policy.h"
#include "domain/revision.h"
#include "http/problem.h"
#include "store/drift_store.h"

#include <stdio.h>
#include <stdlib.h>

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

struct adopting {
    struct db *db;
    struct device *d;
    const struct drift_order *o;
    struct arena *a;
    const json_t *effective; /* of the device */
    const json_t *own;       /* the device's own layer, as published */
    json_t *values;          /* setting: value, for the layer's patch */
    json_t *names;           /* adopted */
};

/* --- values --- */

static bool refuse(struct findings *f, enum finding_id id, const char *pointer, const char *a0,
                   const char *a1, const char *a2)
{
    (void)finding_add(f, id, pointer, a0, a1, a2, NULL);
    return false;
}

/* "127.0.0.0/8, [::1]/128 192.0.2.1" as rows; false: something else stands there, a table or "!".
 */
static bool read_networks(const char *text, json_t *rows)
{
    while (*text != '\0') {
        size_t n = strcspn(text, ", \t"), used = 0;
        char word[64];
        struct ipnet net;

        for (size_t i = 0; i < n && used + 1 < sizeof word; i++)
            if (text[i] != '[' && text[i] != ']')
                word[used++] = text[i];
        word[used] = '\0';
        if (n > 0 && (n >= sizeof word || ipnet_parse(slice_of(word), &net) != IPNET_OK))
            return false;
        if (n > 0)
            (void)json_object_set_new(rows, word, json_object());
        text += n + (text[n] != '\0');
    }
    return true;
}

/* The rows found, and every other row that is in force taken away. */
static json_t *network_patch(const struct adopting *x, const char *key, const char *found)
{
    AUTO(json_free) json_t *rows = json_object();
    const json_t *own = json_object_get(x->own, key), *now = json_object_get(x->effective, key);
    json_t *patch, *v, *member;
    const char *net, *name;

    if (rows == NULL || !read_networks(found, rows))
        return NULL;
    patch = json_object();
    json_object_foreach(rows, net, v)
    {
        if (json_object_get(now, net) == NULL)
            (void)json_object_set_new(patch, net, json_pack("{s:n}", "$remove"));
    }
    json_object_foreach((json_t *)(uintptr_t)now, net, v)
    {
        json_t *row;
        if (json_object_get(rows, net) != NULL)
            continue;
        row = json_pack("{s:b}", "$remove", 1);
        json_object_foreach(json_object_get(own, net), name, member)
        {
            (void)json_object_set_new(row, name, json_null()); /* the marker stands alone */
        }
        (void)json_object_set_new(row, "$remove", json_true());
        (void)json_object_set_new(patch, net, row);
    }
    return patch;
}

/* A layer above the one asked for would still win. */
static bool layer_fits(const struct adopting *x, const struct setting *s, const char *name,
                       const char *pointer, struct findings *f, struct err *e)
{
    AUTO(json_free) json_t *all = NULL;
    bool fits = true;
    size_t i;
    json_t *v;

    if (x->o->to == LAYER_DEVICE)
        return true;
    if (s->value.type == SET_LIST)
        return refuse(f, F_P14_DRIFT_LIST, pointer, s->key, NULL, NULL);
    if (settings_explain(x->db, x->d->id, s->key, x->o->lang, &all, e) != ERR_OK)
        return false;
    json_array_foreach(json_object_get(all, "layers"), i, v)
    {
        const char *layer = json_str(v, "layer", "");
        bool above =
            strcmp(layer, "device") == 0 ||
            (strcmp(layer, "group") == 0 && x->o->to == LAYER_FLEET) ||
            (strcmp(layer, "group") == 0 && x->o->to == LAYER_GROUP &&
             strcmp(x->o->group, json_str(v, "id", "")) != 0 &&
             strcmp(x->o->group, json_str(v, "name", "")) != 0 && json_bool(v, "wins", false));
        if (above && fits)
            fits = refuse(f, F_P14_DRIFT_LAYER, pointer, name, layer, s->key);
    }
    return fits;
}

/* One row of the status into values; false: a finding says why not. */
static bool take(struct adopting *x, const json_t *row, const char *pointer, struct findings *f,
                 struct err *e)
{
    const struct setting *s = drift_setting_of(row);
    const char *found = json_str(row, "found", NULL);
    char name[1200], shown[200];
    json_t *value = NULL;

    drift_item_name(row, name, sizeof name);
    if (s == NULL)
        return refuse(f, F_P14_DRIFT_DERIVED, pointer, name, NULL, NULL);
    (void)snprintf(shown, sizeof shown, "%.180s", found == NULL ? "(nothing)" : found);
    if (found != NULL && strchr(found, '$') == NULL)
        value = s->value.type == SET_LIST ? network_patch(x, s->key, found)
                                          : catalog_read_text(s, found);
    if (value == NULL)
        return refuse(f, F_P14_DRIFT_VALUE, pointer, name, shown, s->key);
    if (!layer_fits(x, s, name, pointer, f, e)) {
        json_decref(value);
        return false;
    }
    if (s->value.type != SET_LIST)
        catalog_check_value(s, value, pointer, f);
    if (f->errors > 0) {
        json_decref(value);
        return false;
    }
    (void)json_object_set_new(x->values, s->key, value);
    (void)json_array_append_new(x->names, json_string(name));
    return true;
}

static const json_t *row_named(const json_t *rows, const char *name)
{
    char other[1200];
    size_t i;
    json_t *v;

    json_array_foreach(rows, i, v)
    {
        drift_item_name(v, other, sizeof other);
        if (strcmp(other, name) == 0)
            return v;
    }
    return NULL;
}

static enum err_code take_named(struct adopting *x, struct findings *f, struct err *e)
{
    const json_t *rows = json_object_get(x->d->status, "drift");
    size_t i;
    json_t *v;

    json_array_foreach(x->o->items, i, v)
    {
        const char *name = json_is_string(v) ? json_string_value(v) : "";
        const json_t *row = row_named(rows, name);
        struct findings one = {0};
        char pointer[40];
        (void)snprintf(pointer, sizeof pointer, "/items/%zu", i);
        if (row == NULL)
            (void)refuse(&one, F_P14_DRIFT_GONE, pointer, name, NULL, NULL);
        else
            (void)take(x, row, pointer, &one, e);
        for (size_t k = 0; k < one.n; k++)
            (void)finding_add(f, one.v[k].id, one.v[k].pointer, one.v[k].arg[0], one.v[k].arg[1],
                              one.v[k].arg[2], one.v[k].arg[3]);
        findings_clear(&one);
    }
    return f->errors == 0
               ? ERR_OK
               : err_set(e, ERR_INVALID, "%zu of the items cannot be taken over", f->errors);
}

/* All that can be taken over; the rest is said. */
static enum err_code take_all(struct adopting *x, json_t *skipped, struct findings *f,
                              struct err *e)
{
    size_t i;
    json_t *v;

    json_array_foreach(json_object_get(x->d->status, "drift"), i, v)
    {
        AUTO(json_free) json_t *why = NULL;
        struct findings one = {0};
        if (!take(x, v, "/items", &one, e)) {
            why = problem_findings(&one, x->o->lang);
            (void)json_array_extend(skipped, why);
            if (json_object_size(x->values) == 0)
                for (size_t k = 0; k < one.n && f->n < DRIFT_ITEMS_MAX; k++)
                    (void)finding_add(f, one.v[k].id, one.v[k].pointer, one.v[k].arg[0],
                                      one.v[k].arg[1], one.v[k].arg[2], one.v[k].arg[3]);
        }
        findings_clear(&one);
    }
    if (json_object_size(x->values) == 0)
        return f->errors > 0
                   ? err_set(e, ERR_INVALID, "none of the items can be taken over")
                   : err_field(e, ERR_INVALID, "/items",
                               "the device runs what it is given: there is nothing to take over");
    findings_clear(f);
    return ERR_OK;
}

static json_t *patch_of(const struct adopting *x)
{
    switch (x->o->to) {
    case LAYER_FLEET:
        return json_pack("{s:O}", "fleet", x->values);
    case LAYER_GROUP:
        return json_pack("{s:{s:O}}", "groups", x->o->group, x->values);
    case LAYER_DEVICE:
        break;
    }
    return json_pack("{s:{s:O}}", "devices", x->d->id, x->values);
}

enum err_code drift_adopt(struct db *db, const char *ref, const struct drift_order *o,
                          struct arena *a, struct findings *f, json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *now = NULL, *values = json_object(), *names = json_array();
    AUTO(json_free) json_t *skipped = json_array(), *patch = NULL, *draft = NULL;
    struct revision_row head;
    struct device d;
    struct adopting x = {db, &d, o, a, NULL, NULL, values, names};
    char title[128];
    enum err_code rc = device_store_get(db, ref, a, &d, e);

    if (rc == ERR_OK)
        rc = device_effective(db, d.id, a, &now, e);
    if (rc == ERR_OK)
        rc = revision_store_get(db, 0, a, &head, e);
    if (rc != ERR_OK)
        return rc;
    x.effective = json_object_get(now, "settings");
    x.own = json_object_get(json_object_get(head.content, "devices"), d.id);
    rc = o->items != NULL ? take_named(&x, f, e) : take_all(&x, skipped, f, e);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(title, sizeof title, "drift of %s", d.name);
    patch = patch_of(&x);
    rc = patch == NULL ? no_memory(e)
                       : adopt_patch(db, title, patch, o->by, o->lang, o->dry_run, f, &draft, e);
    if (rc != ERR_OK)
        return rc;
    *ret = json_pack("{s:O,s:O,s:O}", "draft", draft, "adopted", names, "skipped", skipped);
    return *ret == NULL ? no_memory(e) : ERR_OK;
}

/* --- by policy --- */

/* Who set the policy owns the drafts that come of it. */
static enum err_code owner_of(struct db *db, const struct device *d, struct arena *a,
                              const char **ret, struct err *e)
{
    AUTO(json_free) json_t *all = NULL;
    const char *author = "";
    size_t i;
    json_t *v;
    enum err_code rc = settings_explain(db, d->id, "drift.policy", LANG_EN, &all, e);

    json_array_foreach(json_object_get(all, "layers"), i, v)
    {
        if (json_bool(v, "wins", false))
            author = json_str(v, "author", "");
    }
    return rc == ERR_OK ? drift_store_owner(db, author, a, ret, e) : rc;
}

static bool known(const struct drift_adoption *v, size_t n, const char *name, const json_t *row)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i].item, name) == 0 && strcmp(v[i].found, json_str(row, "found", "")) == 0 &&
            strcmp(v[i].since, json_str(row, "since", "")) == 0)
            return true;
    return false;
}

static enum err_code adopt_one(struct db *db, const struct device *d, const json_t *row,
                               const char *name, const char *owner, struct arena *a, struct err *e)
{
    const struct actor by = {"system", "inarid", "", owner, ""};
    AUTO(json_free) json_t *items = json_pack("[s]", name), *answer = NULL;
    const struct drift_order o = {
        .items = items, .reason = "", .to = LAYER_DEVICE, .by = &by, .lang = LANG_EN};
    struct drift_adoption done = {.item = name,
                                  .found = json_str(row, "found", ""),
                                  .since = json_str(row, "since", ""),
                                  .draft_id = "",
                                  .problem = ""};
    AUTO(json_free) json_t *why = NULL;
    struct findings f = {0};
    enum err_code rc = drift_adopt(db, d->id, &o, a, &f, &answer, e);

    if (rc == ERR_OK)
        done.draft_id = json_str(json_object_get(answer, "draft"), "id", "");
    else if (rc == ERR_INVALID) {
        why = problem_findings(&f, LANG_EN);
        done.problem = json_str(json_array_get(why, 0), "message", e->msg);
    }
    findings_clear(&f);
    if (rc == ERR_OK || rc == ERR_INVALID) /* else it is tried with the next status */
        rc = drift_store_put(db, d->id, &done, e);
    if (rc == ERR_OK)
        log_event(LOG_LEVEL_INFO, "drift.adopted", KV_STR("device", d->name), KV_STR("item", name),
                  KV_STR("draft", done.draft_id), KV_STR("problem", done.problem));
    return rc;
}

/* What the device is told to do: its own word for it makes no drafts. */
static enum err_code policy_of(struct db *db, const struct device *d, struct arena *a, json_t **ret,
                               struct err *e)
{
    AUTO(json_free) json_t *now = NULL;
    enum err_code rc = device_effective(db, d->id, a, &now, e);

    if (rc == ERR_OK)
        *ret = drift_policy_make(json_object_get(now, "settings"), d->drift);
    return rc == ERR_OK && *ret == NULL ? no_memory(e) : rc;
}

void drift_adopt_by_policy(struct db *db, const struct device *d, const json_t *status)
{
    const json_t *rows = json_object_get(status, "drift");
    AUTO(arena_free) struct arena *a = NULL;
    AUTO(json_free) json_t *policy = NULL;
    struct drift_adoption *before = NULL;
    const char *owner = "";
    size_t i, n = 0, wanted = 0;
    json_t *v;
    struct err e = {0};
    enum err_code rc;

    json_array_foreach(rows, i, v) wanted += strcmp(json_str(v, "action", ""), "adopting") == 0;
    if (wanted == 0)
        return;
    a = arena_new(64 * MIB);
    rc = a == NULL ? no_memory(&e) : policy_of(db, d, a, &policy, &e);
    if (rc == ERR_OK)
        rc = drift_store_list(db, d->id, a, &before, &n, &e);
    json_array_foreach(rows, i, v)
    {
        char name[1200];
        drift_item_name(v, name, sizeof name);
        if (rc != ERR_OK || strcmp(json_str(v, "action", ""), "adopting") != 0 ||
            strcmp(drift_policy_of(policy, name), "adopt") != 0 || known(before, n, name, v))
            continue;
        if (owner[0] == '\0')
            rc = owner_of(db, d, a, &owner, &e);
        if (rc == ERR_OK && owner[0] != '\0')
            rc = adopt_one(db, d, v, name, owner, a, &e);
    }
    if (rc != ERR_OK)
        log_event(LOG_LEVEL_WARN, "drift.not_adopted", KV_STR("device", d->name),
                  KV_STR("problem", e.msg));
}
