/* Sealing, nonces, client assertions (protocol.md D6, D7) and access tokens, without a database. */
#include "base/clock.h"
#include "base/hash.h"
#include "base/rand.h"
#include "domain/device_auth.h"
#include "domain/device_status.h"
#include "domain/enrol.h"
#include "domain/fleet_cache.h"
#include "domain/keyring.h"
#include "domain/seal.h"
#include "http/park.h"
#include "proto/proto.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* The listener's: nobody is parked here. */
int park_wake(const char *key)
{
    (void)key;
    return 0;
}

static const char ID[] = "01932e7c-7b1f-7000-8000-000000000001";
static const char ISSUER[] = "https://parent.example:8445";

/* --- sealing --- */

static void sealing(void **state)
{
    unsigned char key[SEAL_KEY_SIZE], other[SEAL_KEY_SIZE], box[64 + SEAL_OVERHEAD], out[64];
    const struct slice plain = slice_of("a private key");
    const struct slice boxed = {(const char *)box, plain.n + SEAL_OVERHEAD};

    (void)state;
    rand_bytes(key, sizeof key);
    rand_bytes(other, sizeof other);
    assert_int_equal(seal_box(key, "kid-1", plain, box, NULL), ERR_OK);
    assert_null(memmem(box, boxed.n, plain.p, plain.n));
    assert_int_equal(seal_open(key, "kid-1", boxed, out, NULL), ERR_OK);
    assert_memory_equal(out, plain.p, plain.n);
    assert_int_equal(seal_open(key, "kid-2", boxed, out, NULL), ERR_SIGNATURE);
    assert_int_equal(seal_open(other, "kid-1", boxed, out, NULL), ERR_SIGNATURE);
    for (size_t i = 0; i < boxed.n; i++) {
        box[i] ^= 1;
        assert_int_equal(seal_open(key, "kid-1", boxed, out, NULL), ERR_SIGNATURE);
        box[i] ^= 1;
    }
    for (size_t n = 0; n < boxed.n; n++)
        assert_int_equal(seal_open(key, "kid-1", (struct slice){boxed.p, n}, out, NULL),
                         ERR_SIGNATURE);
}

static void key_file(void **state)
{
    char dir[] = "/tmp/inari-seal-XXXXXX", path[64];
    unsigned char key[SEAL_KEY_SIZE], again[SEAL_KEY_SIZE];
    struct stat st;
    struct err e;
    bool made = false;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/parent.key", dir);
    assert_int_equal(seal_key_load(dir, false, key, &made, &e), ERR_STORAGE);
    assert_non_null(strstr(e.msg, path));
    assert_int_equal(seal_key_load(dir, true, key, &made, &e), ERR_OK);
    assert_true(made);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(seal_key_load(dir, true, again, &made, &e), ERR_OK);
    assert_false(made);
    assert_memory_equal(key, again, sizeof key);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(seal_key_load(dir, true, again, &made, &e), ERR_STORAGE);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, 31), 0);
    assert_int_equal(seal_key_load(dir, true, again, &made, &e), ERR_STORAGE);
    (void)unlink(path);
    (void)rmdir(dir);
}

/* --- nonces --- */

static void nonces(void **state)
{
    struct keyring *k = keyring_new_for_test();
    struct keyring *other = keyring_new_for_test();
    char n[KEYRING_NONCE_SIZE];
    const int64_t now = 1800000000000;

    (void)state;
    keyring_nonce(k, now, n);
    assert_true(keyring_nonce_ok(k, n, now));
    assert_true(keyring_nonce_ok(k, n, now + 299 * 1000));
    assert_false(keyring_nonce_ok(k, n, now + 301 * 1000));
    assert_false(keyring_nonce_ok(k, n, now - 5000));
    assert_false(keyring_nonce_ok(other, n, now));
    assert_false(keyring_nonce_ok(k, "", now));
    n[5] = n[5] == 'A' ? 'B' : 'A';
    assert_false(keyring_nonce_ok(k, n, now));
    keyring_free(k);
    keyring_free(other);
}

/* --- assertions --- */

enum { NOW = 1800000000 };

static json_t *claims(void)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:i,s:i}", "iss", ID, "sub", ID, "aud", ISSUER, "jti",
                     "0123456789abcdef", "iat", NOW, "exp", NOW + 60);
}

static enum err_code check(const struct jose_key *key, const char *text)
{
    char jti[80];
    int64_t exp = 0;

