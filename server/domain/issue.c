#include "domain/issue.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "domain/combine.h"
#include "domain/drift_policy.h"
#include "domain/fleet_cache.h"
#include "domain/keyring.h"
#include "domain/recovery.h"
#include "domain/secret.h"
#include "proto/proto.h"
#include "store/bundle_store.h"
#include "store/fleet_store.h"
#include "store/rollout_device_store.h"
#include "store/rollout_store.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    MADE_FOR_SIZE = 96,
    PUT_BUNDLES = 128,
    PUT_BYTES = 4 * 1024 * 1024 /* stored at a time, whichever is less */
};

/* The content of one set of layers, rendered once however many devices share it. */
struct rendering {
    struct rendering *next;
    const json_t *content;
    const char *layers; /* "group,group": what it was merged from; only for devices without a layer
                           of their own */
    char *sections;     /* canonical text: made and written once, not for each device */
    char digest[PROTO_DIGEST_SIZE];
    json_t *drift;  /* the effective drift.policy and drift.items: no part of the content */
    char items[17]; /* digest of the items, "": none */
    struct secret_box *secrets; /* what the content names, to be sealed for each device apart */
    size_t n_secrets;
};

struct issue {
    struct db *db;
    struct app *app;
    struct arena *a;
    int64_t pub;           /* of the bundle that is being made */
    const json_t *content; /* of the device that is being rendered */
    bool same;             /* content is everybody's; else each device's own, with add on top */
    const char *add;
    struct combine combine;
    const char *rollout_id;
    int wave;
    int64_t soak_s;  /* how long a device keeps the way back open (strategy.h) */
    const char *ids; /* array text; NULL: all */
    struct bundle_target *targets;
    size_t n_targets;
    struct bundle_member *members;
    size_t n_members;
    struct rendering *renderings;
    struct rendering **chosen; /* by target; NULL: nothing changes */
    size_t n_changed;
};

static const json_t *layer_of(const json_t *content, const char *part, const char *id)
{
    const json_t *all = json_object_get(content, part);

    return id == NULL ? all : json_object_get(all, id);
}

/* fleet, this device's groups, device; members: of this device only. */
static enum err_code make_layers(const json_t *content, const char *device_id,
                                 const struct bundle_member *members, size_t n_members,
                                 struct arena *a, struct catalog_layer **ret, size_t *ret_n,
                                 struct err *e)
{
    struct catalog_layer *v = arena_alloc(a, (n_members + 2) * sizeof *v);
    size_t n = 0;

    if (v == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    v[n++] = (struct catalog_layer){LAYER_FLEET, "", "", layer_of(content, "fleet", NULL), 0};
    for (size_t i = 0; i < n_members; i++)
        v[n++] = (struct catalog_layer){LAYER_GROUP, members[i].group_id, members[i].group_name,
                                        layer_of(content, "groups", members[i].group_id),
                                        members[i].priority};
    v[n++] = (struct catalog_layer){LAYER_DEVICE, device_id, "",
                                    layer_of(content, "devices", device_id), 0};
    *ret = v;
    *ret_n = n;
    return ERR_OK;
}

/* "{a,b}" of the ids, in a; only UUIDs get here. */
const char *issue_id_array(const char *const *ids, size_t n, struct arena *a)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(8 * MIB);

    strbuf_putc(&b, '{');
    for (size_t i = 0; i < n; i++)
        strbuf_printf(&b, "%s%s", i == 0 ? "" : ",", ids[i]);
    strbuf_putc(&b, '}');
    return strbuf_ok(&b) ? arena_strdup(a, strbuf_str(&b)) : NULL;
}

enum err_code issue_layers(struct db *db, const json_t *content, const char *device_id,
                           struct arena *a, struct catalog_layer **ret, size_t *ret_n,
                           struct err *e)
{
    struct bundle_member *members = NULL;
    size_t n = 0;
    const char *ids;
    enum err_code rc;

