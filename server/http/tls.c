#include "http/tls.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "http/selfsigned.h"

#include <gnutls/x509.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    CHAIN_MAX = 8,
    PEM_MAX = 256 * 1024,
    PIN_SIZE = 44,
    PINS_MAX = 16,
    RETIRE_MS = 120 * 1000, /* longer than any handshake may last */
    RENEW_S = 30 * 86400,
};

/* One certificate in use; immutable. */
struct pair {
    struct pair *next; /* retired ones */
    int64_t retired_ms;
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned n;
    gnutls_privkey_t key;
    char pin[PIN_SIZE];
    time_t not_after;
};

struct stamp { /* what tells that a file is another one */
    struct timespec crt, key;
    ino_t crt_ino, key_ino;
};

struct tls {
    _Atomic(struct pair *) current;
    struct pair *retired;
    char *dir, *crt, *key;
    bool own; /* the pair is ours to make and renew */
    struct hosts names;
    struct stamp seen;
    gnutls_datum_t ticket_key;
    char pin[PINS_MAX][PIN_SIZE];
    const char *pins[PINS_MAX + 1];
    size_t n_pins;
};

static _Atomic(struct tls *) served;

static void pair_free(struct pair *p)
{
    if (p == NULL)
        return;
    for (unsigned i = 0; i < p->n; i++)
        gnutls_pcert_deinit(&p->chain[i]);
    gnutls_privkey_deinit(p->key);
    free(p);
}
DEFINE_CLEANUP(struct pair, pair_free);

void tls_free(struct tls *t)
{
    if (t == NULL)
        return;
    for (struct pair *p = t->retired, *next; p != NULL; p = next) {
        next = p->next;
        pair_free(p);
    }
    pair_free(atomic_load(&t->current));
    if (t->ticket_key.data != NULL) {
        secret_wipe(t->ticket_key.data, t->ticket_key.size);
        gnutls_free(t->ticket_key.data);
    }
    free(t->dir);
    free(t->crt);
    free(t->key);
    free(t);
}

static bool pin_of(gnutls_pubkey_t key, char pin[PIN_SIZE])
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(64);
    unsigned char hash[SHA256_SIZE];
    gnutls_datum_t der = {NULL, 0};

    if (gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &der) != 0)
        return false;
    sha256((struct slice){(const char *)der.data, der.size}, hash);
    gnutls_free(der.data);
    b64u_add(&b, (struct slice){(const char *)hash, sizeof hash});
    (void)snprintf(pin, PIN_SIZE, "%s", strbuf_str(&b));
    return strbuf_ok(&b);
}

static bool pin_of_private(gnutls_privkey_t key, char pin[PIN_SIZE])
{
    gnutls_pubkey_t public = NULL;
    bool ok = gnutls_pubkey_init(&public) == 0 &&
              gnutls_pubkey_import_privkey(public, key, 0, 0) == 0 && pin_of(public, pin);

    gnutls_pubkey_deinit(public);
    return ok;
}

static bool is_pinned(const struct tls *t, const char *pin)
{
    for (size_t i = 0; i < t->n_pins; i++)
        if (strcmp(t->pin[i], pin) == 0)
            return true;
    return false;
}

static time_t chain_end(const struct pair *p)
{
    gnutls_x509_crt_t x = NULL;
    time_t end = 0;

    if (gnutls_x509_crt_init(&x) == 0 &&
        gnutls_x509_crt_import(x, &p->chain[0].cert, GNUTLS_X509_FMT_DER) == 0)
        end = gnutls_x509_crt_get_expiration_time(x);
    gnutls_x509_crt_deinit(x);
    return end;
}

static enum err_code load_private(const char *path, gnutls_privkey_t *ret, struct err *e)
{
    gnutls_datum_t pem;
    char *text = NULL;
    size_t n = 0;
    bool ok;

