/* Conversations with listeners: what counts as healthy, as broken, as an open relay; and the sink
 * that takes the test message.  The other end is a scripted server on loopback. */
#include "loop/probe_smtp.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEVICE "019ab000-0000-7000-8000-0000000000aa"
#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
static const struct probe_clients clients = {"198.51.100.7", "3fff::7"};
#define OTHER "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

/* --- a server that says what its script says --- */

struct script {
    const char *banner; /* NULL: accepts and says nothing */
    const char *later;  /* banner from the third connection on; NULL: the same */
    const char *rcpt_own, *rcpt_foreign;
    bool hang_up; /* closes instead of a banner, twice */
    int fd, port, connections;
    unsigned char head[128]; /* what came before the banner was sent */
    size_t head_n;
    bool stop;
};

static bool put(int fd, const char *text)
{
    return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

static const char *reply_to(const struct script *s, const char *line)
{
    if (strncmp(line, "EHLO", 4) == 0)
        return "250-server\r\n250 PIPELINING\r\n";
    if (strncmp(line, "RCPT", 4) == 0)
        return strstr(line, "inari.invalid") != NULL ? s->rcpt_own : s->rcpt_foreign;
    if (strncmp(line, "QUIT", 4) == 0)
        return "221 bye\r\n";
    return "250 ok\r\n";
}

static void serve(struct script *s, int fd)
{
    const char *banner = s->later != NULL && s->connections >= 3 ? s->later : s->banner;
    char buf[2048];
    struct timeval tv = {.tv_usec = 20000};
    ssize_t n;

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    n = recv(fd, s->head, sizeof s->head, 0); /* the PROXY header, when there is one */
    s->head_n = n > 0 ? (size_t)n : 0;
    tv.tv_sec = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    if ((s->hang_up && s->connections < 3) || banner == NULL) {
        if (banner == NULL)
            (void)recv(fd, buf, sizeof buf, 0);
        return;
    }
    if (!put(fd, banner))
        return;
    while ((n = recv(fd, buf, sizeof buf - 1, 0)) > 0) {
        buf[n] = '\0';
        if (!put(fd, reply_to(s, buf)) || strncmp(buf, "QUIT", 4) == 0)
            return;
    }
}

static void *server(void *arg)
{
    struct script *s = arg;

    for (;;) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0 || s->stop) {
            if (fd >= 0)
                (void)close(fd);
            return NULL;
        }
        s->connections++;
        serve(s, fd);
        (void)close(fd);
    }
}

static pthread_t start(struct script *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t n = sizeof a;
    pthread_t t;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->fd, 8), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &n), 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&t, NULL, server, s), 0);
    return t;
}

static void finish(struct script *s, pthread_t t)
{
    s->stop = true;
    (void)shutdown(s->fd, SHUT_RDWR);
    (void)pthread_join(t, NULL);
    (void)close(s->fd);
}

