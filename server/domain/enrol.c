#include "domain/enrol_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "domain/device_status.h"
#include "domain/issue.h"
#include "domain/keyring.h"
#include "proto/proto.h"
#include "store/enrol_store.h"
#include "store/identity_store.h"

#include <fnmatch.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_TRIES = 10000 };

bool device_name_ok(const char *name)
{
    size_t n = strlen(name);

    if (n == 0 || n > 63 || uuid_is_valid(name) || name[0] == '.' || name[0] == '-')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

enum err_code enrol_receipt(struct app *app, const char *device_id, const char *kid,
                            const char *approver, char **ret, struct err *e)
{
    char at[CLOCK_TEXT_SIZE];
    AUTO(json_free) json_t *j = NULL;
    AUTO_STR char *text = NULL;

    clock_format(clock_wall_ms(), at);
    j = json_pack("{s:s,s:s,s:s,s:s,s:s}", "fleet", app->fleet_id, "device", device_id, "kid", kid,
                  "at", at, "approver", approver);
    text = j == NULL ? NULL : json_canonical(j);
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return jose_jws_sign(keyring_receipt_key(app->keys), PROTO_TYP_RECEIPT, slice_of(text), true,
                         ret, e);
}

/* --- the document --- */

const char *const enrol_placements[] = {"edge", "inner", NULL};
const char *const enrol_modes[] = {"observe", "manage", NULL};
static const struct jdec_field document_fields[] = {
    JDEC_OBJECT(struct enrol_document, jwk, JD_REQUIRED),
    JDEC_OBJECT(struct enrol_document, enc_jwk, JD_REQUIRED),
    JDEC_STR(struct enrol_document, nonce, JD_REQUIRED, 1, 80),
    JDEC_STR(struct enrol_document, name, 0, 1, 63),
    JDEC_STR(struct enrol_document, hostname, JD_REQUIRED, 1, 255),
    JDEC_STR(struct enrol_document, fingerprint, JD_REQUIRED, 1, 128),
    JDEC_STR(struct enrol_document, hardware, 0, 0, 128),
    JDEC_STR(struct enrol_document, agent_version, JD_REQUIRED, 1, 40),
    JDEC_ENUM(struct enrol_document, placement, 0, enrol_placements),
    JDEC_ENUM(struct enrol_document, mode, 0, enrol_modes),
    JDEC_ARRAY(struct enrol_document, capabilities, 0, 32),
    JDEC_OBJECT(struct enrol_document, inventory, 0),
    JDEC_END,
};

/* The wished name, or the first label of the host name. */
static void wish_name(struct enrolment *en)
{
    const char *from = en->doc.name != NULL ? en->doc.name : en->doc.hostname;
    size_t n = 0;

    for (; *from != '\0' && n < 58; from++) { /* room for "-9999" */
        char c = *from >= 'A' && *from <= 'Z' ? (char)(*from - 'A' + 'a') : *from;
        if (en->doc.name == NULL && c == '.')
            break;
        en->name[n++] = c;
    }
    en->name[n] = '\0';
    if (!device_name_ok(en->name))
        (void)snprintf(en->name, sizeof en->name, "device");
}

enum err_code enrol_read_document(struct slice jws, struct enrolment *en, json_t **ret_hold,
                                  struct err *e)
{
    struct jose_jws j = {0};
    AUTO(jose_key_free) struct jose_key *key = NULL, *enc = NULL;
    AUTO(json_free) json_t *payload = NULL;
    char pointer[160] = "";
    enum err_code rc = jose_jws_parse(jws, PROTO_ENROL_MAX, PROTO_TYP_ENROL, &j, e);

    if (rc != ERR_OK)
        return rc;
    rc = json_in_parse((struct slice){j.payload, j.payload_n}, PROTO_ENROL_MAX, &payload, e);
    if (rc == ERR_OK)
        rc = jdec_object(payload, document_fields, JD_ALLOW_UNKNOWN, "", &en->doc, e);
    if (rc == ERR_OK && !report_texts_ok(payload, pointer, sizeof pointer))
        rc = err_field(e, ERR_INVALID, pointer, "the text has control characters or is too long");
    if (rc == ERR_OK)
        rc = jose_key_from_jwk(en->doc.jwk, &key, e);
    if (rc == ERR_OK)
        rc = jose_key_from_jwk(en->doc.enc_jwk, &enc, e);
    if (rc == ERR_OK)
        rc =
            jose_jws_verify(&j, key, e); /* proves possession of the key that is being registered */
    if (rc == ERR_OK) {
        (void)snprintf(en->kid, sizeof en->kid, "%s", jose_key_kid(key));
        wish_name(en);
        *ret_hold = TAKE(payload);
    }
    jose_jws_clear(&j);
    return rc;
}

/* --- inside the transaction --- */

enum err_code enrol_refuse(struct enrolment *en, enum err_code code, const char *cause,
                           struct err *e)
{
    en->cause = cause;
    return err_set(e, code, "the enrolment was refused");
}

enum err_code enrol_check_known(struct enrolment *en, const struct device *d, struct err *e)
{
    en->device = *d;
    en->known = true;
    if (strcmp(d->state, "revoked") == 0)
        return enrol_refuse(en, ERR_DEVICE_REVOKED, "device is revoked", e);
    if (strcmp(d->state, "retired") == 0)
        return enrol_refuse(en, ERR_DEVICE_RETIRED, "device is retired", e);
    if (strcmp(d->state, "rejected") == 0)
        return enrol_refuse(en, ERR_ENROLMENT_REJECTED, "device was rejected", e);
    return ERR_OK;
}

enum err_code enrol_check_fresh(struct enrolment *en, struct err *e)
{
    if (!keyring_nonce_ok(en->app->keys, en->doc.nonce, en->now_ms))
        return enrol_refuse(en, ERR_TOKEN_INVALID, "nonce is not ours or too old", e);
    /* the parent is upgraded first: it understands older agents, not those of tomorrow */
    if (proto_version_cmp(en->doc.agent_version, INARI_VERSION, 2) > 0) {
        en->cause = "agent is newer than the parent";
        return err_field(e, ERR_AGENT_TOO_NEW, "/agent_version",
                         "agent %s is newer than this parent, %s", en->doc.agent_version,
                         INARI_VERSION);
    }
    return ERR_OK;
}

static enum err_code check_token(struct enrolment *en, const struct enrol_token *t, struct err *e)
{
    if (!t->network_ok)
        return enrol_refuse(en, ERR_ENROLMENT_REJECTED, "address is outside the token's networks",
                            e);
    if (t->revoked_ms != 0)
        return enrol_refuse(en, ERR_ENROLMENT_REJECTED, "token is revoked", e);
    if (t->expires_ms <= en->now_ms)
        return enrol_refuse(en, ERR_TOKEN_EXPIRED, "token has expired", e);
    if (t->uses >= t->uses_max)
        return enrol_refuse(en, ERR_ENROLMENT_REJECTED, "token is used up by another key", e);
    if (fnmatch(t->name_pattern, en->name, FNM_NOESCAPE) != 0)
        return enrol_refuse(en, ERR_ENROLMENT_REJECTED, "name does not fit the token's pattern", e);
    return enrol_check_fresh(en, e);
}

static bool name_taken(const char *const *v, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(v[i], name) == 0)
            return true;
    }
    return false;
}

