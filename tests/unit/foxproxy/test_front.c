/* The refuse path with its real loop and sockets: what a client reads, and how changes reach it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "foxproxy/front.h"
#include "foxproxy/listen.h"

struct stand {
    struct ini ini;
    struct listen_set listeners;
    struct front front;
    struct reputation *rep; /* without zones */
    struct addr_port at;    /* where it listens */
};

static struct snapshot *snapshot_of(struct stand *st, bool drained)
{
    struct snapshot *s = snapshot_new(&st->ini, NULL, NULL, st->listeners.v, st->listeners.n);

    assert_non_null(s);
    s->drained = drained;
    return s;
}

static void stand_up(struct stand *st, bool drained)
{
    static const uint8_t loopback[4] = {127, 0, 0, 1};
    struct listen_set none = {0};
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;
    struct err e = {0};

    *st = (struct stand){.ini = {.listens = 1,
                                 .hostname = "mx.example.test",
                                 .max_sessions = 1,
                                 .connect_timeout_ms = 1000,
                                 .idle_timeout_s = 10}};
    st->ini.listen[0].addr = iplist_v4(loopback);                 /* a port that is free */
    st->ini.backend = (struct addr_port){iplist_v4(loopback), 1}; /* nobody */
    st->rep = reputation_new();
    assert_non_null(st->rep);
    if (listen_make(&st->ini, &none, NULL, 1, &st->listeners, &e) != ERR_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(getsockname(st->listeners.v[0].fd, (struct sockaddr *)&ss, &n), 0);
    assert_true(addr_of_sockaddr(&ss, &st->at));
    assert_int_equal(front_start(&st->front, 1, snapshot_of(st, drained), st->rep, &e), ERR_OK);
}

static void tear_down(struct stand *st)
{
    front_stop(&st->front);
    listen_close(&st->listeners);
    reputation_free(st->rep);
}

static int connected(const struct stand *st)
{
    struct sockaddr_storage ss;
    socklen_t n = addr_to_sockaddr(&st->at, &ss);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&ss, n), 0);
    return fd;
}

/* All that comes up to the end, which must be an end and not a reset. */
static void reads(const struct stand *st, const char *first, const char *want)
{
    char buf[1024];
    size_t n = 0;
    ssize_t got;
    int fd = connected(st);

    if (first != NULL)
        assert_int_equal(send(fd, first, strlen(first), MSG_NOSIGNAL), strlen(first));
    while ((got = recv(fd, buf + n, sizeof buf - 1 - n, 0)) > 0)
        n += (size_t)got;
    assert_int_equal(got, 0);
    buf[n] = '\0';
    assert_string_equal(buf, want);
    (void)close(fd);
}

static void refuses(void **state)
{
    static const char drained[] =
        "421 4.3.2 mx.example.test Service not available, try again later [drained]\r\n";
    static const char down[] =
        "421 4.3.2 mx.example.test Service not available, try again later [backend-down]\r\n";
    struct loop_counters c;
    struct stand st;

    (void)state;
    stand_up(&st, true);
    for (int i = 0; i < 200; i++)
        reads(&st, i % 2 == 0 ? NULL : "EHLO first\r\nMAIL FROM:<>\r\n", drained);
    assert_true(front_publish(&st.front, snapshot_of(&st, false)));
    for (int i = 0; i < 20; i++)
        reads(&st, i % 2 == 0 ? NULL : "EHLO first\r\n", down);
    front_counters(&st.front, &c);
    assert_int_equal(c.accepted, 220);
    assert_int_equal(c.refused[REPLY_DRAIN], 200);
    assert_int_equal(c.refused[REPLY_BACKEND], 20);
    assert_int_equal(c.sessions, 0);
    assert_int_equal(c.linger_cut, 0);
    tear_down(&st);
}

/* Whoever is in the queue when the listener goes is served; nobody after that is let in. */
static void listener_goes(void **state)
{
    struct stand st;
    struct snapshot *s;
    int fd[10];
    char buf[16];

    (void)state;
    stand_up(&st, true);
    for (size_t i = 0; i < COUNT_OF(fd); i++)
        fd[i] = connected(&st);
    s = snapshot_new(&st.ini, NULL, NULL, NULL, 0);
    assert_non_null(s);
    s->drained = true;
    assert_true(front_publish(&st.front, s));
    listen_close(&st.listeners);
    for (size_t i = 0; i < COUNT_OF(fd); i++) {
        assert_int_equal(recv(fd[i], buf, 4, MSG_WAITALL), 4);
        assert_memory_equal(buf, "421 ", 4);
        (void)close(fd[i]);
    }
    tear_down(&st);
}

static void loops_turn(void **state)
{
    struct stand st;

    (void)state;
    stand_up(&st, false);
    usleep(50000);
    assert_in_range(front_stalled_ms(&st.front, clock_mono_ms()), 0, 5000);
    assert_in_range(front_stalled_ms(&st.front, clock_mono_ms() + 60000), 55000, 65000);
    tear_down(&st);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),
        cmocka_unit_test(listener_goes),
        cmocka_unit_test(loops_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
