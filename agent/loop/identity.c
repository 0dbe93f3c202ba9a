#include "loop/identity.h"

#include "base/clock.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MACHINE_ID  "/etc/machine-id"
#define HARDWARE_ID "/sys/class/dmi/id/product_uuid"

enum { IDENTITY_MAX = 256 * 1024, PATH_SIZE = 512 };

static void pair_clear(struct key_pair *k)
{
    jose_key_free(k->sig);
    jose_key_free(k->enc);
    *k = (struct key_pair){0};
}

void identity_clear(struct identity *id)
{
    json_decref(id->addresses);
    free(id->trust_text);
    free(id->receipt);
    free(id->next_receipt);
    trust_free(id->trust);
    pair_clear(&id->key);
    pair_clear(&id->next);
    pair_clear(&id->old);
    *id = (struct identity){0};
}

static void path_of(char *buf, const char *dir, const char *name)
{
    (void)snprintf(buf, PATH_SIZE, "%s/%s", dir, name);
}

static enum err_code read_object(const char *path, json_t **ret, struct err *e)
{
    AUTO_STR char *text = NULL;
    size_t n = 0;
    enum err_code rc = file_read(path, IDENTITY_MAX, &text, &n, e);

    if (rc != ERR_OK)
        return rc;
    rc = json_in_parse((struct slice){text, n}, IDENTITY_MAX, ret, e);
    secret_wipe(text, n);
    return rc == ERR_OK ? ERR_OK : err_wrap(e, "\"%s\"", path);
}

static enum err_code write_object(const char *path, const json_t *j, struct err *e)
{
    AUTO_STR char *text = json_text(j, JSON_INDENT(1) | JSON_SORT_KEYS);
    enum err_code rc;

    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = file_write_atomic(path, slice_of(text), 0600, e);
    secret_wipe(text, strlen(text));
    return rc;
}

static enum err_code read_pair(const json_t *j, struct key_pair *ret, struct err *e)
{
    enum err_code rc = jose_key_from_pem(slice_of(json_str(j, "sig_key", "")), &ret->sig, e);

    return rc == ERR_OK ? jose_key_from_pem(slice_of(json_str(j, "enc_key", "")), &ret->enc, e)
                        : rc;
}

static enum err_code read_other_pairs(const json_t *j, struct identity *id, struct err *e)
{
    const json_t *next = json_object_get(j, "next"), *old = json_object_get(j, "old");
    enum err_code rc = ERR_OK;

    if (json_is_object(next))
        rc = read_pair(next, &id->next, e);
    if (rc == ERR_OK && json_str(next, "receipt", NULL) != NULL)
        id->next_receipt = strdup(json_str(next, "receipt", ""));
    if (rc == ERR_OK && json_is_object(old))
        rc = read_pair(old, &id->old, e);
    return rc;
}

static void read_machine(const json_t *j, struct machine *m)
{
    const json_t *parts = json_object_get(j, "machine");

    text_copy(m->whole, sizeof m->whole, json_str(j, "fingerprint", ""));
    text_copy(m->id, sizeof m->id, json_str(parts, "id", ""));
    text_copy(m->hardware, sizeof m->hardware, json_str(parts, "hardware", ""));
}

static enum err_code decode(const json_t *j, struct identity *id, struct err *e)
{
    const char *trust = json_str(j, "trust", "");
    json_t *addresses = json_object_get(j, "addresses");
    enum err_code rc;