enum err_code enrol_choose_name(struct db *db, struct enrolment *en, char out[64], struct err *e)
{
    const char **v = NULL;
    size_t n = 0;
    enum err_code rc = device_store_names(db, en->name, en->a, &v, &n, e);

    if (rc != ERR_OK)
        return rc;
    (void)snprintf(out, 64, "%s", en->name);
    for (int i = 2; i < NAME_TRIES && name_taken(v, n, out); i++)
        (void)snprintf(out, 64, "%.58s-%d", en->name, i);
    return ERR_OK;
}

enum err_code enrol_insert(struct db *db, struct enrolment *en, const struct device_new *as,
                           struct err *e)
{
    AUTO(json_free) json_t *empty = json_object();
    struct device_new d = *as;

    d.kid = en->kid;
    d.fingerprint = en->doc.fingerprint;
    d.hardware = en->doc.hardware == NULL ? "" : en->doc.hardware;
    d.address = en->address;
    d.jwk = en->doc.jwk;
    d.enc_jwk = en->doc.enc_jwk;
    d.inventory = en->doc.inventory == NULL ? empty : en->doc.inventory;
    if (en->doc.placement >= 0)
        d.placement = enrol_placements[en->doc.placement];
    return device_store_insert(db, &d, e);
}

static enum err_code insert(struct db *db, struct enrolment *en, const struct enrol_token *t,
                            struct err *e)
{
    char id[UUID_TEXT_SIZE], name[64];
    AUTO_STR char *receipt = NULL;
    const char *replaces = "";
    bool wait;
    enum err_code rc = identity_store_replaced(db, en->name, en->doc.hardware, en->a, &replaces, e);

