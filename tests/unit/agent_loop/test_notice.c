/* The signed notice: what is refused, and where parents are. */
#include "loop/notice.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static struct jose_key *root, *bundle, *other;
static struct trust *trust;

static int begin(void **state)
{
    AUTO(json_free) json_t *doc = NULL;
    AUTO_STR char *text = NULL, *jws = NULL;
    struct err e = {0};

    (void)state;
    root = jose_key_new();
    bundle = jose_key_new();
    other = jose_key_new();
    doc = json_pack("{s:i,s:s,s:i,s:o,s:[{s:s,s:o,s:n}],s:[s],s:s,s:[s]}", "n", 1, "fleet", "f",
                    "epoch", 1, "root", jose_key_to_jwk(root), "keys", "use", "bundle", "jwk",
                    jose_key_to_jwk(bundle), "not_after", "tls_pins", "x", "issuer", "https://a",
                    "addresses", "https://a:8445");
    text = json_canonical(doc);
    assert_int_equal(jose_jws_sign(root, PROTO_TYP_TRUST, slice_of(text), false, &jws, &e), ERR_OK);
    assert_int_equal(trust_first(slice_of(jws), "f", &trust, &e), ERR_OK);
    return 0;
}

static int end(void **state)
{
    (void)state;
    trust_free(trust);
    jose_key_free(root);
    jose_key_free(bundle);
    jose_key_free(other);
    return 0;
}

/* The notice of these members, signed by key, as notice_open() takes it at the second 1000. */
static enum err_code taken(const struct jose_key *key, json_t *doc, json_t **ret)
{
    AUTO_STR char *text = json_canonical(doc), *jws = NULL;
    struct err e = {0};

    json_decref(doc);
    assert_int_equal(jose_jws_sign(key, PROTO_TYP_NOTICE, slice_of(text), false, &jws, &e), ERR_OK);
    return notice_open(slice_of(jws), trust, "f", 1000000, ret, &e);
}

static json_t *notice(const char *fleet, int exp, json_t *addresses)
{
    return json_pack("{s:s,s:[s],s:o,s:i,s:i}", "fleet", fleet, "revoked", "d1", "addresses",
                     addresses, "iat", 900, "exp", exp);
}

static void only_our_own_notice_counts(void **state)
{
    AUTO(json_free) json_t *n = NULL;

    (void)state;
    assert_int_equal(taken(other, notice("f", 2000, json_array()), &n), ERR_SIGNATURE);
    assert_int_equal(taken(root, notice("f", 2000, json_array()), &n), ERR_SIGNATURE);
    assert_int_equal(taken(bundle, notice("g", 2000, json_array()), &n), ERR_SIGNATURE);
    assert_int_equal(taken(bundle, notice("f", 999, json_array()), &n), ERR_REFUSED);
    assert_null(n);
    assert_int_equal(taken(bundle, notice("f", 2000, json_array()), &n), ERR_OK);
    assert_true(notice_revokes(n, "d1"));
    assert_false(notice_revokes(n, "d2"));
}

static json_t *addresses_of(json_t *named, const char *current)
{
    AUTO(json_free) json_t *n = notice("f", 1, named);

    return notice_addresses(n, current);
}

static void who_answers_stays_first(void **state)
{
    AUTO(json_free)
    json_t *got =
        addresses_of(json_pack("[s,s]", "https://a:8445", "https://b:8445"), "https://b:8445");
    AUTO(json_free) json_t *want = json_pack("[s,s]", "https://b:8445", "https://a:8445");

    (void)state;
    assert_true(json_equal(got, want));
    /* Through a proxy: the parent's own address may lead nowhere from here. */
    assert_null(addresses_of(json_pack("[s]", "https://a:8445"), "https://192.0.2.1:8445"));
}

static void what_is_no_address_is_not_taken(void **state)
{
    static const char *const bad[] = {"http://a:8445", "https://", "a", "https://a\n",
                                      "file:///etc/passwd"};
    json_t *many = json_array();

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_null(addresses_of(json_pack("[s,s]", "https://a:8445", bad[i]), "https://a:8445"));
    assert_null(addresses_of(json_array(), "https://a:8445"));
    assert_null(addresses_of(json_pack("[i]", 1), "https://a:8445"));
    for (int i = 0; i < 17; i++)
        (void)json_array_append_new(many, json_string("https://a:8445"));
    assert_null(addresses_of(many, "https://a:8445"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_our_own_notice_counts),
        cmocka_unit_test(who_answers_stays_first),
        cmocka_unit_test(what_is_no_address_is_not_taken),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
