#include "domain/kept.h"

#include "base/log.h"
#include "domain/adopt.h"
#include "domain/device.h"
#include "domain/keyring.h"
#include "proto/proto.h"
#include "store/kept_store.h"
#include "store/recovery_store.h"

#include <string.h>

/* --- in --- */

static enum err_code open_bundle(const struct app *app, struct slice text, json_t **ret,
                                 struct err *e)
{
    struct jose_jws j = {0};
    AUTO(jose_key_free) struct jose_key *key = NULL;
    struct err why = {0};
    enum err_code rc = jose_jws_parse(text, PROTO_BUNDLE_MAX, PROTO_TYP_BUNDLE, &j, &why);

    if (rc == ERR_OK) /* also by the key of before, which what they hold is signed with */
        rc = keyring_listed(app->keys, "bundle", j.kid, &key, &why);
    if (rc == ERR_OK)
        rc = jose_jws_verify(&j, key, &why);
    if (rc == ERR_OK)
        rc = json_in_parse((struct slice){j.payload, j.payload_n}, PROTO_BUNDLE_MAX, ret, &why);
    jose_jws_clear(&j);
    if (rc == ERR_OK || rc == ERR_NO_MEMORY)
        return rc == ERR_OK ? rc : err_set(e, rc, "out of memory");
    return err_set(e, ERR_INVALID, "this is no bundle that this fleet has signed for the device");
}

enum err_code kept_put(struct db *db, struct app *app, const char *device_id, struct slice jws,
                       struct err *e)
{
    AUTO(json_free) json_t *doc = NULL;
    struct kept_row row = {.id = device_id};
    enum err_code rc = open_bundle(app, jws, &doc, e);

    if (rc != ERR_OK)
        return rc;
    row.epoch = json_int(doc, "epoch", 0);
    row.rev = json_int(doc, "rev", 0);
    row.pub = json_int(doc, "pub", 0);
    row.settings =
        json_object_get(json_object_get(json_object_get(doc, "sections"), "postfix"), "settings");
    if (strcmp(json_str(doc, "fleet", ""), app->fleet_id) != 0 ||
        strcmp(json_str(doc, "device", ""), device_id) != 0 || row.rev < 1 ||
        strcmp(json_str(doc, "mode", ""), "dry-run") == 0 || /* nobody was given that to run */
        !json_is_object(row.settings))
        return err_set(e, ERR_INVALID,
                       "this is no bundle that this fleet has signed for the device");
    log_event(LOG_LEVEL_INFO, "recovery.kept", KV_STR("device", device_id), KV_INT("rev", row.rev),
              KV_INT("pub", row.pub));
    return kept_store_put(db, &row, e);
}

/* --- what is lost --- */

static enum err_code differences(struct db *db, const struct kept_row *row, struct arena *a,
                                 json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *now = NULL, *items = json_array();
    const json_t *here;
    const char *key;
    json_t *v;
    enum err_code rc = items == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                     : device_effective(db, row->id, a, &now, e);

    if (rc != ERR_OK)
        return rc;
    json_object_foreach((json_t *)(uintptr_t)row->settings, key, v)
    {
        here = json_object_get(json_object_get(now, "settings"), key);
        if (!json_equal(v, here) &&
            json_array_append_new(
                items, json_pack("{s:s,s:O?,s:O}", "key", key, "here", here, "device", v)) != 0)
            return err_set(e, ERR_NO_MEMORY, "out of memory");
    }
    *ret = TAKE(items);
    return ERR_OK;
}

enum err_code kept_describe(struct db *db, struct arena *a, json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *all = json_array();
    struct kept_row *v = NULL;
    size_t n = 0;
    enum err_code rc = all == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                   : kept_store_list(db, a, &v, &n, e);

    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        json_t *items = NULL;
        rc = differences(db, &v[i], a, &items, e);
        if (rc != ERR_OK || json_array_size(items) == 0) {
            json_decref(items);
            continue;
        }
        if (json_array_append_new(all, json_pack("{s:s,s:s,s:I,s:I,s:I,s:o}", "id", v[i].id, "name",
                                                 v[i].name, "epoch", (json_int_t)v[i].epoch, "rev",
                                                 (json_int_t)v[i].rev, "pub", (json_int_t)v[i].pub,
                                                 "settings", items)) != 0)
            rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    }
    if (rc == ERR_OK && (*ret = json_pack("{s:O}", "items", all)) == NULL)
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    return rc;
}

