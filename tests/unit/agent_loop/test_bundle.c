/* Bundles: what a device must refuse before anything is written (A5, A8, A9, A13, A15, D7, D13,
 * D14, D24, F4). */
#include "loop/bundle.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define FLEET  "019ab000-0000-7000-8000-000000000001"
#define DEVICE "019ab000-0000-7000-8000-0000000000aa"

static struct jose_key *root, *bundle_key, *old_key, *stranger;
static struct trust *trust;

static json_t *key_row(const struct jose_key *k, const char *use, const char *not_after)
{
    return json_pack("{s:s,s:o,s:s?}", "use", use, "jwk", jose_key_to_jwk(k), "not_after",
                     not_after);
}

static char *sign(const struct jose_key *k, const char *typ, const json_t *doc, bool compact)
{
    AUTO_STR char *text = json_canonical(doc);
    char *jws = NULL;

    assert_non_null(text);
    assert_int_equal(jose_jws_sign(k, typ, slice_of(text), compact, &jws, NULL), ERR_OK);
    return jws;
}

static json_t *trust_json(const char *fleet, int n, int epoch, const struct jose_key *named_root)
{
    return json_pack(
        "{s:i,s:s,s:i,s:o,s:[o,o,o],s:[s],s:s,s:[s]}", "n", n, "fleet", fleet, "epoch", epoch,
        "root", jose_key_to_jwk(named_root), "keys", key_row(bundle_key, "bundle", NULL),
        key_row(old_key, "bundle", "2020-01-01T00:00:00Z"), key_row(stranger, "receipt", NULL),
        "tls_pins", "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU", "issuer",
        "https://parent.example:8445", "addresses", "https://parent.example:8445");
}

static char *trust_doc_in(const char *fleet, int n, int epoch, const struct jose_key *named_root,
                          const struct jose_key *signer)
{
    AUTO(json_free) json_t *doc = trust_json(fleet, n, epoch, named_root);

    return sign(signer, PROTO_TYP_TRUST, doc, false);
}

/* Document n that names heir, with the word of giver for document said_n of said_fleet; changed
 * after that word when pins is not NULL. */
static char *trust_heir(int n, const struct jose_key *heir, const struct jose_key *giver,
                        const char *said_fleet, int said_n, const char *pin)
{
    AUTO(json_free) json_t *doc = trust_json(FLEET, n, 1, heir);
    AUTO(json_free) json_t *word = NULL;
    AUTO_STR char *jws = NULL;
    char digest[SHA256_HEX_SIZE];

    assert_true(json_digest(doc, digest));
    word = json_pack("{s:s,s:i,s:s}", "fleet", said_fleet, "n", said_n, "digest", digest);
    jws = sign(giver, PROTO_TYP_ROOT, word, true);
    json_object_set_new(doc, "root_change", json_string(jws));
    if (pin != NULL)
        json_array_append_new(json_object_get(doc, "tls_pins"), json_string(pin));
    return sign(heir, PROTO_TYP_TRUST, doc, false);
}

static char *trust_doc_of(int n, int epoch, const struct jose_key *named_root,
                          const struct jose_key *signer)
{
    return trust_doc_in(FLEET, n, epoch, named_root, signer);
}

static char *trust_doc(int n, const struct jose_key *named_root, const struct jose_key *signer)
{
    return trust_doc_of(n, 1, named_root, signer);
}

static json_t *payload(void)
{
    AUTO(json_free)
    json_t *sections = json_pack("{s:{s:i,s:{s:i},s:[],s:{}}}", "postfix", "schema", 1, "settings",
                                 "smtp.message_size_limit", 1000000, "blobs", "sealed");
    char digest[PROTO_DIGEST_SIZE];

    assert_true(proto_content_digest(sections, digest));
    return json_pack("{s:s,s:s,s:i,s:i,s:i,s:s,s:s,s:s,s:s,s:[],s:O,s:{s:s},s:{s:i},s:s}", "fleet",
                     FLEET, "device", DEVICE, "epoch", 1, "rev", 7, "pub", 3, "content_digest",
                     digest, "jti", "offer-1", "mode", "manage", "min_agent", "0.1.0", "crit",
                     "sections", sections, "drift", "postfix", "enforce", "apply", "probe_soak_s",
                     5, "future", "unknown members are ignored");
}

