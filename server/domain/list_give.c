#include "domain/list_give.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "catalog/ipnet.h"
#include "domain/fleet_cache.h"
#include "domain/keyring.h"
#include "domain/list.h"
#include "iplist/iplist.h"
#include "proto/proto.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

enum {
    READ_ARENA = 64 * 1024 * 1024,
    PAGE = 20000,
    VARIANTS = 32, /* different sets of rows whose manifests are kept */
    BLOBS = 64,
    WAIT_MS = 300, /* for somebody else's build, which takes that only with many rows */
    PACK_LEVEL = 3,
};

struct list_bytes {
    atomic_int refs;
    size_t n;
    char sha256[65]; /* of what a blob is unpacked */
    size_t raw, rows;
    char p[];
};

/* A device that has rows of its own, or of a group. */
struct special {
    char device[37], token[LIST_TOKEN_SIZE];
    char *scopes; /* "{id,id}", the lowest first */
};

struct variant {
    char token[LIST_TOKEN_SIZE];
    struct list_bytes *manifest;
    uint64_t used;
};

struct list_give {
    pthread_mutex_t lock;
    pthread_cond_t built;
    bool loaded;
    char token[LIST_TOKEN_SIZE]; /* of everybody else */
    struct special *special;     /* by device */
    size_t n_special;
    struct variant variant[VARIANTS];
    struct list_bytes *blob[BLOBS];
    size_t next_blob;
    uint64_t uses;
    char building[LIST_TOKEN_SIZE]; /* "": nothing is */
};

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

static struct list_bytes *bytes_new(struct slice s)
{
    struct list_bytes *b = malloc(sizeof *b + s.n + 1);

    if (b == NULL)
        return NULL;
    *b = (struct list_bytes){.n = s.n};
    atomic_init(&b->refs, 1);
    memcpy(b->p, s.p, s.n);
    b->p[s.n] = '\0';
    return b;
}

static struct list_bytes *bytes_ref(struct list_bytes *b)
{
    if (b != NULL)
        atomic_fetch_add(&b->refs, 1);
    return b;
}

void list_bytes_unref(void *p)
{
    struct list_bytes *b = p;

    if (b != NULL && atomic_fetch_sub(&b->refs, 1) == 1)
        free(b);
}

const char *list_bytes_text(const struct list_bytes *b, size_t *ret_n)
{
    *ret_n = b->n;
    return b->p;
}

struct list_give *list_give_new(void)
{
    struct list_give *g = calloc(1, sizeof *g);
    pthread_condattr_t attr;

    if (g == NULL)
        return NULL;
    (void)pthread_mutex_init(&g->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&g->built, &attr);
    (void)pthread_condattr_destroy(&attr);
    return g;
}

static void special_free(struct special *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(v[i].scopes);
    free(v);
}

void list_give_free(struct list_give *g)
{
    if (g == NULL)
        return;
    special_free(g->special, g->n_special);
    for (size_t i = 0; i < VARIANTS; i++)
        list_bytes_unref(g->variant[i].manifest);
    for (size_t i = 0; i < BLOBS; i++)
        list_bytes_unref(g->blob[i]);
    (void)pthread_mutex_destroy(&g->lock);
    (void)pthread_cond_destroy(&g->built);
    free(g);
}

/* --- tokens --- */

struct versions {
    struct list_scope_row *v;
    size_t n;
};

/* What is known of the scopes of a device: "approved fleet 3\nblocked fleet 7\n..." */
static void add_versions(struct strbuf *b, const struct versions *v, const char *scope)
{
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->v[i].scope, scope) == 0)
            strbuf_printf(b, "%s %s %lld\n", v->v[i].list, scope, (long long)v->v[i].version);
}

static enum err_code token_of(const struct strbuf *b, char out[LIST_TOKEN_SIZE], struct err *e)
{
    char hex[SHA256_HEX_SIZE];
    enum err_code rc = strbuf_check(b, e);

    if (rc != ERR_OK)
        return rc;
    sha256_hex(strbuf_slice(b), hex);
    (void)snprintf(out, LIST_TOKEN_SIZE, "%.16s", b->n == 0 ? "0" : hex);
    return ERR_OK;
}