    if (file_read(path, PEM_MAX, &text, &n, e) != ERR_OK)
        return e->code;
    pem = (gnutls_datum_t){(unsigned char *)text, (unsigned)n};
    ok = gnutls_privkey_init(ret) == 0 &&
         gnutls_privkey_import_x509_raw(*ret, &pem, GNUTLS_X509_FMT_PEM, NULL, 0) == 0;
    secret_wipe(text, n);
    free(text);
    return ok ? ERR_OK
              : err_set(e, ERR_INVALID, "\"%s\" holds no private key that can be used", path);
}

static enum err_code pair_load(const char *crt, const char *key, struct pair **ret, struct err *e)
{
    AUTO(pair_free) struct pair *p = calloc(1, sizeof *p);
    AUTO_STR char *text = NULL;
    char key_pin[PIN_SIZE];
    gnutls_datum_t pem;
    size_t n = 0;

    if (p == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (load_private(key, &p->key, e) != ERR_OK || file_read(crt, PEM_MAX, &text, &n, e) != ERR_OK)
        return e->code;
    pem = (gnutls_datum_t){(unsigned char *)text, (unsigned)n};
    p->n = CHAIN_MAX;
    if (gnutls_pcert_list_import_x509_raw(p->chain, &p->n, &pem, GNUTLS_X509_FMT_PEM, 0) != 0) {
        p->n = 0;
        return err_set(e, ERR_INVALID, "\"%s\" holds no certificate (or more than %d)", crt,
                       CHAIN_MAX);
    }
    if (!pin_of(p->chain[0].pubkey, p->pin) || !pin_of_private(p->key, key_pin))
        return err_set(e, ERR_INTERNAL, "could not read the public key of \"%s\"", crt);
    if (strcmp(p->pin, key_pin) != 0)
        return err_set(e, ERR_INVALID, "certificate \"%s\" does not belong to key \"%s\"", crt,
                       key);
    p->not_after = chain_end(p);
    *ret = TAKE(p);
    return ERR_OK;
}

static void path_in(const struct tls *t, const char *name, char buf[4096])
{
    (void)snprintf(buf, 4096, "%s/%s", t->dir, name);
}

/* The pair now in use is written down: it serves the next start when the configured files are not
 * acceptable. */
static void remember_pair(const struct tls *t)
{
    AUTO_STR char *crt = NULL;
    AUTO_STRBUF struct strbuf both = STRBUF_INIT(2 * PEM_MAX);
    char path[4096], *key = NULL;
    size_t n_crt = 0, n_key = 0;
    struct err e;

    path_in(t, "active.pem", path);
    if (file_read(t->crt, PEM_MAX, &crt, &n_crt, &e) == ERR_OK &&
        file_read(t->key, PEM_MAX, &key, &n_key, &e) == ERR_OK) {
        strbuf_add(&both, (struct slice){key, n_key});
        strbuf_add(&both, (struct slice){crt, n_crt});
        if (strbuf_check(&both, &e) == ERR_OK &&
            file_write_atomic(path, strbuf_slice(&both), 0600, &e) == ERR_OK)
            e.code = ERR_OK;
    }
    if (key != NULL)
        secret_wipe(key, n_key);
    free(key);
    if (both.p != NULL)
        secret_wipe(both.p, both.n);
    if (e.code != ERR_OK)
        log_event(LOG_LEVEL_WARN, "tls.not_remembered", KV_STR("error", e.msg));
}

static void stamp_take(const struct tls *t, struct stamp *ret)
{
    struct stat crt, key;

    *ret = (struct stamp){0};
    if (stat(t->crt, &crt) != 0 || stat(t->key, &key) != 0)
        return;
    *ret = (struct stamp){crt.st_mtim, key.st_mtim, crt.st_ino, key.st_ino};
}

static bool stamp_same(const struct stamp *a, const struct stamp *b)
{
    return a->crt.tv_sec == b->crt.tv_sec && a->crt.tv_nsec == b->crt.tv_nsec &&
           a->key.tv_sec == b->key.tv_sec && a->key.tv_nsec == b->key.tv_nsec &&
           a->crt_ino == b->crt_ino && a->key_ino == b->key_ino;
}

/* Read the files and use them from the next handshake on. */
static enum err_code take_files(struct tls *t, struct err *e)
{
    AUTO(pair_free) struct pair *p = NULL;
    struct pair *old;