    return device_assertion_check(slice_of(text), ISSUER, key, ID, NOW, jti, &exp, NULL);
}

static enum err_code check_claims(const struct jose_key *key, json_t *c, const char *typ)
{
    AUTO_STR char *payload = json_canonical(c);
    AUTO_STR char *text = NULL;

    json_decref(c);
    assert_int_equal(jose_jws_sign(key, typ, slice_of(payload), true, &text, NULL), ERR_OK);
    return check(key, text);
}

static enum err_code with(const struct jose_key *key, const char *name, json_t *value)
{
    json_t *c = claims();

    if (value == NULL)
        json_object_del(c, name);
    else
        json_object_set_new(c, name, value);
    return check_claims(key, c, PROTO_TYP_CLIENT);
}

static void assertions(void **state)
{
    AUTO(jose_key_free) struct jose_key *key = jose_key_new();
    const struct {
        const char *name;
        json_t *value;
        enum err_code want;
    } v[] = {
        {"aud", json_string("https://parent.example:8445/"), ERR_TOKEN_INVALID},
        {"aud", json_string("https://parent.example:8445/oauth2/token"), ERR_TOKEN_INVALID},
        {"aud", json_pack("[s]", ISSUER), ERR_TOKEN_INVALID},
        {"aud", json_pack("[s,s]", ISSUER, "https://b.example"), ERR_TOKEN_INVALID},
        {"aud", NULL, ERR_TOKEN_INVALID},
        {"iss", json_string("01932e7c-7b1f-7000-8000-000000000002"), ERR_TOKEN_INVALID},
        {"sub", json_string("01932e7c-7b1f-7000-8000-000000000002"), ERR_TOKEN_INVALID},
        {"jti", json_string("short"), ERR_TOKEN_INVALID},
        {"jti", NULL, ERR_TOKEN_INVALID},
        {"exp", json_integer(NOW + 61), ERR_TOKEN_INVALID},
        {"exp", json_integer(NOW), ERR_TOKEN_INVALID},
        {"exp", NULL, ERR_TOKEN_INVALID},
        {"exp", json_real(NOW + 60.0), ERR_TOKEN_INVALID},
        {"iat", json_integer(NOW - 301), ERR_CLOCK_SKEW},
        {"iat", json_integer(NOW + 61), ERR_CLOCK_SKEW},
        {"iat", json_integer(INT64_MIN), ERR_CLOCK_SKEW},
        {"iat", json_integer(INT64_MAX), ERR_CLOCK_SKEW},
        {"iat", NULL, ERR_TOKEN_INVALID},
        {"extra", json_string("ignored"), ERR_OK},
    };

    (void)state;
    assert_int_equal(check_claims(key, claims(), PROTO_TYP_CLIENT), ERR_OK);
    assert_int_equal(check_claims(key, claims(), PROTO_TYP_STATUS), ERR_TOKEN_INVALID);
    for (size_t i = 0; i < COUNT_OF(v); i++) {
        enum err_code got = with(key, v[i].name, v[i].value);
        if (got != v[i].want)
            fail_msg("%s, row %zu: %s instead of %s", v[i].name, i, err_word(got),
                     err_word(v[i].want));
    }
}

static char *compact(const char *header, const char *payload, struct slice sig)
{
    struct strbuf b = STRBUF_INIT(8 * KIB);

    b64u_add(&b, slice_of(header));
    strbuf_putc(&b, '.');
    b64u_add(&b, slice_of(payload));
    strbuf_putc(&b, '.');
    b64u_add(&b, sig);
    return strbuf_take(&b);
}

/* The token chooses nothing: "none", HS256 keyed with the public key, another key's kid. */
static void algorithms(void **state)
{
    AUTO(jose_key_free) struct jose_key *key = jose_key_new(), *other = jose_key_new();
    AUTO(json_free) json_t *c = claims();
    AUTO_STR char *payload = json_canonical(c);
    AUTO(json_free) json_t *jwk = jose_key_to_jwk(key);
    AUTO_STR char *public_text = json_canonical(jwk);
    static const char *const algs[] = {"none",  "None",  "NONE",   "HS256",
                                       "RS256", "ES384", "ES256 ", ""};
    unsigned char mac[SHA256_SIZE];
    char header[256];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(algs); i++) {
        static const char zero[64];
        const struct slice sigs[] = {{"", 0}, {zero, 64}, {(char *)mac, sizeof mac}};
        snprintf(header, sizeof header, "{\"alg\":\"%s\",\"kid\":\"%s\",\"typ\":\"%s\"}", algs[i],
                 jose_key_kid(key), PROTO_TYP_CLIENT);
        for (size_t s = 0; s < COUNT_OF(sigs); s++) {
            AUTO_STR char *text = NULL;
            AUTO_STR char *covered = compact(header, payload, (struct slice){"", 0});
            covered[strlen(covered) - 1] = '\0';
            hmac_sha256(slice_of(public_text), slice_of(covered), mac);
            text = compact(header, payload, sigs[s]);
            assert_int_equal(check(key, text), ERR_TOKEN_INVALID);
        }
    }
    {
        AUTO_STR char *text = NULL;
        assert_int_equal(
            jose_jws_sign(other, PROTO_TYP_CLIENT, slice_of(payload), true, &text, NULL), ERR_OK);
        assert_int_equal(check(key, text), ERR_TOKEN_INVALID);
    }
}

