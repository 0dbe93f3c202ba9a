#include "loop/bundle.h"

#include "base/clock.h"

#include <stdlib.h>

void bundle_clear(struct bundle *b)
{
    json_decref(b->payload);
    *b = (struct bundle){0};
}

const char *bundle_refusal_word(enum bundle_refusal r)
{
    static const char *const words[BUNDLE_REFUSALS] = {
        [BUNDLE_OK] = "Verified",
        [BUNDLE_SIZE] = "TooLarge",
        [BUNDLE_MALFORMED] = "Malformed",
        [BUNDLE_SIGNATURE] = "Signature",
        [BUNDLE_OTHER_DEVICE] = "OtherDevice",
        [BUNDLE_ROLLBACK] = "Rollback",
        [BUNDLE_FORK] = "RevisionFork",
        [BUNDLE_CRITICAL] = "UnsupportedCritical",
        [BUNDLE_AGENT_TOO_OLD] = "AgentTooOld",
        [BUNDLE_SCHEMA] = "UnsupportedSchema",
        [BUNDLE_DIGEST] = "Digest",
    };
    return words[r];
}

/* Signature by a key in force, then the payload as JSON. */
static enum bundle_refusal open_jws(struct slice text, const struct bundle_known *k, json_t **ret,
                                    struct err *e)
{
    struct jose_jws jws = {0};
    const struct jose_key *key;
    enum bundle_refusal r = BUNDLE_SIGNATURE;

    if (jose_jws_parse(text, PROTO_BUNDLE_MAX, PROTO_TYP_BUNDLE, &jws, e) != ERR_OK)
        return e->code == ERR_TOO_LARGE ? BUNDLE_SIZE : BUNDLE_MALFORMED;
    key = trust_key(k->trust, "bundle", jws.kid, k->now_ms);
    if (key == NULL)
        (void)err_set(e, ERR_SIGNATURE,
                      "signed by key %s, which trust document %lld does not list for bundles",
                      jws.kid, (long long)trust_number(k->trust));
    else if (jose_jws_verify(&jws, key, e) == ERR_OK)
        r = json_in_parse((struct slice){jws.payload, jws.payload_n}, PROTO_BUNDLE_MAX, ret, e) ==
                    ERR_OK
                ? BUNDLE_OK
                : BUNDLE_MALFORMED;
    jose_jws_clear(&jws);
    return r;
}

struct payload {
    const char *fleet, *device, *content_digest, *jti, *min_agent;
    int64_t epoch, rev, pub;
    int mode;
    json_t *crit, *sections, *drift, *device_facts, *apply, *secrets;
};

static enum bundle_refusal decode(const json_t *j, struct payload *p, struct err *e)
{
    static const char *const modes[] = {"observe", "manage", "dry-run", NULL};
    static const struct jdec_field fields[] = {
        JDEC_STR(struct payload, fleet, JD_REQUIRED, 1, 64),
        JDEC_STR(struct payload, device, JD_REQUIRED, 1, 64),
        JDEC_INT(struct payload, epoch, JD_REQUIRED, 1, INT64_MAX),
        JDEC_INT(struct payload, rev, JD_REQUIRED, 1, INT64_MAX),
        JDEC_INT(struct payload, pub, JD_REQUIRED, 0, INT64_MAX),
        JDEC_STR(struct payload, content_digest, JD_REQUIRED, 64, 64),
        JDEC_STR(struct payload, jti, JD_REQUIRED, 1, 64),
        JDEC_STR(struct payload, min_agent, JD_NULL_OK, 0, 32),
        JDEC_ENUM(struct payload, mode, JD_REQUIRED, modes),
        JDEC_ARRAY(struct payload, crit, 0, 32),
        JDEC_OBJECT(struct payload, sections, JD_REQUIRED),
        JDEC_OBJECT(struct payload, drift, JD_NULL_OK),
        JDEC_OBJECT(struct payload, device_facts, JD_NULL_OK),
        JDEC_OBJECT(struct payload, apply, JD_NULL_OK),
        JDEC_OBJECT(struct payload, secrets, JD_NULL_OK),
        JDEC_END,
    };
    return jdec_object(j, fields, JD_ALLOW_UNKNOWN, "", p, e) == ERR_OK ? BUNDLE_OK
                                                                        : BUNDLE_MALFORMED;
}