/* The rows of members from *i on that are about one device. */
static enum err_code make_special(const struct versions *v, const struct list_member_row *m,
                                  size_t n, size_t *i, struct special *ret, struct err *e)
{
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(256 * KIB), scopes = STRBUF_INIT(256 * KIB);
    const char *device = m[*i].device;
    enum err_code rc;

    strbuf_puts(&scopes, "{" LIST_FLEET);
    add_versions(&text, v, LIST_FLEET);
    for (; *i < n && strcmp(m[*i].device, device) == 0; ++*i) {
        strbuf_printf(&scopes, ",%s", m[*i].scope);
        add_versions(&text, v, m[*i].scope);
        /* the order of its groups decides whose row counts */
        strbuf_printf(&text, "%s\n", m[*i].scope);
    }
    strbuf_putc(&scopes, '}');
    *ret = (struct special){.scopes = NULL};
    text_copy(ret->device, sizeof ret->device, device);
    rc = token_of(&text, ret->token, e);
    if (rc == ERR_OK)
        rc = strbuf_check(&scopes, e);
    if (rc == ERR_OK && (ret->scopes = strbuf_take(&scopes)) == NULL)
        rc = no_memory(e);
    return rc;
}

static int by_device(const void *a, const void *b)
{
    return strcmp(((const struct special *)a)->device, ((const struct special *)b)->device);
}

static const struct special *find(const struct special *v, size_t n, const char *device)
{
    struct special key;

    text_copy(key.device, sizeof key.device, device);
    return n == 0 ? NULL : bsearch(&key, v, n, sizeof *v, by_device);
}

/* Those that have other lists than before: everybody, when the fleet's rows changed. */
static void wake_changed(struct app *app, const struct special *old, size_t n_old, bool all)
{
    struct list_give *g = app->lists;

    if (all) {
        fleet_wake_all(app->fleet);
        return;
    }
    for (size_t i = 0; i < g->n_special; i++) {
        const struct special *was = find(old, n_old, g->special[i].device);
        if (was == NULL || strcmp(was->token, g->special[i].token) != 0)
            fleet_wake(app->fleet, g->special[i].device);
    }
    for (size_t i = 0; i < n_old; i++)
        if (find(g->special, g->n_special, old[i].device) == NULL)
            fleet_wake(app->fleet, old[i].device);
}

enum err_code list_give_refresh(struct db *db, struct app *app, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(READ_ARENA);
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(64 * KIB);
    struct list_give *g = app->lists;
    struct list_member_row *m = NULL;
    struct special *v = NULL, *old;
    struct versions versions = {0};
    size_t n = 0, used = 0, n_old, i = 0;
    char token[LIST_TOKEN_SIZE];
    bool all, first;
    enum err_code rc =
        a == NULL ? no_memory(e) : list_store_scopes(db, a, &versions.v, &versions.n, e);

    if (rc == ERR_OK)
        rc = list_store_members(db, a, &m, &n, e);
    if (rc == ERR_OK && (v = calloc(n + 1, sizeof *v)) == NULL)
        rc = no_memory(e);
    while (rc == ERR_OK && i < n)
        rc = make_special(&versions, m, n, &i, &v[used++], e);
    add_versions(&text, &versions, LIST_FLEET);
    if (rc == ERR_OK)
        rc = token_of(&text, token, e);
    if (rc != ERR_OK) {
        special_free(v, used);
        return rc;
    }
    if (used > 1)
        qsort(v, used, sizeof *v, by_device);
    (void)pthread_mutex_lock(&g->lock);
    first = !g->loaded;
    all = strcmp(g->token, token) != 0;
    old = g->special;
    n_old = g->n_special;
    g->special = v;
    g->n_special = used;
    g->loaded = true;
    text_copy(g->token, sizeof g->token, token);
    (void)pthread_mutex_unlock(&g->lock);
    if (!first) /* only this thread writes what is read here */
        wake_changed(app, old, n_old, all);
    special_free(old, n_old);
    return ERR_OK;
}

bool list_give_token(struct list_give *g, const char *device_id, char out[LIST_TOKEN_SIZE])
{
    const struct special *s;
    bool loaded;

    (void)pthread_mutex_lock(&g->lock);
    loaded = g->loaded;
    s = find(g->special, g->n_special, device_id);
    text_copy(out, LIST_TOKEN_SIZE, s == NULL ? g->token : s->token);
    (void)pthread_mutex_unlock(&g->lock);
    return loaded;
}

/* --- what a token stands for --- */

struct gathered {
    struct iplist_row *v;
    size_t n, size;
    int64_t last_rank;
};

static enum err_code gather_row(struct gathered *x, const struct list_net_row *r, struct err *e)
{
    struct ipnet net;
    struct iplist_row row = {.id = (uint64_t)r->id, .expires_ms = r->expires_at_ms};
    struct iplist_row *last = x->n == 0 ? NULL : &x->v[x->n - 1];