/* --- access tokens --- */

static char *token_for(struct keyring *k, const char *sub, int64_t gen, const char *scope,
                       int64_t exp)
{
    AUTO(json_free)
    json_t *c = json_pack("{s:s,s:I,s:s,s:I,s:I}", "sub", sub, "gen", (json_int_t)gen, "scope",
                          scope, "iat", (json_int_t)(exp - 900), "exp", (json_int_t)exp);
    char *text = NULL;

    assert_int_equal(keyring_token_sign(k, c, &text, NULL), ERR_OK);
    return text;
}

static enum err_code use(struct app *app, const char *token, int64_t now_s)
{
    struct device_token remembered = {0};
    struct who who;
    enum err_code rc = auth_device_token(app, &remembered, slice_of(token), now_s, &who, NULL);
    /* The same connection again: remembered, and judged anew. */
    assert_int_equal(auth_device_token(app, &remembered, slice_of(token), now_s, &who, NULL), rc);
    return rc;
}

/* A connection that remembers a good token takes no other for it. */
static void remembered_token(struct app *app, char *good)
{
    struct device_token remembered = {0};
    struct who who;
    size_t n = strlen(good);

    assert_in_range(n, 1, DEVICE_TOKEN_REMEMBERED);
    for (size_t i = 0; i < n; i++) {
        char was = good[i];
        assert_int_equal(auth_device_token(app, &remembered, slice_of(good), NOW, &who, NULL),
                         ERR_OK);
        assert_int_equal(remembered.n, n);
        good[i] = was == 'A' ? 'B' : 'A';
        if (auth_device_token(app, &remembered, slice_of(good), NOW, &who, NULL) == ERR_OK)
            fail_msg("byte %zu of %zu may differ", i, n);
        good[i] = was;
        if (auth_device_token(app, &remembered, (struct slice){good, i}, NOW, &who, NULL) == ERR_OK)
            fail_msg("the first %zu bytes are enough", i);
    }
}

