/* What the helper reads of foxproxy's settings, of the kernel's socket table, and of a hold's
 * ports. */
#include "base/err.h"
#include "targets/foxproxy.h"
#include "targets/syn_hold.h"
#include "targets/tcp_port.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_ini(void **state)
{
    static const char ini[] = "# listen = 0.0.0.0:1\n"
                              "[main]\n"
                              "digest = " DIGEST "\n"
                              "listen = 0.0.0.0:25\n"
                              "listen = [::]:25\n"
                              "  listen=192.0.2.1:2525\n"
                              "listen = 192.0.2.1:none\n"
                              "backend = 127.0.0.1:2500\n"
                              "[balancers]\n"
                              "listen = 0.0.0.0:26\n"
                              "digest = x\n";
    int ports[FOXPROXY_PORTS_MAX];
    char digest[65];

    (void)state;
    assert_int_equal(foxproxy_ini_ports(slice_of(ini), ports), 2);
    assert_int_equal(ports[0], 25);
    assert_int_equal(ports[1], 2525);
    foxproxy_ini_digest(slice_of(ini), digest);
    assert_string_equal(digest, DIGEST);
    assert_int_equal(foxproxy_ini_ports(slice_of(""), ports), 0);
    foxproxy_ini_digest(slice_of("[main]\ndigest = short\n"), digest);
    assert_string_equal(digest, "");
}

static void test_more_ports_than_places(void **state)
{
    char ini[2000] = "[main]\n";
    int ports[FOXPROXY_PORTS_MAX];

    (void)state;
    for (int i = 0; i < FOXPROXY_PORTS_MAX + 5; i++)
        (void)snprintf(ini + strlen(ini), sizeof ini - strlen(ini), "listen = 0.0.0.0:%d\n",
                       1000 + i);
    assert_int_equal(foxproxy_ini_ports(slice_of(ini), ports), FOXPROXY_PORTS_MAX);
}

/* A listener, a connection nobody has taken, then a session. */
static void test_port(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), taken,
        port;
    struct tcp_port t;

    (void)state;
    assert_int_equal(bind(listener, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &n), 0);
    port = ntohs(at.sin_port);
    tcp_port_look(port, &t);
    assert_int_equal(t.listeners, 1);
    assert_int_equal(t.waiting, 0);
    assert_true(tcp_port_wait(&port, 1, TCP_PORT_OWNED, 0));
    assert_false(tcp_port_wait(&port, 1, TCP_PORT_FREE, 20));
    assert_int_equal(connect(client, (const struct sockaddr *)&at, sizeof at), 0);
    assert_false(tcp_port_wait(&port, 1, TCP_PORT_TAKEN, 20));
    taken = accept(listener, NULL, NULL);
    assert_true(tcp_port_wait(&port, 1, TCP_PORT_TAKEN, 500));
    assert_false(tcp_port_wait(&port, 1, TCP_PORT_QUIET, 20));
    (void)close(client);
    (void)close(taken);
    (void)close(listener);
    assert_true(tcp_port_wait(&port, 1, TCP_PORT_FREE, 500));
    assert_false(tcp_port_wait(&port, 1, TCP_PORT_OWNED, 0));
    assert_true(tcp_port_wait(&port, 0, TCP_PORT_OWNED, 0)); /* of none */
}

static void test_hold_refuses_what_is_no_port(void **state)
{
    static const char *const bad[] = {
        "0",     "65536", "25-", "25,26",
        "25 26", "-1",    "x",   "1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16-17"};
    struct err e;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        e = (struct err){0};
        assert_int_equal(syn_hold_unit(bad[i], &e), ERR_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ini),
        cmocka_unit_test(test_more_ports_than_places),
        cmocka_unit_test(test_port),
        cmocka_unit_test(test_hold_refuses_what_is_no_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
