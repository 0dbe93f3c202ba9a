/* The listener itself, over real TLS: holding, waking, deadlines, hang-ups, workers, a stop with
 * 1,000 held. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "domain/app.h"
#include "domain/device_auth.h"
#include "http/hosts.h"
#include "http/http.h"
#include "http/park.h"
#include "http/static.h"
#include "http/tls.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HELD = 1000 };

static char dir[] = "/tmp/inari-listener-XXXXXX";
static struct hosts hosts;
static struct tls *tls;
static struct app app;
static struct http *http;
static SSL_CTX *client_ctx;
static atomic_int version, runs, worker_runs;
static atomic_bool wake_while_looking;

/* Holds until version is above what the caller has. */
static enum err_code hold(struct req *rq, struct reply *rp, struct err *e)
{
    int64_t have, wait_ms;
    int now = atomic_load(&version);

    atomic_fetch_add(&runs, 1);
    if (req_query_int(rq, "have", 0, INT32_MAX, 0, &have, e) != ERR_OK ||
        req_query_int(rq, "ms", 0, 60000, 20000, &wait_ms, e) != ERR_OK)
        return e->code;
    if (atomic_exchange(&wake_while_looking,
                        false)) { /* a change right behind the handler's back */
        atomic_fetch_add(&version, 1);
        (void)park_wake("k");
    }
    if (now <= have && !req_expired(rq)) {
        rp->park = true;
        (void)snprintf(rp->park_key, sizeof rp->park_key, "k");
        rp->park_until_mono_ms = clock_mono_ms() + wait_ms;
        return ERR_OK;
    }
    return reply_json(rp, 200,
                      json_pack("{s:i,s:b}", "version", now, "expired", (int)req_expired(rq)), e);
}

/* Holds for one thing and, when its time is over, for another; says so as often as it is asked. */
static enum err_code hold_for_two(struct req *rq, struct reply *rp, struct err *e)
{
    int what = req_waited_for(rq, 1) ? 2 : 1;

    if (!req_waited_for(rq, 2)) {
        rp->park = true;
        rp->park_for = what;
        (void)snprintf(rp->park_key, sizeof rp->park_key, "two");
        rp->park_until_mono_ms = clock_mono_ms() + 600;
        return ERR_OK;
    }
    return reply_json(rp, 200, json_pack("{s:b}", "expired", (int)req_expired(rq)), e);
}

static enum err_code slow(struct req *rq, struct reply *rp, struct err *e)
{
    (void)rq;
    atomic_fetch_add(&worker_runs, 1);
    usleep(300 * 1000);
    return reply_json(rp, 200, json_pack("{s:b}", "done", 1), e);
}

static enum err_code echo(struct req *rq, struct reply *rp, struct err *e)
{
    return reply_json(rp, 201, json_incref(rq->json), e);
}

static atomic_int events_now, events_most;

/* How many at once. */
static enum err_code slow_events(struct req *rq, struct reply *rp, struct err *e)
{
    int now = atomic_fetch_add(&events_now, 1) + 1;

    if (now > atomic_load(&events_most))
        atomic_store(&events_most, now);
    usleep(300 * 1000);
    atomic_fetch_sub(&events_now, 1);
    return reply_json(rp, 200, json_pack("{s:i}", "bytes", (int)rq->body.n), e);
}

static const struct route table[] = {
    {"GET", "/events", slow_events, PERM_NONE, 0, R_EVENTS},
    {"POST", "/events", slow_events, PERM_NONE, 300 * KIB, R_EVENTS | R_CODED | R_RAW},
    {"GET", "/hold", hold, PERM_NONE, 0, R_INLINE | R_HOLD},
    {"GET", "/hold-for-two", hold_for_two, PERM_NONE, 0, R_INLINE | R_HOLD},
    {"GET", "/slow", slow, PERM_NONE, 0, 0},
    {"GET", "/api/agent/v1/slow", slow, PERM_NONE, 0, 0},
    {"POST", "/echo", echo, PERM_NONE, 4096, R_INLINE},
    {"GET", "/device", hold, PERM_DEVICE, 0, R_INLINE},
    {"GET", "/session", hold, PERM_SESSION, 0, 0},
    {NULL, NULL, NULL, 0, 0, 0},
};

