#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "foxproxy/proxy.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define V4  "\xc0\0\x02\x01\xc6\x33\x64\x02\x30\x39\0\x19"
#define BYTES(s)                                                                                   \
    {                                                                                              \
        s, sizeof(s) - 1                                                                           \
    }

static void says(const struct proxy_peers *p, char buf[2 * ADDR_TEXT_SIZE + 1])
{
    char src[ADDR_TEXT_SIZE], dst[ADDR_TEXT_SIZE];

    addr_port_text(&p->src, src);
    addr_port_text(&p->dst, dst);
    (void)snprintf(buf, 2 * ADDR_TEXT_SIZE + 1, p->local ? "local" : "%s %s", src, dst);
}

static const struct {
    struct slice in;
    const char *want; /* "MORE", "BAD", "local" or the addresses */
    size_t used;
} rows[] = {
    {BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 12345 25\r\nEHLO x\r\n"),
     "192.0.2.1:12345 198.51.100.2:25", 44},
    {BYTES("PROXY TCP6 2001:db8::1 2001:db8::2 1 25\r\n"), "[2001:db8::1]:1 [2001:db8::2]:25", 41},
    {BYTES("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.9 1 25\r\n"), "192.0.2.1:1 192.0.2.9:25",
     51},
    {BYTES("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 25\r\n"), "BAD", 0},
    {BYTES("PROXY UNKNOWN\r\n"), "local", 15},
    {BYTES("PROXY UNKNOWN ffff::1 what ever\r\n"), "local", 33},
    {BYTES("PROXY UNKNOWNS\r\n"), "BAD", 0},
    {BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 12345 25\n"), "BAD", 0},
    {BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 12345\r\n"), "BAD", 0},
    {BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 12345 25 \r\n"), "BAD", 0},
    {BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 012 25\r\n"), "BAD", 0},
    {BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 65536 25\r\n"), "BAD", 0},
    {BYTES("PROXY TCP4 2001:db8::1 2001:db8::2 1 25\r\n"), "BAD", 0},
    {BYTES("PROXY TCP6 192.0.2.1 192.0.2.2 1 25\r\n"), "BAD", 0},
    {BYTES("PROXY  TCP4 192.0.2.1 198.51.100.2 1 25\r\n"), "BAD", 0},
    {BYTES("proxy TCP4 192.0.2.1 198.51.100.2 1 25\r\n"), "BAD", 0},
    {BYTES("PROXY TCP4 192.0.2.1 198.51."), "MORE", 0},
    {BYTES("PRO"), "MORE", 0},
    {BYTES(""), "MORE", 0},
    {BYTES("PROXY TCP4 "
           "000000000000000000000000000000000000000000000000000000000000000000000000000000000"
           "0000000000000000000"),
     "BAD", 0},
    {BYTES("EHLO client\r\n"), "BAD", 0},
    {BYTES(SIG "\x21\x11\0\x0c" V4 "EHLO"), "192.0.2.1:12345 198.51.100.2:25", 28},
    {BYTES(SIG "\x21\x11\0\x10" V4 "\x04\0\x01z"), "192.0.2.1:12345 198.51.100.2:25", 32},
    {BYTES(SIG "\x21\x11\0\x10" V4 "\x04\0\x02z"), "BAD", 0},
    {BYTES(SIG "\x20\0\0\0"), "local", 16},
    {BYTES(SIG "\x20\x11\0\x0c" V4), "local", 28},
    {BYTES(SIG "\x21\x11\0\x0b" V4), "BAD", 0},
    {BYTES(SIG "\x21\x12\0\x0c" V4), "BAD", 0},
    {BYTES(SIG "\x21\0\0\x0c" V4), "BAD", 0},
    {BYTES(SIG "\x11\x11\0\x0c" V4), "BAD", 0},
    {BYTES(SIG "\x22\x11\0\x0c" V4), "BAD", 0},
    {BYTES(SIG "\x21\x11\x02\x09"), "BAD", 0},
    {BYTES(SIG "\x21\x11\0\x0c"
               "\xc0\0"),
     "MORE", 0},
    {BYTES(SIG "\x21\x11"), "MORE", 0},
    {BYTES("\r\n\r\n\0\r\nQ"), "MORE", 0},
    {BYTES("\r\n\r\nQ"), "BAD", 0},
};

static void reads(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct proxy_peers p;
        size_t used = 0;
        char buf[2 * ADDR_TEXT_SIZE + 1];
        enum proxy_result r = proxy_read(rows[i].in, &p, &used);
        if (r == PROXY_DONE)
            says(&p, buf);
        else
            (void)snprintf(buf, sizeof buf, r == PROXY_MORE ? "MORE" : "BAD");
        if (strcmp(buf, rows[i].want) != 0 || (r == PROXY_DONE && used != rows[i].used))
            fail_msg("row %zu: %s, %zu bytes", i, buf, used);
    }
}

/* Cut anywhere, a good header is never bad, and never done before its end. */
static void in_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (rows[i].used == 0)
            continue;
        for (size_t n = 0; n < rows[i].used; n++) {
            struct proxy_peers p;
            size_t used = 0;
            if (proxy_read((struct slice){rows[i].in.p, n}, &p, &used) != PROXY_MORE)
                fail_msg("row %zu, %zu bytes of it", i, n);
        }
    }
}

static void writes(void **state)
{
    static const char *const pairs[][2] = {
        {"192.0.2.1:12345", "198.51.100.2:25"},
        {"[2001:db8::1]:1", "[2001:db8::ff]:65535"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        struct addr_port src, dst;
        struct proxy_peers p;
        char buf[PROXY_V2_MAX];
        size_t n, used = 0;
        assert_true(addr_port_parse(slice_of(pairs[i][0]), &src));
        assert_true(addr_port_parse(slice_of(pairs[i][1]), &dst));
        n = proxy_write(&src, &dst, buf);
        assert_int_equal(n, i == 0 ? 28 : 52);
        assert_int_equal((uint8_t)buf[12], 0x21); /* version 2, PROXY: never LOCAL */
        assert_int_equal(proxy_read((struct slice){buf, n}, &p, &used), PROXY_DONE);
        assert_int_equal(used, n);
        assert_memory_equal(&p.src.addr, &src.addr, 16);
        assert_memory_equal(&p.dst.addr, &dst.addr, 16);
        assert_int_equal(p.src.port, src.port);
        assert_int_equal(p.dst.port, dst.port);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads),
        cmocka_unit_test(in_pieces),
        cmocka_unit_test(writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
