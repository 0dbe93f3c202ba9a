#include "domain/device_status.h"

#include "base/log.h"
#include "domain/device_instance.h"
#include "domain/drift.h"
#include "domain/fleet_cache.h"
#include "proto/proto.h"
#include "store/status_store.h"

#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX = 8192 };

static bool text_ok(const char *s, size_t n)
{
    if (n > TEXT_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == 0x7f || (c < 0x20 && c != '\n' && c != '\t' && c != '\r'))
            return false;
    }
    return true;
}

bool report_texts_ok(const json_t *j, char *pointer, size_t size)
{
    const char *key;
    json_t *v;
    size_t i;
    char at[192];

    if (json_is_string(j))
        return text_ok(json_string_value(j), json_string_length(j));
    if (json_is_object(j)) {
        json_object_foreach((json_t *)(uintptr_t)j, key, v)
        {
            json_pointer_add(at, sizeof at, pointer, key);
            if (!text_ok(key, strlen(key)) || !report_texts_ok(v, at, sizeof at)) {
                (void)snprintf(pointer, size, "%s", at);
                return false;
            }
        }
    }
    json_array_foreach(j, i, v)
    {
        (void)snprintf(at, sizeof at, "%.170s/%zu", pointer, i);
        if (!report_texts_ok(v, at, sizeof at)) {
            (void)snprintf(pointer, size, "%s", at);
            return false;
        }
    }
    return true;
}

/* --- taking documents in --- */

enum err_code report_open(const struct device *d, const char *typ, size_t max, struct slice jws,
                          struct jose_jws *j, json_t **ret, struct err *e)
{
    AUTO(jose_key_free) struct jose_key *key = NULL;
    AUTO(json_free) json_t *doc = NULL;
    enum err_code rc = jose_jws_parse(jws, max, typ, j, e);

    if (rc == ERR_OK)
        rc = jose_key_from_jwk(d->jwk, &key, e);
    if (rc == ERR_OK)
        rc = jose_jws_verify(j, key, e);
    if (rc == ERR_OK)
        rc = json_in_parse((struct slice){j->payload, j->payload_n}, max, &doc, e);
    if (rc == ERR_OK && !json_is_object(doc))
        rc = err_set(e, ERR_STATUS_INVALID, "the document is not an object");
    if (rc == ERR_OK && strcmp(json_str(doc, "device", ""), d->id) != 0)
        rc = err_field(e, ERR_STATUS_INVALID, "/device",
                       "the document is about another device than the token");
    if (rc == ERR_OK)
        *ret = TAKE(doc);
    return rc;
}

enum err_code report_check_texts(const json_t *doc, struct err *e)
{
    char pointer[192] = "";

    return report_texts_ok(doc, pointer, sizeof pointer)
               ? ERR_OK
               : err_field(e, ERR_STATUS_INVALID, pointer,
                           "the text has control characters or is longer than %d bytes", TEXT_MAX);
}

static enum err_code open_document(const struct device *d, const char *typ, size_t max,
                                   struct slice jws, struct jose_jws *j, json_t **ret,
                                   struct err *e)
{
    enum err_code rc = report_open(d, typ, max, jws, j, ret, e);

    return rc == ERR_OK ? report_check_texts(*ret, e) : rc;
}

static enum err_code check_kind(const json_t *doc, const char *name, json_type type, struct err *e)
{
    const json_t *v = json_object_get(doc, name);
    char pointer[64];

    if (v == NULL || json_is_null(v) || json_typeof(v) == type)
        return ERR_OK;
    (void)snprintf(pointer, sizeof pointer, "/%s", name);
    return err_field(e, ERR_STATUS_INVALID, pointer, "the member has the wrong type");
}

/* Rows are shown to administrators as they came: each must at least be what the API promises. */
static enum err_code check_rows(const json_t *doc, const char *name, struct err *e)
{
    struct row {
        const char *type;
        json_t *reason, *message; /* Postfix's own words may span lines */
        int status;
    } row = {0};
    static const char *const words[] = {"True", "False", "Unknown", NULL};
    static const struct jdec_field fields[] = {
        JDEC_STR(struct row, type, JD_REQUIRED, 1, 64),
        JDEC_ENUM(struct row, status, JD_REQUIRED, words),
        JDEC_ANY(struct row, reason, 0),
        JDEC_ANY(struct row, message, 0),
        JDEC_END,
    };
    bool condition = strcmp(name, "conditions") == 0;
    const json_t *v;
    char at[64];
    size_t i;

