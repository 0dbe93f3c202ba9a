#include "domain/enrol.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "domain/device_status.h"
#include "domain/issue.h"
#include "domain/keyring.h"
#include "proto/proto.h"
#include "store/device_store.h"
#include "store/enrol_store.h"

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

struct document {
    json_t *jwk, *enc_jwk, *inventory, *capabilities;
    const char *nonce, *name, *hostname, *fingerprint, *agent_version;
    int placement;
};
static const char *const placements[] = {"edge", "inner", NULL};
static const struct jdec_field document_fields[] = {
    JDEC_OBJECT(struct document, jwk, JD_REQUIRED),
    JDEC_OBJECT(struct document, enc_jwk, JD_REQUIRED),
    JDEC_STR(struct document, nonce, JD_REQUIRED, 1, 80),
    JDEC_STR(struct document, name, 0, 1, 63),
    JDEC_STR(struct document, hostname, JD_REQUIRED, 1, 255),
    JDEC_STR(struct document, fingerprint, JD_REQUIRED, 1, 128),
    JDEC_STR(struct document, agent_version, JD_REQUIRED, 1, 40),
    JDEC_ENUM(struct document, placement, 0, placements),
    JDEC_ARRAY(struct document, capabilities, 0, 32),
    JDEC_OBJECT(struct document, inventory, 0),
    JDEC_END,
};

struct enrolment {
    struct app *app;
    struct arena *a;
    unsigned char token_hash[SHA256_SIZE];
    const char *address;
    char kid[JOSE_KID_SIZE];
    struct document doc;
    int64_t now_ms;
    char name[64];
    const char *cause; /* of a refusal, for the audit log */
    struct device device;
    bool known;
};

static enum err_code read_document(struct slice jws, struct enrolment *en, json_t **ret_hold,
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
        *ret_hold = TAKE(payload);
    }
    jose_jws_clear(&j);
    return rc;
}

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

/* --- inside the transaction --- */

static enum err_code refuse(struct enrolment *en, enum err_code code, const char *cause,
                            struct err *e)
{
    en->cause = cause;
    return err_set(e, code, "the enrolment was refused");
}

static enum err_code check_known(struct enrolment *en, const struct device *d, struct err *e)
{
    en->device = *d;
    en->known = true;
    if (strcmp(d->state, "revoked") == 0)
        return refuse(en, ERR_DEVICE_REVOKED, "device is revoked", e);
    if (strcmp(d->state, "retired") == 0)
        return refuse(en, ERR_DEVICE_RETIRED, "device is retired", e);
    if (strcmp(d->state, "rejected") == 0)
        return refuse(en, ERR_ENROLMENT_REJECTED, "device was rejected", e);
    return ERR_OK;
}

static enum err_code check_token(struct enrolment *en, const struct enrol_token *t, struct err *e)
{
    if (!t->network_ok)
        return refuse(en, ERR_ENROLMENT_REJECTED, "address is outside the token's networks", e);
    if (t->revoked_ms != 0)
        return refuse(en, ERR_ENROLMENT_REJECTED, "token is revoked", e);
    if (t->expires_ms <= en->now_ms)
        return refuse(en, ERR_TOKEN_EXPIRED, "token has expired", e);
    if (t->uses >= t->uses_max)
        return refuse(en, ERR_ENROLMENT_REJECTED, "token is used up by another key", e);
    if (fnmatch(t->name_pattern, en->name, FNM_NOESCAPE) != 0)
        return refuse(en, ERR_ENROLMENT_REJECTED, "name does not fit the token's pattern", e);
    if (!keyring_nonce_ok(en->app->keys, en->doc.nonce, en->now_ms))
        return refuse(en, ERR_TOKEN_INVALID, "nonce is not ours or too old", e);
    /* the parent is upgraded first: it understands older agents, not those of tomorrow */
    if (proto_version_cmp(en->doc.agent_version, INARI_VERSION, 2) > 0) {
        en->cause = "agent is newer than the parent";
        return err_field(e, ERR_AGENT_TOO_NEW, "/agent_version",
                         "agent %s is newer than this parent, %s", en->doc.agent_version,
                         INARI_VERSION);
    }
    return ERR_OK;
}

static bool name_taken(const char *const *v, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(v[i], name) == 0)
            return true;
    }
    return false;
}

static enum err_code choose_name(struct db *db, struct enrolment *en, char out[64], struct err *e)
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

