#include "loop/trust.h"

#include "base/clock.h"
#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>

enum { TRUST_KEYS_MAX = 16, ROOT_CHANGE_MAX = 2048 };

struct trust_entry {
    char use[16];
    int64_t not_after_ms; /* 0: no end */
    struct jose_key *key;
};

struct trust {
    json_t *doc;
    struct jose_key *root;
    struct trust_entry keys[TRUST_KEYS_MAX];
    size_t n_keys;
};

void trust_free(struct trust *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->n_keys; i++)
        jose_key_free(t->keys[i].key);
    jose_key_free(t->root);
    json_decref(t->doc);
    free(t);
}

static enum err_code read_keys(struct trust *t, const json_t *keys, struct err *e)
{
    size_t i;
    json_t *v;

    if (!json_is_array(keys) || json_array_size(keys) > TRUST_KEYS_MAX)
        return err_set(e, ERR_INVALID, "trust document with a bad list of keys");
    json_array_foreach(keys, i, v)
    {
        struct trust_entry *k = &t->keys[t->n_keys];
        const char *until = json_str(v, "not_after", NULL);
        enum err_code rc = jose_key_from_jwk(json_object_get(v, "jwk"), &k->key, e);
        if (rc != ERR_OK)
            return err_wrap(e, "trust document");
        t->n_keys++;
        (void)snprintf(k->use, sizeof k->use, "%s", json_str(v, "use", ""));
        if (until != NULL && !clock_parse(slice_of(until), &k->not_after_ms))
            return err_set(e, ERR_INVALID, "trust document with a bad \"not_after\"");
    }
    return ERR_OK;
}

static bool strings(const json_t *a, size_t least)
{
    size_t i;
    json_t *v;

    if (!json_is_array(a) || json_array_size(a) < least || json_array_size(a) > 16)
        return false;
    json_array_foreach(a, i, v)
    {
        if (!json_is_string(v) || !slice_is_text(slice_of(json_string_value(v))))
            return false;
    }
    return true;
}

/* t names another root key than the one that is pinned: only that one says who comes after it, for
 * this very document. */
static enum err_code is_heir(const struct trust *t, const struct jose_key *pinned, struct err *e)
{
    const char *text = json_str(t->doc, "root_change", NULL);
    AUTO(json_free) json_t *rest = json_copy(t->doc);
    AUTO(json_free) json_t *word = NULL;
    struct jose_jws jws = {0};
    char digest[SHA256_HEX_SIZE];
    enum err_code rc;

    if (text == NULL)
        return err_set(e, ERR_SIGNATURE,
                       "it names another root key than the one pinned at enrolment");
    rc = jose_jws_parse(slice_of(text), ROOT_CHANGE_MAX, PROTO_TYP_ROOT, &jws, e);
    if (rc == ERR_OK)
        rc = jose_jws_verify(&jws, pinned, e);
    if (rc == ERR_OK)
        rc = json_in_parse((struct slice){jws.payload, jws.payload_n}, ROOT_CHANGE_MAX, &word, e);
    jose_jws_clear(&jws);
    if (rc != ERR_OK)
        return err_wrap(e, "root_change");
    if (rest == NULL || json_object_del(rest, "root_change") != 0 || !json_digest(rest, digest))
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (strcmp(json_str(word, "fleet", ""), trust_fleet(t)) != 0 ||
        json_int(word, "n", 0) != trust_number(t) ||
        strcmp(json_str(word, "digest", ""), digest) != 0)
        return err_set(e, ERR_SIGNATURE,
                       "the root key pinned at enrolment has signed another change than this one");
    return ERR_OK;
}

/* root NULL: the one the document itself names. */
static enum err_code read_doc(struct slice text, const struct jose_key *root, struct trust **ret,
                              struct err *e)
{
    AUTO(trust_free) struct trust *t = calloc(1, sizeof *t);
    struct jose_jws jws = {0};
    struct err own;
    enum err_code rc;

