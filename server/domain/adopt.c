#include "domain/adopt.h"

#include "domain/device.h"
#include "store/device_store.h"
#include "store/status_store.h"

#include <stdio.h>

/* The proposed values that were asked for. */
static enum err_code choose(const json_t *proposed, const json_t *effective, const json_t *keys,
                            json_t *out, struct err *e)
{
    const char *key;
    json_t *v;
    size_t i;

    if (json_array_size(keys) == 0) {
        json_object_foreach((json_t *)(uintptr_t)proposed, key, v)
        {
            if (!json_equal(v, json_object_get(effective, key)) &&
                json_object_set(out, key, v) != 0)
                return err_set(e, ERR_NO_MEMORY, "out of memory");
        }
        return ERR_OK;
    }
    json_array_foreach(keys, i, v)
    {
        json_t *value = json_is_string(v) ? json_object_get(proposed, json_string_value(v)) : NULL;
        char pointer[40];
        (void)snprintf(pointer, sizeof pointer, "/keys/%zu", i);
        if (value == NULL)
            return err_field(e, ERR_INVALID, pointer,
                             "the device proposed no value for this setting");
        if (json_object_set(out, json_string_value(v), value) != 0)
            return err_set(e, ERR_NO_MEMORY, "out of memory");
    }
    return ERR_OK;
}

static enum err_code make_patch(struct db *db, const struct device *d, const json_t *keys,
                                struct arena *a, json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *now = NULL, *values = json_object();
    json_t *doc = NULL;
    int64_t at = 0;
    enum err_code rc = status_store_proposal(db, d->id, a, &doc, &at, e);

    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_NOT_FOUND, "device \"%s\" has proposed nothing yet", d->name);
    if (rc == ERR_OK)
        rc = device_effective(db, d->id, a, &now, e);
    if (rc == ERR_OK)
        rc = choose(json_object_get(doc, "settings"), json_object_get(now, "settings"), keys,
                    values, e);
    if (rc == ERR_OK && json_object_size(values) == 0)
        rc = err_field(e, ERR_INVALID, "/keys",
                       "the device runs what it is given: there is nothing to take over");
    if (rc == ERR_OK)
        *ret = json_pack("{s:{s:O}}", "devices", d->id, values);
    return rc;
}

enum err_code adopt_patch(struct db *db, const char *title, const json_t *patch,
                          const struct actor *by, enum lang lang, bool dry_run, struct findings *f,
                          json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *draft = NULL, *edited = NULL;
    struct err ignored;
    enum err_code rc = draft_create(db, title, by, false, &draft, e);

    if (rc != ERR_OK)
        return rc;
    rc = draft_edit(db, json_str(draft, "id", ""), json_int(draft, "version", 1), patch, by, false,
                    lang, dry_run, f, &edited, e);
    if ((rc != ERR_OK || dry_run) &&
        draft_delete(db, json_str(draft, "id", ""), json_int(draft, "version", 1), by, false, false,
                     &ignored) != ERR_OK &&
        rc == ERR_OK)
        rc = err_set(e, ignored.code, "%s", ignored.msg);
    if (rc == ERR_OK)
        *ret = TAKE(edited);
    return rc;
}

enum err_code adopt_device(struct db *db, const char *ref, const json_t *keys,
                           const struct actor *by, enum lang lang, bool dry_run, struct arena *a,
                           struct findings *f, json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *patch = NULL;
    char title[128];
    struct device d;
    enum err_code rc = device_store_get(db, ref, a, &d, e);

    if (rc == ERR_OK)
        rc = make_patch(db, &d, keys, a, &patch, e);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(title, sizeof title, "adopt %s", d.name);
    return adopt_patch(db, title, patch, by, lang, dry_run, f, ret, e);
}