    (void)snprintf(id->device_id, sizeof id->device_id, "%s", json_str(j, "device_id", ""));
    (void)snprintf(id->fleet, sizeof id->fleet, "%s", json_str(j, "fleet", ""));
    (void)snprintf(id->name, sizeof id->name, "%s", json_str(j, "name", ""));
    read_machine(j, &id->machine);
    id->addresses = json_incref(addresses);
    id->wait_s = json_int(j, "wait_s", 50);
    id->interval_s = json_int(j, "interval_s", 60);
    id->joined_ms = json_int(j, "joined_ms", 0);
    id->key_ms = json_int(j, "key_ms", id->joined_ms);
    (void)snprintf(id->rotated_for, sizeof id->rotated_for, "%s", json_str(j, "rotated_for", ""));
    id->trust_text = strdup(trust);
    id->receipt = strdup(json_str(j, "receipt", ""));
    if (id->device_id[0] == '\0' || !json_is_array(addresses) || json_array_size(addresses) == 0)
        return err_set(e, ERR_INVALID, "no device id or no address");
    if (id->trust_text == NULL || id->receipt == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = trust_first(slice_of(trust), id->fleet, &id->trust, e);
    if (rc == ERR_OK)
        rc = read_pair(j, &id->key, e);
    return rc == ERR_OK ? read_other_pairs(j, id, e) : rc;
}

enum err_code identity_load(const char *dir, struct identity *ret, struct err *e)
{
    AUTO(json_free) json_t *j = NULL;
    struct identity id = {0};
    char path[PATH_SIZE];
    enum err_code rc;

    path_of(path, dir, "identity.json");
    rc = read_object(path, &j, e);
    if (rc != ERR_OK)
        return rc;
    rc = decode(j, &id, e);
    if (rc != ERR_OK) {
        identity_clear(&id);
        return err_wrap(e, "\"%s\"", path);
    }
    *ret = id;
    return ERR_OK;
}

static enum err_code add_key(json_t *j, const char *name, const struct jose_key *k, struct err *e)
{
    AUTO_STR char *pem = NULL;
    enum err_code rc = jose_key_to_pem(k, &pem, e);

    if (rc != ERR_OK)
        return rc;
    rc = json_object_set_new(j, name, json_string(pem)) == 0
             ? ERR_OK
             : err_set(e, ERR_NO_MEMORY, "out of memory");
    secret_wipe(pem, strlen(pem));
    return rc;
}

static enum err_code add_pair(json_t *j, const struct key_pair *k, struct err *e)
{
    enum err_code rc = add_key(j, "sig_key", k->sig, e);

    return rc == ERR_OK ? add_key(j, "enc_key", k->enc, e) : rc;
}

static enum err_code add_other_pair(json_t *j, const char *name, const struct key_pair *k,
                                    struct err *e)
{
    json_t *o;

    if (k->sig == NULL)
        return ERR_OK;
    o = json_object();
    if (json_object_set_new(j, name, o) != 0)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return add_pair(o, k, e);
}

enum err_code identity_save(const char *dir, const struct identity *id, struct err *e)
{
    AUTO(json_free)
    json_t *j = json_pack(
        "{s:s,s:s,s:s,s:s,s:{s:s,s:s},s:O,s:s,s:s,s:I,s:I,s:I,s:I,s:s}", "device_id", id->device_id,
        "fleet", id->fleet, "name", id->name, "fingerprint", id->machine.whole, "machine", "id",
        id->machine.id, "hardware", id->machine.hardware, "addresses", id->addresses, "trust",
        id->trust_text, "receipt", id->receipt, "wait_s", (json_int_t)id->wait_s, "interval_s",
        (json_int_t)id->interval_s, "joined_ms", (json_int_t)id->joined_ms, "key_ms",
        (json_int_t)id->key_ms, "rotated_for", id->rotated_for);
    char path[PATH_SIZE];
    enum err_code rc;

    if (j == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = add_pair(j, &id->key, e);
    if (rc == ERR_OK)
        rc = add_other_pair(j, "next", &id->next, e);
    if (rc == ERR_OK && id->next.sig != NULL && id->next_receipt != NULL)
        (void)json_object_set_new(json_object_get(j, "next"), "receipt",
                                  json_string(id->next_receipt));
    if (rc == ERR_OK)
        rc = add_other_pair(j, "old", &id->old, e);
    path_of(path, dir, "identity.json");
    return rc == ERR_OK ? write_object(path, j, e) : rc;
}

enum err_code identity_put_aside(const char *dir, const char *why, struct err *e)
{
    char from[PATH_SIZE], to[PATH_SIZE + 64];