    json_array_foreach(json_object_get(doc, name), i, v)
    {
        (void)snprintf(at, sizeof at, "/%s/%zu", name, i);
        if (!json_is_object(v))
            return err_field(e, ERR_STATUS_INVALID, at, "the member has the wrong type");
        row = (struct row){0};
        if (condition && (jdec_object(v, fields, JD_ALLOW_UNKNOWN, at, &row, e) != ERR_OK ||
                          (row.reason != NULL && !json_is_string(row.reason)) ||
                          (row.message != NULL && !json_is_string(row.message))))
            return err_field(e, ERR_STATUS_INVALID, at, "the member has the wrong type");
    }
    return ERR_OK;
}

static enum err_code check_status(const json_t *doc, struct err *e)
{
    static const char *const objects[] = {"observed",     "on_disk", "lkg",      "running",
                                          "last_attempt", "health",  "inventory"};
    static const char *const arrays[] = {"quarantined", "drift", "would_change", "conditions"};
    enum err_code rc = ERR_OK;

    if (!json_is_integer(json_object_get(doc, "seq")) || json_int(doc, "seq", -1) < 0)
        return err_field(e, ERR_STATUS_INVALID, "/seq", "a whole number is needed");
    for (size_t i = 0; i < COUNT_OF(objects) && rc == ERR_OK; i++)
        rc = check_kind(doc, objects[i], JSON_OBJECT, e);
    for (size_t i = 0; i < COUNT_OF(arrays) && rc == ERR_OK; i++)
        rc = check_kind(doc, arrays[i], JSON_ARRAY, e);
    for (size_t i = 0; i < COUNT_OF(arrays) && rc == ERR_OK; i++)
        rc = check_rows(doc, arrays[i], e);
    return rc;
}

static enum err_code show_stored(struct db *db, struct app *app, const char *device_id,
                                 struct arena *a, struct err *e)
{
    const char *digest = "";
    enum err_code rc = status_store_digest(db, device_id, a, &digest, e);

    if (rc == ERR_OK)
        fleet_set_status(app->fleet, device_id, digest);
    return rc;
}

/* After the status stands: by policy, what was found becomes a draft. */
static void take_over_drift(struct db *db, const char *device_id, json_t *doc, struct arena *a)
{
    struct err ignored = {0};
    struct device d;

    if (json_array_size(json_object_get(doc, "drift")) > 0 &&
        device_store_get(db, device_id, a, &d, &ignored) == ERR_OK)
        drift_adopt_by_policy(db, &d, doc);
}

enum err_code device_status_put(struct db *db, struct app *app, const char *device_id,
                                struct slice jws, struct arena *a, struct err *e)
{
    AUTO(json_free) json_t *doc = NULL;
    char digest[SHA256_HEX_SIZE];
    struct jose_jws j = {0};
    struct device d = {.id = device_id};
    bool stored = false;
    enum err_code rc = device_store_key(db, device_id, a, &d.jwk, e);

    if (rc == ERR_OK)
        rc = open_document(&d, PROTO_TYP_STATUS, PROTO_STATUS_MAX, jws, &j, &doc, e);
    if (rc == ERR_OK)
        rc = check_status(doc, e);
    if (rc == ERR_OK)
        rc = device_instance_check(app, device_id, json_str(doc, "boot", NULL), e);
    if (rc == ERR_OK) {
        sha256_hex((struct slice){j.payload, j.payload_n}, digest);
        rc = status_store_put(db, device_id, json_int(doc, "seq", 0), digest, doc, jws, a, &stored,
                              e);
    }
    if (rc == ERR_OK && stored) {
        fleet_set_status(app->fleet, device_id, digest);
        atomic_store(&app->alerts_doubt, true);
        take_over_drift(db, device_id, doc, a);
    } else if (rc == ERR_OK) /* a repeat, or an older one: what is stored stands */
        rc = show_stored(db, app, device_id, a, e);
    jose_jws_clear(&j);
    return rc;
}