static struct bundle_known known(void)
{
    return (struct bundle_known){
        .trust = trust, .fleet = FLEET, .device = DEVICE, .now_ms = clock_wall_ms(), .etag = ""};
}

static int setup(void **state)
{
    AUTO_STR char *doc = NULL;

    (void)state;
    root = jose_key_new();
    bundle_key = jose_key_new();
    old_key = jose_key_new();
    stranger = jose_key_new();
    doc = trust_doc(1, root, root);
    return trust_first(slice_of(doc), FLEET, &trust, NULL) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    trust_free(trust);
    jose_key_free(root);
    jose_key_free(bundle_key);
    jose_key_free(old_key);
    jose_key_free(stranger);
    return 0;
}

static void good(void **state)
{
    AUTO(json_free) json_t *doc = payload();
    AUTO_STR char *jws = sign(bundle_key, PROTO_TYP_BUNDLE, doc, false);
    struct bundle_known k = known();
    struct bundle b = {0};
    char etag[65];

    (void)state;
    assert_int_equal(bundle_verify(slice_of(jws), &k, &b, NULL), BUNDLE_OK);
    sha256_hex(slice_of(jws), etag);
    assert_string_equal(b.etag, etag);
    assert_string_equal(b.digest, json_str(doc, "content_digest", ""));
    assert_int_equal(b.rev, 7);
    assert_int_equal(b.mode, BUNDLE_MANAGE);
    assert_int_equal(b.drift, BUNDLE_DRIFT_ENFORCE);
    assert_int_equal(b.probe_soak_s, 5);
    assert_int_equal(b.confirm_window_s, 300);
    /* The same bytes again are fine: the answer that was lost (A4). */
    k.epoch = 1;
    k.rev = 7;
    k.etag = etag;
    bundle_clear(&b);
    assert_int_equal(bundle_verify(slice_of(jws), &k, &b, NULL), BUNDLE_OK);
    bundle_clear(&b);
}

/* A5: no single flipped bit anywhere and no truncation is accepted. */
static void bit_flips(void **state)
{
    AUTO(json_free) json_t *doc = payload();
    AUTO_STR char *jws = sign(bundle_key, PROTO_TYP_BUNDLE, doc, false);
    AUTO_STR char *copy = strdup(jws);
    struct bundle_known k = known();
    struct bundle b = {0};
    size_t n = strlen(jws);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        copy[i] = (char)(jws[i] ^ (1 << (i % 7)));
        if (bundle_verify((struct slice){copy, n}, &k, &b, NULL) == BUNDLE_OK)
            fail_msg("byte %zu changed and accepted", i);
        copy[i] = jws[i];
    }
    for (size_t i = 0; i < n; i++)
        if (bundle_verify((struct slice){jws, i}, &k, &b, NULL) == BUNDLE_OK)
            fail_msg("cut at %zu and accepted", i);
}

static void set(json_t *doc, const char *name, json_t *value)
{
    assert_int_equal(json_object_set_new(doc, name, value), 0);
}

