/* Client assertions (private_key_jwt) and the access tokens they are exchanged for:
 * protocol.md 6.6. */
#include "domain/device_key.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "domain/keyring.h"
#include "proto/proto.h"
#include "store/device_store.h"
#include "store/enrol_store.h"

#include <stdio.h>
#include <stdlib.h>

enum { ASSERTION_MAX = 4096, OLD_S = 300, AHEAD_S = 60, LIFE_S = 60 };

static enum err_code not_accepted(struct err *e)
{
    return err_set(e, ERR_TOKEN_INVALID, "the assertion was not accepted");
}

/* Claims of a proven assertion. */
static enum err_code check_claims(const json_t *c, const char *issuer, const char *device_id,
                                  int64_t now_s, char ret_jti[80], int64_t *ret_exp_s,
                                  struct err *e)
{
    const json_t *aud = json_object_get(c, "aud");
    const char *jti = json_str(c, "jti", "");
    int64_t iat, exp;

    if (strcmp(json_str(c, "iss", ""), device_id) != 0 ||
        strcmp(json_str(c, "sub", ""), device_id) != 0)
        return not_accepted(e);
    /* Exactly the issuer: a list, or the endpoint's address, allowed replay elsewhere (7523bis). */
    if (!json_is_string(aud) || strcmp(json_string_value(aud), issuer) != 0)
        return not_accepted(e);
    if (strlen(jti) < 16 || strlen(jti) >= 64 || !slice_is_text(slice_of(jti)) ||
        !json_is_integer(json_object_get(c, "iat")) || !json_is_integer(json_object_get(c, "exp")))
        return not_accepted(e);
    iat = json_int(c, "iat", 0);
    exp = json_int(c, "exp", 0);
    if (iat < now_s - OLD_S || iat > now_s + AHEAD_S)
        return err_set(e, ERR_CLOCK_SKEW, "the assertion was made too far from the server's time");
    if (exp <= iat || exp > iat + LIFE_S)
        return not_accepted(e);
    (void)snprintf(ret_jti, 80, "%s", jti);
    *ret_exp_s = exp;
    return ERR_OK;
}

/* act: what the document has to be for; NULL: an assertion, which is for one thing only. */
static enum err_code check_document(struct slice assertion, const char *typ, const char *act,
                                    const char *issuer, const struct jose_key *key,
                                    const char *device_id, int64_t now_s, char ret_jti[80],
                                    int64_t *ret_exp_s, struct err *e)
{
    AUTO(json_free) json_t *claims = NULL;
    struct jose_jws j = {0};
    enum err_code rc;

    if (assertion.n > 0 && assertion.p[0] == '{') /* compact only */
        return not_accepted(e);
    if (jose_jws_parse(assertion, ASSERTION_MAX, typ, &j, NULL) != ERR_OK)
        return not_accepted(e);
    rc = jose_jws_verify(&j, key, NULL) != ERR_OK ||
                 json_in_parse((struct slice){j.payload, j.payload_n}, ASSERTION_MAX, &claims,
                               NULL) != ERR_OK
             ? not_accepted(e)
             : check_claims(claims, issuer, device_id, now_s, ret_jti, ret_exp_s, e);
    if (rc == ERR_OK && act != NULL && strcmp(json_str(claims, "act", ""), act) != 0)
        rc = not_accepted(e);
    jose_jws_clear(&j);
    return rc;
}

enum err_code device_assertion_check(struct slice assertion, const char *issuer,
                                     const struct jose_key *key, const char *device_id,
                                     int64_t now_s, char ret_jti[80], int64_t *ret_exp_s,
                                     struct err *e)
{
    return check_document(assertion, PROTO_TYP_CLIENT, NULL, issuer, key, device_id, now_s, ret_jti,
                          ret_exp_s, e);
}

