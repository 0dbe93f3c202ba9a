#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "foxproxy/addr.h"

static void ports(void **state)
{
    static const struct {
        const char *in, *want; /* NULL: refused */
    } rows[] = {
        {"192.0.2.1:25", "192.0.2.1:25"},
        {"0.0.0.0:25", "0.0.0.0:25"},
        {"[::]:25", "[::]:25"},
        {"[2001:db8::1]:2525", "[2001:db8::1]:2525"},
        {"2001:db8::1:25", NULL},
        {"[192.0.2.1]:25", NULL},
        {"[::ffff:192.0.2.1]:25", NULL},
        {"192.0.2.1", NULL},
        {"192.0.2.1:0", NULL},
        {"192.0.2.1:65536", NULL},
        {"192.0.2.1:25 ", NULL},
        {"192.0.2:25", NULL},
        {"[::1:25", NULL},
        {"[]:25", NULL},
        {":25", NULL},
        {"", NULL},
        {"localhost:25", NULL},
        {"[fe80::1%eth0]:25", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct addr_port a;
        char text[ADDR_TEXT_SIZE];
        bool ok = addr_port_parse(slice_of(rows[i].in), &a);
        if (ok != (rows[i].want != NULL))
            fail_msg("%s: %s", rows[i].in, ok ? "taken" : "refused");
        if (!ok)
            continue;
        addr_port_text(&a, text);
        assert_string_equal(text, rows[i].want);
    }
}

static void networks(void **state)
{
    static const struct {
        const char *net, *addr;
        int has; /* -1: the network is refused */
    } rows[] = {
        {"192.0.2.0/24", "192.0.2.255", 1},
        {"192.0.2.0/24", "192.0.3.0", 0},
        {"192.0.2.0/24", "::ffff:192.0.2.1", 1},
        {"192.0.2.8/29", "192.0.2.15", 1},
        {"192.0.2.8/29", "192.0.2.16", 0},
        {"192.0.2.1", "192.0.2.1", 1},
        {"192.0.2.1", "192.0.2.2", 0},
        {"2001:db8::/33", "2001:db8:7fff::1", 1},
        {"2001:db8::/33", "2001:db8:8000::1", 0},
        {"::/0", "2001:db8::1", 1},
        {"::/0", "192.0.2.1", 0},
        {"0.0.0.0/0", "192.0.2.1", 1},
        {"0.0.0.0/0", "2001:db8::1", 0},
        {"192.0.2.1/24", "", -1},
        {"192.0.2.0/33", "", -1},
        {"2001:db8::/129", "", -1},
        {"2001:db8::1/64", "", -1},
        {"192.0.2.0/", "", -1},
        {"192.0.2.0/-1", "", -1},
        {"::ffff:192.0.2.0/120", "", -1},
        {"/8", "", -1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct addr_net n;
        struct iplist_addr a;
        if (addr_net_parse(slice_of(rows[i].net), &n) != (rows[i].has >= 0))
            fail_msg("%s", rows[i].net);
        if (rows[i].has < 0)
            continue;
        assert_true(addr_parse(slice_of(rows[i].addr), &a));
        if (addr_net_has(&n, &a) != (rows[i].has == 1))
            fail_msg("%s in %s", rows[i].addr, rows[i].net);
    }
}

static void nobody(void **state)
{
    static const struct {
        const char *addr;
        bool nobody;
    } rows[] = {
        {"127.0.0.1", true},
        {"127.255.255.255", true},
        {"::ffff:127.0.0.1", true},
        {"::1", true},
        {"::", true},
        {"0.0.0.0", true},
        {"0.1.2.3", true},
        {"224.0.0.1", true},
        {"255.255.255.255", true},
        {"ff02::1", true},
        {"::7f00:1", true},
        {"::c000:201", true},
        {"192.0.2.1", false},
        {"10.0.0.1", false},
        {"126.255.255.255", false},
        {"128.0.0.1", false},
        {"2001:db8::1", false},
        {"fe80::1", false},
        {"64:ff9b::c000:1", false},
        {"fd00::1", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct iplist_addr a;
        assert_true(addr_parse(slice_of(rows[i].addr), &a));
        if (addr_is_nobody(&a) != rows[i].nobody)
            fail_msg("%s", rows[i].addr);
    }
}

static void sockaddrs_come_back(void **state)
{
    static const char *const rows[] = {"192.0.2.1:25", "[2001:db8::1]:65535"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct addr_port a, b;
        struct sockaddr_storage ss;
        assert_true(addr_port_parse(slice_of(rows[i]), &a));
        (void)addr_to_sockaddr(&a, &ss);
        assert_int_equal(ss.ss_family, i == 0 ? AF_INET : AF_INET6);
        assert_true(addr_of_sockaddr(&ss, &b));
        assert_memory_equal(&a.addr, &b.addr, sizeof a.addr);
        assert_int_equal(a.port, b.port);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ports),
        cmocka_unit_test(networks),
        cmocka_unit_test(nobody),
        cmocka_unit_test(sockaddrs_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