static void refusals(void **state)
{
    static const char other[] = "019ab000-0000-7000-8000-0000000000bb";
    struct {
        const char *name, *member;
        json_t *value;
        const struct jose_key *key;
        const char *typ;
        int64_t have_epoch, have_rev;
        enum bundle_refusal want;
    } t[] = {
        {"device A's bundle at B (D24)", "device", json_string(other), bundle_key, PROTO_TYP_BUNDLE,
         0, 0, BUNDLE_OTHER_DEVICE},
        {"another fleet", "fleet", json_string(other), bundle_key, PROTO_TYP_BUNDLE, 0, 0,
         BUNDLE_OTHER_DEVICE},
        {"lower revision (A8)", NULL, NULL, bundle_key, PROTO_TYP_BUNDLE, 1, 8, BUNDLE_ROLLBACK},
        {"lower epoch", NULL, NULL, bundle_key, PROTO_TYP_BUNDLE, 2, 1, BUNDLE_ROLLBACK},
        {"new epoch without the root's word (F4)", "epoch", json_integer(2), bundle_key,
         PROTO_TYP_BUNDLE, 1, 7, BUNDLE_ROLLBACK},
        {"same revision, other bytes (A9)", NULL, NULL, bundle_key, PROTO_TYP_BUNDLE, 1, 7,
         BUNDLE_FORK},
        {"critical member (A15)", "crit", json_pack("[s]", "future"), bundle_key, PROTO_TYP_BUNDLE,
         0, 0, BUNDLE_CRITICAL},
        {"newer agent needed", "min_agent", json_string("99.0"), bundle_key, PROTO_TYP_BUNDLE, 0, 0,
         BUNDLE_AGENT_TOO_OLD},
        {"digest of other content", "content_digest",
         json_string("00000000000000000000000000000000"
                     "00000000000000000000000000000000"),
         bundle_key, PROTO_TYP_BUNDLE, 0, 0, BUNDLE_DIGEST},
        {"unknown section", "sections",
         json_pack("{s:{s:i,s:{}},s:{}}", "postfix", "schema", 1, "settings", "scan"), bundle_key,
         PROTO_TYP_BUNDLE, 0, 0, BUNDLE_SCHEMA},
        {"newer schema", "sections",
         json_pack("{s:{s:i,s:{}}}", "postfix", "schema", 2, "settings"), bundle_key,
         PROTO_TYP_BUNDLE, 0, 0, BUNDLE_SCHEMA},
        {"revision as text", "rev", json_string("7"), bundle_key, PROTO_TYP_BUNDLE, 0, 0,
         BUNDLE_MALFORMED},
        {"no such mode", "mode", json_string("force"), bundle_key, PROTO_TYP_BUNDLE, 0, 0,
         BUNDLE_MALFORMED},
        {"a key nobody listed (D7)", NULL, NULL, root, PROTO_TYP_BUNDLE, 0, 0, BUNDLE_SIGNATURE},
        {"a receipt key", NULL, NULL, stranger, PROTO_TYP_BUNDLE, 0, 0, BUNDLE_SIGNATURE},
        {"a key past its end", NULL, NULL, old_key, PROTO_TYP_BUNDLE, 0, 0, BUNDLE_SIGNATURE},
        {"another kind of document", NULL, NULL, bundle_key, PROTO_TYP_NOTICE, 0, 0,
         BUNDLE_MALFORMED},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        AUTO(json_free) json_t *doc = payload();
        AUTO_STR char *jws = NULL;
        struct bundle_known k = known();
        struct bundle b = {0};
        enum bundle_refusal got;
        if (t[i].member != NULL)
            set(doc, t[i].member, t[i].value);
        jws = sign(t[i].key, t[i].typ, doc, false);
        k.epoch = t[i].have_epoch;
        k.rev = t[i].have_rev;
        k.etag = "0000";
        got = bundle_verify(slice_of(jws), &k, &b, NULL);
        if (got != t[i].want)
            fail_msg("%s: %s", t[i].name, bundle_refusal_word(got));
    }
}

static void too_large_or_deep(void **state)
{
    struct bundle_known k = known();
    struct bundle b = {0};
    struct err e = {0};
    char *big = malloc(PROTO_BUNDLE_MAX + 2);

    (void)state;
    assert_non_null(big);
    memset(big, '{', PROTO_BUNDLE_MAX + 2);
    assert_int_equal(bundle_verify((struct slice){big, PROTO_BUNDLE_MAX + 1}, &k, &b, NULL),
                     BUNDLE_SIZE);
    /* Depth 10,000 (A13), and one that only our own limit refuses; both are JSON. */
    for (size_t depth = 10000; depth > 0; depth = depth == 10000 ? JSON_IN_DEPTH_MAX : 0) {
        size_t n = (size_t)snprintf(big, 32, "{\"payload\":");
        memset(big + n, '[', depth);
        memset(big + n + depth, ']', depth);
        big[n + 2 * depth] = '}';
        assert_int_equal(bundle_verify((struct slice){big, n + 2 * depth + 1}, &k, &b, &e),
                         BUNDLE_MALFORMED);
        assert_non_null(strstr(e.msg, "nested deeper"));
    }
    free(big);
}

