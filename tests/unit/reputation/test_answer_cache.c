#include "reputation/answer_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct dnsbl_answer bad = {
    .kind = DNSBL_LISTED, .codes = {0x7f000002}, .n = 1, .has_ttl = true, .ttl_s = 900};
static const struct dnsbl_answer nothing = {.kind = DNSBL_NOT_LISTED};

static void address(uint8_t addr[16], uint32_t i)
{
    memset(addr, 0, 16);
    addr[0] = 0x20;
    for (size_t k = 0; k < 4; k++)
        addr[12 + k] = (uint8_t)(i >> (8 * k));
}

static void kept_and_over(void **state)
{
    struct answer_cache *c = answer_cache_new(64);
    struct cached_answer got;
    uint8_t a[16], b[16];

    (void)state;
    assert_non_null(c);
    address(a, 1);
    address(b, 2);
    answer_cache_put(c, 7, a, 1000, 5000, &bad);
    assert_false(answer_cache_find(c, 7, b, 1000, &got));
    assert_false(answer_cache_find(c, 8, a, 1000, &got));
    assert_true(answer_cache_find(c, 7, a, 5999, &got));
    assert_int_equal(got.answer.codes[0], 0x7f000002);
    assert_int_equal(got.stored_ms, 1000);
    assert_int_equal(got.expires_ms, 6000);
    assert_false(answer_cache_find(c, 7, a, 6000, &got));
    answer_cache_put(c, 7, a, 6000, 5000, &nothing); /* in its own place */
    assert_true(answer_cache_find(c, 7, a, 6001, &got));
    assert_int_equal(got.answer.kind, DNSBL_NOT_LISTED);
    answer_cache_free(c);
}

/* 100,000 addresses that are not listed, in a cache of 4,096: what is listed stays. */
static void a_flood_keeps_what_is_listed(void **state)
{
    struct answer_cache *c = answer_cache_new(4096);
    struct cached_answer got;
    uint8_t a[16];
    size_t there = 0;

    (void)state;
    assert_non_null(c);
    for (uint32_t i = 0; i < 200; i++) {
        address(a, i);
        answer_cache_put(c, 1, a, 0, 900000, &bad);
    }
    for (uint32_t i = 1000; i < 101000; i++) {
        address(a, i);
        answer_cache_put(c, 1, a, 0, 3600000, &nothing);
    }
    for (uint32_t i = 0; i < 200; i++) {
        address(a, i);
        there += answer_cache_find(c, 1, a, 1, &got);
    }
    assert_int_equal(there, 200);
    address(a, 100999);
    assert_true(answer_cache_find(c, 1, a, 1, &got)); /* the newest is there too */
    answer_cache_free(c);
}

static void how_long(void **state)
{
    static const struct {
        struct dnsbl_answer a;
        int64_t want_s;
    } rows[] = {
        {{.kind = DNSBL_LISTED, .has_ttl = true, .ttl_s = 900}, 900},
        {{.kind = DNSBL_LISTED, .has_ttl = true, .ttl_s = 0}, 30},
        {{.kind = DNSBL_LISTED, .has_ttl = true, .ttl_s = 604800}, 3600},
        {{.kind = DNSBL_NOT_LISTED, .has_ttl = true, .ttl_s = 150}, 150},
        {{.kind = DNSBL_NOT_LISTED, .has_ttl = true, .ttl_s = 1}, 30},
        {{.kind = DNSBL_NOT_LISTED, .has_ttl = true, .ttl_s = 86400}, 3600},
        {{.kind = DNSBL_NOT_LISTED}, 300},
        {{.kind = DNSBL_ERROR, .error = DNSBL_E_SERVFAIL}, 5},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (answer_ttl_ms(&rows[i].a) != rows[i].want_s * 1000)
            fail_msg("row %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_and_over),
        cmocka_unit_test(a_flood_keeps_what_is_listed),
        cmocka_unit_test(how_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
