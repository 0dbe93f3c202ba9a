#include "domain/keyring.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/rand.h"
#include "domain/seal.h"
#include "proto/proto.h"
#include "store/key_store.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { TOKEN_KEY_SIZE = 32, TOKEN_GENERATIONS = 2, TRUST_DOCS_MAX = 64, SEALED_MAX = 4096 };

struct token_key {
    char kid[64];
    unsigned char key[TOKEN_KEY_SIZE];
};

struct keyring {
    unsigned char seal_key[SEAL_KEY_SIZE];
    struct jose_key *bundle, *receipt;
    struct {
        int64_t n;
        char *jws;
    } trust[TRUST_DOCS_MAX];
    size_t n_trust;
    pthread_mutex_t lock; /* only tokens[]; nothing else is taken while it is held */
    struct token_key tokens[TOKEN_GENERATIONS]; /* newest first */
    size_t n_tokens;
};

void keyring_free(struct keyring *k)
{
    if (k == NULL)
        return;
    jose_key_free(k->bundle);
    jose_key_free(k->receipt);
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

static void new_token_key(struct token_key *t)
{
    char id[UUID_TEXT_SIZE];

    uuid7(id);
    (void)snprintf(t->kid, sizeof t->kid, "t-%s", id);
    rand_bytes(t->key, sizeof t->key);
}

struct keyring *keyring_new_for_test(void)
{
    AUTO(keyring_free) struct keyring *k = ring_new();

    if (k == NULL || (k->bundle = jose_key_new()) == NULL || (k->receipt = jose_key_new()) == NULL)
        return NULL;
    new_token_key(&k->tokens[0]);
    k->n_tokens = 1;
    return TAKE(k);
}

/* --- first start --- */

struct birth { /* everything is made before the transaction, so that it can be repeated */
    struct app *app;
    const unsigned char *seal_key;
    char fleet_id[UUID_TEXT_SIZE];
    struct jose_key *root, *bundle, *receipt;
    struct token_key token;
    char *trust_jws;
    bool made;
};

static json_t *strings(const char *const *v)
{
    json_t *a = json_array();

    for (; a != NULL && v != NULL && *v != NULL; v++)
        (void)json_array_append_new(a, json_string(*v));
    return a;
}

static enum err_code make_trust(struct birth *b, struct err *e)
{
    AUTO(json_free) json_t *doc = NULL;
    AUTO_STR char *text = NULL;

    doc = json_pack("{s:i,s:s,s:I,s:o,s:[{s:s,s:o,s:n},{s:s,s:o,s:n}],s:o,s:s,s:o}", "n", 1,
                    "fleet", b->fleet_id, "epoch", (json_int_t)1, "root", jose_key_to_jwk(b->root),
                    "keys", "use", "bundle", "jwk", jose_key_to_jwk(b->bundle), "not_after", "use",
                    "receipt", "jwk", jose_key_to_jwk(b->receipt), "not_after", "tls_pins",
                    strings(b->app->tls_pins), "issuer", b->app->issuer, "addresses",
                    strings(b->app->addresses));
    text = doc == NULL ? NULL : json_canonical(doc);
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return jose_jws_sign(b->root, PROTO_TYP_TRUST, slice_of(text), false, &b->trust_jws, e);
}

/* 6 groups of 5 letters and digits that cannot be misread: 147 bits. */
static void make_passphrase(char out[48])
{
    static const char alphabet[] = "abcdefghjkmnpqrstuvwxyz23456789";
    size_t n = 0;

    for (int g = 0; g < 6; g++) {
        if (g > 0)
            out[n++] = '-';
        for (int i = 0; i < 5; i++)
            out[n++] = alphabet[rand_below(sizeof alphabet - 1)];
    }
    out[n] = '\0';
}

static enum err_code write_root(const struct birth *b, const char *passphrase, struct err *e)
{
    char path[512], old[600];
    AUTO_STR char *pem = NULL;
    BIO *in = NULL, *out = BIO_new(BIO_s_mem());
    EVP_PKEY *pkey = NULL;
    char *data = NULL;
    long n = 0;
    enum err_code rc = jose_key_to_pem(b->root, &pem, e);

    if (rc == ERR_OK) {
        in = BIO_new_mem_buf(pem, -1);
        pkey = in == NULL ? NULL : PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
        if (out == NULL || pkey == NULL ||
            PEM_write_bio_PKCS8PrivateKey(out, pkey, EVP_aes_256_cbc(), passphrase,
                                          (int)strlen(passphrase), NULL, NULL) != 1)
            rc = err_set(e, ERR_INTERNAL, "could not encode the root key");
        secret_wipe(pem, strlen(pem));
    }
    if (rc == ERR_OK) {
        n = BIO_get_mem_data(out, &data);
        (void)snprintf(path, sizeof path, "%s/root.key.pem", b->app->state_dir);
        (void)snprintf(old, sizeof old, "%s.%lld", path, (long long)clock_wall_s());
        (void)rename(path, old); /* of an earlier fleet: never destroyed */
        rc = file_write_atomic(path, (struct slice){data, (size_t)n}, 0600, e);
    }
    EVP_PKEY_free(pkey);
    BIO_free(in);
    BIO_free(out);
    return rc;
}

static enum err_code add_sealed(struct db *db, const unsigned char *seal_key, const char *kid,
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

static enum err_code add_key(struct db *db, const unsigned char *seal_key,
                             const struct jose_key *key, const char *use, struct err *e)
{
    AUTO(json_free) json_t *jwk = jose_key_to_jwk(key);
    char *pem = NULL;
    enum err_code rc = jose_key_to_pem(key, &pem, e);

    if (rc != ERR_OK)
        return rc;
    rc = add_sealed(db, seal_key, jose_key_kid(key), use, slice_of(pem), jwk, e);
    secret_wipe(pem, strlen(pem));
    free(pem);
    return rc;
}

static enum err_code birth_tx(struct db *db, void *ctx, struct err *e)
{
    struct birth *b = ctx;
    AUTO(json_free) json_t *fleet = json_pack("{s:s}", "id", b->fleet_id);
    AUTO(json_free) json_t *epoch = json_pack("{s:i}", "n", 1);
    AUTO(json_free) json_t *root = jose_key_to_jwk(b->root);
    bool epoch_made;
    enum err_code rc;

    b->made = false;
    rc = key_store_meta_make(db, "fleet", fleet, &b->made, e);
    if (rc != ERR_OK || !b->made) /* another parent was faster */
        return rc;
    rc = key_store_meta_make(db, "epoch", epoch, &epoch_made, e);
    if (rc == ERR_OK)
        rc = key_store_add(db, jose_key_kid(b->root), "root", (struct slice){NULL, 0}, root, e);
    if (rc == ERR_OK)
        rc = add_key(db, b->seal_key, b->bundle, "bundle", e);
    if (rc == ERR_OK)
        rc = add_key(db, b->seal_key, b->receipt, "receipt", e);
    if (rc == ERR_OK)
        rc = add_sealed(db, b->seal_key, b->token.kid, "token",
                        (struct slice){(char *)b->token.key, sizeof b->token.key}, NULL, e);
    if (rc == ERR_OK)
        rc = key_store_trust_add(db, 1, b->trust_jws, e);
    return rc;
}

static enum err_code first_start(struct db *db, struct app *app, const unsigned char *seal_key,
                                 struct keyring_first *first, struct err *e)
{
    struct birth b = {.app = app, .seal_key = seal_key};
    enum err_code rc;

    uuid7(b.fleet_id);
    b.root = jose_key_new();
    b.bundle = jose_key_new();
    b.receipt = jose_key_new();
    new_token_key(&b.token);
    make_passphrase(first->root_passphrase);
    rc = b.root == NULL || b.bundle == NULL || b.receipt == NULL
             ? err_set(e, ERR_NO_MEMORY, "out of memory")
             : ERR_OK;
    if (rc == ERR_OK)
        rc = make_trust(&b, e);
    if (rc == ERR_OK)
        rc = write_root(&b, first->root_passphrase,
                        e); /* before the commit: a root nobody kept is worse */
    if (rc == ERR_OK)
        rc = tx_run(db, "fleet.create", birth_tx, &b, e);
    if (rc == ERR_OK && b.made) {
        first->made = true;
        log_event(LOG_LEVEL_INFO, "fleet.created", KV_STR("fleet", b.fleet_id),
                  KV_STR("root", jose_key_kid(b.root)));
    } else {
        secret_wipe(first->root_passphrase, sizeof first->root_passphrase);
    }
    jose_key_free(b.root);
    jose_key_free(b.bundle);
    jose_key_free(b.receipt);
    free(b.trust_jws);
    secret_wipe(&b.token, sizeof b.token);
    return rc;
}

/* --- loading --- */

static enum err_code load_signing(struct keyring *k, const struct stored_key *s, struct err *e)
{
    struct jose_key **slot = strcmp(s->use, "bundle") == 0 ? &k->bundle : &k->receipt;
    unsigned char plain[SEALED_MAX];
    enum err_code rc;

    if (*slot != NULL || s->sealed.n < SEAL_OVERHEAD ||
        s->sealed.n > sizeof plain) /* newest wins */
        return ERR_OK;
    rc = seal_open(k->seal_key, s->kid, s->sealed, plain, e);
    if (rc == ERR_OK)
        rc = jose_key_from_pem((struct slice){(char *)plain, s->sealed.n - SEAL_OVERHEAD}, slot, e);
    secret_wipe(plain, sizeof plain);
    return rc;
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
    enum err_code rc = ERR_OK;

    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        if (strcmp(v[i].use, "token") == 0) {
            if (n_tokens < TOKEN_GENERATIONS)
                rc = load_token(k, &v[i], &tokens[n_tokens++], e);
        } else if (strcmp(v[i].use, "root") != 0) {
            rc = load_signing(k, &v[i], e);
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
    if (n == 0 || n > TRUST_DOCS_MAX)
        return err_set(e, ERR_STORAGE, "the database holds %zu trust documents", n);
    for (size_t i = 0; i < n; i++) {
        k->trust[i].n = v[i].n;
        k->trust[i].jws = strdup(v[i].jws);
        if (k->trust[i].jws == NULL)
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

static enum err_code load_meta(struct db *db, struct app *app, struct arena *a, struct err *e)
{
    json_t *fleet = NULL, *epoch = NULL;
    enum err_code rc = key_store_meta(db, "fleet", a, &fleet, e);

    if (rc == ERR_OK)
        rc = key_store_meta(db, "epoch", a, &epoch, e);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(app->fleet_id, sizeof app->fleet_id, "%s", json_str(fleet, "id", ""));
    app->epoch = json_int(epoch, "n", 1);
    return ERR_OK;
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
        rc = first_start(db, app, k->seal_key, &first, e);
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
    AUTO(arena_free) struct arena *a = arena_new(1 * MIB);
    struct stored_key *v = NULL;
    size_t n = 0;
    enum err_code rc;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = key_store_list(db, a, &v, &n, e);
    return rc == ERR_OK ? load_keys(app->keys, v, n, e) : rc;
}

struct rotate {
    const struct keyring *k;
    struct token_key t;
};

static enum err_code rotate_tx(struct db *db, void *ctx, struct err *e)
{
    struct rotate *r = ctx;
    enum err_code rc = add_sealed(db, r->k->seal_key, r->t.kid, "token",
                                  (struct slice){(char *)r->t.key, sizeof r->t.key}, NULL, e);

    return rc == ERR_OK ? key_store_trim_tokens(db, TOKEN_GENERATIONS, e) : rc;
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
    new_token_key(&r.t);
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