    if (!uuid_is_valid(device_id))
        return err_set(e, ERR_INTERNAL, "not the id of a device");
    ids = issue_id_array(&device_id, 1, a);
    if (ids == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = bundle_store_members(db, ids, a, &members, &n, e);
    return rc == ERR_OK ? make_layers(content, device_id, members, n, a, ret, ret_n, e) : rc;
}

/* --- rendering --- */

/* Does the device's plan ask for it?  The sender filter's settings go only where it stands in the
 * path: elsewhere they would be a new content for nothing, and an agent that knows none of them
 * would refuse it. */
static bool is_content(const struct setting *s, bool front)
{
    return strcmp(s->daemon, "postfix") == 0 || (front && strcmp(s->daemon, "foxproxy") == 0);
}

/* {"postfix":{"schema":1,"settings":{...}}} of the effective settings. */
static json_t *make_sections(const json_t *effective)
{
    json_t *settings = json_object();
    bool front = strcmp(json_str(effective, "path.mode", ""), "front") == 0;

    for (size_t i = 0; settings != NULL && i < catalog_count(); i++) {
        const struct setting *s = catalog_at(i);
        json_t *v = json_object_get(effective, s->key);
        if (v != NULL && is_content(s, front))
            (void)json_object_set(settings, s->key, v);
    }
    return json_pack("{s:{s:i,s:o,s:[],s:{}}}", "postfix", "schema", 1, "settings", settings,
                     "blobs", "sealed");
}

static void rendering_drop(void *p)
{
    struct rendering *r = p;

    free(r->sections);
    json_decref(r->drift);
}

/* What of the settings is about drift, alone. */
static bool keep_drift(struct rendering *r, const json_t *effective)
{
    const json_t *items = json_object_get(effective, "drift.items");
    char sum[65] = "";

    r->drift = json_pack("{s:O?,s:O?}", "drift.policy", json_object_get(effective, "drift.policy"),
                         "drift.items", items);
    if (json_object_size(items) > 0 && !json_digest(items, sum))
        return false;
    (void)snprintf(r->items, sizeof r->items, "%.16s", sum);
    return r->drift != NULL;
}

static enum err_code render(struct issue *is, const char *device_id, const struct bundle_member *m,
                            size_t n_m, const char *key, struct rendering **ret, struct err *e)
{
    struct rendering *r = arena_alloc(is->a, sizeof *r);
    struct catalog_layer *layers = NULL;
    AUTO(json_free) json_t *effective = NULL, *sections = NULL;
    size_t n = 0;
    enum err_code rc = r == NULL
                           ? err_set(e, ERR_NO_MEMORY, "out of memory")
                           : make_layers(is->content, device_id, m, n_m, is->a, &layers, &n, e);

    if (rc == ERR_OK)
        rc = catalog_merge(layers, n, &effective, e);
    if (rc != ERR_OK)
        return rc;
    r->layers = key;
    sections = make_sections(effective);
    if (sections == NULL || !arena_defer(is->a, rendering_drop, r) || !keep_drift(r, effective) ||
        !proto_content_digest(sections, r->digest) ||
        (r->sections = json_canonical(sections)) == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = secret_boxes(is->db, effective, is->a, &r->secrets, &r->n_secrets, e);
    if (rc != ERR_OK)
        return rc;
    r->content = is->content;
    if (key != NULL) {
        r->next = is->renderings;
        is->renderings = r;
    }
    *ret = r;
    return ERR_OK;
}

/* Devices without a layer of their own share what their groups make. */
static const char *sharing_key(const struct issue *is, const char *device_id,
                               const struct bundle_member *m, size_t n_m)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(64 * KIB);

    if (json_object_size(layer_of(is->content, "devices", device_id)) > 0)
        return NULL;
    for (size_t i = 0; i < n_m; i++)
        strbuf_printf(&b, "%s,", m[i].group_id);
    return strbuf_ok(&b) ? arena_strdup(is->a, strbuf_str(&b)) : NULL;
}

static enum err_code rendering_for(struct issue *is, const char *device_id,
                                   const struct bundle_member *m, size_t n_m,
                                   struct rendering **ret, struct err *e)
{
    const char *key = sharing_key(is, device_id, m, n_m);