    e = e == NULL ? &own : e;
    if (t == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = jose_jws_parse(text, PROTO_TRUST_MAX, PROTO_TYP_TRUST, &jws, e);
    if (rc != ERR_OK)
        return err_wrap(e, "trust document");
    rc = json_in_parse((struct slice){jws.payload, jws.payload_n}, PROTO_TRUST_MAX, &t->doc, e);
    if (rc == ERR_OK)
        rc = jose_key_from_jwk(json_object_get(t->doc, "root"), &t->root, e);
    if (rc ==
        ERR_OK) /* whoever signs for a root key has it; whether it is ours is the next question */
        rc = jose_jws_verify(&jws, t->root, e);
    jose_jws_clear(&jws);
    if (rc == ERR_OK && root != NULL && strcmp(jose_key_kid(root), jose_key_kid(t->root)) != 0)
        rc = is_heir(t, root, e);
    if (rc == ERR_OK && (json_int(t->doc, "n", 0) < 1 || json_str(t->doc, "issuer", NULL) == NULL ||
                         json_str(t->doc, "fleet", NULL) == NULL ||
                         !strings(json_object_get(t->doc, "tls_pins"), 1) ||
                         !strings(json_object_get(t->doc, "addresses"), 0)))
        rc = err_set(e, ERR_INVALID, "a member is missing or of the wrong type");
    if (rc == ERR_OK)
        rc = read_keys(t, json_object_get(t->doc, "keys"), e);
    if (rc != ERR_OK)
        return err_wrap(e, "trust document");
    *ret = TAKE(t);
    return ERR_OK;
}

enum err_code trust_first(struct slice text, const char *fleet, struct trust **ret, struct err *e)
{
    AUTO(trust_free) struct trust *t = NULL;
    enum err_code rc = read_doc(text, NULL, &t, e);

    if (rc != ERR_OK)
        return rc;
    if (fleet != NULL && strcmp(fleet, trust_fleet(t)) != 0)
        return err_set(e, ERR_SIGNATURE, "trust document of another fleet (%s)", trust_fleet(t));
    *ret = TAKE(t);
    return ERR_OK;
}

enum err_code trust_next(const struct trust *t, struct slice text, struct trust **ret,
                         struct err *e)
{
    AUTO(trust_free) struct trust *next = NULL;
    enum err_code rc = read_doc(text, t->root, &next, e);

    if (rc != ERR_OK)
        return rc;
    if (trust_number(next) != trust_number(t) + 1 || trust_epoch(next) < trust_epoch(t) ||
        strcmp(trust_fleet(next), trust_fleet(t)) != 0)
        return err_set(e, ERR_SIGNATURE, "trust document %lld is not the successor of %lld",
                       (long long)trust_number(next), (long long)trust_number(t));
    *ret = TAKE(next);
    return ERR_OK;
}

int64_t trust_number(const struct trust *t)
{
    return json_int(t->doc, "n", 0);
}

int64_t trust_epoch(const struct trust *t)
{
    return json_int(t->doc, "epoch", 1);
}

const char *trust_fleet(const struct trust *t)
{
    return json_str(t->doc, "fleet", "");
}

const char *trust_issuer(const struct trust *t)
{
    return json_str(t->doc, "issuer", "");
}

const json_t *trust_pins(const struct trust *t)
{
    return json_object_get(t->doc, "tls_pins");
}

const json_t *trust_addresses(const struct trust *t)
{
    return json_object_get(t->doc, "addresses");
}

const struct jose_key *trust_key(const struct trust *t, const char *use, const char *kid,
                                 int64_t now_ms)
{
    for (size_t i = 0; i < t->n_keys; i++) {
        const struct trust_entry *k = &t->keys[i];
        if (strcmp(k->use, use) == 0 && strcmp(jose_key_kid(k->key), kid) == 0 &&
            (k->not_after_ms == 0 || now_ms < k->not_after_ms))
            return k->key;
    }
    return NULL;
}

enum err_code trust_receipt(const struct trust *t, const char *receipt, const char *device,
                            const char *kid, int64_t now_ms, struct err *e)
{
    AUTO(json_free) json_t *doc = NULL;
    struct jose_jws jws = {0};
    const struct jose_key *key;
    enum err_code rc = jose_jws_parse(slice_of(receipt), 8 * KIB, PROTO_TYP_RECEIPT, &jws, e);

    if (rc != ERR_OK)
        return err_wrap(e, "enrolment receipt");
    key = trust_key(t, "receipt", jws.kid, now_ms);
    rc = key == NULL ? err_set(e, ERR_SIGNATURE, "signed by an unknown key")
                     : jose_jws_verify(&jws, key, e);
    if (rc == ERR_OK)
        rc = json_in_parse((struct slice){jws.payload, jws.payload_n}, 8 * KIB, &doc, e);
    jose_jws_clear(&jws);
    if (rc == ERR_OK && (strcmp(json_str(doc, "device", ""), device) != 0 ||
                         strcmp(json_str(doc, "fleet", ""), trust_fleet(t)) != 0 ||
                         strcmp(json_str(doc, "kid", ""), kid) != 0))
        rc = err_set(e, ERR_SIGNATURE, "it is for another device, fleet or key");
    return rc == ERR_OK ? ERR_OK : err_wrap(e, "enrolment receipt");
}