    if (rc == ERR_OK)
        rc = enrol_choose_name(db, en, name, e);
    uuid7(id);
    wait = t->approval || replaces[0] != '\0'; /* a name is not taken over by asking for it */
    if (rc == ERR_OK && !wait)
        rc = enrol_receipt(en->app, id, en->kid, t->created_by, &receipt, e);
    if (rc == ERR_OK)
        rc = enrol_insert(db, en,
                          &(struct device_new){.id = id,
                                               .name = name,
                                               .state = wait ? "pending" : "observing",
                                               .mode = "observe",
                                               .placement = t->placement,
                                               .token_id = t->id,
                                               .receipt = receipt == NULL ? "" : receipt,
                                               .approver = wait ? "" : t->created_by,
                                               .replaces = replaces},
                          e);
    if (rc == ERR_OK && t->group_id[0] != '\0')
        rc = device_store_join(db, id, t->group_id, e);
    if (rc == ERR_OK)
        rc = enrol_store_token_use(db, t->id, e);
    if (rc == ERR_OK && !wait)
        rc = issue_reissue(db, en->app, (const char *const[]){id}, 1, en->a, e);
    return rc == ERR_OK ? device_store_get(db, id, en->a, &en->device, e) : rc;
}

static enum err_code audit_enrolment(struct db *db, const struct enrolment *en,
                                     const struct enrol_token *t, struct err *e)
{
    char object[64];
    AUTO(json_free)
    json_t *detail = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "name", en->device.name, "state",
                               en->device.state, "kid", en->kid, "token", t->id, "token_name",
                               t->name, "fingerprint", en->doc.fingerprint);

    if (en->device.replaces != NULL)
        (void)json_object_set(detail, "replaces", (json_t *)(uintptr_t)en->device.replaces);
    (void)snprintf(object, sizeof object, "device/%s", en->device.id);
    return audit_append(db,
                        &(struct actor){"device", en->device.id, en->device.id, "", en->address},
                        "device.enrol", object, detail, e);
}

/* The same proven key again: the same device.  An administrator who types the login once more,
 * since the first answer was lost, comes with another token: it must be good as if the key were
 * new, and is used up. */
static enum err_code again(struct db *db, struct enrolment *en, const struct device *d,
                           const struct enrol_token *t, struct err *e)
{
    enum err_code rc = enrol_check_known(en, d, e);

    if (rc != ERR_OK || strcmp(d->token_id, t->id) == 0)
        return rc;
    rc = check_token(en, t, e);
    if (rc == ERR_OK)
        rc = enrol_store_token_use(db, t->id, e);
    return rc == ERR_OK ? audit_enrolment(db, en, t, e) : rc;
}

static enum err_code enrol_tx(struct db *db, void *ctx, struct err *e)
{
    struct enrolment *en = ctx;
    struct enrol_token t;
    struct device d;
    enum err_code rc = enrol_store_token_lock(db, en->token_hash, en->address, en->a, &t, e);

    en->known = false;
    en->cause = NULL;
    if (rc == ERR_NOT_FOUND)
        return enrol_refuse(en, ERR_TOKEN_INVALID, "no such token", e);
    if (rc == ERR_OK)
        rc = device_store_by_kid(db, en->kid, en->a, &d, e);
    if (rc == ERR_OK)
        return again(db, en, &d, &t, e);
    if (rc == ERR_NOT_FOUND)
        rc = check_token(en, &t, e);
    if (rc == ERR_OK)
        rc = insert(db, en, &t, e);
    return rc == ERR_OK ? audit_enrolment(db, en, &t, e) : rc;
}

static enum err_code refused_tx(struct db *db, void *ctx, struct err *e)
{
    const struct enrolment *en = ctx;
    AUTO(json_free)
    json_t *detail = json_pack("{s:s,s:s,s:s,s:s}", "cause", en->cause, "kid", en->kid, "name",
                               en->name, "hostname", en->doc.hostname);

    return audit_append(db, &(struct actor){"nobody", "", "", "", en->address},
                        "device.enrol_refused", "enrolment", detail, e);
}

/* --- the answer --- */

static json_t *make_answer(struct app *app, const struct device *d)
{
    json_t *trust = json_array();

    for (int64_t n = 1; n <= keyring_trust_n(app->keys); n++) {
        if (keyring_trust(app->keys, n) != NULL)
            (void)json_array_append_new(trust, json_string(keyring_trust(app->keys, n)));
    }
    return json_pack("{s:s,s:s,s:s,s:s,s:o,s:{s:i,s:i},s:O}", "device_id", d->id, "name", d->name,
                     "state", d->state, "receipt", d->receipt, "trust", trust, "poll", "interval_s",
                     60, "wait_s", 50, "groups", d->groups);
}

