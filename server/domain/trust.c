#include "domain/trust.h"

#include "base/clock.h"
#include "base/log.h"
#include "domain/issue.h"
#include "domain/keyring.h"
#include "domain/recovery.h"
#include "store/fleet_store.h"
#include "store/key_store.h"
#include "store/recovery_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { USES = 2, LISTED_MAX = 16 /* what children read (agent/loop/trust.c) */ };
static const char *const uses[USES] = {"bundle", "receipt"};

static const struct jose_key *in_force(const struct keyring *k, const char *use)
{
    return strcmp(use, "bundle") == 0 ? keyring_bundle_key(k) : keyring_receipt_key(k);
}

static enum err_code kid_of(const json_t *entry, char ret[JOSE_KID_SIZE], struct err *e)
{
    AUTO(jose_key_free) struct jose_key *key = NULL;
    enum err_code rc = jose_key_from_jwk(json_object_get(entry, "jwk"), &key, e);

    if (rc == ERR_OK)
        (void)snprintf(ret, JOSE_KID_SIZE, "%s", jose_key_kid(key));
    return rc;
}

struct rotation {
    struct app *app;
    const struct jose_key *root;
    const struct actor *by;
    const struct trust_order *o;
    char before[USES][JOSE_KID_SIZE]; /* "": stays */
    struct trust_result r;
};

/* The list of the next document: keys that replace others behind them, which end soon or at once.
 * A bundle key that has ended is left out; a receipt key is not, since receipts have no end. */
static enum err_code next_keys(const struct rotation *x, const json_t *old, json_t **ret,
                               struct err *e)
{
    AUTO(json_free) json_t *keys = json_array();
    char until[CLOCK_TEXT_SIZE], kid[JOSE_KID_SIZE];
    int64_t now = clock_wall_ms(), end = 0;
    size_t i;
    json_t *v;

    clock_format(now + (int64_t)TRUST_OVERLAP_DAYS * 86400 * 1000, until);
    json_array_foreach(old, i, v)
    {
        bool bundle = strcmp(json_str(v, "use", ""), "bundle") == 0;
        const char *not_after = json_str(v, "not_after", NULL);
        enum err_code rc = kid_of(v, kid, e);
        if (rc != ERR_OK)
            return rc;
        if (bundle && not_after != NULL && clock_parse(slice_of(not_after), &end) && end < now)
            continue;
        if (strcmp(kid, x->before[bundle ? 0 : 1]) == 0) {
            if (x->o->stolen)
                continue;
            (void)json_object_set_new(v, "not_after", json_string(until));
        }
        (void)json_array_append(keys, v);
    }
    for (i = 0; i < USES; i++) {
        if (x->before[i][0] != '\0')
            (void)json_array_append_new(
                keys, json_pack("{s:s,s:o,s:n}", "use", uses[i], "jwk",
                                jose_key_to_jwk(in_force(x->app->keys, uses[i])), "not_after"));
    }
    if (json_array_size(keys) > LISTED_MAX)
        return err_set(e, ERR_REFUSED,
                       "the trust document would list more than %d keys: wait until one of before "
                       "has ended",
                       LISTED_MAX);
    *ret = TAKE(keys);
    return ERR_OK;
}

static enum err_code add_document(struct db *db, struct rotation *x, struct err *e)
{
    AUTO(json_free) json_t *doc = NULL;
    AUTO(json_free) json_t *keys = NULL;
    AUTO_STR char *jws = NULL;
    enum err_code rc = keyring_trust_open(x->app->keys, &doc, e);

    if (rc == ERR_OK)
        rc = next_keys(x, json_object_get(doc, "keys"), &keys, e);
    if (rc == ERR_OK)
        rc = keyring_trust_sign(x->app, x->root, NULL, x->r.trust, json_int(doc, "epoch", 1), keys,
                                &jws, e);
    return rc == ERR_OK ? key_store_trust_add(db, x->r.trust, jws, e) : rc;
}

static enum err_code audit(struct db *db, const struct rotation *x, struct err *e)
{
    AUTO(json_free)
    json_t *detail = json_pack("{s:s,s:I,s:b,s:s,s:s,s:b}", "reason", x->o->reason, "trust",
                               (json_int_t)x->r.trust, "stolen", x->o->stolen, "kid", x->r.kid,
                               "before", x->before[0], "receipt", x->o->receipt);

    return detail == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                          : audit_append(db, x->by, "trust.rotate", "parent", detail, e);
}

static enum err_code rotate_tx(struct db *db, void *ctx, struct err *e)
{
    struct rotation *x = ctx;
    AUTO(arena_free) struct arena *a = arena_new(32 * MIB);
    int64_t devices = 0;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;

    /* Before the lock, which is given to whoever signs by the newest key. */
    for (size_t i = 0; i < USES && rc == ERR_OK; i++) {
        if (x->before[i][0] != '\0')
            rc = keyring_add_key(db, x->app->keys, in_force(x->app->keys, uses[i]), uses[i], e);
    }
    if (rc == ERR_OK)
        rc = recovery_lock(db, x->app, e);
    if (rc == ERR_OK)
        rc = recovery_store_devices(db, a, &devices, e);
    if (rc == ERR_OK)
        rc = add_document(db, x, e);
    if (rc == ERR_OK)
        rc = recovery_store_afresh(db, e);
    if (rc == ERR_OK)
        rc = recovery_issue_all(db, x->app, a, e);
    if (rc == ERR_OK)
        rc = fleet_store_note(db, "trust", "keys", e);
    x->r.devices = rc == ERR_OK ? devices : 0;
    return rc == ERR_OK ? audit(db, x, e) : rc;
}