static void freshness(void **state)
{
    struct bundle_known k = known();
    int64_t now_s = k.now_ms / 1000, iat = 0;
    const struct {
        const char *name, *device;
        int64_t rev, exp;
        const struct jose_key *key;
        bool ok;
    } t[] = {
        {"good", DEVICE, 7, now_s + 60, bundle_key, true},
        {"another device", FLEET, 7, now_s + 60, bundle_key, false},
        {"older revision", DEVICE, 6, now_s + 60, bundle_key, false},
        {"run out", DEVICE, 7, now_s - 1, bundle_key, false},
        {"wrong key", DEVICE, 7, now_s + 60, root, false},
    };

    (void)state;
    k.epoch = 1;
    k.rev = 7;
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        AUTO(json_free)
        json_t *doc = json_pack("{s:s,s:s,s:i,s:I,s:I,s:I}", "device", t[i].device, "etag", "x",
                                "epoch", 1, "rev", (json_int_t)t[i].rev, "iat",
                                (json_int_t)now_s - 5, "exp", (json_int_t)t[i].exp);
        AUTO_STR char *jws = sign(t[i].key, PROTO_TYP_FRESH, doc, true);
        if ((bundle_fresh(slice_of(jws), &k, &iat, NULL) == ERR_OK) != t[i].ok)
            fail_msg("%s", t[i].name);
    }
    assert_int_equal(iat, (now_s - 5) * 1000);
}

/* D13, D14: one step at a time, by the pinned root only. */
/* As many keys as a document may name, and no more. */
static void trust_keys(void **state)
{
    (void)state;
    for (int n = 3; n <= 18; n++) {
        AUTO(json_free) json_t *doc = trust_json(FLEET, 1, 1, root);
        AUTO(trust_free) struct trust *t = NULL;
        AUTO_STR char *text = NULL;
        json_t *keys = json_object_get(doc, "keys");

        while (json_array_size(keys) < (size_t)n)
            json_array_append_new(keys, key_row(old_key, "bundle", "2020-01-01T00:00:00Z"));
        text = sign(root, PROTO_TYP_TRUST, doc, false);
        if ((trust_first(slice_of(text), FLEET, &t, NULL) == ERR_OK) != (n <= 16))
            fail_msg("%d keys", n);
    }
}

static void trust_chain(void **state)
{
    AUTO_STR char *second = trust_doc(2, root, root);
    AUTO_STR char *third = trust_doc(3, root, root);
    AUTO_STR char *foreign = trust_doc(2, stranger, stranger);
    AUTO_STR char *claimed = trust_doc(2, root, stranger);
    AUTO_STR char *heir = trust_doc(2, stranger, root);
    AUTO_STR char *again = trust_doc(1, root, root);
    AUTO_STR char *elsewhere = trust_doc_in(DEVICE, 2, 1, root, root);
    AUTO(trust_free) struct trust *next = NULL;
    AUTO(trust_free) struct trust *after = NULL;
    AUTO(trust_free) struct trust *none = NULL;

    (void)state;
    assert_int_equal(trust_next(trust, slice_of(third), &none, NULL), ERR_SIGNATURE);
    assert_int_equal(trust_next(trust, slice_of(foreign), &none, NULL), ERR_SIGNATURE);
    assert_int_equal(trust_next(trust, slice_of(claimed), &none, NULL), ERR_SIGNATURE);
    assert_int_equal(trust_next(trust, slice_of(heir), &none, NULL), ERR_SIGNATURE);
    assert_int_equal(trust_next(trust, slice_of(again), &none, NULL), ERR_SIGNATURE);
    assert_int_equal(trust_next(trust, slice_of(elsewhere), &none, NULL), ERR_SIGNATURE);
    assert_int_equal(trust_first(slice_of(claimed), FLEET, &none, NULL), ERR_SIGNATURE);
    assert_int_equal(trust_first(slice_of(second), DEVICE, &none, NULL), ERR_SIGNATURE);
    assert_int_equal(trust_next(trust, slice_of(second), &next, NULL), ERR_OK);
    assert_int_equal(trust_next(next, slice_of(third), &after, NULL), ERR_OK);
    assert_int_equal(trust_number(after), 3);
    assert_null(none);
}

/* Another root key counts when the one that is pinned has said so, of this document and no other.
 */