static enum err_code device_token(struct app *a, struct device_token *remembered,
                                  struct slice token, int64_t now_s, struct who *ret, struct err *e)
{
    (void)a;
    (void)remembered;
    (void)now_s;
    if (!slice_is(token, "good"))
        return err_set(e, ERR_TOKEN_INVALID, "no");
    ret->kind = WHO_DEVICE;
    ret->perms = PERM_DEVICE;
    return ERR_OK;
}

static unsigned workers = 2;

static int start(void **state)
{
    const struct http_config cfg = {
        .listen = "127.0.0.1:0",
        .hosts = &hosts,
        .routes = table,
        .app = &app,
        .tls = tls,
        .conninfo = "",
        .hooks = {.device_token = device_token},
        .workers = workers,
        .queue_max = 4,
        .io_threads = 2,
        .connections = 4000,
        .connections_address = 3000,
        .strangers_address = 3000,
        .body_memory = MIB,
        .header_deadline_ms = 10000,
        .idle_ms = 30000,
    };
    struct err e;

    (void)state;
    atomic_store(&version, 1);
    atomic_store(&runs, 0);
    if (http_start(&cfg, &http, &e) != ERR_OK) {
        fprintf(stderr, "%s\n", e.msg);
        return -1;
    }
    http_ready(http, true);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    if (http != NULL && !http_stop(http, 5000))
        return -1;
    http = NULL;
    return 0;
}

/* ---- a client ---- */

struct client {
    int fd;
    SSL *ssl;
};

static struct client client_open(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)http_port(http))};
    struct timeval limit = {.tv_sec = 20};
    struct client c = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                       .ssl = SSL_new(client_ctx)};

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(c.fd, (struct sockaddr *)&to, sizeof to), 0);
    SSL_set_fd(c.ssl, c.fd);
    assert_int_equal(SSL_connect(c.ssl), 1);
    return c;
}

static void client_close(struct client *c)
{
    SSL_free(c->ssl);
    (void)close(c->fd);
}

static void client_send(struct client *c, const char *text)
{
    assert_int_equal(SSL_write(c->ssl, text, (int)strlen(text)), (int)strlen(text));
}

static void client_get(struct client *c, const char *target, const char *more)
{
    char text[1024];

    (void)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", target, more);
    client_send(c, text);
}

/* One answer with a Content-Length; its status, body in buf.  -1: the connection ended. */
static int client_read(struct client *c, char *buf, size_t size)
{
    size_t n = 0;

    for (;;) {
        const char *end = n == 0 ? NULL : strstr(buf, "\r\n\r\n"),
                   *length = n == 0 ? NULL : strstr(buf, "Content-Length: ");
        int got;
        if (end != NULL && length != NULL &&
            n >= (size_t)(end + 4 - buf) + (size_t)atoi(length + 16))
            return atoi(buf + 9);
        got = SSL_read(c->ssl, buf + n, (int)(size - 1 - n));
        if (got <= 0)
            return -1;
        n += (size_t)got;
        buf[n] = '\0';
    }
}

static void wait_for_parked(int n)
{
    for (int i = 0; i < 1000 && park_count() != n; i++)
        usleep(10 * 1000);
    assert_int_equal(park_count(), n);
}

/* ---- tests ---- */

static void held_until_woken(void **state)
{
    struct client c = client_open();
    char buf[4096];

    (void)state;
    for (int round = 0; round < 3; round++) { /* on the same connection */
        char target[64];
        (void)snprintf(target, sizeof target, "/hold?have=%d", atomic_load(&version));
        client_get(&c, target, "");
        wait_for_parked(1);
        atomic_fetch_add(&version, 1);
        assert_int_equal(park_wake("other"), 0);
        assert_int_equal(park_wake("k"), 1);
        assert_int_equal(client_read(&c, buf, sizeof buf), 200);
        assert_non_null(strstr(buf, "\"expired\":false"));
    }
    client_close(&c);
}