static void access_tokens(void **state)
{
    struct app app = {.keys = keyring_new_for_test(), .fleet = fleet_cache_new()};
    struct keyring *other = keyring_new_for_test();
    AUTO_STR char *good = token_for(app.keys, ID, 3, "device", NOW + 900);
    AUTO_STR char *enrol = token_for(app.keys, ID, 3, "enrol", NOW + 900);
    AUTO_STR char *foreign = token_for(other, ID, 3, "device", NOW + 900);
    static const char nobody[] = "01932e7c-7b1f-7000-8000-000000000009";
    int64_t now = clock_wall_s(), past = now - 3600;
    AUTO_STR char *stranger = token_for(app.keys, nobody, 3, "device", past + 900);
    AUTO_STR char *newcomer = token_for(app.keys, nobody, 3, "device", now + 900);
    AUTO_STR char *renewed = token_for(app.keys, ID, 4, "device", now + 900);

    (void)state;
    assert_int_equal(use(&app, good, NOW),
                     ERR_OVERLOADED); /* the table was never filled: nobody is judged */
    fleet_put_for_test(app.fleet, ID, DEV_MANAGED, 3);
    assert_int_equal(use(&app, good, NOW), ERR_OK);
    assert_int_equal(use(&app, good, NOW + 900), ERR_TOKEN_EXPIRED);
    assert_int_equal(use(&app, enrol, NOW), ERR_TOKEN_INVALID);
    assert_int_equal(use(&app, foreign, NOW), ERR_TOKEN_INVALID);
    assert_int_equal(use(&app, stranger, past), ERR_DEVICE_UNKNOWN);
    assert_false(fleet_take_doubt(app.fleet));
    /* Given out by another parent a moment ago: not known yet is not unknown. */
    assert_int_equal(use(&app, newcomer, now), ERR_OVERLOADED);
    assert_true(fleet_take_doubt(app.fleet));
    assert_int_equal(use(&app, renewed, now), ERR_OVERLOADED);
    assert_int_equal(use(&app, "", NOW), ERR_TOKEN_INVALID);
    assert_int_equal(use(&app, "a.b.c", NOW), ERR_TOKEN_INVALID);
    for (size_t i = 0, n = strlen(good); i < n; i++) { /* any changed byte */
        char was = good[i];
        good[i] = was == 'A' ? 'B' : 'A';
        if (use(&app, good, NOW) == ERR_OK)
            fail_msg("byte %zu of %zu may be changed", i, n);
        good[i] = was;
    }
    remembered_token(&app, good);
    fleet_put_for_test(app.fleet, ID, DEV_MANAGED, 4);
    assert_int_equal(use(&app, good, NOW), ERR_TOKEN_INVALID); /* an older generation */
    fleet_put_for_test(app.fleet, ID, DEV_REVOKED, 4);
    assert_int_equal(use(&app, good, NOW), ERR_DEVICE_REVOKED);
    fleet_put_for_test(app.fleet, ID, DEV_REVOKED, 3); /* D9: by its state alone */
    assert_int_equal(use(&app, good, NOW), ERR_DEVICE_REVOKED);
    assert_int_equal(use(&app, foreign, NOW),
                     ERR_TOKEN_INVALID); /* not a word before the MAC is proven */
    fleet_put_for_test(app.fleet, ID, DEV_RETIRED, 4);
    assert_int_equal(use(&app, good, NOW), ERR_DEVICE_RETIRED);
    fleet_cache_free(app.fleet);
    keyring_free(app.keys);
    keyring_free(other);
}

/* --- small rules --- */

static bool poll_allowed(struct fleet_cache *f, int64_t mono_ms)
{
    struct fleet_view v;
    enum fleet_poll_result rc =
        fleet_poll(f, ID, &(struct fleet_poll){.mono_ms = mono_ms, .wall_ms = mono_ms}, &v);

    assert_int_not_equal(rc, FLEET_POLL_UNKNOWN);
    return rc == FLEET_POLL_OK;
}

static void poll_bucket(void **state)
{
    struct fleet_cache *f = fleet_cache_new();
    int allowed = 0;

    (void)state;
    fleet_put_for_test(f, ID, DEV_MANAGED, 1);
    for (int i = 0; i < 100; i++)
        allowed += poll_allowed(f, 1000);
    assert_int_equal(allowed, 30);
    assert_true(poll_allowed(f, 2000)); /* one a second comes back */
    assert_false(poll_allowed(f, 2000));
    assert_true(poll_allowed(f, 1000 + 3600 * 1000));
    fleet_cache_free(f);
}

static void instance_polls(struct fleet_cache *f, char letter, char machine, int64_t seq)
{
    struct fleet_poll p = {.instance = {.seq = seq}, .mono_ms = seq, .wall_ms = seq};
    struct fleet_view v;

    (void)snprintf(p.instance.boot, sizeof p.instance.boot, "0000000%c-0000-4000-8000-000000000000",
                   letter);
    memset(p.instance.machine, machine, 64);
    (void)fleet_poll(f, ID, &p, &v);
}

/* A copy speaks while the job thread still writes down that a snapshot came back: the fork is not
 * forgotten with it. */
static void event_upon_event(void **state)
{
    struct fleet_cache *f = fleet_cache_new();
    struct instances i;
    char id[37];

    (void)state;
    fleet_put_for_test(f, ID, DEV_MANAGED, 1);
    instance_polls(f, '1', 'a', 10);
    instance_polls(f, '2', 'b', 5);
    assert_true(fleet_take_event(f, id, &i));
    assert_int_equal(i.event, INSTANCE_REVERTED);
    instance_polls(f, '1', 'a', 11);
    fleet_event_done(f, id, i.event, true);
    assert_true(fleet_take_event(f, id, &i));
    assert_int_equal(i.event, INSTANCE_FORK);
    fleet_event_done(f, id, i.event, true);
    assert_false(fleet_take_event(f, id, &i));
    fleet_cache_free(f);
}

/* Without the database the table answers on for five minutes, then it is nobody's truth any more
 * (6.13). */
