#include "reputation/dnsbl_answer.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* A message put together record by record. */
struct message {
    uint8_t p[4096];
    size_t n;
};

static void put(struct message *m, const char *hex)
{
    for (; *hex != '\0'; hex++) {
        unsigned v;
        if (*hex == ' ')
            continue;
        assert_int_equal(sscanf(hex, "%2x", &v), 1);
        m->p[m->n++] = (uint8_t)v;
        hex++;
    }
}

static struct message begin(const char *flags, unsigned answers, unsigned authority)
{
    struct message m = {.n = 0};
    char counts[32];

    put(&m, "abcd");
    put(&m, flags);
    (void)snprintf(counts, sizeof counts, "0001 %04x %04x 0000", answers, authority);
    put(&m, counts);
    put(&m, "0132 0130 0130 03313237 0178 00 0001 0001"); /* 2.0.0.127.x A IN */
    return m;
}

static void put_a(struct message *m, const char *ttl, const char *addr)
{
    put(m, "c00c 0001 0001");
    put(m, ttl);
    put(m, "0004");
    put(m, addr);
}

static void put_soa(struct message *m, const char *ttl, const char *minimum)
{
    put(m, "00 0006 0001");
    put(m, ttl);
    put(m, "0016 00 00 00000001 00000002 00000003 00000004");
    put(m, minimum);
}

static struct dnsbl_answer parse(const struct message *m)
{
    struct dnsbl_answer a;

    dnsbl_answer_parse(m->p, m->n, &a);
    return a;
}

static void names(void **state)
{
    static const struct {
        const char *addr;
        bool nibbles;
        const char *want;
    } rows[] = {
        {"::ffff:192.0.2.99", false, "99.2.0.192.bl.example"},
        {"2001:db8:1:2:3:4:567:89ab", false,
         "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.example"},
        {"::ffff:127.0.0.2", true,
         "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.example"},
    };
    uint8_t addr[16];
    char name[DNSBL_NAME_SIZE];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(inet_pton(AF_INET6, rows[i].addr, addr), 1);
        dnsbl_name(addr, rows[i].nibbles, "bl.example", name);
        assert_string_equal(name, rows[i].want);
    }
}

static void listed(void **state)
{
    struct message m = begin("8180", 3, 0);
    struct dnsbl_answer a;
    char text[DNSBL_TEXT_SIZE];

    (void)state;
    put_a(&m, "00000384", "7f000002");
    put_a(&m, "0000003c", "7f00000a");
    put_a(&m, "00000384", "7f000002");
    a = parse(&m);
    assert_int_equal(a.kind, DNSBL_LISTED);
    assert_int_equal(a.n, 2);
    assert_int_equal(a.codes[0], 0x7f000002);
    assert_int_equal(a.codes[1], 0x7f00000a);
    assert_true(a.has_ttl);
    assert_int_equal(a.ttl_s, 60);
    dnsbl_answer_text(&a, text);
    assert_string_equal(text, "listed: 127.0.0.2 127.0.0.10");
    m = begin("8180", 12, 0);
    for (unsigned i = 0; i < 12; i++) {
        char addr[9];
        (void)snprintf(addr, sizeof addr, "7f0000%02x", 2 + i);
        put_a(&m, "ffffffff", addr);
    }
    a = parse(&m);
    assert_int_equal(a.n, DNSBL_CODES_MAX);
    assert_int_equal(a.ttl_s, 0); /* RFC 2181 8 */
}

static void not_listed(void **state)
{
    struct message m = begin("8183", 0, 1);
    struct dnsbl_answer a;

    (void)state;
    put_soa(&m, "00000e10", "00000096");
    a = parse(&m);
    assert_int_equal(a.kind, DNSBL_NOT_LISTED);
    assert_true(a.has_ttl);
    assert_int_equal(a.ttl_s, 150);
    m = begin("8183", 0, 0);
    a = parse(&m);
    assert_int_equal(a.kind, DNSBL_NOT_LISTED);
    assert_false(a.has_ttl);
    m = begin("8180", 1, 0); /* there is the name, but only another type */
    put(&m, "c00c 0010 0001 00000100 0003 026869");
    assert_int_equal(parse(&m).kind, DNSBL_NOT_LISTED);
}