static void listeners(void **state)
{
    static const struct {
        const char *name, *role;
        struct script s;
        bool ok;
        const char *says;
    } t[] = {
        {"healthy public", "public", {.banner = "220 hi\r\n", .rcpt_own = "250 ok\r\n"}, true, ""},
        {"public that refuses is healthy",
         "public",
         {.banner = "220 hi\r\n", .rcpt_own = "554 5.7.1 no\r\n"},
         true,
         ""},
        {"a lookup that fails",
         "public",
         {.banner = "220 hi\r\n", .rcpt_own = "451 4.3.5 Server configuration error\r\n"},
         false,
         "Server configuration error"},
        {"reinject must take mail",
         "reinject",
         {.banner = "220 hi\r\n", .rcpt_own = "554 5.7.1 no\r\n"},
         false,
         "554"},
        {"banner refuses", "public", {.banner = "554 go away\r\n"}, false, "554"},
        {"no mail server",
         "public",
         {.banner = "HTTP/1.1 400 Bad Request\r\n"},
         false,
         "does not answer like a mail server"},
        {"dies at start: no banner", "public", {.banner = NULL}, false, "no answer"},
        {"digest shown", "digest", {.banner = "220 inari " DIGEST " " DIGEST "\r\n"}, true, ""},
        {"old digest",
         "digest",
         {.banner = "220 inari " OTHER " " OTHER "\r\n"},
         false,
         "not the new configuration"},
        {"only main.cf is new",
         "digest",
         {.banner = "220 inari " DIGEST " " OTHER "\r\n"},
         false,
         "not the new configuration"},
        {"new digest after the reload",
         "digest",
         {.banner = "220 inari " OTHER " " OTHER "\r\n",
          .later = "220 inari " DIGEST " " DIGEST "\r\n"},
         true,
         ""},
        {"comes up during the reload",
         "public",
         {.banner = "220 hi\r\n", .rcpt_own = "250 ok\r\n", .hang_up = true},
         true,
         ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        struct script s = t[i].s;
        struct probe_set set = {0};
        char problem[512];
        pthread_t th = start(&s);
        bool ok;
        probe_add_listener(&set, "127.0.0.1", s.port, t[i].role, &clients, DEVICE, DIGEST);
        ok = probe_run(&set, NULL,
                       (struct probe_limits){.retry_ms = 400, .each_ms = 600, .all_ms = 600},
                       problem, sizeof problem);
        probe_set_clear(&set);
        finish(&s, th);
        if (ok != t[i].ok || strstr(problem, t[i].says) == NULL)
            fail_msg("%s: %s \"%s\"", t[i].name, ok ? "passed" : "failed", problem);
    }
}

static void relay(void **state)
{
    static const struct {
        const char *name, *foreign;
        bool ok;
    } t[] = {
        {"refused for good", "554 5.7.1 Relay access denied\r\n", true},
        {"refused for now", "454 4.7.1 Relay access denied\r\n", true},
        {"OPEN RELAY", "250 2.1.5 Ok\r\n", false},
        {"will try to forward", "251 2.1.5 Ok\r\n", false},
        {"broken", "451 4.3.0 Temporary lookup failure\r\n", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        for (int v6 = 0; v6 < 2; v6++) {
            static const unsigned char v4_want[] = {198, 51, 100, 7, 127, 0, 0, 1};
            struct script s = {
                .banner = "220 hi\r\n", .rcpt_own = "250 ok\r\n", .rcpt_foreign = t[i].foreign};
            struct probe_set set = {0};
            char problem[512];
            pthread_t th = start(&s);
            bool ok;
            probe_add_relay(&set, "127.0.0.1", s.port, v6 ? AF_INET6 : AF_INET,
                            v6 ? clients.v6 : clients.v4, DEVICE);
            ok = probe_run(&set, NULL, (struct probe_limits){.each_ms = 1000, .all_ms = 1000},
                           problem, sizeof problem);
            probe_set_clear(&set);
            finish(&s, th);
            if (ok != t[i].ok)
                fail_msg("%s: %s", t[i].name, problem);
            assert_int_equal(s.head_n, v6 ? 52 : 28);
            assert_int_equal(s.head[12], 0x21); /* PROXY, never LOCAL */
            assert_int_equal(s.head[13], v6 ? 0x21 : 0x11);
            if (!v6)
                assert_memory_equal(s.head + 16, v4_want, sizeof v4_want);
            if (!ok && i == 2)
                assert_non_null(strstr(problem, "open relay"));
        }
    }
}

struct doubter {
    int asked;
    bool doubts;
};

static bool doubt(void *ctx, char *problem, size_t size)
{
    struct doubter *d = ctx;

    d->asked++;
    if (d->doubts)
        (void)snprintf(problem, size, "somebody wrote the files");
    return d->doubts;
}

/* Asked once, and only when it takes long; its yes ends the wait. */
static void doubted(void **state)
{
    static const struct {
        bool silent, doubts, ok;
        int asked;
    } t[] = {{false, true, true, 0}, {true, false, false, 1}, {true, true, false, 1}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        struct script s = {.banner = t[i].silent ? NULL : "220 hi\r\n", .rcpt_own = "250 ok\r\n"};
        struct doubter d = {.doubts = t[i].doubts};
        struct probe_limits l = {
            .each_ms = 900, .all_ms = 900, .doubt = doubt, .ctx = &d, .doubt_ms = 300};
        struct probe_set set = {0};
        char problem[512];
        pthread_t th = start(&s);
        int64_t before = clock_mono_ms();
        probe_add_listener(&set, "127.0.0.1", s.port, "public", &clients, DEVICE, DIGEST);
        assert_int_equal(probe_run(&set, NULL, l, problem, sizeof problem), t[i].ok);
        assert_int_equal(d.asked, t[i].asked);
        assert_int_equal(strcmp(problem, "somebody wrote the files") == 0,
                         t[i].asked && t[i].doubts);
        if (t[i].doubts)
            assert_true(clock_mono_ms() - before < 800);
        probe_set_clear(&set);
        finish(&s, th);
    }
}

static void nobody_there(void **state)
{
    struct probe_set set = {0};
    char problem[512];
    int64_t before = clock_mono_ms();

    (void)state;
    probe_add_listener(&set, "0.0.0.0", 1, "public", &clients, DEVICE, DIGEST);
    assert_false(probe_run(&set, NULL,
                           (struct probe_limits){.retry_ms = 100, .each_ms = 5000, .all_ms = 5000},
                           problem, sizeof problem));
    assert_non_null(strstr(problem, "Connection refused"));
    assert_true(clock_mono_ms() - before < 2000); /* the retry window ends it, not the deadline */
    probe_set_clear(&set);
    probe_add_listener(&set, "not an address", 25, "public", &clients, DEVICE, DIGEST);
    assert_false(probe_run(&set, NULL, (struct probe_limits){.each_ms = 100, .all_ms = 100},
                           problem, sizeof problem));
    probe_set_clear(&set);
}

/* --- the sink --- */

static int dial(const struct sink *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)sink_port(s))};
    struct timeval tv = {.tv_sec = 1};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    return fd;
}