enum err_code device_proposal_put(struct db *db, struct app *app, const char *device_id,
                                  struct slice jws, struct arena *a, struct err *e)
{
    AUTO(json_free) json_t *doc = NULL;
    struct jose_jws j = {0};
    struct device d;
    enum err_code rc = device_store_get(db, device_id, a, &d, e);

    (void)app;
    if (rc == ERR_OK)
        rc = open_document(&d, PROTO_TYP_PROPOSAL, PROTO_PROPOSAL_MAX, jws, &j, &doc, e);
    if (rc == ERR_OK)
        rc = check_kind(doc, "settings", JSON_OBJECT, e);
    if (rc == ERR_OK)
        rc = check_kind(doc, "foreign", JSON_OBJECT, e);
    if (rc == ERR_OK)
        rc = status_store_propose(db, device_id, doc, e);
    jose_jws_clear(&j);
    return rc;
}

/* --- what follows --- */

static const json_t *at(const json_t *j, const char *a, const char *b)
{
    const json_t *v = json_object_get(j, a);

    return b == NULL ? v : json_object_get(v, b);
}

static bool one_of(const char *word, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strcmp(word, *words) == 0)
            return true;
    }
    return false;
}

/* foxproxy, where it is wanted, runs with the same settings as Postfix. */
static bool front_runs(const json_t *status, const char *digest)
{
    const json_t *f = at(status, "running", "foxproxy");

    return !json_bool(f, "wanted", false) || (strcmp(json_str(f, "state", ""), "running") == 0 &&
                                              strcmp(json_str(f, "digest", ""), digest) == 0);
}

/* The three truths agree. */
static bool runs(const json_t *status, const char *digest)
{
    return front_runs(status, digest) && digest[0] != '\0' &&
           strcmp(json_str(at(status, "running", "postfix"), "digest", ""), digest) == 0 &&
           strcmp(json_str(at(status, "on_disk", NULL), "digest", ""), digest) == 0;
}

static const char *const failures[] = {"rejected", "reverted", "interrupted", "degraded", NULL};

const char *device_sync(const struct device *d)
{
    const json_t *attempt = at(d->status, "last_attempt", NULL);
    bool fetched = strcmp(json_str(at(d->status, "observed", NULL), "etag", ""), d->etag) == 0;
    bool about = strcmp(json_str(attempt, "digest", ""), d->digest) == 0 &&
                 json_int(attempt, "rev", 0) >= d->desired_rev;

    if (d->digest[0] == '\0' || d->status == NULL)
        return "unknown";
    if (strcmp(d->mode, "observe") == 0)
        return fetched ? "observing" : "pending";
    if (runs(d->status, d->digest))
        return "in-sync";
    if (strcmp(d->state, "held") == 0 ||
        (about && strcmp(json_str(attempt, "result", ""), "held") == 0))
        return "held";
    if (about && one_of(json_str(attempt, "result", ""), failures))
        return "failed";
    return fetched ? "applying" : "pending";
}

const char *rollout_device_state(const json_t *status, const char *digest, const char *etag,
                                 int64_t rev, int64_t desired_rev, int64_t offered_rev)
{
    static const char *const ends[] = {"rejected", "reverted", "interrupted", "degraded",
                                       "held",     "observed", NULL};
    const json_t *attempt = at(status, "last_attempt", NULL),
                 *observed = at(status, "observed", NULL);
    const char *result = json_str(attempt, "result", "");

    if (json_int(attempt, "rev", 0) == rev) {
        for (int i = 0; ends[i] != NULL; i++) {
            if (strcmp(ends[i], result) == 0)
                return ends[i];
        }
    }
    if (runs(status, digest))
        return "confirmed";
    if (desired_rev > rev)
        return "superseded";
    if (json_int(observed, "rev", 0) >= rev || strcmp(json_str(observed, "etag", ""), etag) == 0)
        return "fetched";
    return offered_rev >= rev ? "offered" : "queued";
}