enum err_code trust_rotate(struct db *db, struct app *app, const struct jose_key *root,
                           const struct actor *by, const struct trust_order *o,
                           struct trust_result *ret, struct err *e)
{
    struct rotation x = {.app = app, .root = root, .by = by, .o = o};
    struct err ignored;
    enum err_code rc;

    x.r.trust = keyring_trust_n(app->keys) + 1;
    if (x.r.trust > KEYRING_TRUST_MAX)
        return err_set(e, ERR_REFUSED, "there are %d trust documents already, which is the most",
                       KEYRING_TRUST_MAX);
    for (size_t i = 0; i < (o->receipt ? USES : 1U); i++) {
        (void)snprintf(x.before[i], JOSE_KID_SIZE, "%s",
                       jose_key_kid(in_force(app->keys, uses[i])));
        rc = keyring_put(app->keys, uses[i], jose_key_new(), e);
        if (rc != ERR_OK)
            return rc;
    }
    (void)snprintf(x.r.kid, sizeof x.r.kid, "%s", jose_key_kid(keyring_bundle_key(app->keys)));
    rc = tx_run(db, "trust.rotate", rotate_tx, &x, e);
    if (rc != ERR_OK)
        return rc;
    log_event(LOG_LEVEL_WARN, "trust.rotated", KV_INT("trust", x.r.trust), KV_STR("kid", x.r.kid),
              KV_STR("before", x.before[0]), KV_STR("stolen", o->stolen ? "yes" : "no"));
    (void)issue_committed(db, app, &ignored);
    *ret = x.r;
    return ERR_OK;
}

/* --- another root key --- */

struct succession {
    struct app *app;
    const struct jose_key *root, *heir;
    const struct actor *by;
    const char *reason;
    int64_t n;
};

/* Bundles stay as they are: they are signed by the bundle key, which stays too. */
static enum err_code succeed_tx(struct db *db, void *ctx, struct err *e)
{
    const struct succession *x = ctx;
    AUTO(json_free) json_t *doc = NULL;
    AUTO(json_free) json_t *jwk = jose_key_to_jwk(x->heir);
    AUTO(json_free)
    json_t *detail = json_pack("{s:s,s:I,s:s,s:s}", "reason", x->reason, "trust", (json_int_t)x->n,
                               "kid", jose_key_kid(x->heir), "before", jose_key_kid(x->root));
    AUTO_STR char *jws = NULL;
    enum err_code rc = jwk == NULL || detail == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                                     : recovery_lock(db, x->app, e);

    if (rc == ERR_OK)
        rc = keyring_trust_open(x->app->keys, &doc, e);
    if (rc == ERR_OK)
        rc = keyring_trust_sign(x->app, x->root, x->heir, x->n, json_int(doc, "epoch", 1), NULL,
                                &jws, e);
    if (rc == ERR_OK)
        rc = key_store_add(db, jose_key_kid(x->heir), "root", (struct slice){NULL, 0}, jwk, e);
    if (rc == ERR_OK)
        rc = key_store_trust_add(db, x->n, jws, e);
    if (rc == ERR_OK)
        rc = fleet_store_note(db, "trust", "keys", e);
    return rc == ERR_OK ? audit_append(db, x->by, "trust.root", "parent", detail, e) : rc;
}

enum err_code trust_replace_root(struct db *db, struct app *app, const struct jose_key *root,
                                 const struct jose_key *heir, const struct actor *by,
                                 const char *reason, int64_t *ret_n, struct err *e)
{
    struct succession x = {app, root, heir, by, reason, keyring_trust_n(app->keys) + 1};
    struct err ignored;
    enum err_code rc;

    if (x.n > KEYRING_TRUST_MAX)
        return err_set(e, ERR_REFUSED, "there are %d trust documents already, which is the most",
                       KEYRING_TRUST_MAX);
    rc = tx_run(db, "trust.root", succeed_tx, &x, e);
    if (rc != ERR_OK)
        return rc;
    log_event(LOG_LEVEL_WARN, "trust.root_replaced", KV_INT("trust", x.n),
              KV_STR("kid", jose_key_kid(heir)), KV_STR("before", jose_key_kid(root)));
    (void)issue_committed(db, app, &ignored);
    *ret_n = x.n;
    return ERR_OK;
}

enum err_code trust_describe(const struct app *app, json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *doc = NULL;
    AUTO(json_free) json_t *keys = json_array();
    char kid[JOSE_KID_SIZE], root[JOSE_KID_SIZE];
    size_t i;
    json_t *v;
    enum err_code rc = keyring_trust_open(app->keys, &doc, e);

    if (rc == ERR_OK) {
        AUTO(json_free) json_t *as_key = json_pack("{s:O}", "jwk", json_object_get(doc, "root"));
        rc = kid_of(as_key, root, e);
    }
    json_array_foreach(json_object_get(doc, "keys"), i, v)
    {
        const char *use = json_str(v, "use", "");
        if (rc == ERR_OK)
            rc = kid_of(v, kid, e);
        if (rc == ERR_OK)
            (void)json_array_append_new(
                keys, json_pack("{s:s,s:s,s:O?,s:b}", "kid", kid, "use", use, "not_after",
                                json_object_get(v, "not_after"), "in_force",
                                strcmp(kid, jose_key_kid(in_force(app->keys, use))) == 0));
    }
    if (rc != ERR_OK)
        return rc;
    *ret =
        json_pack("{s:O,s:O,s:I,s:O,s:s,s:O,s:O,s:O}", "n", json_object_get(doc, "n"), "fleet",
                  json_object_get(doc, "fleet"), "epoch", (json_int_t)json_int(doc, "epoch", 1),
                  "issuer", json_object_get(doc, "issuer"), "root", root, "keys", keys, "tls_pins",
                  json_object_get(doc, "tls_pins"), "addresses", json_object_get(doc, "addresses"));
    return *ret == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}