    path_of(from, dir, "identity.json");
    (void)snprintf(to, sizeof to, "%s/identity.%lld.%s", dir, (long long)clock_wall_s(), why);
    if (rename(from, to) != 0 && errno != ENOENT)
        return err_errno(e, ERR_STORAGE, errno, "could not rename \"%s\"", from);
    return file_fsync_dir(dir, e);
}

enum err_code identity_trust_next(const char *dir, struct identity *id, struct slice text,
                                  struct err *e)
{
    AUTO(trust_free) struct trust *next = NULL;
    AUTO_STR char *copy = NULL;
    enum err_code rc = trust_next(id->trust, text, &next, e);
    bool moved;

    if (rc != ERR_OK)
        return rc;
    /* What was learned since (a notice, another way to the parent) counts more than an old list
     * repeated. */
    moved = !json_equal(trust_addresses(id->trust), trust_addresses(next));
    copy = strndup(text.p, text.n);
    if (copy == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    free(id->trust_text);
    id->trust_text = TAKE(copy);
    trust_free(id->trust);
    id->trust = TAKE(next);
    if (moved && json_array_size(trust_addresses(id->trust)) > 0) {
        json_decref(id->addresses);
        id->addresses = json_deep_copy(trust_addresses(id->trust));
    }
    return identity_save(dir, id, e);
}

/* --- renewal --- */

enum err_code identity_next_begin(const char *dir, struct identity *id, const char *order,
                                  struct err *e)
{
    bool made = id->next.sig == NULL;
    enum err_code rc;

    if (!made && strcmp(order, id->rotated_for) == 0)
        return ERR_OK;
    if (made)
        id->next = (struct key_pair){jose_key_new(), jose_key_new()};
    (void)snprintf(id->rotated_for, sizeof id->rotated_for, "%s", order);
    rc = id->next.sig == NULL || id->next.enc == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                                      : identity_save(dir, id, e);
    if (rc != ERR_OK && made)
        pair_clear(&id->next); /* nobody has heard of it */
    return rc;
}

enum err_code identity_next_offered(const char *dir, struct identity *id, const char *receipt,
                                    struct err *e)
{
    char *copy = receipt[0] == '\0' ? NULL : strdup(receipt);

    free(id->next_receipt);
    id->next_receipt = copy;
    return identity_save(dir, id, e);
}

enum err_code identity_next_done(const char *dir, struct identity *id, int64_t now_ms,
                                 struct err *e)
{
    if (id->next_receipt != NULL) {
        free(id->receipt);
        id->receipt = TAKE(id->next_receipt);
    }
    pair_clear(&id->old);
    id->old = id->key;
    id->key = id->next;
    id->next = (struct key_pair){0};
    id->key_ms = now_ms;
    return identity_save(dir, id, e);
}

enum err_code identity_next_drop(const char *dir, struct identity *id, struct err *e)
{
    pair_clear(&id->next);
    free(TAKE(id->next_receipt));
    id->rotated_for[0] = '\0';
    return identity_save(dir, id, e);
}

enum err_code identity_old_again(const char *dir, struct identity *id, struct err *e)
{
    pair_clear(&id->next);
    id->next = id->key;
    id->key = id->old;
    id->old = (struct key_pair){0};
    return identity_save(dir, id, e);
}

static enum err_code read_pending(const char *path, struct jose_key **ret_sig,
                                  struct jose_key **ret_enc, struct err *e)
{
    AUTO(json_free) json_t *j = NULL;
    AUTO(jose_key_free) struct jose_key *sig = NULL;
    enum err_code rc = read_object(path, &j, e);

    if (rc == ERR_OK)
        rc = jose_key_from_pem(slice_of(json_str(j, "sig_key", "")), &sig, e);
    if (rc == ERR_OK)
        rc = jose_key_from_pem(slice_of(json_str(j, "enc_key", "")), ret_enc, e);
    if (rc == ERR_OK)
        *ret_sig = TAKE(sig);
    return rc;
}

enum err_code identity_pending_keys(const char *dir, struct jose_key **ret_sig,
                                    struct jose_key **ret_enc, struct err *e)
{
    AUTO(jose_key_free) struct jose_key *sig = NULL;
    AUTO(jose_key_free) struct jose_key *enc = NULL;
    AUTO(json_free) json_t *j = json_object();
    char path[PATH_SIZE];
    enum err_code rc;

