/* jose.h: what we sign verifies, and nothing else does (protocol.md 7 D7). */
#include "jose/jose.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

static void test_jws_round_trip(void **state)
{
    AUTO(jose_key_free) struct jose_key *k = jose_key_new();
    AUTO(jose_key_free) struct jose_key *other = jose_key_new();
    struct err e = {0};

    (void)state;
    assert_non_null(k);
    for (int compact = 0; compact < 2; compact++) {
        AUTO_STR char *text = NULL;
        struct jose_jws j = {0};
        assert_int_equal(jose_jws_sign(k, "t+jws", slice_of("{\"a\":1}"), compact != 0, &text, &e), ERR_OK);
        assert_int_equal(jose_jws_parse(slice_of(text), 4096, "t+jws", &j, &e), ERR_OK);
        assert_string_equal(j.payload, "{\"a\":1}");
        assert_int_equal(jose_jws_verify(&j, k, &e), ERR_OK);
        assert_int_equal(jose_jws_verify(&j, other, &e), ERR_SIGNATURE);
        j.sig[5] ^= 1;
        assert_int_equal(jose_jws_verify(&j, k, &e), ERR_SIGNATURE);
        jose_jws_clear(&j);
        assert_int_equal(jose_jws_parse(slice_of(text), 4096, "other+jws", &j, &e), ERR_MALFORMED);
    }
}

static void test_jwk_and_pem(void **state)
{
    AUTO(jose_key_free) struct jose_key *k = jose_key_new();
    AUTO(jose_key_free) struct jose_key *pub = NULL;
    AUTO(jose_key_free) struct jose_key *again = NULL;
    AUTO(json_free) json_t *jwk = jose_key_to_jwk(k);
    AUTO_STR char *pem = NULL;
    struct err e = {0};

    (void)state;
    assert_int_equal(jose_key_from_jwk(jwk, &pub, &e), ERR_OK);
    assert_string_equal(jose_key_kid(pub), jose_key_kid(k));
    assert_false(jose_key_is_private(pub));
    assert_int_equal(jose_key_to_pem(k, &pem, &e), ERR_OK);
    assert_int_equal(jose_key_from_pem(slice_of(pem), &again, &e), ERR_OK);
    assert_string_equal(jose_key_kid(again), jose_key_kid(k));
    json_object_set_new(jwk, "x", json_string("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    struct jose_key *bad = NULL;
    assert_int_equal(jose_key_from_jwk(jwk, &bad, &e), ERR_INVALID);
}

static void test_hs256_forgeries(void **state)
{
    static const char key[] = "0123456789abcdef0123456789abcdef";
    AUTO(json_free) json_t *claims = json_pack("{s:s}", "sub", "x");
    AUTO(json_free) json_t *got = NULL;
    AUTO_STR char *t = NULL;
    struct err e = {0};
    char kid[64];

    (void)state;
    assert_int_equal(jose_hs256_sign(slice_of(key), "g1", "at", claims, &t, &e), ERR_OK);
    assert_true(jose_hs256_kid(slice_of(t), kid));
    assert_string_equal(kid, "g1");
    assert_int_equal(jose_hs256_verify(slice_of(key), "g1", "at", slice_of(t), &got, &e), ERR_OK);
    assert_string_equal(json_str(got, "sub", ""), "x");
    for (size_t i = 0; t[i] != '\0'; i++) { /* any changed character spoils it */
        json_t *no = NULL;
        char old = t[i];
        t[i] = old == 'A' ? 'B' : 'A';
        assert_int_equal(jose_hs256_verify(slice_of(key), "g1", "at", slice_of(t), &no, &e), ERR_TOKEN_INVALID);
        t[i] = old;
    }
    {   /* alg none, no MAC */
        json_t *no = NULL;
        assert_int_equal(jose_hs256_verify(slice_of(key), "g1", "at", slice_of("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."), &no, &e),
                         ERR_TOKEN_INVALID);
        assert_int_equal(jose_hs256_verify(slice_of(key), "g2", "at", slice_of(t), &no, &e), ERR_TOKEN_INVALID);
        assert_int_equal(jose_hs256_verify(slice_of(key), "g1", "id", slice_of(t), &no, &e), ERR_TOKEN_INVALID);
        assert_int_equal(jose_hs256_verify(slice_of(""), "g1", "at", slice_of(t), &no, &e), ERR_TOKEN_INVALID);
    }
}

static void test_jwe_round_trip(void **state)
{
    AUTO(jose_key_free) struct jose_key *own = jose_key_new(), *other = jose_key_new();
    static const char text[] = "the bytes\0 of a bundle";
    AUTO_STR char *jwe = NULL, *again = NULL, *plain = NULL;
    struct err e = {0};
    size_t n = 0;

    (void)state;
    assert_int_equal(jose_jwe_encrypt(own, (struct slice){text, sizeof text}, &jwe, &e), ERR_OK);
    assert_int_equal(jose_jwe_encrypt(own, (struct slice){text, sizeof text}, &again, &e), ERR_OK);
    assert_string_not_equal(jwe, again); /* a new key and a new IV each time */
    assert_int_equal(jose_jwe_decrypt(own, slice_of(jwe), &plain, &n, &e), ERR_OK);
    assert_int_equal(n, sizeof text);
    assert_memory_equal(plain, text, sizeof text);
    {
        char *no = NULL;
        assert_int_equal(jose_jwe_decrypt(other, slice_of(jwe), &no, &n, &e), ERR_SIGNATURE);
    }
    for (size_t i = 0; jwe[i] != '\0'; i++) { /* any changed character spoils it */
        char *no = NULL, old = jwe[i];
        jwe[i] = old == 'A' ? 'B' : 'A';
        assert_int_not_equal(jose_jwe_decrypt(own, slice_of(jwe), &no, &n, &e), ERR_OK);
        jwe[i] = old;
    }
    for (size_t cut = 0; cut < strlen(jwe); cut++) {
        char *no = NULL;
        assert_int_not_equal(jose_jwe_decrypt(own, (struct slice){jwe, cut}, &no, &n, &e), ERR_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jws_round_trip),
        cmocka_unit_test(test_jwk_and_pem),
        cmocka_unit_test(test_hs256_forgeries),
        cmocka_unit_test(test_jwe_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
