/* Frames over a socket pair: whole, split, too large, not JSON, silent peers. */
#include "common/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

static void pair_of(int fd[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
}

static void whole_frame(void **state)
{
    AUTO(json_free) json_t *out = json_pack("{s:i,s:s}", "v", 1, "verb", "hello");
    AUTO(json_free) json_t *in = NULL;
    struct err e;
    int fd[2];

    (void)state;
    pair_of(fd);
    assert_int_equal(frame_write(fd[0], out, 1000, &e), ERR_OK);
    assert_int_equal(frame_read(fd[1], 1000, &in, &e), ERR_OK);
    assert_true(json_equal(in, out));
    (void)close(fd[0]);
    (void)close(fd[1]);
}

static void bad_frames(void **state)
{
    static const struct {
        const char *name, *bytes;
        size_t n;
        enum err_code want;
    } t[] = {
        {"length over the limit", "\x7f\xff\xff\xff", 4, ERR_TOO_LARGE},
        {"length just over the limit", "\x00\x10\x00\x01", 4, ERR_TOO_LARGE},
        {"empty", "\x00\x00\x00\x00", 4, ERR_MALFORMED},
        {"not JSON", "\x00\x00\x00\x03{]x", 7, ERR_MALFORMED},
        {"an array", "\x00\x00\x00\x02[]", 6, ERR_MALFORMED},
        {"a member twice", "\x00\x00\x00\x0d{\"a\":1,\"a\":2}", 17, ERR_MALFORMED},
        {"cut in the head", "\x00\x00", 2, ERR_UNAVAILABLE},
        {"cut in the body", "\x00\x00\x00\x08{\"a\"", 8, ERR_UNAVAILABLE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        json_t *j = NULL;
        struct err e;
        int fd[2];
        pair_of(fd);
        print_message("%s\n", t[i].name);
        assert_int_equal(write(fd[0], t[i].bytes, t[i].n), t[i].n);
        (void)close(fd[0]);
        assert_int_equal(frame_read(fd[1], 1000, &j, &e), t[i].want);
        assert_null(j);
        (void)close(fd[1]);
    }
}

static void silent_peer(void **state)
{
    json_t *j = NULL;
    struct err e;
    int fd[2];

    (void)state;
    pair_of(fd);
    assert_int_equal(frame_read(fd[1], 30, &j, &e), ERR_TIMEOUT);
    (void)close(fd[0]);
    (void)close(fd[1]);
}

static void every_split(void **state)
{
    AUTO(json_free) json_t *out = json_pack("{s:s}", "text", "0123456789");
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(FRAME_MAX);
    struct err e;

    (void)state;
    assert_int_equal(frame_encode(out, &b, &e), ERR_OK);
    assert_int_equal(frame_encode(out, &b, &e), ERR_OK);
    for (size_t n = 0; n <= b.n; n++) {
        AUTO(json_free) json_t *in = NULL;
        size_t used;
        assert_int_equal(frame_decode((struct slice){b.p, n}, &used, &in, &e), ERR_OK);
        assert_int_equal(used, n < b.n / 2 ? 0 : b.n / 2);
        assert_int_equal(in != NULL, used != 0);
    }
}

static void verdicts(void **state)
{
    AUTO(json_free)
    json_t *bad = json_pack("{s:b,s:s,s:s}", "ok", 0, "error", "storage", "message", "disk full");
    AUTO(json_free) json_t *good = json_pack("{s:b}", "ok", 1);
    struct err e;

    (void)state;
    assert_int_equal(helper_ok(good, &e), ERR_OK);
    assert_int_equal(helper_ok(bad, &e), ERR_STORAGE);
    assert_string_equal(e.msg, "disk full");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_frame), cmocka_unit_test(bad_frames), cmocka_unit_test(silent_peer),
        cmocka_unit_test(every_split), cmocka_unit_test(verdicts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
