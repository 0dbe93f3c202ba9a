#include "domain/keyring_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "proto/proto.h"
#include "store/fleet_store.h"
#include "store/key_store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct keyring {
    unsigned char seal_key[SEAL_KEY_SIZE];
    _Atomic(struct jose_key *) bundle, receipt;  /* in force */
    struct jose_key *old[2 * KEYRING_TRUST_MAX]; /* whoever signs may still hold one */
    size_t n_old;
    struct {
        int64_t n;
        char *jws;
    } trust[KEYRING_TRUST_MAX];
    _Atomic size_t n_trust; /* grows only; what lies below it never changes */
    pthread_mutex_t lock;   /* only tokens[] and old[]; nothing else is taken while it is held */
    struct token_key tokens[TOKEN_GENERATIONS]; /* newest first */
    size_t n_tokens;
};

void keyring_free(struct keyring *k)
{
    if (k == NULL)
        return;
    jose_key_free(atomic_load(&k->bundle));
    jose_key_free(atomic_load(&k->receipt));
    for (size_t i = 0; i < k->n_old; i++)
        jose_key_free(k->old[i]);
    for (size_t i = 0; i < k->n_trust; i++)
        free(k->trust[i].jws);
    (void)pthread_mutex_destroy(&k->lock);
    secret_wipe(k, sizeof *k);
    free(k);
}
DEFINE_CLEANUP(struct keyring, keyring_free);

static struct keyring *ring_new(void)
{
    struct keyring *k = calloc(1, sizeof *k);

    if (k != NULL)
        (void)pthread_mutex_init(&k->lock, NULL);
    return k;
}

enum err_code keyring_put(struct keyring *k, const char *use, struct jose_key *key, struct err *e)
{
    _Atomic(struct jose_key *) *slot = strcmp(use, "bundle") == 0 ? &k->bundle : &k->receipt;
    enum err_code rc = ERR_OK;

    if (key == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    (void)pthread_mutex_lock(&k->lock);
    if (atomic_load(slot) != NULL && k->n_old == COUNT_OF(k->old))
        rc = err_set(e, ERR_REFUSED, "too many keys since the start: restart the parent");
    else if (atomic_load(slot) != NULL)
        k->old[k->n_old++] = atomic_load(slot);
    if (rc == ERR_OK)
        atomic_store(slot, key);
    (void)pthread_mutex_unlock(&k->lock);
    if (rc != ERR_OK)
        jose_key_free(key);
    return rc;
}

enum err_code keyring_add_key(struct db *db, const struct keyring *k, const struct jose_key *key,
                              const char *use, struct err *e)
{
    return keyring_add_private(db, k->seal_key, key, use, e);
}

_Static_assert((int)KEYRING_BOX_EXTRA == (int)SEAL_OVERHEAD, "one size of box");

/* Apart from signing keys, which are boxes under the same key file. */
static void box_name(const char *id, char buf[64])
{
    (void)snprintf(buf, 64, "secret/%s", id);
}

enum err_code keyring_box(const struct keyring *k, const char *id, struct slice text,
                          unsigned char *box, struct err *e)
{
    char name[64];

    box_name(id, name);
    return seal_box(k->seal_key, name, text, box, e);
}

enum err_code keyring_unbox(const struct keyring *k, const char *id, struct slice box,
                            unsigned char *plain, struct err *e)
{
    char name[64];

    box_name(id, name);
    return seal_open(k->seal_key, name, box, plain, e);
}

void keyring_blind(const struct keyring *k, struct slice text, char out[SHA256_HEX_SIZE])
{
    static const char use[] = "blind digests";
    unsigned char key[SHA256_SIZE], mac[SHA256_SIZE];

    hmac_sha256((struct slice){(const char *)k->seal_key, SEAL_KEY_SIZE}, slice_of(use), key);
    hmac_sha256((struct slice){(const char *)key, sizeof key}, text, mac);
    hex_encode(mac, sizeof mac, out);
    secret_wipe(key, sizeof key);
}

void token_key_make(struct token_key *t)
{
    char id[UUID_TEXT_SIZE];

    uuid7(id);
    (void)snprintf(t->kid, sizeof t->kid, "t-%s", id);
    rand_bytes(t->key, sizeof t->key);
}

enum err_code keyring_add_sealed(struct db *db, const unsigned char *seal_key, const char *kid,
                                 const char *use, struct slice secret, const json_t *jwk,
                                 struct err *e)
{
    unsigned char box[SEALED_MAX];
    enum err_code rc;