static void stale_table(void **state)
{
    struct fleet_cache *f = fleet_cache_new();
    int64_t now = clock_mono_ms();

    (void)state;
    assert_false(fleet_usable(f, now));
    fleet_put_for_test(f, ID, DEV_MANAGED, 1);
    assert_true(fleet_usable(f, now));
    assert_true(fleet_usable(f, now + FLEET_STALE_MS - 1000));
    assert_false(fleet_usable(f, now + FLEET_STALE_MS + 1000));
    fleet_cache_free(f);
}

static void next_poll(void **state)
{
    (void)state;
    for (int64_t now = 0; now < 200 * 1000; now += 777) {
        int64_t s = fleet_next_poll_s(ID, 60, now), t = fleet_next_poll_s(ID, 60, now);
        assert_in_range(s, 5, 71);
        /* a slot of the id's own: two answers differ by the random tenth only */
        assert_true(s - t <= 6 && t - s <= 6);
    }
}

static void names(void **state)
{
    static const char *const good[] = {"a", "mx1", "mx1.example.com", "a_b-c"};
    static const char *const bad[] = {
        "",
        "-a",
        ".a",
        "A",
        "a b",
        "mx/1",
        "\xc3\xa9",
        "01932e7c-7b1f-7000-8000-000000000001",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_true(device_name_ok(good[i]));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(device_name_ok(bad[i]));
}

static void rollout_states(void **state)
{
    const struct {
        const char *status;
        int64_t desired, offered;
        const char *want;
    } v[] = {
        {"{}", 7, 6, "queued"},
        {"{}", 7, 7, "offered"},
        {"{}", 8, 8, "superseded"},
        {"{\"observed\":{\"rev\":6}}", 7, 7, "offered"},
        {"{\"observed\":{\"rev\":7}}", 7, 7, "fetched"},
        {"{\"observed\":{\"rev\":7},\"last_attempt\":{\"rev\":7,\"result\":\"reverted\"}}", 7, 7,
         "reverted"},
        {"{\"observed\":{\"rev\":7},\"last_attempt\":{\"rev\":6,\"result\":\"reverted\"}}", 7, 7,
         "fetched"},
        {"{\"observed\":{\"rev\":7},\"last_attempt\":{\"rev\":7,\"result\":\"committed\"}}", 7, 7,
         "fetched"},
        {"{\"on_disk\":{\"digest\":\"d\"},\"running\":{\"postfix\":{\"digest\":\"e\"}}}", 7, 7,
         "offered"},
        {"{\"on_disk\":{\"digest\":\"d\"},\"running\":{\"postfix\":{\"digest\":\"d\"}}}", 7, 7,
         "confirmed"},
        {"{\"last_attempt\":{\"rev\":7,\"result\":\"observed\"}}", 7, 7, "observed"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(v); i++) {
        AUTO(json_free) json_t *j = json_loads(v[i].status, 0, NULL);
        const char *got = rollout_device_state(j, "d", "etag", 7, v[i].desired, v[i].offered);
        if (strcmp(got, v[i].want) != 0)
            fail_msg("row %zu: %s instead of %s", i, got, v[i].want);
    }
}

static void report_texts(void **state)
{
    const struct {
        json_t *j;
        const char *at; /* NULL: fine */
    } v[] = {
        {json_pack("{s:s}", "a", "line\nline\tend"), NULL},
        {json_pack("{s:s}", "a", "\xe7\x8b\x90"), NULL},
        {json_pack("{s:s}", "a", "\x1b[2J"), "/a"},
        {json_pack("{s:s#}", "a", "x\0y", 3), "/a"},
        {json_pack("{s:[i,{s:s}]}", "a", 1, "b", "\x7f"), "/a/1/b"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(v); i++) {
        char at[160] = "";
        assert_int_equal(report_texts_ok(v[i].j, at, sizeof at), v[i].at == NULL);
        assert_string_equal(at, v[i].at == NULL ? "" : v[i].at);
        json_decref(v[i].j);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sealing),      cmocka_unit_test(key_file),
        cmocka_unit_test(nonces),       cmocka_unit_test(assertions),
        cmocka_unit_test(algorithms),   cmocka_unit_test(access_tokens),
        cmocka_unit_test(poll_bucket),  cmocka_unit_test(event_upon_event),
        cmocka_unit_test(next_poll),    cmocka_unit_test(stale_table),
        cmocka_unit_test(names),        cmocka_unit_test(rollout_states),
        cmocka_unit_test(report_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