    for (struct rendering *r = is->renderings; key != NULL && r != NULL; r = r->next) {
        if (r->content == is->content && strcmp(r->layers, key) == 0) {
            *ret = r;
            return ERR_OK;
        }
    }
    return render(is, device_id, m, n_m, key, ret, e);
}

static const char *made_for(const struct bundle_target *t, const struct rendering *r,
                            char buf[MADE_FOR_SIZE])
{
    const char *word =
        strcmp(t->drift, "inherit") == 0 ? json_str(r->drift, "drift.policy", "report") : t->drift;

    /* A renewed key: what was sealed to the one before is sealed anew. */
    (void)snprintf(buf, MADE_FOR_SIZE, "%s,%s,%s%s%s%s%.16s", t->mode, t->placement, word,
                   r->items[0] == '\0' ? "" : ",", r->items,
                   r->n_secrets == 0 ? "" : ",key=", r->n_secrets == 0 ? "" : t->kid);
    return buf;
}

/* What this device is entitled to. */
static enum err_code take_content(struct issue *is, const struct bundle_target *t, struct err *e)
{
    const char *urgent = t->urgent;

    if (is->same)
        return ERR_OK;
    if (is->add[0] != '\0')
        urgent = combine_lists(is->a, t->urgent, is->add, t->pub);
    return urgent == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                          : combine_content(&is->combine, t->pub, urgent, &is->content, e);
}

/* Which targets need a new bundle.  members and targets are in the same order. */
static enum err_code choose(struct issue *is, struct err *e)
{
    size_t m = 0;
    enum err_code rc = ERR_OK;

    is->chosen = arena_alloc(is->a, (is->n_targets + 1) * sizeof *is->chosen);
    if (is->chosen == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < is->n_targets && rc == ERR_OK; i++) {
        const struct bundle_target *t = &is->targets[i];
        struct rendering *r = NULL;
        char now[MADE_FOR_SIZE];
        size_t first;
        while (m < is->n_members && strcmp(is->members[m].device_id, t->id) < 0)
            m++; /* of a device that gets nothing */
        first = m;
        while (m < is->n_members && strcmp(is->members[m].device_id, t->id) == 0)
            m++;
        rc = take_content(is, t, e);
        if (rc == ERR_OK)
            rc = rendering_for(is, t->id, is->members + first, m - first, &r, e);
        if (rc == ERR_OK &&
            (strcmp(r->digest, t->digest) != 0 || strcmp(made_for(t, r, now), t->made_for) != 0)) {
            is->chosen[i] = r;
            is->n_changed++;
        }
    }
    return rc;
}

/* --- bundles --- */

/* All but the sections, which are null. */
static json_t *make_payload(const struct issue *is, const struct bundle_target *t,
                            const struct rendering *r, int64_t rev)
{
    char jti[UUID_TEXT_SIZE];
    json_t *j, *prev, *rollout;

    uuid7(jti);
    prev = t->etag[0] == '\0' ? json_null() : json_string(t->etag);
    rollout = is->rollout_id == NULL
                  ? json_null()
                  : json_pack("{s:s,s:i}", "id", is->rollout_id, "wave", is->wave);
    j = json_pack("{s:s,s:s,s:I,s:I,s:I,s:s,s:s,s:I,s:o,s:o,s:s,s:s,s:[],s:n,s:o,s:{s:s}}", "fleet",
                  is->app->fleet_id, "device", t->id, "epoch", (json_int_t)is->app->epoch, "rev",
                  (json_int_t)rev, "pub", (json_int_t)is->pub, "content_digest", r->digest, "jti",
                  jti, "iat", (json_int_t)clock_wall_s(), "prev", prev, "rollout", rollout, "mode",
                  t->mode, "min_agent", "0.1.0", "crit", "sections", "drift",
                  drift_policy_make(r->drift, t->drift), "device_facts", "placement", t->placement);
    if (j != NULL)
        (void)json_object_set_new(j, "apply",
                                  json_pack("{s:[s],s:b,s:i,s:I,s:i,s:s}", "order", "postfix",
                                            "atomic", 1, "apply_deadline_s", 60, "probe_soak_s",
                                            (json_int_t)is->soak_s, "confirm_window_s", 300,
                                            "failure_mode", "tempfail"));
    return j;
}

/* Its own copy of each secret, for its key alone. */
static enum err_code add_secrets(const struct issue *is, const struct bundle_target *t,
                                 const struct rendering *r, json_t *payload, struct err *e)
{
    json_t *sealed = NULL;
    enum err_code rc = r->n_secrets == 0 ? ERR_OK
                                         : secret_seal_for(is->db, is->app, t->id, t->enc_jwk,
                                                           r->secrets, r->n_secrets, &sealed, e);

    if (rc == ERR_OK && sealed != NULL && json_object_set_new(payload, "secrets", sealed) != 0)
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    return rc;
}

/* The canonical text of a payload with its sections, which are long and the same for many devices.
 */
static char *payload_text(const json_t *payload, const char *sections)
{
    static const char name[] = "\"sections\":", none[] = "\"sections\":null";
    AUTO_STR char *text = json_canonical(payload);
    /* In a string the quotes would be escaped, so this is the member. */
    char *at = text == NULL ? NULL : strstr(text, none), *out;
    size_t head, n;

    if (at == NULL)
        return NULL;
    head = (size_t)(at - text) + sizeof name - 1;
    n = strlen(sections);
    out = malloc(strlen(text) + n + 1);
    if (out == NULL)
        return NULL;
    memcpy(out, text, head);
    memcpy(out + head, sections, n);
    memcpy(out + head + n, at + sizeof none - 1, strlen(at + sizeof none - 1) + 1);
    return out;
}

/* Bundles that are stored by one statement. */
struct batch {
    struct arena *a; /* their texts */
    struct bundle_new v[PUT_BUNDLES];
    size_t n, bytes;
};

static enum err_code flush(const struct issue *is, struct batch *b, struct err *e)
{
    enum err_code rc = bundle_store_put(is->db, b->v, b->n, e);

