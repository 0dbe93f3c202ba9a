#include "domain/kept_notice.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "domain/device.h"
#include "domain/keyring.h"
#include "proto/proto.h"
#include "store/device_store.h"
#include "store/recovery_store.h"

#include <stdio.h>
#include <string.h>

bool kept_notice_is(struct slice jws)
{
    struct jose_jws j = {0};
    bool is = jose_jws_parse(jws, PROTO_BUNDLE_MAX, PROTO_TYP_NOTICE, &j, NULL) == ERR_OK;

    jose_jws_clear(&j);
    return is;
}

static enum err_code open_notice(const struct app *app, struct slice text, json_t **ret,
                                 struct err *e)
{
    struct jose_jws j = {0};
    enum err_code rc = jose_jws_parse(text, PROTO_BUNDLE_MAX, PROTO_TYP_NOTICE, &j, NULL);

    if (rc == ERR_OK)
        rc = jose_jws_verify(&j, keyring_bundle_key(app->keys), NULL);
    if (rc == ERR_OK)
        rc = json_in_parse((struct slice){j.payload, j.payload_n}, PROTO_BUNDLE_MAX, ret, NULL);
    jose_jws_clear(&j);
    if (rc == ERR_NO_MEMORY)
        return err_set(e, rc, "out of memory");
    if (rc != ERR_OK || strcmp(json_str(*ret, "fleet", ""), app->fleet_id) != 0 ||
        json_int(*ret, "iat", 0) < 1)
        return err_set(e, ERR_INVALID, "this is no notice that this fleet has signed");
    return ERR_OK;
}

/* Should it be revoked here too? */
static enum err_code lost(struct db *db, const char *id, int64_t made_ms, struct arena *a,
                          bool *ret, struct err *e)
{
    struct device d;
    char object[64];
    bool reinstated = false;
    enum err_code rc = device_store_get(db, id, a, &d, e);

    *ret = false;
    if (rc == ERR_NOT_FOUND) /* enrolled after the backup: unknown here, and given nothing */
        return ERR_OK;
    if (rc != ERR_OK || strcmp(d.state, "revoked") == 0 || strcmp(d.state, "retired") == 0)
        return rc;
    (void)snprintf(object, sizeof object, "device/%s", id);
    rc = recovery_store_reinstated(db, object, made_ms, &reinstated, e);
    *ret = rc == ERR_OK && !reinstated;
    return rc;
}

static enum err_code revoke(struct db *db, struct app *app, const char *id, const char *made_at,
                            const char *from, struct arena *a, struct err *e)
{
    const struct actor by = ACTOR_SYSTEM;
    char reason[200];
    struct device_order o = {.what = ORDER_REVOKE, .by = &by, .reason = reason};
    json_t *ignored = NULL;
    enum err_code rc;

    (void)snprintf(reason, sizeof reason,
                   "revoked before the database was taken back: notice of %s, kept by device %s",
                   made_at, from);
    rc = device_order_run(db, app, id, &o, a, &ignored, e);
    json_decref(ignored);
    if (rc == ERR_OK)
        log_event(LOG_LEVEL_WARN, "recovery.revoked", KV_STR("device", id), KV_STR("from", from));
    return rc == ERR_CONFLICT || rc == ERR_NOT_FOUND ? ERR_OK : rc; /* by another one, just now */
}

enum err_code kept_notice_put(struct db *db, struct app *app, const char *device_id,
                              struct slice jws, struct arena *a, struct err *e)
{
    AUTO(json_free) json_t *doc = NULL;
    char made_at[CLOCK_TEXT_SIZE];
    int64_t made_ms;
    size_t i;
    json_t *v;
    enum err_code rc = open_notice(app, jws, &doc, e);

    if (rc != ERR_OK || !atomic_load(&app->fenced))
        return rc;
    made_ms = json_int(doc, "iat", 0) * 1000;
    clock_format(made_ms, made_at);
    json_array_foreach(json_object_get(doc, "revoked"), i, v)
    {
        bool missing = false;
        if (!json_is_string(v) || !uuid_is_valid(json_string_value(v)))
            continue;
        rc = lost(db, json_string_value(v), made_ms, a, &missing, e);
        if (rc == ERR_OK && missing)
            rc = revoke(db, app, json_string_value(v), made_at, device_id, a, e);
        if (rc != ERR_OK)
            return rc;
    }
    return recovery_store_notice(db, made_at, e);
}