static void held_until_deadline(void **state)
{
    struct client c = client_open();
    int64_t began = clock_mono_ms(), took;
    char buf[4096];

    (void)state;
    client_get(&c, "/hold?have=9&ms=600", "");
    assert_int_equal(client_read(&c, buf, sizeof buf), 200);
    took = clock_mono_ms() - began;
    assert_non_null(strstr(buf, "\"expired\":true"));
    assert_in_range(took, 600, 1500);
    client_close(&c);
}

static void held_again_for_something_else(void **state)
{
    struct client c = client_open();
    int64_t began = clock_mono_ms(), took;
    char buf[4096];

    (void)state;
    client_get(&c, "/hold-for-two", "");
    assert_int_equal(client_read(&c, buf, sizeof buf), 200);
    took = clock_mono_ms() - began;
    assert_non_null(strstr(buf, "\"expired\":true"));
    assert_in_range(took, 1200, 3000);
    client_close(&c);
}

static void no_wake_is_lost(void **state)
{
    struct client c = client_open();
    int64_t began = clock_mono_ms();
    char buf[4096];

    (void)state;
    atomic_store(&wake_while_looking, true);
    client_get(&c, "/hold?have=1", "");
    assert_int_equal(client_read(&c, buf, sizeof buf), 200);
    assert_true(clock_mono_ms() - began < 5000);
    assert_int_equal(atomic_load(&runs), 2);
    client_close(&c);
}

static void hang_up_is_noticed(void **state)
{
    struct client c[20];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(c); i++) {
        c[i] = client_open();
        client_get(&c[i], "/hold?have=9", "");
    }
    wait_for_parked(COUNT_OF(c));
    for (size_t i = 0; i < COUNT_OF(c); i++)
        client_close(&c[i]);
    wait_for_parked(0);
    assert_int_equal(atomic_load(&runs), COUNT_OF(c)); /* nobody was asked again */
}

static void queue_is_bounded(void **state)
{
    struct client c[12];
    char buf[4096];
    int ok = 0, busy = 0;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(c); i++) {
        c[i] = client_open();
        client_get(&c[i], "/slow", "");
    }
    for (size_t i = 0; i < COUNT_OF(c); i++) {
        int status = client_read(&c[i], buf, sizeof buf);
        ok += status == 200;
        busy += status == 503 && strstr(buf, "Retry-After: ") != NULL &&
                strstr(buf, "overloaded") != NULL;
        client_close(&c[i]);
    }
    assert_int_equal(ok + busy, COUNT_OF(c));
    assert_true(ok >= 4);
    assert_true(busy >= 1);
}

/* The lane is full and its workers are busy: who is in the other one is served at once. */
static void served_beside_a_crowd(const char *crowd, const char *one)
{
    struct client c[12], p;
    char buf[4096];
    int64_t began;

    for (size_t i = 0; i < COUNT_OF(c); i++) {
        c[i] = client_open();
        client_get(&c[i], crowd, "");
    }
    assert_int_equal(client_read(&c[0], buf, sizeof buf), 200); /* it is being worked on */
    p = client_open();
    began = clock_mono_ms();
    client_get(&p, one, "");
    assert_int_equal(client_read(&p, buf, sizeof buf), 200);
    assert_true(clock_mono_ms() - began < 300 + 250); /* its own time, and nobody else's */
    client_close(&p);
    for (size_t i = 0; i < COUNT_OF(c); i++)
        client_close(&c[i]);
}

static void people_are_served_beside_a_crowd_of_children(void **state)
{
    (void)state;
    served_beside_a_crowd("/api/agent/v1/slow", "/slow");
}

static void children_are_served_beside_a_crowd_of_people(void **state)
{
    (void)state;
    served_beside_a_crowd("/slow", "/api/agent/v1/slow");
}

/* Two batches at a time, whatever comes, and nobody else waits for them. */
static void others_are_served_beside_a_crowd_of_events(void **state)
{
    (void)state;
    atomic_store(&events_most, 0);
    served_beside_a_crowd("/events", "/api/agent/v1/slow");
    served_beside_a_crowd("/events", "/slow");
    assert_int_equal(atomic_load(&events_most), 2);
}

