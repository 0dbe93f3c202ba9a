#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "foxproxy/linger.h"

static int pair(struct lingerers *l, int64_t now_ms)
{
    int fd[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    linger_add(l, fd[0], now_ms);
    return fd[1];
}

static void closed_when_the_peer_has(void **state)
{
    struct lingerers l;
    int peer;

    (void)state;
    linger_init(&l, 10);
    assert_int_equal(linger_next_ms(&l), -1);
    peer = pair(&l, 1000);
    assert_int_equal(linger_next_ms(&l), 1002);
    linger_run(&l, 1001);
    assert_int_equal(l.n, 1);
    (void)close(peer);
    linger_run(&l, 1002);
    assert_int_equal(l.n, 0);
    assert_int_equal(l.cut, 0);
    linger_clear(&l);
}

/* Who talks and stays is heard for about four seconds, and not longer. */
static void ends_by_time(void **state)
{
    struct lingerers l;
    int64_t now = 0;
    int peer;

    (void)state;
    linger_init(&l, 10);
    peer = pair(&l, now);
    while (linger_next_ms(&l) >= 0 && now < 60000) {
        assert_int_equal(send(peer, "EHLO x\r\n", 8, MSG_NOSIGNAL), 8);
        now = linger_next_ms(&l);
        linger_run(&l, now);
    }
    assert_in_range(now, 4000, 5000);
    assert_int_equal(l.cut, 1);
    assert_int_equal(send(peer, "x", 1, MSG_NOSIGNAL), -1);
    (void)close(peer);
    linger_clear(&l);
}

static void ends_by_bytes(void **state)
{
    static char much[8192];
    struct lingerers l;
    int peer, turns = 0;

    (void)state;
    linger_init(&l, 10);
    peer = pair(&l, 0);
    while (l.n > 0 && turns++ < 100) {
        ssize_t n;
        do
            n = send(peer, much, sizeof much, MSG_NOSIGNAL | MSG_DONTWAIT);
        while (n > 0);
        linger_run(&l, linger_next_ms(&l));
    }
    assert_int_equal(l.n, 0);
    assert_int_equal(l.cut, 1);
    assert_true(turns <= 2); /* by its bytes, not by its time */
    (void)close(peer);
    linger_clear(&l);
}

static void oldest_goes(void **state)
{
    struct lingerers l;
    int peer[5];
    char c;

    (void)state;
    linger_init(&l, 3);
    for (int i = 0; i < 5; i++)
        peer[i] = pair(&l, i);
    assert_int_equal(l.n, 3);
    assert_int_equal(l.cut, 2);
    assert_int_equal(recv(peer[0], &c, 1, MSG_DONTWAIT), 0);
    assert_int_equal(recv(peer[1], &c, 1, MSG_DONTWAIT), 0);
    assert_int_equal(recv(peer[2], &c, 1, MSG_DONTWAIT), -1);
    linger_clear(&l);
    for (int i = 0; i < 5; i++)
        (void)close(peer[i]);
}

/* The rings grow and wrap; all that was put in comes out. */
static void many(void **state)
{
    struct lingerers l;
    int peer[300], n = 0;

    (void)state;
    linger_init(&l, 1000);
    for (int64_t t = 0; t < 300; t++) {
        peer[n++] = pair(&l, t);
        if (t % 3 == 0)
            (void)close(peer[--n]);
        linger_run(&l, t);
    }
    for (int i = 0; i < n; i++)
        (void)close(peer[i]);
    linger_run(&l, 10000);
    linger_run(&l, 20000);
    assert_int_equal(l.n, 0);
    assert_int_equal(l.cut, 0);
    linger_clear(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_when_the_peer_has),
        cmocka_unit_test(ends_by_time),
        cmocka_unit_test(ends_by_bytes),
        cmocka_unit_test(oldest_goes),
        cmocka_unit_test(many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
