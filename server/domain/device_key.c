#include "domain/device_key.h"

#include "base/log.h"
#include "domain/issue.h"
#include "proto/proto.h"
#include "store/fleet_store.h"
#include "store/identity_store.h"
#include "store/secret_store.h"

#include <stdio.h>
#include <stdlib.h>

/* --- the offer --- */

struct offer {
    struct app *app;
    const char *device_id, *address;
    struct arena *a;
    json_t *jwk, *enc_jwk; /* borrowed from doc */
    const char *device, *fleet;
    char kid[JOSE_KID_SIZE];
    char *receipt; /* heap */
};

static const struct jdec_field offer_fields[] = {
    JDEC_STR(struct offer, fleet, JD_REQUIRED, 1, 64),
    JDEC_STR(struct offer, device, JD_REQUIRED, 36, 36),
    JDEC_OBJECT(struct offer, jwk, JD_REQUIRED),
    JDEC_OBJECT(struct offer, enc_jwk, JD_REQUIRED),
    JDEC_END,
};

static enum err_code check_payload(struct offer *o, const struct jose_jws *j, json_t **ret_doc,
                                   struct err *e)
{
    AUTO(jose_key_free) struct jose_key *key = NULL, *enc = NULL;
    enum err_code rc =
        json_in_parse((struct slice){j->payload, j->payload_n}, PROTO_KEY_MAX, ret_doc, e);

    if (rc == ERR_OK)
        rc = jdec_object(*ret_doc, offer_fields, JD_ALLOW_UNKNOWN, "", o, e);
    if (rc == ERR_OK &&
        (strcmp(o->device, o->device_id) != 0 || strcmp(o->fleet, o->app->fleet_id) != 0))
        rc = err_field(e, ERR_INVALID, "/device",
                       "the key is offered for another device than the token's");
    if (rc == ERR_OK)
        rc = jose_key_from_jwk(o->jwk, &key, e);
    if (rc == ERR_OK)
        rc = jose_key_from_jwk(o->enc_jwk, &enc, e);
    if (rc == ERR_OK)
        rc = jose_jws_verify(j, key, e); /* it has the private part */
    if (rc == ERR_OK)
        (void)snprintf(o->kid, sizeof o->kid, "%s", jose_key_kid(key));
    return rc;
}

static enum err_code read_offer(struct offer *o, struct slice jws, json_t **ret_doc, struct err *e)
{
    struct jose_jws j = {0};
    enum err_code rc = jose_jws_parse(jws, PROTO_KEY_MAX, PROTO_TYP_KEY, &j, e);

    if (rc == ERR_OK)
        rc = check_payload(o, &j, ret_doc, e);
    jose_jws_clear(&j);
    return rc;
}

static enum err_code audit(struct db *db, const struct offer *o, const char *action,
                           const char *before, struct err *e)
{
    AUTO(json_free) json_t *detail = json_pack("{s:s,s:s}", "kid", o->kid, "before", before);
    char object[64];

    (void)snprintf(object, sizeof object, "device/%s", o->device_id);
    return audit_append(db, &(struct actor){"device", o->device_id, o->device_id, "", o->address},
                        action, object, detail, e);
}

static enum err_code offer_tx(struct db *db, void *ctx, struct err *e)
{
    struct offer *o = ctx;
    struct key_candidate k = {.kid = o->kid, .jwk = o->jwk, .enc_jwk = o->enc_jwk};
    struct device d;
    bool taken = false;
    enum err_code rc = device_store_lock(db, o->device_id, o->a, &d, e);

    if (rc != ERR_OK)
        return rc;
    if (strcmp(d.kid, o->kid) == 0)
        return err_set(e, ERR_CONFLICT, "this is the key in force already");
    if (strcmp(d.next_kid, o->kid) == 0)
        return ERR_OK; /* the answer was lost: the same again */
    rc = identity_store_kid_taken(db, d.id, o->kid, &taken, e);
    if (rc == ERR_OK && taken)
        rc = err_set(e, ERR_CONFLICT, "this key belongs to another device");
    if (rc == ERR_OK && o->receipt == NULL)
        rc = enrol_receipt(o->app, d.id, o->kid, d.approver, &o->receipt, e);
    k.receipt = o->receipt;
    if (rc == ERR_OK)
        rc = identity_store_offer(db, d.id, &k, e);
    return rc == ERR_OK ? audit(db, o, "device.key_offer", d.kid, e) : rc;
}