static void two_workers_serve_people_beside_events(void **state)
{
    (void)state;
    atomic_store(&events_most, 0);
    served_beside_a_crowd("/events", "/slow");
    assert_int_equal(atomic_load(&events_most), 1);
}

/* Memory for bodies: of four parts events get one, and the others keep theirs.  The coding is for
 * them alone. */
static void bodies_of_events_have_a_share(void **state)
{
    static const char begin_events[] =
        "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
        "Content-Encoding: zstd\r\nContent-Length: 200000\r\n\r\n";
    static const char coded[] =
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Encoding: zstd\r\nContent-Length: 2\r\n\r\n{}";
    static const char plain[] =
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: 2\r\n\r\n{}";
    struct client first = client_open(), second = client_open(), other = client_open();
    char buf[4096], *rest = calloc(1, 200001);

    (void)state;
    assert_non_null(rest);
    memset(rest, 'x', 200000);
    client_send(&first, begin_events);
    usleep(100 * 1000);
    client_send(&second, begin_events);
    assert_int_equal(client_read(&second, buf, sizeof buf), 503);
    client_send(&other, plain);
    assert_int_equal(client_read(&other, buf, sizeof buf), 201);
    client_send(&first, rest);
    assert_int_equal(client_read(&first, buf, sizeof buf), 200);
    assert_non_null(strstr(buf, "200000"));
    client_close(&second);
    second = client_open();
    client_send(&second, begin_events);
    client_send(&second, rest);
    assert_int_equal(client_read(&second, buf, sizeof buf), 200); /* it was given back */
    client_send(&other, coded);
    assert_int_equal(client_read(&other, buf, sizeof buf), 415);
    free(rest);
    client_close(&first);
    client_close(&second);
    client_close(&other);
}

static int start_4(void **state)
{
    int rc;

    workers = 4;
    rc = start(state);
    workers = 2;
    return rc;
}

static void io_thread_is_free_while_workers_work(void **state)
{
    struct client s = client_open(), c = client_open();
    int64_t began = clock_mono_ms();
    char buf[4096];

    (void)state;
    client_get(&s, "/slow", "");
    client_get(&c, "/hold?have=0", "");
    assert_int_equal(client_read(&c, buf, sizeof buf), 200);
    assert_true(clock_mono_ms() - began < 250);
    assert_int_equal(client_read(&s, buf, sizeof buf), 200);
    client_close(&c);
    client_close(&s);
}

static void bodies(void **state)
{
    static const struct {
        const char *name, *text;
        int want;
    } cases[] = {
        {"json",
         "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
         "application/json\r\nContent-Length: 9\r\n\r\n{\"a\":\"b\"}",
         201},
        {"chunked",
         "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
         "application/json\r\nTransfer-Encoding: "
         "chunked\r\n\r\n4\r\n{\"a\"\r\n5\r\n:\"b\"}\r\n0\r\n\r\n",
         201},
        {"not json",
         "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
         "application/json\r\nContent-Length: 3\r\n\r\n{a}",
         400},
        {"array",
         "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
         "application/json\r\nContent-Length: 2\r\n\r\n[]",
         400},
        {"duplicate member",
         "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
         "application/json\r\nContent-Length: 13\r\n\r\n{\"a\":1,\"a\":2}",
         400},
        {"wrong type",
         "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: "
         "2\r\n\r\n{}",
         415},
        {"no type", "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", 415},
        {"too large",
         "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
         "application/json\r\nContent-Length: 5000\r\n\r\n",
         413},
        {"two Hosts", "GET /hold HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400},
        {"foreign Host", "GET /hold HTTP/1.1\r\nHost: attacker.test\r\n\r\n", 421},
        {"no token", "GET /device HTTP/1.1\r\nHost: localhost\r\n\r\n", 401},
        {"bad token",
         "GET /device HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer bad\r\n\r\n", 401},
        {"good token",
         "GET /device HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer good\r\n\r\n", 200},
    };
    char buf[8192];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct client c = client_open();
        int got;
        client_send(&c, cases[i].text);
        got = client_read(&c, buf, sizeof buf);
        if (got != cases[i].want)
            fail_msg("%s: %d\n%s", cases[i].name, got, buf);
        client_close(&c);
    }
}