    arena_reset(b->a);
    b->n = b->bytes = 0;
    return rc;
}

static enum err_code make_bundle(struct issue *is, const struct bundle_target *t,
                                 const struct rendering *r, int64_t rev, struct batch *b,
                                 struct err *e)
{
    AUTO(json_free) json_t *payload = make_payload(is, t, r, rev);
    AUTO_STR char *text = NULL;
    AUTO_STR char *jws = NULL;
    char etag[SHA256_HEX_SIZE], now[MADE_FOR_SIZE];
    struct bundle_new *new = &b->v[b->n];
    enum err_code rc;
    size_t n;

    rc = payload == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                         : add_secrets(is, t, r, payload, e);
    if (rc != ERR_OK)
        return rc;
    text = payload_text(payload, r->sections);
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = jose_jws_sign(keyring_bundle_key(is->app->keys), PROTO_TYP_BUNDLE, slice_of(text), false,
                       &jws, e);
    if (rc != ERR_OK)
        return rc;
    n = strlen(jws);
    if (n > PROTO_BUNDLE_MAX)
        return err_set(
            e, ERR_TOO_LARGE,
            "the settings of device \"%s\" make a bundle of %zu bytes; at most %d are possible",
            t->name, n, PROTO_BUNDLE_MAX);
    sha256_hex(slice_of(jws), etag);
    *new = (struct bundle_new){.device_id = t->id,
                               .digest = r->digest,
                               .etag = arena_strdup(b->a, etag),
                               .made_for = arena_strdup(b->a, made_for(t, r, now)),
                               .rollout_id = is->rollout_id,
                               .jws = arena_strdup(b->a, jws),
                               .epoch = is->app->epoch,
                               .rev = rev,
                               .pub = is->pub,
                               .offer = !t->held};
    if (new->etag == NULL || new->made_for == NULL || new->jws == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    b->n++;
    b->bytes += n;
    return b->n == PUT_BUNDLES || b->bytes > PUT_BYTES ? flush(is, b, e) : ERR_OK;
}

static enum err_code put_all(struct issue *is, struct err *e)
{
    AUTO(arena_free) struct arena *texts = arena_new(PUT_BYTES + 2 * PROTO_BUNDLE_MAX);
    const char **ids = arena_alloc(is->a, (is->n_changed + 1) * sizeof *ids);
    struct batch *batch = arena_alloc(is->a, sizeof *batch);
    int64_t *revs = NULL;
    size_t k = 0;
    enum err_code rc = ids == NULL || texts == NULL || batch == NULL
                           ? err_set(e, ERR_NO_MEMORY, "out of memory")
                           : bundle_store_revs(is->db, is->n_changed, is->a, &revs, e);