/* Whom the assertion says it is from, before anything is believed. */
static bool claimed_device(struct slice assertion, char id[UUID_TEXT_SIZE], char kid[JOSE_KID_SIZE])
{
    AUTO(json_free) json_t *claims = NULL;
    struct jose_jws j = {0};
    bool ok = jose_jws_parse(assertion, ASSERTION_MAX, PROTO_TYP_CLIENT, &j, NULL) == ERR_OK &&
              json_in_parse((struct slice){j.payload, j.payload_n}, ASSERTION_MAX, &claims, NULL) ==
                  ERR_OK;

    ok = ok && uuid_is_valid(json_str(claims, "sub", ""));
    if (ok) {
        (void)snprintf(id, UUID_TEXT_SIZE, "%s", json_str(claims, "sub", ""));
        (void)snprintf(kid, JOSE_KID_SIZE, "%s", j.kid);
    }
    jose_jws_clear(&j);
    return ok;
}

static enum err_code check_state(const struct device *d, struct err *e)
{
    if (strcmp(d->state, "revoked") == 0)
        return err_set(e, ERR_DEVICE_REVOKED, "device \"%s\" has been revoked", d->id);
    if (strcmp(d->state, "retired") == 0)
        return err_set(e, ERR_DEVICE_RETIRED, "device \"%s\" has been retired", d->id);
    if (strcmp(d->state, "rejected") == 0)
        return err_set(e, ERR_ENROLMENT_REJECTED, "the enrolment of device \"%s\" was rejected",
                       d->id);
    if (strcmp(d->state, "pending") == 0 || strcmp(d->state, "reattach") == 0)
        return err_set(e, ERR_TOKEN_SCOPE, "device \"%s\" waits for approval", d->id);
    return ERR_OK;
}

static enum err_code make_token(struct app *app, const struct device *d, int64_t now_s,
                                json_t **ret, struct err *e)
{
    AUTO(json_free)
    json_t *claims = json_pack("{s:s,s:I,s:s,s:I,s:I}", "sub", d->id, "gen", (json_int_t)d->gen,
                               "scope", "device", "iat", (json_int_t)now_s, "exp",
                               (json_int_t)(now_s + DEVICE_TOKEN_TTL_S));
    AUTO_STR char *token = NULL;
    enum err_code rc = claims == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                      : keyring_token_sign(app->keys, claims, &token, e);

    if (rc == ERR_OK)
        *ret = json_pack("{s:s,s:s,s:i,s:s}", "access_token", token, "token_type", "Bearer",
                         "expires_in", DEVICE_TOKEN_TTL_S, "scope", "device");
    return rc;
}

struct refusal {
    const char *device, *address, *cause;
};

static enum err_code refusal_tx(struct db *db, void *ctx, struct err *e)
{
    const struct refusal *r = ctx;
    AUTO(json_free) json_t *detail = json_pack("{s:s}", "cause", r->cause);
    char object[64];

    (void)snprintf(object, sizeof object, "device/%s", r->device);
    return audit_append(db, &(struct actor){"nobody", "", "", "", r->address},
                        "device.credential_refused", object, detail, e);
}

/* Only for devices that exist: strangers cannot fill the audit log. */
static void audit_refusal(struct db *db, const char *device, const char *address,
                          const struct err *why)
{
    struct refusal r = {device, address, why->msg};
    struct err e;

    log_event(LOG_LEVEL_WARN, "device.credential_refused", KV_STR("device", device),
              KV_STR("address", address), KV_STR("cause", why->msg));
    if (tx_run(db, "device.credential_refused", refusal_tx, &r, &e) != ERR_OK)
        log_event(LOG_LEVEL_ERROR, "audit.lost", KV_STR("action", "device.credential_refused"),
                  KV_STR("error", e.msg));
}

/* A document that is genuine is good once, at all parents together. */
static enum err_code use_once(struct db *db, const char *device_id, const char *jti, int64_t exp_s,
                              struct err *e)
{
    char scoped[160];
    bool fresh = false;
    enum err_code rc;