    stamp_take(t, &t->seen);
    if (pair_load(t->crt, t->key, &p, e) != ERR_OK)
        return e->code;
    if (!is_pinned(t, p->pin))
        return err_set(e, ERR_INVALID,
                       "the key of \"%s\" (pin %s) is not pinned by the children; use the backup "
                       "key, or have a "
                       "trust document list it first",
                       t->crt, p->pin);
    log_event(LOG_LEVEL_INFO, "tls.certificate", KV_STR("file", t->crt), KV_STR("pin", p->pin),
              KV_INT("not_after", p->not_after));
    old = atomic_exchange(&t->current, TAKE(p));
    if (old != NULL) {
        old->retired_ms = clock_mono_ms();
        old->next = t->retired;
        t->retired = old;
    }
    remember_pair(t);
    return ERR_OK;
}

static bool exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

static enum err_code renew_own(struct tls *t, struct err *e)
{
    struct pair *p = atomic_load(&t->current);

    if (!t->own || p == NULL || p->not_after > clock_wall_s() + RENEW_S)
        return ERR_OK;
    log_event(LOG_LEVEL_INFO, "tls.renewed", KV_STR("file", t->crt));
    return selfsigned_crt(t->key, t->crt, &t->names, e);
}

static enum err_code add_pin(struct tls *t, struct slice text, struct err *e)
{
    unsigned char hash[SHA256_SIZE];
    size_t n = 0;

    if (t->n_pins == PINS_MAX || text.n >= PIN_SIZE || !b64u_decode(text, hash, sizeof hash, &n) ||
        n != sizeof hash)
        return err_set(e, ERR_INVALID,
                       "\"%s/pins\" is damaged: one base64url SHA-256 a line, at most %d", t->dir,
                       PINS_MAX);
    (void)snprintf(t->pin[t->n_pins], PIN_SIZE, "%.*s", (int)text.n, text.p);
    t->pins[t->n_pins] = t->pin[t->n_pins];
    t->n_pins++;
    return ERR_OK;
}

static enum err_code read_pins(struct tls *t, const char *path, struct err *e)
{
    AUTO_STR char *text = NULL;
    struct slice rest = {NULL, 0};

    if (file_read(path, 4096, &text, &rest.n, e) != ERR_OK)
        return e->code;
    rest.p = text;
    while (rest.n > 0) {
        struct slice line = slice_trim(slice_cut(&rest, '\n'));
        if (line.n > 0 && add_pin(t, line, e) != ERR_OK)
            return e->code;
    }
    return t->n_pins > 0 ? ERR_OK : err_set(e, ERR_INVALID, "\"%s\" is empty", path);
}

static enum err_code pin_key_file(const char *path, struct strbuf *out, struct err *e)
{
    gnutls_privkey_t key = NULL;
    char pin[PIN_SIZE] = "";
    enum err_code rc = load_private(path, &key, e);

    if (rc == ERR_OK && !pin_of_private(key, pin))
        rc = err_set(e, ERR_INTERNAL, "could not compute the pin of \"%s\"", path);
    gnutls_privkey_deinit(key);
    strbuf_printf(out, "%s\n", pin);
    return rc;
}

/* First start: server key, certificate, backup key, pins.  Each step leaves what the next start
 * needs to go on. */
static enum err_code make_missing(struct tls *t, const char *pins, struct err *e)
{
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(1024);
    char backup[4096];

    path_in(t, "backup.key", backup);
    if (file_mkdirs(t->dir, 0700, e) != ERR_OK)
        return e->code;
    if (t->own && !exists(t->key) && selfsigned_key(t->key, e) != ERR_OK)
        return e->code;
    if (t->own && !exists(t->crt) && selfsigned_crt(t->key, t->crt, &t->names, e) != ERR_OK)
        return e->code;
    if (exists(pins))
        return ERR_OK;
    if (!exists(backup) && selfsigned_key(backup, e) != ERR_OK)
        return e->code;
    if (pin_key_file(t->key, &text, e) != ERR_OK || pin_key_file(backup, &text, e) != ERR_OK)
        return e->code;
    return file_write_atomic(pins, strbuf_slice(&text), 0644, e);
}

/* The files were refused at start: go on with the pair accepted before. */
static enum err_code use_remembered(struct tls *t, struct err *why)
{
    char path[4096];
    struct pair *p = NULL;
    struct err e;