    if (ipnet_parse(slice_of(r->net), &net) != IPNET_OK)
        return err_set(e, ERR_INTERNAL, "a row of the database is no network: %s", r->net);
    if (net.v6)
        memcpy(row.net.b, net.addr, sizeof row.net.b);
    else
        row.net = iplist_v4(net.addr);
    row.bits = (uint8_t)(net.v6 ? net.bits : 96 + net.bits);
    /* Equal networks come together: the nearest scope's row counts. */
    if (last != NULL && last->bits == row.bits &&
        memcmp(&last->net, &row.net, sizeof row.net) == 0) {
        if (r->rank > x->last_rank) {
            *last = row;
            x->last_rank = r->rank;
        }
        return ERR_OK;
    }
    if (x->n == x->size) {
        size_t size = x->size == 0 ? 1024 : x->size * 2;
        struct iplist_row *v = realloc(x->v, size * sizeof *v);
        if (v == NULL)
            return no_memory(e);
        x->v = v;
        x->size = size;
    }
    x->v[x->n++] = row;
    x->last_rank = r->rank;
    return ERR_OK;
}

static enum err_code gather(struct db *db, const char *list, const char *scopes, struct gathered *x,
                            struct err *e)
{
    char net[IPNET_TEXT_MAX] = "", scope[40] = "";
    enum err_code rc = ERR_OK;
    size_t n = PAGE;

    while (rc == ERR_OK && n == PAGE) {
        AUTO(arena_free) struct arena *a = arena_new(READ_ARENA);
        struct list_net_row *v = NULL;
        rc = a == NULL ? no_memory(e)
                       : list_store_page(db, list, scopes, net, scope, PAGE, a, &v, &n, e);
        for (size_t i = 0; rc == ERR_OK && i < n; i++)
            rc = gather_row(x, &v[i], e);
        if (rc == ERR_OK && n > 0) {
            text_copy(net, sizeof net, v[n - 1].net);
            text_copy(scope, sizeof scope, v[n - 1].scope);
        }
    }
    return rc;
}

static enum err_code pack(const char *file, size_t n, size_t rows, struct list_bytes **ret,
                          struct err *e)
{
    size_t bound = ZSTD_compressBound(n), packed;
    struct list_bytes *b = malloc(sizeof *b + bound), *less;

    if (b == NULL)
        return no_memory(e);
    packed = ZSTD_compress(b->p, bound, file, n, PACK_LEVEL);
    if (ZSTD_isError(packed)) {
        free(b);
        return no_memory(e);
    }
    less = realloc(b, sizeof *b + packed);
    b = less == NULL ? b : less;
    atomic_init(&b->refs, 1);
    b->n = packed;
    b->raw = n;
    b->rows = rows;
    sha256_hex((struct slice){file, n}, b->sha256);
    *ret = b;
    return ERR_OK;
}

struct list_bytes *list_give_blob(struct list_give *g, const char *sha256)
{
    struct list_bytes *b = NULL;

    (void)pthread_mutex_lock(&g->lock);
    for (size_t i = 0; b == NULL && i < BLOBS; i++)
        if (g->blob[i] != NULL && strcmp(g->blob[i]->sha256, sha256) == 0)
            b = bytes_ref(g->blob[i]);
    (void)pthread_mutex_unlock(&g->lock);
    return b;
}

/* Takes b; the oldest goes. */
static void keep_blob(struct list_give *g, struct list_bytes *b)
{
    (void)pthread_mutex_lock(&g->lock);
    for (size_t i = 0; i < BLOBS; i++)
        if (g->blob[i] != NULL && strcmp(g->blob[i]->sha256, b->sha256) == 0) {
            list_bytes_unref(g->blob[i]);
            g->blob[i] = b;
            (void)pthread_mutex_unlock(&g->lock);
            return;
        }
    list_bytes_unref(g->blob[g->next_blob]);
    g->blob[g->next_blob] = b;
    g->next_blob = (g->next_blob + 1) % BLOBS;
    (void)pthread_mutex_unlock(&g->lock);
}

/* The file of one list, kept; *ret: its member of the manifest, null without rows. */
static enum err_code build_list(struct db *db, struct list_give *g, const char *list,
                                const char *scopes, json_t **ret, struct err *e)
{
    struct gathered x = {0};
    struct list_bytes *b = NULL;
    char *file = NULL;
    size_t n = 0;
    enum err_code rc = gather(db, list, scopes, &x, e);

    *ret = NULL;
    if (rc == ERR_OK && x.n > 0)
        rc = iplist_build(x.v, x.n, &file, &n, NULL, e);
    if (rc == ERR_OK && x.n > 0)
        rc = pack(file, n, x.n, &b, e);
    free(x.v);
    free(file);
    if (rc != ERR_OK)
        return rc;
    *ret = b == NULL
               ? json_null()
               : json_pack("{s:s,s:I,s:I,s:I}", "sha256", b->sha256, "bytes", (json_int_t)b->raw,
                           "packed", (json_int_t)b->n, "rows", (json_int_t)b->rows);
    if (b != NULL)
        keep_blob(g, b);
    return *ret == NULL ? no_memory(e) : ERR_OK;
}