    if (secret.n + SEAL_OVERHEAD > sizeof box)
        return err_set(e, ERR_INTERNAL, "key \"%s\" is too large", kid);
    rc = seal_box(seal_key, kid, secret, box, e);
    if (rc == ERR_OK)
        rc = key_store_add(db, kid, use, (struct slice){(char *)box, secret.n + SEAL_OVERHEAD}, jwk,
                           e);
    return rc;
}

struct keyring *keyring_new_for_test(void)
{
    AUTO(keyring_free) struct keyring *k = ring_new();

    if (k == NULL || keyring_put(k, "bundle", jose_key_new(), NULL) != ERR_OK ||
        keyring_put(k, "receipt", jose_key_new(), NULL) != ERR_OK)
        return NULL;
    token_key_make(&k->tokens[0]);
    k->n_tokens = 1;
    return TAKE(k);
}

/* --- loading --- */

static enum err_code load_signing(struct keyring *k, const struct stored_key *s, struct err *e)
{
    const struct jose_key *now = strcmp(s->use, "bundle") == 0 ? k->bundle : k->receipt;
    struct jose_key *key = NULL;
    unsigned char plain[SEALED_MAX];
    enum err_code rc;

    if (s->sealed.n < SEAL_OVERHEAD || s->sealed.n > sizeof plain ||
        (now != NULL && strcmp(jose_key_kid(now), s->kid) == 0)) /* have it */
        return ERR_OK;
    rc = seal_open(k->seal_key, s->kid, s->sealed, plain, e);
    if (rc == ERR_OK)
        rc = jose_key_from_pem((struct slice){(char *)plain, s->sealed.n - SEAL_OVERHEAD}, &key, e);
    secret_wipe(plain, sizeof plain);
    return rc == ERR_OK ? keyring_put(k, s->use, key, e) : rc;
}

static enum err_code load_token(const struct keyring *k, const struct stored_key *s,
                                struct token_key *t, struct err *e)
{
    if (s->sealed.n != TOKEN_KEY_SIZE + SEAL_OVERHEAD || strlen(s->kid) >= sizeof t->kid)
        return err_set(e, ERR_STORAGE, "token key \"%s\" is not a key of ours", s->kid);
    (void)snprintf(t->kid, sizeof t->kid, "%s", s->kid);
    return seal_open(k->seal_key, s->kid, s->sealed, t->key, e);
}

static enum err_code load_keys(struct keyring *k, const struct stored_key *v, size_t n,
                               struct err *e)
{
    struct token_key tokens[TOKEN_GENERATIONS] = {0};
    size_t n_tokens = 0;
    bool bundle = false, receipt = false;
    enum err_code rc = ERR_OK;

    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        if (strcmp(v[i].use, "token") == 0) {
            if (n_tokens < TOKEN_GENERATIONS)
                rc = load_token(k, &v[i], &tokens[n_tokens++], e);
        } else if (strcmp(v[i].use, "root") != 0) {
            bool *seen = strcmp(v[i].use, "bundle") == 0 ? &bundle : &receipt;
            if (!*seen) /* newest first */
                rc = load_signing(k, &v[i], e);
            *seen = true;
        }
    }
    if (rc == ERR_OK) {
        (void)pthread_mutex_lock(&k->lock);
        memcpy(k->tokens, tokens, sizeof tokens);
        k->n_tokens = n_tokens;
        (void)pthread_mutex_unlock(&k->lock);
    }
    secret_wipe(tokens, sizeof tokens);
    if (rc == ERR_OK && (k->bundle == NULL || k->receipt == NULL || n_tokens == 0))
        rc = err_set(e, ERR_STORAGE, "the database lacks a bundle, receipt or token key");
    return rc;
}