    path_in(t, "active.pem", path);
    if (pair_load(path, path, &p, &e) != ERR_OK || !is_pinned(t, p->pin)) {
        pair_free(p);
        return why->code;
    }
    log_event(LOG_LEVEL_ERROR, "tls.refused", KV_STR("error", why->msg), KV_STR("serving", path));
    atomic_store(&t->current, p);
    return ERR_OK;
}

enum err_code tls_open(const char *state_dir, const char *crt, const char *key,
                       const struct hosts *names, struct tls **ret, struct err *e)
{
    AUTO(tls_free) struct tls *t = calloc(1, sizeof *t);
    char pins[4096];

    if (t == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    t->names = *names;
    t->own = crt == NULL || key == NULL;
    if (asprintf(&t->dir, "%s/tls", state_dir) < 0 ||
        (t->own ? asprintf(&t->crt, "%s/server.crt", t->dir) : asprintf(&t->crt, "%s", crt)) < 0 ||
        (t->own ? asprintf(&t->key, "%s/server.key", t->dir) : asprintf(&t->key, "%s", key)) < 0)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    path_in(t, "pins", pins);
    if (make_missing(t, pins, e) != ERR_OK || read_pins(t, pins, e) != ERR_OK)
        return e->code;
    if (gnutls_session_ticket_key_generate(&t->ticket_key) != 0)
        return err_set(e, ERR_INTERNAL, "could not make a session ticket key");
    if (take_files(t, e) != ERR_OK && use_remembered(t, e) != ERR_OK)
        return e->code;
    if (renew_own(t, e) != ERR_OK)
        return e->code;
    tls_refresh(t, false);
    *ret = TAKE(t);
    return ERR_OK;
}

const char *const *tls_pins(const struct tls *t)
{
    return t->pins;
}

const gnutls_datum_t *tls_ticket_key(const struct tls *t)
{
    return &t->ticket_key;
}

static void free_retired(struct tls *t, int64_t before_ms)
{
    struct pair **at = &t->retired;

    while (*at != NULL) {
        struct pair *p = *at;
        if (p->retired_ms >= before_ms) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        pair_free(p);
    }
}

void tls_refresh(struct tls *t, bool force)
{
    struct stamp now;
    struct err e;

    free_retired(t, clock_mono_ms() - RETIRE_MS);
    if (renew_own(t, &e) != ERR_OK)
        log_event(LOG_LEVEL_ERROR, "tls.not_renewed", KV_STR("error", e.msg));
    stamp_take(t, &now);
    if (!force && stamp_same(&now, &t->seen))
        return;
    if (take_files(t, &e) != ERR_OK)
        log_event(LOG_LEVEL_ERROR, "tls.refused", KV_STR("error", e.msg),
                  KV_STR("serving", "the one before"));
}

void tls_serve(struct tls *t)
{
    atomic_store(&served, t);
}

int tls_retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                 gnutls_pcert_st **certs, unsigned *n_certs, gnutls_ocsp_data_st **ocsp,
                 unsigned *n_ocsp, gnutls_privkey_t *key, unsigned *flags)
{
    struct tls *t = atomic_load(&served);
    struct pair *p = t == NULL ? NULL : atomic_load(&t->current);

    (void)session;
    (void)info;
    if (p == NULL)
        return -1;
    *certs = p->chain;
    *n_certs = p->n;
    *ocsp = NULL;
    *n_ocsp = 0;
    *key = p->key;
    *flags = 0; /* ours: nothing is freed by GnuTLS */
    return 0;
}

int64_t tls_end_ms(void)
{
    struct tls *t = atomic_load(&served);
    struct pair *p = t == NULL ? NULL : atomic_load(&t->current);

    return p == NULL ? 0 : (int64_t)p->not_after * 1000;
}