    (void)snprintf(scoped, sizeof scoped, "%s:%s", device_id, jti);
    rc = enrol_store_jti(db, scoped, (exp_s + OLD_S + AHEAD_S) * 1000, &fresh, e);
    if (rc == ERR_OK && !fresh)
        rc = err_set(e, ERR_TOKEN_INVALID, "the assertion was used before");
    return rc;
}

enum err_code device_proof(struct db *db, struct app *app, const char *device_id, const char *proof,
                           const char *act, const char *address, struct arena *a,
                           struct device *ret, struct err *e)
{
    AUTO(jose_key_free) struct jose_key *key = NULL;
    struct device d;
    char jti[80];
    int64_t exp_s = 0;
    enum err_code rc =
        uuid_is_valid(device_id) ? device_store_get(db, device_id, a, &d, e) : ERR_NOT_FOUND;

    if (rc == ERR_NOT_FOUND)
        return not_accepted(e); /* nothing is proven: no word about who exists */
    if (rc == ERR_OK)
        rc = jose_key_from_jwk(d.jwk, &key, e);
    if (rc == ERR_OK && proof == NULL)
        rc = err_set(e, ERR_TOKEN_INVALID, "send a proof of the device's key as " PROTO_H_PROOF);
    else if (rc == ERR_OK)
        rc = check_document(slice_of(proof), PROTO_TYP_PROOF, act, app->issuer, key, d.id,
                            clock_wall_s(), jti, &exp_s, e);
    if (rc == ERR_OK)
        rc = use_once(db, d.id, jti, exp_s, e);
    if (rc == ERR_TOKEN_INVALID) {
        audit_refusal(db, d.id, address, e);
        return proof == NULL ? rc : not_accepted(e);
    }
    if (rc == ERR_OK && ret != NULL)
        *ret = d;
    return rc;
}

/* kid: of the key the assertion says it is by. */
static enum err_code grant(struct db *db, struct app *app, struct device *d, struct slice assertion,
                           const char *kid, int64_t now_s, const char *address, struct arena *a,
                           json_t **ret, struct err *e)
{
    AUTO(jose_key_free) struct jose_key *key = NULL;
    bool candidate = false;
    char jti[80];
    int64_t exp_s = 0;
    enum err_code rc = device_key_named(db, d, kid, a, &key, &candidate, e);

    if (rc == ERR_OK)
        rc = device_assertion_check(assertion, app->issuer, key, d->id, now_s, jti, &exp_s, e);
    if (rc == ERR_OK)
        rc = use_once(db, d->id, jti, exp_s, e);
    if (rc == ERR_OK)
        rc = check_state(d, e);
    if (rc == ERR_OK && candidate)
        rc = device_key_promote(db, app, kid, address, a, d, e);
    return rc == ERR_OK ? make_token(app, d, now_s, ret, e) : rc;
}

enum err_code device_token_grant(struct db *db, struct app *app, struct slice assertion,
                                 int64_t now_s, const char *address, struct arena *a, json_t **ret,
                                 struct err *e)
{
    char id[UUID_TEXT_SIZE], kid[JOSE_KID_SIZE];
    struct device d;
    enum err_code rc;

    if (!claimed_device(assertion, id, kid))
        return not_accepted(e);
    rc = device_store_get(db, id, a, &d, e);
    if (rc == ERR_NOT_FOUND)
        return not_accepted(e); /* nothing is proven: no word about who exists */
    if (rc != ERR_OK)
        return rc;
    rc = grant(db, app, &d, assertion, kid, now_s, address, a, ret, e);
    if (rc == ERR_TOKEN_INVALID || rc == ERR_DEVICE_REVOKED || rc == ERR_DEVICE_RETIRED) {
        audit_refusal(db, id, address, e);
        if (rc == ERR_TOKEN_INVALID)
            return not_accepted(e);
    }
    return rc;
}