    if (rc == ERR_OK)
        batch->a = texts;
    for (size_t i = 0; i < is->n_targets && rc == ERR_OK; i++) {
        if (is->chosen[i] == NULL)
            continue;
        is->pub = combine_newest(is->targets[i].pub, is->targets[i].urgent);
        if (batch->n > 0 && batch->v[0].pub != is->pub) /* one statement is about one publication */
            rc = flush(is, batch, e);
        if (rc == ERR_OK)
            rc = make_bundle(is, &is->targets[i], is->chosen[i], revs[k], batch, e);
        ids[k++] = is->targets[i].id;
    }
    if (rc == ERR_OK)
        rc = flush(is, batch, e);
    if (rc == ERR_OK && k > 0)
        rc = rollout_device_store_follow(is->db, issue_id_array(ids, k, is->a),
                                         is->rollout_id == NULL ? "" : is->rollout_id, e);
    if (rc == ERR_OK && k > 0)
        rc = fleet_store_note_devices(is->db, issue_id_array(ids, k, is->a), e);
    return rc;
}

static enum err_code compare(struct issue *is, struct err *e)
{
    enum err_code rc =
        bundle_store_targets(is->db, is->ids, is->a, &is->targets, &is->n_targets, e);

    if (rc == ERR_OK)
        rc = bundle_store_members(is->db, is->ids, is->a, &is->members, &is->n_members, e);
    return rc == ERR_OK ? choose(is, e) : rc;
}

static enum err_code name_targets(struct issue *is, const char *const *device_ids, size_t n,
                                  struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (!uuid_is_valid(device_ids[i]))
            return err_set(e, ERR_INTERNAL, "not the id of a device");
    }
    is->ids = issue_id_array(device_ids, n, is->a);
    return is->ids == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}

enum err_code issue_compare(struct db *db, struct app *app, const json_t *content, const char *add,
                            struct arena *a, struct issue_change **ret, size_t *ret_n,
                            struct err *e)
{
    struct issue is = {.db = db,
                       .app = app,
                       .a = a,
                       .content = content,
                       .same = add[0] == '\0',
                       .add = add,
                       .combine = {db, a, NULL}};
    struct issue_change *v;
    enum err_code rc = recovery_lock(db, app, e);

    if (rc == ERR_OK)
        rc = compare(&is, e);
    if (rc != ERR_OK)
        return rc;
    v = arena_alloc(a, (is.n_targets + 1) * sizeof *v);
    if (v == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < is.n_targets; i++)
        v[i] = (struct issue_change){is.targets[i].id, is.targets[i].name, is.targets[i].rev,
                                     is.chosen[i] != NULL};
    *ret = v;
    *ret_n = is.n_targets;
    return ERR_OK;
}

static enum err_code take_soak(struct issue *is, struct err *e)
{
    struct rollout_row r = {0};
    enum err_code rc =
        is->rollout_id == NULL ? ERR_OK : rollout_store_get(is->db, is->rollout_id, is->a, &r, e);

    if (rc == ERR_OK && !json_bool(r.strategy, "expedite", false))
        is->soak_s = json_int(r.strategy, "soak_s", 0);
    return rc;
}

/* By what each of the named devices is entitled to now. */
static enum err_code put_entitled(struct issue *is, struct err *e)
{
    enum err_code rc = compare(is, e);

    return rc == ERR_OK ? put_all(is, e) : rc;
}

static enum err_code begin(struct issue *is, const char *const *device_ids, size_t n, struct err *e)
{
    enum err_code rc = name_targets(is, device_ids, n, e);