    path_of(path, dir, "pending.json");
    rc = read_pending(path, ret_sig, ret_enc, e);
    if (rc != ERR_NOT_FOUND)
        return rc;
    sig = jose_key_new();
    enc = jose_key_new();
    if (j == NULL || sig == NULL || enc == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = add_key(j, "sig_key", sig, e);
    if (rc == ERR_OK)
        rc = add_key(j, "enc_key", enc, e);
    if (rc == ERR_OK)
        rc = write_object(path, j, e);
    if (rc != ERR_OK)
        return rc;
    *ret_sig = TAKE(sig);
    *ret_enc = TAKE(enc);
    return ERR_OK;
}

void identity_pending_done(const char *dir)
{
    char path[PATH_SIZE];

    path_of(path, dir, "pending.json");
    (void)unlink(path);
}

enum err_code identity_forget_events(const char *dir, struct err *e)
{
    char path[PATH_SIZE];

    path_of(path, dir, "postfix.context");
    if (unlink(path) != 0 && errno != ENOENT)
        return err_errno(e, ERR_STORAGE, errno, "could not remove \"%s\"", path);
    path_of(path, dir, "spool");
    return file_remove_tree(path, e);
}

/* Also what was put aside, and what a kill left half written: there are keys in both. */
void identity_wipe(const char *dir, struct err *e)
{
    static const char *const names[] = {"identity.", "pending.", "state.",
                                        "bundle.",   "fork.",    "postfix."};
    DIR *d = opendir(dir);
    struct dirent *f;

    if (d == NULL) {
        (void)err_errno(e, ERR_STORAGE, errno, "could not read \"%s\"", dir);
        return;
    }
    while ((f = readdir(d)) != NULL) {
        for (size_t i = 0; i < COUNT_OF(names); i++) {
            if (strncmp(f->d_name, names[i], strlen(names[i])) == 0 &&
                unlinkat(dirfd(d), f->d_name, 0) != 0 && errno != ENOENT)
                (void)err_errno(e, ERR_STORAGE, errno, "could not remove \"%s/%s\"", dir,
                                f->d_name);
        }
    }
    (void)closedir(d);
    (void)!identity_forget_events(dir, e);
}

/* --- the machine --- */

static void add_file(struct strbuf *b, const char *label, const char *path)
{
    AUTO_STR char *text = NULL;
    size_t n = 0;

    strbuf_printf(b, "%s=", label);
    if (file_read(path, 4096, &text, &n, NULL) == ERR_OK)
        strbuf_add(b, slice_trim((struct slice){text, n}));
    strbuf_putc(b, '\n');
}

/* "": the machine does not say. */
static void part(const char *label, const char *path, char ret[65])
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(8 * KIB);
    unsigned char mac[SHA256_SIZE];

    add_file(&b, label, path);
    ret[0] = '\0';
    if (b.n <= strlen(label) + 2)
        return;
    hmac_sha256(slice_of("inari device machine 1"), strbuf_slice(&b), mac);
    hex_encode(mac, sizeof mac, ret);
}

void identity_machine(struct machine *ret)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(16 * KIB);
    unsigned char mac[SHA256_SIZE];

    part("machine", MACHINE_ID, ret->id);
    part("hardware", HARDWARE_ID, ret->hardware);
    add_file(&b, "machine", MACHINE_ID);
    add_file(&b, "hardware", HARDWARE_ID);
    hmac_sha256(slice_of("inari device fingerprint 1"), strbuf_slice(&b), mac);
    hex_encode(mac, sizeof mac, ret->whole);
}

/* 1: the same, -1: another, 0: one of the two does not say. */
static int compare(const char *was, const char *is)
{
    return was[0] == '\0' || is[0] == '\0' ? 0 : strcmp(was, is) == 0 ? 1 : -1;
}

bool identity_foreign(const struct identity *id, const struct machine *here)
{
    int machine = compare(id->machine.id, here->id);
    int hardware = compare(id->machine.hardware, here->hardware);

    return machine + hardware < 0 && machine != 1 && hardware != 1;
}

enum err_code identity_moved(const char *dir, struct identity *id, const struct machine *here,
                             struct err *e)
{
    id->machine = *here;
    return identity_save(dir, id, e);
}