enum err_code enrol_answer(struct app *app, const struct device *d, bool *ret_pending, json_t **ret,
                           struct err *e)
{
    *ret_pending = strcmp(d->state, "pending") == 0 || strcmp(d->state, "reattach") == 0;
    *ret = *ret_pending
               ? json_pack("{s:s,s:s,s:s}", "device_id", d->id, "name", d->name, "state", d->state)
               : make_answer(app, d);
    return *ret == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}

/* Enrolment has its own small bucket, so that a flood with a valid token never disturbs the
 * enrolled. */
static bool bucket_take(int64_t per_s)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static int64_t full_us;
    int64_t now = clock_mono_us(), at;
    bool ok;

    (void)pthread_mutex_lock(&lock);
    at = full_us > now ? full_us : now;
    ok = at - now <= (ENROL_BURST - 1) * INT64_C(1000000) / per_s;
    if (ok)
        full_us = at + 1000000 / per_s;
    (void)pthread_mutex_unlock(&lock);
    return ok;
}

enum err_code enrol_bucket(const struct app *app, struct err *e)
{
    return bucket_take(app->enrol_rate)
               ? ERR_OK
               : err_set(e, ERR_SLOW_DOWN, "more than %lld enrolments a second",
                         (long long)app->enrol_rate);
}

const char *enrol_plain_address(const char *address, char out[64])
{
    if (strncmp(address, "::ffff:", 7) == 0 && strchr(address + 7, '.') != NULL)
        address += 7;
    (void)snprintf(out, 64, "%s", address);
    out[strcspn(out, "%")] = '\0';
    return out;
}

static void audit_refusal(struct db *db, struct enrolment *en)
{
    struct err ignored;

    log_event(LOG_LEVEL_WARN, "device.enrol_refused", KV_STR("address", en->address),
              KV_STR("cause", en->cause));
    if (tx_run(db, "device.enrol_refused", refused_tx, en, &ignored) != ERR_OK)
        log_event(LOG_LEVEL_ERROR, "audit.lost", KV_STR("action", "device.enrol_refused"),
                  KV_STR("error", ignored.msg));
}

enum err_code enrol_run(struct db *db, struct enrolment *en, tx_fn fn, char ret_id[37],
                        bool *ret_pending, json_t **ret, struct err *e)
{
    enum err_code rc = tx_run(db, "device.enrol", fn, en, e);

    if (rc != ERR_OK && en->cause != NULL)
        audit_refusal(db, en);
    if (rc != ERR_OK)
        return rc;
    if (!en->known) {
        log_event(LOG_LEVEL_INFO, "device.enrolled", KV_STR("device", en->device.id),
                  KV_STR("name", en->device.name), KV_STR("state", en->device.state));
        (void)issue_committed(db, en->app, NULL);
    }
    (void)snprintf(ret_id, 37, "%s", en->device.id);
    return enrol_answer(en->app, &en->device, ret_pending, ret, e);
}

enum err_code enrol_device(struct db *db, struct app *app, const char *token, struct slice jws,
                           const char *address, struct arena *a, char ret_id[37], bool *ret_pending,
                           json_t **ret, struct err *e)
{
    struct enrolment en = {
        .app = app, .a = a, .now_ms = clock_wall_ms(), .doc = {.placement = -1, .mode = -1}};
    AUTO(json_free) json_t *hold = NULL;
    char plain[64];
    enum err_code rc = enrol_bucket(app, e);

    en.address = enrol_plain_address(address, plain);
    sha256(slice_of(token), en.token_hash);
    if (rc == ERR_OK)
        rc = enrol_read_document(jws, &en, &hold, e);
    return rc == ERR_OK ? enrol_run(db, &en, enrol_tx, ret_id, ret_pending, ret, e) : rc;
}

enum err_code enrol_follow(struct db *db, struct arena *a, struct device *d, struct err *e)
{
    return d->became[0] == '\0' ? ERR_OK : device_store_get(db, d->became, a, d, e);
}

enum err_code enrol_state(struct db *db, struct app *app, const char *device_id, const char *proof,
                          const char *address, struct arena *a, bool *ret_pending, json_t **ret,
                          struct err *e)
{
    struct enrolment en = {.app = app};
    struct device d;
    char plain[64];
    enum err_code rc = enrol_bucket(app, e);

    if (rc == ERR_OK)
        rc = device_proof(db, app, device_id, proof, PROTO_ACT_ENROLMENT,
                          enrol_plain_address(address, plain), a, &d, e);
    if (rc == ERR_OK)
        rc = enrol_follow(db, a, &d, e);
    if (rc == ERR_OK)
        rc = enrol_check_known(&en, &d, e);
    return rc == ERR_OK ? enrol_answer(app, &d, ret_pending, ret, e) : rc;
}