/* Send, let the sink work, read one piece. */
static const char *talk(struct sink *s, int fd, const char *text)
{
    static char buf[1024];
    ssize_t n;

    if (text[0] != '\0')
        assert_true(put(fd, text));
    for (int i = 0; i < 50; i++) {
        sink_work(s);
        n = recv(fd, buf, sizeof buf - 1, MSG_DONTWAIT);
        if (n >= 0) {
            buf[n] = '\0';
            return n == 0 ? "closed" : buf;
        }
        (void)usleep(1000);
    }
    return "nothing";
}

static void sink_takes_only_the_probe(void **state)
{
    AUTO(sink_free) struct sink *s = NULL;
    int fd;

    (void)state;
    assert_int_equal(sink_new(DEVICE, 0, &s, NULL), ERR_OK);
    sink_expect(s, "mark-1");
    fd = dial(s);
    assert_memory_equal(talk(s, fd, ""), "220", 3);
    assert_memory_equal(talk(s, fd, "LHLO postfix\r\n"), "250", 3);
    assert_memory_equal(talk(s, fd, "MAIL FROM:<>\r\n"), "250", 3);
    assert_memory_equal(talk(s, fd, "DATA\r\n"), "503", 3);
    assert_memory_equal(talk(s, fd, "RCPT TO:<user@customer.example>\r\n"), "550", 3);
    assert_memory_equal(talk(s, fd, "RCPT TO:<probe@" DEVICE ".inari.invalid.example>\r\n"), "550",
                        3);
    assert_memory_equal(talk(s, fd, "RCPT TO:<probe@" DEVICE ".inari.invalid>\r\n"), "250", 3);
    assert_memory_equal(talk(s, fd, "DATA\r\n"), "354", 3);
    assert_false(sink_received(s));
    assert_string_equal(talk(s, fd, "Subject: x\r\n\r\nmark-1\r\n"), "nothing");
    assert_memory_equal(talk(s, fd, ".\r\n"), "250", 3);
    assert_true(sink_received(s));
    assert_memory_equal(talk(s, fd, "VRFY root\r\n"), "500", 3);
    assert_memory_equal(talk(s, fd, "QUIT\r\n"), "221", 3);
    assert_string_equal(talk(s, fd, ""), "closed");
    (void)close(fd);
    sink_expect(s, "mark-2");
    assert_false(sink_received(s));
}

static void sink_is_bounded(void **state)
{
    AUTO(sink_free) struct sink *s = NULL;
    struct pollfd fds[SINK_FDS];
    static char big[SINK_MESSAGE_MAX + 1024];
    int fd, many[SINK_CONNECTIONS + 3];

    (void)state;
    assert_int_equal(sink_new(DEVICE, 0, &s, NULL), ERR_OK);
    memset(big, 'a', sizeof big - 1);
    fd = dial(s);
    (void)talk(s, fd, "");
    assert_string_equal(talk(s, fd, big), "closed"); /* a line without end */
    (void)close(fd);
    fd = dial(s);
    (void)talk(s, fd, "");
    (void)talk(s, fd, "LHLO a\r\n");
    (void)talk(s, fd, "RCPT TO:<probe@" DEVICE ".inari.invalid>\r\n");
    assert_memory_equal(talk(s, fd, "DATA\r\n"), "354", 3);
    assert_string_equal(talk(s, fd, big), "closed"); /* a message without end */
    (void)close(fd);
    for (size_t i = 0; i < COUNT_OF(many); i++) {
        many[i] = dial(s);
        sink_work(s); /* those it does not take stay in the kernel's queue */
    }
    assert_int_equal(sink_fds(s, fds), SINK_FDS);
    for (size_t i = 0; i < COUNT_OF(many); i++)
        (void)close(many[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listeners),
        cmocka_unit_test(relay),
        cmocka_unit_test(doubted),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(sink_takes_only_the_probe),
        cmocka_unit_test(sink_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