static enum err_code build(struct db *db, struct app *app, const char *token, const char *scopes,
                           struct list_bytes **ret, struct err *e)
{
    AUTO(json_free) json_t *doc = NULL, *lists = json_object();
    AUTO_STR char *text = NULL, *jws = NULL;
    int64_t seq = 0, version = 0, began = clock_mono_ms();
    enum err_code rc = lists == NULL ? no_memory(e) : ERR_OK;

    for (size_t i = 0; rc == ERR_OK && list_names[i] != NULL; i++) {
        json_t *one = NULL;
        rc = list_version(db, list_names[i], &version,
                          e); /* before the rows: they may be newer, never older */
        seq += version;
        if (rc == ERR_OK)
            rc = build_list(db, app->lists, list_names[i], scopes, &one, e);
        if (rc == ERR_OK && json_object_set_new(lists, list_names[i], one) != 0)
            rc = no_memory(e);
    }
    if (rc != ERR_OK)
        return rc;
    doc = json_pack("{s:s,s:I,s:I,s:s,s:O}", "fleet", app->fleet_id, "epoch",
                    (json_int_t)app->epoch, "seq", (json_int_t)seq, "token", token, "lists", lists);
    text = doc == NULL ? NULL : json_canonical(doc);
    if (text == NULL)
        return no_memory(e);
    rc = jose_jws_sign(keyring_bundle_key(app->keys), PROTO_TYP_LISTS, slice_of(text), false, &jws,
                       e);
    if (rc == ERR_OK && (*ret = bytes_new(slice_of(jws))) == NULL)
        rc = no_memory(e);
    log_event(LOG_LEVEL_INFO, "lists.built", KV_STR("token", token), KV_INT("seq", seq),
              KV_INT("ms", clock_mono_ms() - began));
    return rc;
}

/* With the lock. */
static struct list_bytes *known(struct list_give *g, const char *token)
{
    for (size_t i = 0; i < VARIANTS; i++)
        if (g->variant[i].manifest != NULL && strcmp(g->variant[i].token, token) == 0) {
            g->variant[i].used = ++g->uses;
            return bytes_ref(g->variant[i].manifest);
        }
    return NULL;
}

/* With the lock: in the place of what was not asked for longest. */
static void keep_variant(struct list_give *g, const char *token, struct list_bytes *manifest)
{
    struct variant *v = &g->variant[0];

    for (size_t i = 1; i < VARIANTS; i++)
        if (g->variant[i].used < v->used)
            v = &g->variant[i];
    list_bytes_unref(v->manifest);
    v->manifest = bytes_ref(manifest);
    v->used = ++g->uses;
    text_copy(v->token, sizeof v->token, token);
}

static void wait_for_build(struct list_give *g)
{
    int64_t until = clock_mono_ms() + WAIT_MS;
    struct timespec ts = {until / 1000, until % 1000 * 1000000};

    while (g->building[0] != '\0' && clock_mono_ms() < until)
        (void)pthread_cond_timedwait(&g->built, &g->lock, &ts);
}

enum err_code list_give_manifest(struct db *db, struct app *app, const char *device_id,
                                 struct list_bytes **ret, struct err *e)
{
    struct list_give *g = app->lists;
    char token[LIST_TOKEN_SIZE];
    AUTO_STR char *scopes = NULL;
    const struct special *s;
    struct list_bytes *made = NULL;
    enum err_code rc;

    (void)pthread_mutex_lock(&g->lock);
    s = find(g->special, g->n_special, device_id);
    text_copy(token, sizeof token, s == NULL ? g->token : s->token);
    scopes = strdup(s == NULL ? "{" LIST_FLEET "}" : s->scopes);
    *ret = known(g, token);
    if (*ret == NULL && g->building[0] != '\0') {
        wait_for_build(g);
        *ret = known(g, token);
    }
    if (*ret != NULL || !g->loaded || scopes == NULL || g->building[0] != '\0') {
        bool busy = *ret == NULL;
        (void)pthread_mutex_unlock(&g->lock);
        return busy ? err_set(e, ERR_OVERLOADED, "the lists are being built") : ERR_OK;
    }
    text_copy(g->building, sizeof g->building, token);
    (void)pthread_mutex_unlock(&g->lock);
    rc = build(db, app, token, scopes, &made, e);
    (void)pthread_mutex_lock(&g->lock);
    g->building[0] = '\0';
    if (rc == ERR_OK)
        keep_variant(g, token, made);
    (void)pthread_cond_broadcast(&g->built);
    (void)pthread_mutex_unlock(&g->lock);
    *ret = made;
    return rc;
}