static void chunked_too_large(void **state)
{
    struct client c = client_open();
    char chunk[1100], buf[8192];

    (void)state;
    client_send(&c, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                    "application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    (void)snprintf(chunk, sizeof chunk, "400\r\n%01024d\r\n", 7);
    for (int i = 0; i < 8; i++)
        client_send(&c, chunk);
    client_send(&c, "0\r\n\r\n");
    assert_int_equal(client_read(&c, buf, sizeof buf), 413);
    client_close(&c);
}

static void not_ready_is_503(void **state)
{
    struct client c = client_open();
    char buf[8192];

    (void)state;
    http_ready(http, false);
    client_get(&c, "/slow", "");
    assert_int_equal(client_read(&c, buf, sizeof buf), 503);
    client_get(&c, "/device", "Authorization: Bearer good\r\n");
    assert_int_equal(client_read(&c, buf, sizeof buf), 503);
    client_get(&c, "/hold?have=0", "");
    assert_int_equal(client_read(&c, buf, sizeof buf), 200);
    client_close(&c);
}

static void paced_wake(void **state)
{
    enum { N = 20, PER_SECOND = 20 };
    struct client c[N];
    int64_t began, took;
    char buf[4096];

    (void)state;
    for (size_t i = 0; i < N; i++) {
        c[i] = client_open();
        client_get(&c[i], "/hold?have=1", "");
    }
    wait_for_parked(N);
    atomic_fetch_add(&version, 1);
    began = clock_mono_ms();
    park_wake_all(PER_SECOND);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(client_read(&c[i], buf, sizeof buf), 200);
        assert_non_null(strstr(buf, "\"expired\":false"));
        client_close(&c[i]);
    }
    took = clock_mono_ms() - began;
    assert_in_range(took, 600, 3000);
}

static void stop_with_many_held(void **state)
{
    static struct client c[HELD];
    char buf[4096];
    int answered = 0;

    (void)state;
    for (size_t i = 0; i < HELD; i++) {
        c[i] = client_open();
        client_get(&c[i], "/hold?have=9", "");
    }
    wait_for_parked(HELD);
    assert_true(http_stop(http, 10000));
    http = NULL;
    for (size_t i = 0; i < HELD; i++) {
        answered += client_read(&c[i], buf, sizeof buf) == 200 &&
                    strstr(buf, "\"expired\":true") != NULL &&
                    strstr(buf, "Connection: close") != NULL;
        client_close(&c[i]);
    }
    assert_int_equal(answered, HELD);
}

static int make_world(void **state)
{
    struct rlimit r;
    struct err e;

    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r);
    }
    log_init("test", LOG_LEVEL_ERROR);
    client_ctx = SSL_CTX_new(TLS_client_method());
    if (mkdtemp(dir) == NULL || client_ctx == NULL || hosts_collect(NULL, &hosts, &e) != ERR_OK ||
        tls_open(dir, NULL, NULL, &hosts, &tls, &e) != ERR_OK)
        return -1;
    return 0;
}

static int end_world(void **state)
{
    struct err e;

    (void)state;
    SSL_CTX_free(client_ctx);
    tls_free(tls);
    return file_remove_tree(dir, &e) == ERR_OK ? 0 : -1;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(held_until_woken),
        TEST(held_until_deadline),
        TEST(held_again_for_something_else),
        TEST(no_wake_is_lost),
        TEST(hang_up_is_noticed),
        TEST(queue_is_bounded),
        TEST(people_are_served_beside_a_crowd_of_children),
        TEST(children_are_served_beside_a_crowd_of_people),
        cmocka_unit_test_setup_teardown(others_are_served_beside_a_crowd_of_events, start_4, stop),
        TEST(two_workers_serve_people_beside_events),
        TEST(bodies_of_events_have_a_share),
        TEST(io_thread_is_free_while_workers_work),
        TEST(bodies),
        TEST(chunked_too_large),
        TEST(not_ready_is_503),
        TEST(paced_wake),
        TEST(stop_with_many_held),
    };
    return cmocka_run_group_tests(tests, make_world, end_world);
}