enum err_code device_key_offer(struct db *db, struct app *app, const char *device_id,
                               struct slice jws, const char *proof, const char *address,
                               struct arena *a, json_t **ret, struct err *e)
{
    struct offer o = {.app = app, .device_id = device_id, .address = address, .a = a};
    AUTO(json_free) json_t *doc = NULL;
    struct key_candidate k;
    char act[sizeof PROTO_ACT_ROTATE + JOSE_KID_SIZE];
    enum err_code rc = read_offer(&o, jws, &doc, e);

    if (rc != ERR_OK)
        return rc;
    (void)snprintf(act, sizeof act, PROTO_ACT_ROTATE "%s", o.kid);
    rc = device_proof(db, app, device_id, proof, act, address, a, NULL, e);
    if (rc == ERR_OK)
        rc = tx_run(db, "device.key_offer", offer_tx, &o, e);
    free(o.receipt);
    if (rc == ERR_OK)
        rc = identity_store_candidate(db, device_id, o.kid, a, &k, e);
    if (rc == ERR_OK)
        *ret = json_pack("{s:s,s:s,s:s}", "kid", k.kid, "state", "offered", "receipt", k.receipt);
    return rc == ERR_NOT_FOUND ? err_set(e, ERR_CONFLICT, "another key was offered meanwhile") : rc;
}

/* --- the first use --- */

enum err_code device_key_named(struct db *db, const struct device *d, const char *kid,
                               struct arena *a, struct jose_key **ret, bool *ret_candidate,
                               struct err *e)
{
    struct key_candidate k = {.jwk = d->jwk};
    enum err_code rc = ERR_OK;

    *ret_candidate = strcmp(kid, d->kid) != 0;
    if (*ret_candidate)
        rc = identity_store_candidate(db, d->id, kid, a, &k, e);
    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_TOKEN_INVALID, "signed by a key that is not this device's");
    return rc == ERR_OK ? jose_key_from_jwk(k.jwk, ret, e) : rc;
}

struct promotion {
    struct offer o;
    struct device *d;
};

static enum err_code promote_tx(struct db *db, void *ctx, struct err *e)
{
    struct promotion *p = ctx;
    struct device before;
    enum err_code rc = device_store_lock(db, p->o.device_id, p->o.a, &before, e);

    if (rc == ERR_OK)
        rc = identity_store_promote(db, before.id, p->o.kid, e);
    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_TOKEN_INVALID, "the key is not offered any more");
    if (rc == ERR_OK)
        rc = device_store_get(db, before.id, p->o.a, p->d, e);
    if (rc == ERR_OK)
        rc = fleet_store_note(db, "device", before.id, e);
    return rc == ERR_OK ? audit(db, &p->o, "device.key_rotate", before.kid, e) : rc;
}

static enum err_code reseal_tx(struct db *db, void *ctx, struct err *e)
{
    const struct promotion *p = ctx;

    return issue_reissue(db, p->o.app, &p->o.device_id, 1, p->o.a, e);
}

/* What is sealed to the key before still opens (the device keeps it); a failure here is made up for
 * by the next bundle. */
static void seal_anew(struct db *db, struct promotion *p)
{
    struct err e = {0};
    bool any = false;
    enum err_code rc = secret_store_any(db, p->o.device_id, &any, &e);

    if (rc == ERR_OK && any)
        rc = tx_run(db, "device.reseal", reseal_tx, p, &e);
    if (rc != ERR_OK)
        log_event(LOG_LEVEL_WARN, "device.not_resealed", KV_STR("device", p->o.device_id),
                  KV_STR("problem", e.msg));
}

enum err_code device_key_promote(struct db *db, struct app *app, const char *kid,
                                 const char *address, struct arena *a, struct device *d,
                                 struct err *e)
{
    struct promotion p = {.o = {.app = app, .device_id = d->id, .address = address, .a = a},
                          .d = d};
    enum err_code rc;

    (void)snprintf(p.o.kid, sizeof p.o.kid, "%s", kid);
    rc = tx_run(db, "device.key_rotate", promote_tx, &p, e);
    if (rc != ERR_OK)
        return rc;
    seal_anew(db, &p);
    log_event(LOG_LEVEL_INFO, "device.key_rotated", KV_STR("device", d->id), KV_STR("kid", kid));
    (void)issue_committed(db, app, NULL); /* tokens of the old key end here at once */
    return ERR_OK;
}
