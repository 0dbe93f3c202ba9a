#include "domain/drift.h"

#include "base/clock.h"
#include "catalog/catalog.h"
#include "domain/revision.h"
#include "store/device_store.h"

/* The setting that is simply this parameter of main.cf; NULL: it is derived, or a service, or a
 * table. */
static const struct setting *setting_of(const char *item)
{
    for (size_t i = 0; i < catalog_count(); i++) {
        const struct setting *s = catalog_at(i);
        if (s->param != NULL && s->param[0] != '\0' && strcmp(s->param, item) == 0)
            return s;
    }
    return NULL;
}

/* The layer that wins, as explain has it, without its value: that is "expected". */
static enum err_code set_by(struct db *db, const char *device, const struct setting *s,
                            enum lang lang, json_t **ret, struct err *e)
{
    static const char *const names[] = {"layer", "name", "pub", "author", "reason", "at"};
    AUTO(json_free) json_t *all = NULL;
    size_t i;
    json_t *v;
    enum err_code rc = settings_explain(db, device, s->key, lang, &all, e);

    if (rc != ERR_OK)
        return rc;
    json_array_foreach(json_object_get(all, "layers"), i, v)
    {
        if (!json_bool(v, "wins", false))
            continue;
        json_decref(*ret);
        *ret = json_object();
        for (size_t k = 0; k < COUNT_OF(names); k++) {
            json_t *m = json_object_get(v, names[k]);
            (void)json_object_set_new(*ret, names[k], m == NULL ? json_null() : json_incref(m));
        }
    }
    return ERR_OK;
}

static enum err_code add_item(struct db *db, const char *device, const json_t *row, enum lang lang,
                              json_t *items, struct err *e)
{
    static const char *const names[] = {"file", "item", "expected", "found", "since", "action"};
    const struct setting *s = setting_of(json_str(row, "item", ""));
    json_t *out = json_object(), *by = NULL;
    enum err_code rc = ERR_OK;

    for (size_t k = 0; k < COUNT_OF(names); k++) {
        json_t *m = json_object_get(row, names[k]);
        (void)json_object_set_new(out, names[k], m == NULL ? json_null() : json_incref(m));
    }
    if (s != NULL && json_array_size(items) < DRIFT_EXPLAINED_MAX)
        rc = set_by(db, device, s, lang, &by, e);
    (void)json_object_set_new(out, "key", s == NULL ? json_null() : json_string(s->key));
    (void)json_object_set_new(out, "label", s == NULL ? json_null() : json_string(s->label[lang]));
    (void)json_object_set_new(out, "set_by", by == NULL ? json_null() : by);
    return json_array_append_new(items, out) == 0 ? rc : err_set(e, ERR_NO_MEMORY, "out of memory");
}

enum err_code drift_list(struct db *db, const char *ref, enum lang lang, struct arena *a,
                         json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *items = json_array();
    char at[CLOCK_TEXT_SIZE];
    struct device d;
    size_t i;
    json_t *v;
    enum err_code rc = device_store_get(db, ref, a, &d, e);

    if (rc == ERR_OK && d.status == NULL)
        return err_set(e, ERR_NOT_FOUND, "device \"%s\" has sent no status yet", ref);
    if (rc != ERR_OK)
        return rc;
    json_array_foreach(json_object_get(d.status, "drift"), i, v)
    {
        if (rc == ERR_OK)
            rc = add_item(db, d.id, v, lang, items, e);
    }
    if (rc != ERR_OK)
        return rc;
    clock_format(d.status_ms, at);
    *ret = json_pack("{s:{s:s,s:s},s:s,s:s,s:O}", "device", "id", d.id, "name", d.name, "policy",
                     d.drift, "received_at", at, "items", items);
    return *ret != NULL ? ERR_OK : err_set(e, ERR_NO_MEMORY, "out of memory");
}