/* --- into a draft --- */

/* Does a group or a device of the newest publication set it? */
static bool set_below_fleet(const json_t *content, const char *key)
{
    static const char *const parts[] = {"groups", "devices"};
    const char *id;
    json_t *layer;

    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        json_object_foreach((json_t *)(uintptr_t)json_object_get(content, parts[i]), id, layer)
        {
            if (json_object_get(layer, key) != NULL)
                return true;
        }
    }
    return false;
}

/* What merging (RFC 7396) makes of here what the device holds: rows that are gone are null. */
static json_t *merge_patch(const json_t *here, const json_t *device)
{
    json_t *patch = json_deep_copy(device);
    const char *row;
    json_t *v;

    if (!json_is_object(here) || !json_is_object(device))
        return patch;
    json_object_foreach((json_t *)(uintptr_t)here, row, v)
    {
        if (json_object_get(device, row) == NULL)
            (void)json_object_set_new(patch, row, json_null());
    }
    return patch;
}

/* Do all of them lack this key, and hold the same? */
static bool everywhere(const json_t *lost, size_t in_service, const char *key, const json_t *value)
{
    size_t i, k, found = 0;
    json_t *device, *item;

    json_array_foreach(lost, i, device)
    {
        json_array_foreach(json_object_get(device, "settings"), k, item)
        {
            if (strcmp(json_str(item, "key", ""), key) == 0 &&
                json_equal(json_object_get(item, "device"), value))
                found++;
        }
    }
    return found == in_service;
}

static enum err_code make_patch(const json_t *lost, size_t in_service, const json_t *content,
                                json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *patch = json_pack("{s:{},s:{}}", "fleet", "devices");
    json_t *fleet = json_object_get(patch, "fleet"), *devices = json_object_get(patch, "devices");
    size_t i, k;
    json_t *device, *item;

    json_array_foreach(lost, i, device)
    {
        json_t *own = json_object();
        json_array_foreach(json_object_get(device, "settings"), k, item)
        {
            const char *key = json_str(item, "key", "");
            const json_t *value = json_object_get(item, "device");
            bool all = everywhere(lost, in_service, key, value) && !set_below_fleet(content, key);
            if (json_object_set_new(all ? fleet : own, key,
                                    merge_patch(json_object_get(item, "here"), value)) != 0) {
                json_decref(own);
                return err_set(e, ERR_NO_MEMORY, "out of memory");
            }
        }
        if (json_object_size(own) == 0)
            json_decref(own);
        else if (json_object_set_new(devices, json_str(device, "id", ""), own) != 0)
            return err_set(e, ERR_NO_MEMORY, "out of memory");
    }
    *ret = TAKE(patch);
    return ERR_OK;
}

enum err_code kept_adopt(struct db *db, const char *title, const struct actor *by, enum lang lang,
                         bool dry_run, struct arena *a, struct findings *f, json_t **ret,
                         struct err *e)
{
    AUTO(json_free) json_t *lost = NULL, *patch = NULL;
    struct revision_row newest = {0};
    struct recovery_facts facts;
    int64_t in_service = 0;
    enum err_code rc = kept_describe(db, a, &lost, e);

    if (rc == ERR_OK && json_array_size(json_object_get(lost, "items")) == 0)
        rc = err_set(e, ERR_NOT_FOUND, "no device holds anything that is not known here");
    if (rc == ERR_OK)
        rc = recovery_store_facts(db, a, &facts, e);
    if (rc == ERR_OK)
        rc = revision_store_get(db, facts.pub, a, &newest, e);
    if (rc == ERR_OK)
        rc = kept_store_in_service(db, &in_service, e);
    if (rc == ERR_OK)
        rc = make_patch(json_object_get(lost, "items"), (size_t)in_service, newest.content, &patch,
                        e);
    return rc == ERR_OK ? adopt_patch(db, title, patch, by, lang, dry_run, f, ret, e) : rc;
}