static enum err_code load_trust(struct db *db, struct keyring *k, struct arena *a, struct err *e)
{
    struct stored_trust *v = NULL;
    size_t n = 0;
    enum err_code rc = key_store_trust_list(db, a, &v, &n, e);

    if (rc != ERR_OK)
        return rc;
    if (n == 0 || n > KEYRING_TRUST_MAX)
        return err_set(e, ERR_STORAGE, "the database holds %zu trust documents", n);
    for (size_t i = 0; i < n; i++) {
        size_t at = k->n_trust;
        if (at > 0 && v[i].n <= k->trust[at - 1].n) /* have it */
            continue;
        k->trust[at].n = v[i].n;
        k->trust[at].jws = strdup(v[i].jws);
        if (k->trust[at].jws == NULL)
            return err_set(e, ERR_NO_MEMORY, "out of memory");
        k->n_trust++;
    }
    return ERR_OK;
}

/* The issuer is the fleet's, not this host's: children name the one in their trust document as the
 * audience, also after a parent was renamed or a second one was added. */
static enum err_code load_issuer(const struct keyring *k, struct app *app, struct err *e)
{
    AUTO(json_free) json_t *doc = NULL;
    struct jose_jws j = {0};
    const char *issuer;
    enum err_code rc = jose_jws_parse(slice_of(k->trust[k->n_trust - 1].jws), PROTO_TRUST_MAX,
                                      PROTO_TYP_TRUST, &j, e);

    if (rc == ERR_OK)
        rc = json_in_parse((struct slice){j.payload, j.payload_n}, PROTO_TRUST_MAX, &doc, e);
    jose_jws_clear(&j);
    issuer = json_str(doc, "issuer", "");
    if (rc == ERR_OK && (issuer[0] == '\0' || strlen(issuer) >= sizeof app->issuer))
        rc = err_set(e, ERR_STORAGE, "the newest trust document names no issuer");
    if (rc != ERR_OK)
        return err_wrap(e, "trust document");
    if (strcmp(app->issuer, issuer) != 0)
        log_event(LOG_LEVEL_INFO, "fleet.issuer", KV_STR("issuer", issuer),
                  KV_STR("this_parent", app->issuer));
    (void)snprintf(app->issuer, sizeof app->issuer, "%s", issuer);
    return ERR_OK;
}

static enum err_code load_epoch(struct db *db, struct app *app, struct arena *a, struct err *e)
{
    json_t *epoch = NULL;
    enum err_code rc = key_store_meta(db, "epoch", a, &epoch, e);

    if (rc == ERR_OK)
        app->epoch = json_int(epoch, "n", 1);
    return rc;
}

static enum err_code load_meta(struct db *db, struct app *app, struct arena *a, struct err *e)
{
    json_t *fleet = NULL;
    enum err_code rc = key_store_meta(db, "fleet", a, &fleet, e);

    if (rc != ERR_OK)
        return rc;
    (void)snprintf(app->fleet_id, sizeof app->fleet_id, "%s", json_str(fleet, "id", ""));
    return load_epoch(db, app, a, e);
}

enum err_code keyring_fleet(struct db *db, struct app *app, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    enum err_code rc;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = load_meta(db, app, a, e);
    if (rc == ERR_NOT_FOUND)
        rc = err_set(e, ERR_UNAVAILABLE, "the parent has not started yet: its fleet is not made");
    return rc;
}

