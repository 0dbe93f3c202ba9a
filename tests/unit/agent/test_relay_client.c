/* Whom the relay probe asks as: outside every relay network, or a refusal that says why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "base/strbuf.h"
#include "targets/relay_client.h"

#include <stdio.h>

static enum err_code choose(const char *rows, struct relay_clients *ret, struct err *e)
{
    const struct plan_table t = {.name = "relay_networks", .type = "cidr", .content = rows};
    const struct plan p = {.tables = &t, .n_tables = 1};

    return relay_clients_choose(&p, ret, e);
}

static void outside_every_network(void **state)
{
    static const struct {
        const char *rows, *v4, *v6;
    } t[] = {
        {"# none\n", "192.0.2.1", "2001:db8::1"},
        {"10.0.0.0/8 permit\n", "192.0.2.1", "2001:db8::1"},
        {"192.0.2.0/24 permit\n", "198.51.100.1", "2001:db8::1"},
        {"192.0.2.1/32 permit\n2001:db8::/32 permit\n", "198.51.100.1", "3fff::1"},
        {"192.0.0.0/8 permit\n198.0.0.0/7 permit\n2000::/3 permit\n", "203.0.113.1", "100::1"},
        {"192.0.2.0/24 permit\n198.0.0.0/7 permit\n203.0.0.0/8 permit\n240.0.0.0/4 permit\n"
         "192.88.99.0/24 permit\n1.0.0.0/8 permit\n",
         "2.74.202.77", "2001:db8::1"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        struct relay_clients c;
        assert_int_equal(choose(t[i].rows, &c, NULL), ERR_OK);
        assert_string_equal(c.text[0], t[i].v4);
        assert_string_equal(c.text[1], t[i].v6);
    }
}

static void nothing_left_is_refused(void **state)
{
    struct relay_clients c;
    struct err e = {0};

    (void)state;
    assert_int_equal(choose("0.0.0.0/1 permit\n128.0.0.0/1 permit\n", &c, &e), ERR_REFUSED);
    assert_string_equal(e.pointer, "/settings/smtp.relay_networks");
    assert_non_null(strstr(e.msg, "IPv4"));
    assert_int_equal(choose("::/0 permit\n", &c, &e), ERR_REFUSED);
    assert_non_null(strstr(e.msg, "IPv6"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outside_every_network),
        cmocka_unit_test(nothing_left_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