static void root_is_handed_down(void **state)
{
    AUTO_STR char *second = trust_heir(2, stranger, root, FLEET, 2, NULL);
    AUTO_STR char *third = trust_doc(3, stranger, stranger);
    AUTO_STR char *back = trust_doc(3, root, root);
    AUTO_STR char *on = trust_heir(3, old_key, stranger, FLEET, 3, NULL);
    char *wrong[] = {
        trust_heir(2, stranger, stranger, FLEET, 2, NULL), /* said by itself */
        trust_heir(2, stranger, bundle_key, FLEET, 2, NULL),
        trust_heir(2, stranger, root, DEVICE, 2, NULL),
        trust_heir(2, stranger, root, FLEET, 3, NULL),
        trust_heir(2, stranger, root, FLEET, 2, "bad-pin"),
        trust_heir(3, stranger, root, FLEET, 3, NULL), /* not the next one */
    };
    AUTO(trust_free) struct trust *next = NULL;
    AUTO(trust_free) struct trust *after = NULL;
    AUTO(trust_free) struct trust *last = NULL;
    AUTO(trust_free) struct trust *none = NULL;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        if (trust_next(trust, slice_of(wrong[i]), &none, NULL) != ERR_SIGNATURE)
            fail_msg("%zu was believed", i);
        free(wrong[i]);
    }
    assert_int_equal(trust_next(trust, slice_of(second), &next, NULL), ERR_OK);
    assert_int_equal(trust_next(next, slice_of(back), &none, NULL), ERR_SIGNATURE);
    assert_int_equal(trust_next(next, slice_of(third), &after, NULL), ERR_OK);
    assert_int_equal(trust_next(next, slice_of(on), &last, NULL), ERR_OK);
    assert_int_equal(trust_number(last), 3);
}

/* F4, F5: a lower revision counts in an epoch that the root key has signed, once; after it neither
 * the old epoch nor what is below it. */
static void new_epoch(void **state)
{
    AUTO_STR char *second = trust_doc_of(2, 2, root, root);
    AUTO_STR char *back = trust_doc_of(3, 1, root, root);
    AUTO_STR char *forged = trust_doc_of(2, 2, root, bundle_key);
    AUTO(trust_free) struct trust *next = NULL;
    AUTO(trust_free) struct trust *none = NULL;
    static const struct {
        int epoch, rev, have_epoch, have_rev;
        bool signed_;
        enum bundle_refusal want;
    } t[] = {
        {2, 7, 1, 900, false, BUNDLE_ROLLBACK}, {2, 7, 0, 0, false, BUNDLE_ROLLBACK},
        {2, 7, 1, 900, true, BUNDLE_OK},        {3, 7, 1, 900, true, BUNDLE_ROLLBACK},
        {2, 6, 2, 7, true, BUNDLE_ROLLBACK},    {1, 901, 2, 7, true, BUNDLE_ROLLBACK},
        {2, 8, 2, 7, true, BUNDLE_OK},          {1, 901, 1, 900, true, BUNDLE_OK},
    };

    (void)state;
    assert_int_equal(trust_next(trust, slice_of(forged), &none, NULL), ERR_SIGNATURE);
    assert_int_equal(trust_next(trust, slice_of(second), &next, NULL), ERR_OK);
    assert_int_equal(trust_epoch(next), 2);
    assert_int_equal(trust_next(next, slice_of(back), &none, NULL), ERR_SIGNATURE);
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        AUTO(json_free) json_t *doc = payload();
        AUTO_STR char *jws = NULL;
        struct bundle_known k = known();
        struct bundle b = {0};
        enum bundle_refusal got;
        set(doc, "epoch", json_integer(t[i].epoch));
        set(doc, "rev", json_integer(t[i].rev));
        jws = sign(bundle_key, PROTO_TYP_BUNDLE, doc, false);
        k.trust = t[i].signed_ ? next : trust;
        k.epoch = t[i].have_epoch;
        k.rev = t[i].have_rev;
        k.etag = "0000";
        got = bundle_verify(slice_of(jws), &k, &b, NULL);
        bundle_clear(&b);
        if (got != t[i].want)
            fail_msg("case %zu: %s", i, bundle_refusal_word(got));
    }
}

static void versions(void **state)
{
    (void)state;
    assert_int_equal(proto_version_cmp("0.1.0", "0.1", 4), 0);
    assert_int_equal(proto_version_cmp("0.1.0", "0.1.1", 4), -1);
    assert_int_equal(proto_version_cmp("0.10.0", "0.9.9", 4), 1);
    assert_int_equal(proto_version_cmp("1", "0.99", 4), 1);
    assert_int_equal(proto_version_cmp("0.1.9", "0.1.0", 2), 0);
    assert_int_equal(proto_version_cmp("0.2", "0.1.9", 2), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),        cmocka_unit_test(bit_flips),
        cmocka_unit_test(refusals),    cmocka_unit_test(too_large_or_deep),
        cmocka_unit_test(freshness),   cmocka_unit_test(trust_keys),
        cmocka_unit_test(trust_chain), cmocka_unit_test(root_is_handed_down),
        cmocka_unit_test(new_epoch),   cmocka_unit_test(versions),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