enum err_code keyring_bootstrap(struct db *db, struct app *app, struct keyring_first *ret_first,
                                struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(4 * MIB);
    AUTO(keyring_free) struct keyring *k = ring_new();
    struct keyring_first first = {0};
    struct stored_key *v = NULL;
    size_t n = 0;
    bool made = false;
    enum err_code rc;

    if (a == NULL || k == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = key_store_list(db, a, &v, &n, e);
    if (rc == ERR_OK)
        rc = seal_key_load(app->state_dir, n == 0, k->seal_key, &made, e);
    if (rc == ERR_OK && n == 0)
        rc = keyring_first_start(db, app, k->seal_key, &first, e);
    if (rc == ERR_OK && n == 0)
        rc = key_store_list(db, a, &v, &n, e);
    if (rc == ERR_OK)
        rc = load_meta(db, app, a, e);
    if (rc == ERR_OK)
        rc = load_keys(k, v, n, e);
    if (rc == ERR_OK)
        rc = load_trust(db, k, a, e);
    if (rc == ERR_OK)
        rc = load_issuer(k, app, e);
    if (rc == ERR_OK) {
        *ret_first = first;
        app->keys = TAKE(k);
    }
    secret_wipe(&first, sizeof first);
    return rc;
}

enum err_code keyring_reload(struct db *db, struct app *app, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(4 * MIB);
    struct stored_key *v = NULL;
    size_t n = 0;
    enum err_code rc;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = key_store_list(db, a, &v, &n, e);
    if (rc == ERR_OK) /* first: nothing is signed by a key that no document lists */
        rc = load_trust(db, app->keys, a, e);
    if (rc == ERR_OK)
        rc = load_keys(app->keys, v, n, e);
    return rc == ERR_OK ? load_epoch(db, app, a, e) : rc;
}

struct rotate {
    const struct keyring *k;
    struct token_key t;
};

static enum err_code rotate_tx(struct db *db, void *ctx, struct err *e)
{
    struct rotate *r = ctx;
    enum err_code rc =
        keyring_add_sealed(db, r->k->seal_key, r->t.kid, "token",
                           (struct slice){(char *)r->t.key, sizeof r->t.key}, NULL, e);

    if (rc == ERR_OK)
        rc = key_store_trim_tokens(db, TOKEN_GENERATIONS, e);
    return rc == ERR_OK ? fleet_store_note(db, "trust", "token", e) : rc; /* the others read it */
}

enum err_code keyring_rotate_tokens(struct db *db, struct app *app, bool *ret_rotated,
                                    struct err *e)
{
    struct rotate r = {.k = app->keys};
    bool fresh = false;
    enum err_code rc = key_store_token_fresh(db, KEYRING_TOKEN_ROTATE_S, &fresh, e);

    if (ret_rotated != NULL)
        *ret_rotated = false;
    if (rc != ERR_OK || fresh)
        return rc;
    token_key_make(&r.t);
    rc = tx_run(db, "token_key.rotate", rotate_tx, &r, e);
    secret_wipe(&r.t, sizeof r.t);
    if (rc == ERR_OK)
        rc = keyring_reload(db, app, e);
    if (rc == ERR_OK) {
        log_event(LOG_LEVEL_INFO, "token_key.rotated", KV_STR("fleet", app->fleet_id));
        if (ret_rotated != NULL)
            *ret_rotated = true;
    }
    return rc;
}

/* --- use --- */

const struct jose_key *keyring_bundle_key(const struct keyring *k)
{
    return k->bundle;
}

const struct jose_key *keyring_receipt_key(const struct keyring *k)
{
    return k->receipt;
}

int64_t keyring_trust_n(const struct keyring *k)
{
    return k->n_trust == 0 ? 0 : k->trust[k->n_trust - 1].n;
}

const char *keyring_trust(const struct keyring *k, int64_t n)
{
    for (size_t i = 0; i < k->n_trust; i++) {
        if (k->trust[i].n == n)
            return k->trust[i].jws;
    }
    return NULL;
}

/* The newest key (kid NULL) or the one named; false: not one of ours. */
static bool pick(struct keyring *k, const char *kid, struct token_key *ret)
{
    bool found = false;

    (void)pthread_mutex_lock(&k->lock);
    for (size_t i = 0; i < k->n_tokens && !found; i++) {
        found = kid == NULL || strcmp(k->tokens[i].kid, kid) == 0;
        if (found)
            *ret = k->tokens[i];
    }
    (void)pthread_mutex_unlock(&k->lock);
    return found;
}

enum err_code keyring_token_sign(struct keyring *k, const json_t *claims, char **ret, struct err *e)
{
    struct token_key t;
    enum err_code rc;

    if (!pick(k, NULL, &t))
        return err_set(e, ERR_INTERNAL, "no token key");
    rc = jose_hs256_sign((struct slice){(char *)t.key, sizeof t.key}, t.kid, PROTO_TYP_ACCESS,
                         claims, ret, e);
    secret_wipe(&t, sizeof t);
    return rc;
}

enum err_code keyring_token_verify(struct keyring *k, struct slice token, json_t **ret,
                                   struct err *e)
{
    struct token_key t;
    char kid[64];
    enum err_code rc;

    if (!jose_hs256_kid(token, kid) || !pick(k, kid, &t))
        return err_set(e, ERR_TOKEN_INVALID, "the token was not accepted");
    rc = jose_hs256_verify((struct slice){(char *)t.key, sizeof t.key}, kid, PROTO_TYP_ACCESS,
                           token, ret, e);
    secret_wipe(&t, sizeof t);
    return rc;
}

enum { NONCE_RAW = 8 + SHA256_SIZE };

static void nonce_raw(const struct token_key *t, int64_t at_ms, unsigned char raw[NONCE_RAW])
{
    static const char label[] = "inari-nonce";
    unsigned char in[sizeof label + 8];

    for (int i = 0; i < 8; i++)
        raw[i] = (unsigned char)((uint64_t)at_ms >> (56 - 8 * i));
    memcpy(in, label, sizeof label);
    memcpy(in + sizeof label, raw, 8);
    hmac_sha256((struct slice){(const char *)t->key, sizeof t->key},
                (struct slice){(char *)in, sizeof in}, raw + 8);
}

void keyring_nonce(struct keyring *k, int64_t now_ms, char out[KEYRING_NONCE_SIZE])
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(KEYRING_NONCE_SIZE);
    unsigned char raw[NONCE_RAW];
    struct token_key t;

    out[0] = '\0';
    if (!pick(k, NULL, &t))
        return;
    nonce_raw(&t, now_ms, raw);
    secret_wipe(&t, sizeof t);
    b64u_add(&b, (struct slice){(char *)raw, sizeof raw});
    (void)snprintf(out, KEYRING_NONCE_SIZE, "%s", strbuf_str(&b));
}

bool keyring_nonce_ok(struct keyring *k, const char *nonce, int64_t now_ms)
{
    unsigned char got[NONCE_RAW], want[NONCE_RAW];
    uint64_t at = 0;
    size_t n = 0, count;
    bool ok = false;

    if (!b64u_decode(slice_of(nonce), got, sizeof got, &n) || n != sizeof got)
        return false;
    for (int i = 0; i < 8; i++)
        at = at << 8 | got[i];
    if ((int64_t)at > now_ms + 1000 || now_ms - (int64_t)at > (int64_t)KEYRING_NONCE_TTL_S * 1000)
        return false;
    (void)pthread_mutex_lock(&k->lock);
    count = k->n_tokens;
    for (size_t i = 0; i < count && !ok; i++) {
        nonce_raw(&k->tokens[i], (int64_t)at, want);
        ok = const_time_eq((struct slice){(char *)want, sizeof want},
                           (struct slice){(char *)got, sizeof got});
    }
    (void)pthread_mutex_unlock(&k->lock);
    return ok;
}