static enum bundle_refusal check_order(const struct payload *p, const char *etag,
                                       const struct bundle_known *k, struct err *e)
{
    if (p->epoch < k->epoch || (p->epoch == k->epoch && p->rev < k->rev)) {
        (void)err_set(e, ERR_REFUSED,
                      "revision %lld.%lld is older than %lld.%lld, which this device has seen",
                      (long long)p->epoch, (long long)p->rev, (long long)k->epoch,
                      (long long)k->rev);
        return BUNDLE_ROLLBACK;
    }
    if (p->epoch > k->epoch && p->epoch > trust_epoch(k->trust)) {
        (void)err_set(
            e, ERR_REFUSED,
            "epoch %lld is new and the fleet's root key has not signed it (trust document "
            "%lld allows %lld)",
            (long long)p->epoch, (long long)trust_number(k->trust),
            (long long)trust_epoch(k->trust));
        return BUNDLE_ROLLBACK;
    }
    if (p->epoch == k->epoch && p->rev == k->rev && strcmp(etag, k->etag) != 0) {
        (void)err_set(e, ERR_REFUSED, "revision %lld.%lld exists twice with different content",
                      (long long)p->epoch, (long long)p->rev);
        return BUNDLE_FORK;
    }
    return BUNDLE_OK;
}

static enum bundle_refusal check_content(const struct payload *p, char digest[65], struct err *e)
{
    const json_t *postfix = json_object_get(p->sections, "postfix");

    if (p->crit != NULL && json_array_size(p->crit) > 0) {
        const json_t *first = json_array_get(p->crit, 0);
        (void)err_field(e, ERR_UNSUPPORTED_CRITICAL, "/crit/0",
                        "critical member \"%.60s\" is not known to agent %s",
                        json_is_string(first) ? json_string_value(first) : "?", INARI_VERSION);
        return BUNDLE_CRITICAL;
    }
    if (p->min_agent != NULL && proto_version_cmp(INARI_VERSION, p->min_agent, 4) < 0) {
        (void)err_set(e, ERR_AGENT_TOO_OLD, "the bundle asks for agent %s; this is %s",
                      p->min_agent, INARI_VERSION);
        return BUNDLE_AGENT_TOO_OLD;
    }
    if (json_object_size(p->sections) != 1 || json_int(postfix, "schema", 0) != 1 ||
        !json_is_object(json_object_get(postfix, "settings"))) {
        (void)err_field(e, ERR_INVALID, "/sections",
                        "the bundle's sections are not of a schema agent %s knows", INARI_VERSION);
        return BUNDLE_SCHEMA;
    }
    if (json_array_size(json_object_get(postfix, "blobs")) > 0) {
        (void)err_field(e, ERR_INVALID, "/sections/postfix/blobs", "agent %s does not fetch blobs",
                        INARI_VERSION);
        return BUNDLE_SCHEMA;
    }
    if (!proto_content_digest(p->sections, digest) || strcmp(digest, p->content_digest) != 0) {
        (void)err_field(e, ERR_REFUSED, "/content_digest",
                        "the content digest is not that of the sections");
        return BUNDLE_DIGEST;
    }
    return BUNDLE_OK;
}

static int64_t bounded(const json_t *o, const char *name, int64_t fallback, int64_t max)
{
    int64_t v = json_int(o, name, fallback);

    return v < 0 ? fallback : v > max ? max : v;
}

/* A word of a newer parent is the careful one. */
static enum bundle_drift drift_word(const char *s)
{
    return strcmp(s, "enforce") == 0 ? BUNDLE_DRIFT_ENFORCE
           : strcmp(s, "adopt") == 0 ? BUNDLE_DRIFT_ADOPT
                                     : BUNDLE_DRIFT_REPORT;
}

enum bundle_drift bundle_drift_of(const struct bundle *b, const char *item)
{
    const char *own = json_str(b->drift_items, item, NULL);