static enum err_code insert(struct db *db, struct enrolment *en, const struct enrol_token *t,
                            struct err *e)
{
    char id[UUID_TEXT_SIZE], name[64];
    AUTO_STR char *receipt = NULL;
    AUTO(json_free) json_t *empty = json_object();
    struct device_new d = {.state = t->approval ? "pending" : "observing",
                           .kid = en->kid,
                           .fingerprint = en->doc.fingerprint,
                           .token_id = t->id,
                           .receipt = "",
                           .approver = t->approval ? "" : t->created_by,
                           .address = en->address,
                           .jwk = en->doc.jwk,
                           .enc_jwk = en->doc.enc_jwk,
                           .inventory = en->doc.inventory == NULL ? empty : en->doc.inventory};
    enum err_code rc = choose_name(db, en, name, e);

    uuid7(id);
    d.id = id;
    d.name = name;
    d.placement = en->doc.placement >= 0 ? placements[en->doc.placement] : t->placement;
    if (rc == ERR_OK && !t->approval)
        rc = enrol_receipt(en->app, id, en->kid, t->created_by, &receipt, e);
    if (receipt != NULL)
        d.receipt = receipt;
    if (rc == ERR_OK)
        rc = device_store_insert(db, &d, e);
    if (rc == ERR_OK && t->group_id[0] != '\0')
        rc = device_store_join(db, id, t->group_id, e);
    if (rc == ERR_OK)
        rc = enrol_store_token_use(db, t->id, e);
    if (rc == ERR_OK && !t->approval)
        rc = issue_reissue(db, en->app, (const char *const[]){id}, 1, en->a, e);
    if (rc == ERR_OK)
        rc = device_store_get(db, id, en->a, &en->device, e);
    return rc;
}

static enum err_code audit_enrolment(struct db *db, const struct enrolment *en,
                                     const struct enrol_token *t, struct err *e)
{
    char object[64];
    AUTO(json_free)
    json_t *detail = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "name", en->device.name, "state",
                               en->device.state, "kid", en->kid, "token", t->id, "token_name",
                               t->name, "fingerprint", en->doc.fingerprint);

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
    enum err_code rc = check_known(en, d, e);

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
        return refuse(en, ERR_TOKEN_INVALID, "no such token", e);
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

static enum err_code answer(struct app *app, const struct device *d, bool *ret_pending,
                            json_t **ret, struct err *e)
{
    *ret_pending = strcmp(d->state, "pending") == 0;
    *ret = *ret_pending
               ? json_pack("{s:s,s:s,s:s}", "device_id", d->id, "name", d->name, "state", "pending")
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

static const char *plain_address(const char *address, char out[64])
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

enum err_code enrol_device(struct db *db, struct app *app, const char *token, struct slice jws,
                           const char *address, struct arena *a, char ret_id[37], bool *ret_pending,
                           json_t **ret, struct err *e)
{
    struct enrolment en = {.app = app, .a = a, .now_ms = clock_wall_ms(), .doc = {.placement = -1}};
    AUTO(json_free) json_t *hold = NULL;
    char plain[64];
    enum err_code rc;

    if (!bucket_take(app->enrol_rate))
        return err_set(e, ERR_SLOW_DOWN, "more than %lld enrolments a second",
                       (long long)app->enrol_rate);
    en.address = plain_address(address, plain);
    sha256(slice_of(token), en.token_hash);
    rc = read_document(jws, &en, &hold, e);
    if (rc != ERR_OK)
        return rc;
    wish_name(&en);
    rc = tx_run(db, "device.enrol", enrol_tx, &en, e);
    if (rc != ERR_OK && en.cause != NULL)
        audit_refusal(db, &en);
    if (rc != ERR_OK)
        return rc;
    if (!en.known) {
        log_event(LOG_LEVEL_INFO, "device.enrolled", KV_STR("device", en.device.id),
                  KV_STR("name", en.device.name), KV_STR("state", en.device.state));
        (void)issue_committed(db, app, NULL);
    }
    (void)snprintf(ret_id, 37, "%s", en.device.id);
    return answer(app, &en.device, ret_pending, ret, e);
}

enum err_code enrol_state(struct db *db, struct app *app, const char *device_id, const char *proof,
                          const char *address, struct arena *a, bool *ret_pending, json_t **ret,
                          struct err *e)
{
    struct enrolment en = {.app = app};
    struct device d;
    char plain[64];
    enum err_code rc;

    if (!bucket_take(app->enrol_rate))
        return err_set(e, ERR_SLOW_DOWN, "more than %lld enrolments a second",
                       (long long)app->enrol_rate);
    rc = device_proof(db, app, device_id, proof, PROTO_ACT_ENROLMENT, plain_address(address, plain),
                      a, &d, e);
    if (rc == ERR_OK)
        rc = check_known(&en, &d, e);
    return rc == ERR_OK ? answer(app, &d, ret_pending, ret, e) : rc;
}