    is->add = "";
    is->combine = (struct combine){is->db, is->a, NULL};
    /* First, or a publication could slip in between reading and issuing. */
    return rc == ERR_OK ? recovery_lock(is->db, is->app, e) : rc;
}

enum err_code issue_entitle(struct db *db, const struct issue_of *of, const char *const *device_ids,
                            size_t n, struct arena *a, struct err *e)
{
    const char *ids = issue_id_array(device_ids, n, a);

    if (ids == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return of->urgent[0] == '\0' ? rollout_target_store_set_pub(db, ids, of->pub, e)
                                 : rollout_target_store_add_urgent(db, ids, of->urgent, e);
}

enum err_code issue_devices(struct db *db, struct app *app, const struct issue_of *of,
                            const char *const *device_ids, size_t n, struct arena *a, struct err *e)
{
    struct issue is = {
        .db = db, .app = app, .a = a, .rollout_id = of->rollout_id, .wave = of->wave};
    enum err_code rc = n == 0 ? ERR_OK : begin(&is, device_ids, n, e);

    if (rc != ERR_OK || n == 0)
        return rc;
    rc = take_soak(&is, e);
    if (rc == ERR_OK)
        rc = issue_entitle(db, of, device_ids, n, a, e);
    return rc == ERR_OK ? put_entitled(&is, e) : rc;
}

enum err_code issue_trial(struct db *db, struct app *app, const struct issue_trial_of *of,
                          const char *device_id, const char *jti, struct arena *a, char **ret,
                          struct err *e)
{
    struct issue is = {.db = db,
                       .app = app,
                       .a = a,
                       .pub = of->pub,
                       .content = of->content,
                       .same = of->urgent[0] == '\0',
                       .add = of->urgent,
                       .combine = {db, a, NULL}};
    AUTO(json_free) json_t *payload = NULL;
    AUTO_STR char *text = NULL;
    struct rendering *r = NULL;
    enum err_code rc = name_targets(&is, &device_id, 1, e);

    if (rc == ERR_OK)
        rc = bundle_store_targets(db, is.ids, a, &is.targets, &is.n_targets, e);
    if (rc == ERR_OK && is.n_targets != 1)
        rc = err_set(e, ERR_NOT_FOUND, "the device is not in service");
    if (rc == ERR_OK)
        rc = bundle_store_members(db, is.ids, a, &is.members, &is.n_members, e);
    if (rc == ERR_OK)
        rc = take_content(&is, &is.targets[0], e);
    if (rc == ERR_OK)
        rc = render(&is, device_id, is.members, is.n_members, NULL, &r, e);
    if (rc != ERR_OK)
        return rc;
    payload = make_payload(&is, &is.targets[0], r, 1);
    rc = payload == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                         : add_secrets(&is, &is.targets[0], r, payload, e);
    if (rc != ERR_OK)
        return rc;
    (void)json_object_set_new(payload, "mode", json_string("dry-run"));
    (void)json_object_set_new(payload, "jti", json_string(jti));
    text = payload == NULL ? NULL : payload_text(payload, r->sections);
    return text == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                        : jose_jws_sign(keyring_bundle_key(app->keys), PROTO_TYP_BUNDLE,
                                        slice_of(text), false, ret, e);
}

enum err_code issue_reissue(struct db *db, struct app *app, const char *const *device_ids, size_t n,
                            struct arena *a, struct err *e)
{
    struct issue is = {.db = db, .app = app, .a = a};
    const char *urgent = "";
    int64_t stable = 0;
    enum err_code rc = begin(&is, device_ids, n, e);

    if (rc == ERR_OK)
        rc = rollout_store_stable(db, a, &stable, &urgent, e);
    if (rc == ERR_OK)
        rc = rollout_target_store_begin_with(db, is.ids, stable, urgent, e);
    return rc == ERR_OK ? put_entitled(&is, e) : rc;
}

enum err_code issue_committed(struct db *db, struct app *app, struct err *e)
{
    struct err second;
    enum err_code rc = app->fleet == NULL ? ERR_OK : fleet_cache_refresh(app->fleet, db, e);

    if (rc != ERR_OK)
        log_event(LOG_LEVEL_WARN, "fleet.refresh_failed", KV_STR("error", err_word(rc)));
    /* The commit stands whatever happens here; the next publication, or start, writes it again. */
    if (recovery_write_witness(db, app, &second) != ERR_OK)
        log_event(LOG_LEVEL_WARN, "witness.not_written", KV_STR("error", second.msg));
    return rc;
}