    return own == NULL ? b->drift : drift_word(own);
}

static void fill(struct bundle *b, const struct payload *p)
{
    const json_t *postfix = json_object_get(p->sections, "postfix");

    b->epoch = p->epoch;
    b->rev = p->rev;
    b->pub = p->pub;
    b->jti = p->jti;
    b->mode = (enum bundle_mode)p->mode;
    b->drift = drift_word(json_str(p->drift, "postfix", ""));
    b->drift_items = json_object_get(p->drift, "items");
    b->settings = json_object_get(postfix, "settings");
    b->sealed = p->secrets;
    b->placement = json_str(p->device_facts, "placement", NULL);
    b->apply_deadline_s = bounded(p->apply, "apply_deadline_s", 60, 3600);
    b->probe_soak_s = bounded(p->apply, "probe_soak_s", 0, 3600);
    b->confirm_window_s = bounded(p->apply, "confirm_window_s", 300, 3600);
}

enum bundle_refusal bundle_verify(struct slice text, const struct bundle_known *known,
                                  struct bundle *ret, struct err *e)
{
    AUTO(json_free) json_t *j = NULL;
    struct bundle b = {0};
    struct payload p = {0};
    struct err own;
    enum bundle_refusal r;

    e = e == NULL ? &own : e;
    r = open_jws(text, known, &j, e);
    if (r == BUNDLE_OK)
        r = decode(j, &p, e);
    if (r != BUNDLE_OK)
        return r;
    if (strcmp(p.fleet, known->fleet) != 0 || strcmp(p.device, known->device) != 0) {
        (void)err_set(e, ERR_REFUSED, "the bundle is for device %.64s of fleet %.64s", p.device,
                      p.fleet);
        return BUNDLE_OTHER_DEVICE;
    }
    sha256_hex(text, b.etag);
    r = check_order(&p, b.etag, known, e);
    if (r == BUNDLE_OK)
        r = check_content(&p, b.digest, e);
    if (r != BUNDLE_OK)
        return r;
    fill(&b, &p);
    b.payload = TAKE(j);
    *ret = b;
    return BUNDLE_OK;
}

/* A time of a proof: seconds (JWT) or RFC 3339. */
static int64_t proof_time(const json_t *o, const char *name)
{
    int64_t ms = 0;
    const char *text = json_str(o, name, NULL);

    if (text != NULL)
        return clock_parse(slice_of(text), &ms) ? ms : 0;
    return json_int(o, name, 0) * 1000;
}

enum err_code bundle_fresh(struct slice text, const struct bundle_known *k, int64_t *ret_iat_ms,
                           struct err *e)
{
    AUTO(json_free) json_t *j = NULL;
    struct jose_jws jws = {0};
    const struct jose_key *key;
    int64_t iat, exp;
    enum err_code rc = jose_jws_parse(text, 4096, PROTO_TYP_FRESH, &jws, e);

    if (rc != ERR_OK)
        return rc;
    key = trust_key(k->trust, "bundle", jws.kid, k->now_ms);
    rc = key == NULL ? err_set(e, ERR_SIGNATURE, "freshness proof by an unknown key")
                     : jose_jws_verify(&jws, key, e);
    if (rc == ERR_OK)
        rc = json_in_parse((struct slice){jws.payload, jws.payload_n}, 4096, &j, e);
    jose_jws_clear(&jws);
    if (rc != ERR_OK)
        return rc;
    if (strcmp(json_str(j, "device", ""), k->device) != 0 || json_int(j, "epoch", 0) < k->epoch ||
        (json_int(j, "epoch", 0) == k->epoch && json_int(j, "rev", 0) < k->rev))
        return err_set(e, ERR_REFUSED, "freshness proof for another device or an older revision");
    iat = proof_time(j, "iat");
    exp = proof_time(j, "exp");
    if (iat <= 0 || exp <= k->now_ms)
        return err_set(e, ERR_REFUSED, "freshness proof that has run out");
    *ret_iat_ms = iat;
    return ERR_OK;
}