/* E33: an answer that is an error is never a listing. */
static void errors_are_no_listings(void **state)
{
    static const struct {
        const char *flags, *first, *second;
        enum dnsbl_error want;
        const char *text;
    } rows[] = {
        {"8180", "7fffff fe", NULL, DNSBL_E_ZONE, "the zone refuses us (127.255.255.254)"},
        {"8180", "7fffff01", "7f000002", DNSBL_E_ZONE, "the zone refuses us (127.255.255.1)"},
        {"8180", "7f000002", "7fffffff", DNSBL_E_ZONE, "the zone refuses us (127.255.255.255)"},
        {"8180", "cb007105", NULL, DNSBL_E_OUTSIDE,
         "an answer outside of 127.0.0.0/8 (203.0.113.5)"},
        {"8180", "7f000002", "0a000001", DNSBL_E_OUTSIDE,
         "an answer outside of 127.0.0.0/8 (10.0.0.1)"},
        {"8182", NULL, NULL, DNSBL_E_SERVFAIL, "the resolver says SERVFAIL"},
        {"8185", NULL, NULL, DNSBL_E_REFUSED, "the resolver says REFUSED"},
        {"8184", NULL, NULL, DNSBL_E_RCODE, "the resolver says error 4"},
        {"8380", "7f000002", NULL, DNSBL_E_MALFORMED,
         "an answer that cannot be read"}, /* cut off */
        {"0100", "7f000002", NULL, DNSBL_E_MALFORMED,
         "an answer that cannot be read"}, /* a question */
        {"8183", "7f000002", NULL, DNSBL_E_MALFORMED,
         "an answer that cannot be read"}, /* there, and not there */
    };
    char text[DNSBL_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct message m =
            begin(rows[i].flags,
                  (rows[i].first != NULL ? 1u : 0u) + (rows[i].second != NULL ? 1u : 0u), 0);
        struct dnsbl_answer a;
        if (rows[i].first != NULL)
            put_a(&m, "00000100", rows[i].first);
        if (rows[i].second != NULL)
            put_a(&m, "00000100", rows[i].second);
        a = parse(&m);
        dnsbl_answer_text(&a, text);
        if (a.kind != DNSBL_ERROR || a.error != rows[i].want || strcmp(text, rows[i].text) != 0)
            fail_msg("row %zu: %d %d %s", i, a.kind, a.error, text);
    }
}

/* Cut at each byte it is an error, never a listing, and nothing behind the end is read (a heap copy
 * of that size). */
static void every_prefix(void **state)
{
    struct message m = begin("8180", 2, 1);

    (void)state;
    put(&m, "c00c 0005 0001 00000005 0002 c00c"); /* an alias */
    put_a(&m, "00000100", "7f000002");
    put_soa(&m, "00000e10", "00000096");
    assert_int_equal(parse(&m).kind, DNSBL_LISTED);
    assert_int_equal(parse(&m).ttl_s, 5);
    for (size_t n = 0; n < m.n; n++) {
        uint8_t *copy = malloc(n == 0 ? 1 : n);
        struct dnsbl_answer a;
        assert_non_null(copy);
        memcpy(copy, m.p, n);
        dnsbl_answer_parse(copy, n, &a);
        free(copy);
        if (a.kind != DNSBL_ERROR || a.error != DNSBL_E_MALFORMED)
            fail_msg("%zu bytes: %d", n, a.kind);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),        cmocka_unit_test(listed),
        cmocka_unit_test(not_listed),   cmocka_unit_test(errors_are_no_listings),
        cmocka_unit_test(every_prefix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
