/* Lists of networks: what is found is what a naive search over the rows finds, at any time, from
 * any address; a file that was damaged anywhere is refused. */
#include "iplist/iplist_private.h"

#include "base/clock.h"
#include "base/file.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOW = 1000000 };

static uint64_t seed = 20261122;

static uint64_t any(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static struct iplist_addr addr(const char *text)
{
    struct iplist_addr a;
    uint8_t v4[4];

    if (inet_pton(AF_INET, text, v4) == 1)
        return iplist_v4(v4);
    assert_int_equal(inet_pton(AF_INET6, text, a.b), 1);
    return a;
}

static struct iplist_row row(const char *net, unsigned bits, int64_t expires_ms, uint64_t id)
{
    struct iplist_addr a = addr(net);

    if (strchr(net, ':') == NULL)
        bits += 96;
    return (struct iplist_row){a, (uint8_t)bits, expires_ms, id};
}

static bool holds(const struct iplist_row *r, const struct iplist_addr *a)
{
    bool row_v4 = r->bits >= 96 && iplist_is_v4(&r->net);

    if (row_v4 != iplist_is_v4(a))
        return false;
    for (unsigned bit = 0; bit < r->bits; bit++)
        if (((r->net.b[bit / 8] ^ a->b[bit / 8]) & (0x80 >> bit % 8)) != 0)
            return false;
    return true;
}

static const struct iplist_row *naive(const struct iplist_row *rows, size_t n,
                                      const struct iplist_addr *a, int64_t now_ms)
{
    const struct iplist_row *best = NULL;

    for (size_t i = 0; i < n; i++) {
        const struct iplist_row *r = &rows[i];
        if (!holds(r, a) || (r->expires_ms != 0 && r->expires_ms <= now_ms))
            continue;
        if (best == NULL || r->bits > best->bits)
            best = r;
        else if (r->bits == best->bits && best->expires_ms != 0 &&
                 (r->expires_ms == 0 || r->expires_ms > best->expires_ms ||
                  (r->expires_ms == best->expires_ms && r->id < best->id)))
            best = r;
        else if (r->bits == best->bits && r->expires_ms == best->expires_ms && r->id < best->id)
            best = r;
    }
    return best;
}

struct built {
    char *file;
    size_t n;
    struct iplist *list;
    struct iplist_report rep;
};

static struct built make(const struct iplist_row *rows, size_t n)
{
    struct built b = {0};
    struct err e = {0};

    assert_int_equal(iplist_build(rows, n, &b.file, &b.n, &b.rep, &e), ERR_OK);
    assert_int_equal(iplist_read((struct slice){b.file, b.n}, &b.list, &e), ERR_OK);
    assert_int_equal(iplist_rows(b.list), b.rep.rows);
    return b;
}

static void drop(struct built *b)
{
    iplist_close(b->list);
    free(b->file);
}

static uint64_t id_at(const struct built *b, const char *address, int64_t now_ms)
{
    struct iplist_addr a = addr(address);
    struct iplist_row r;

    return iplist_find(b->list, &a, now_ms, &r) ? r.id : 0;
}

static void longest_match(void **state)
{
    const struct iplist_row rows[] = {
        row("10.1.2.3", 32, 0, 5),        row("10.0.0.0", 8, 0, 1),
        row("10.1.0.0", 16, NOW, 2),      row("10.1.2.0", 24, NOW + 1, 3),
        row("255.255.255.255", 32, 0, 6), row("2001:db8::", 32, 0, 7),
        row("2001:db8::1", 128, 0, 8),    row("::", 0, 0, 9),
    };
    struct built b = make(rows, COUNT_OF(rows));

    (void)state;
    assert_int_equal(b.rep.rows, 8);
    assert_int_equal(b.rep.duplicates, 0);
    assert_int_equal(b.rep.nested, 5);
    assert_int_equal(id_at(&b, "10.1.2.3", NOW), 5);
    assert_int_equal(id_at(&b, "10.1.2.4", NOW), 3);
    assert_int_equal(id_at(&b, "10.1.2.4", NOW + 1),
                     1); /* both around it have expired but the outermost */
    assert_int_equal(id_at(&b, "10.1.3.4", NOW - 1), 2);
    assert_int_equal(id_at(&b, "10.1.3.4", NOW), 1);
    assert_int_equal(id_at(&b, "10.255.255.255", NOW), 1);
    assert_int_equal(id_at(&b, "11.0.0.0", NOW), 0);
    assert_int_equal(id_at(&b, "9.255.255.255", NOW), 0);
    assert_int_equal(id_at(&b, "0.0.0.0", NOW), 0); /* ::/0 holds no IPv4 */
    assert_int_equal(id_at(&b, "255.255.255.255", NOW), 6);
    assert_int_equal(id_at(&b, "2001:db8::1", NOW), 8);
    assert_int_equal(id_at(&b, "2001:db8::2", NOW), 7);
    assert_int_equal(id_at(&b, "2001:db9::", NOW), 9);
    assert_int_equal(id_at(&b, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NOW), 9);
    drop(&b);
}

static void duplicates_keep_the_later_expiry(void **state)
{
    const struct iplist_row rows[] = {
        row("192.0.2.0", 24, NOW + 5, 1), row("192.0.2.0", 24, NOW + 9, 2),
        row("192.0.2.0", 24, NOW + 1, 3), row("2001:db8::", 64, 0, 9),
        row("2001:db8::", 64, NOW, 4),    row("2001:db8::", 64, 0, 8),
    };
    struct built b = make(rows, COUNT_OF(rows));

    (void)state;
    assert_int_equal(b.rep.rows, 2);
    assert_int_equal(b.rep.duplicates, 4);
    assert_int_equal(id_at(&b, "192.0.2.7", NOW + 8), 2);
    assert_int_equal(id_at(&b, "192.0.2.7", NOW + 9), 0);
    assert_int_equal(id_at(&b, "2001:db8::1", NOW), 8);
    drop(&b);
}

static void the_empty_list(void **state)
{
    struct built b = make(NULL, 0);

    (void)state;
    assert_int_equal(id_at(&b, "192.0.2.1", 0), 0);
    assert_int_equal(id_at(&b, "::1", 0), 0);
    drop(&b);
}

static void everyone(void **state)
{
    const struct iplist_row rows[] = {row("0.0.0.0", 0, 0, 4), row("::", 0, 0, 6)};
    struct built b = make(rows, COUNT_OF(rows));

    (void)state;
    assert_int_equal(id_at(&b, "0.0.0.0", 0), 4);
    assert_int_equal(id_at(&b, "255.255.255.255", 0), 4);
    assert_int_equal(id_at(&b, "::", 0), 6);
    assert_int_equal(id_at(&b, "::fffe:ffff:ffff", 0), 6);
    drop(&b);
}

/* Few different bytes, so that rows lie in each other and addresses hit them. */
static struct iplist_row random_row(uint64_t id)
{
    static const uint8_t bytes[] = {0, 1, 10, 127, 128, 254, 255};
    struct iplist_row r = {.id = id};
    bool v4 = any(2) == 0;
    struct iplist_key6 k, tail;

    for (int i = 0; i < 16; i++)
        r.net.b[i] = i > 1 && i < 13 ? 0 : bytes[any(COUNT_OF(bytes))];
    r.bits = (uint8_t)(any(4) == 0 ? any(129) : 128 - any(20));
    if (v4) {
        const uint8_t a[4] = {bytes[any(COUNT_OF(bytes))], bytes[any(COUNT_OF(bytes))],
                              (uint8_t)any(3), (uint8_t)any(256)};
        r.net = iplist_v4(a);
        r.bits = (uint8_t)(96 + any(33));
    }
    tail = iplist_tail(r.bits);
    k = iplist_key(&r.net);
    k = (struct iplist_key6){k.hi & ~tail.hi, k.lo & ~tail.lo};
    r.net = iplist_unkey(k);
    r.expires_ms = any(2) == 0 ? 0 : (int64_t)(NOW - 5 + any(10));
    return r;
}

/* At the edges of rows, one beside them, and anywhere. */
static struct iplist_addr random_address(const struct iplist_row *rows, size_t n)
{
    struct iplist_row r = n > 0 && any(4) != 0 ? rows[any(n)] : random_row(1);
    struct iplist_key6 k = iplist_key(&r.net), tail = iplist_tail(r.bits);

    switch (any(4)) {
    case 0:
        k = (struct iplist_key6){k.hi | tail.hi, k.lo | tail.lo};
        break;
    case 1:
        k = (struct iplist_key6){k.hi | tail.hi, k.lo | tail.lo};
        k.hi += k.lo == UINT64_MAX;
        k.lo++;
        break;
    case 2:
        k.hi -= k.lo == 0;
        k.lo--;
        break;
    default:
        k = (struct iplist_key6){k.hi | (any(UINT64_MAX) & tail.hi),
                                 k.lo | (any(UINT64_MAX) & tail.lo)};
    }
    return iplist_unkey(k);
}

static void as_a_naive_search(void **state)
{
    static struct iplist_row rows[400], found;

    (void)state;
    for (int round = 0; round < 300; round++) {
        size_t n = any(round % 10 == 0 ? COUNT_OF(rows) : 30);
        struct built b;
        for (size_t i = 0; i < n; i++)
            rows[i] = i > 0 && any(8) == 0 ? rows[any(i)] : random_row(i + 1);
        for (size_t i = 0; i < n; i++)
            rows[i].id = i + 1;
        b = make(rows, n);
        for (int i = 0; i < 300; i++) {
            struct iplist_addr a = random_address(rows, n);
            int64_t now = (int64_t)(NOW - 7 + any(14));
            const struct iplist_row *want = naive(rows, n, &a, now);
            bool is = iplist_find(b.list, &a, now, &found);
            if (is != (want != NULL) || (is && found.id != want->id))
                fail_msg("round %d: found %d instead of %d", round, is ? (int)found.id : 0,
                         want == NULL ? 0 : (int)want->id);
        }
        drop(&b);
    }
}

static void order_of_rows_does_not_matter(void **state)
{
    struct iplist_row rows[200];
    struct built a, b;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        rows[i] = random_row(i + 1);
    a = make(rows, COUNT_OF(rows));
    for (size_t i = COUNT_OF(rows) - 1; i > 0; i--) {
        size_t j = any(i + 1);
        struct iplist_row r = rows[i];
        rows[i] = rows[j];
        rows[j] = r;
    }
    b = make(rows, COUNT_OF(rows));
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.file, b.file, a.n);
    for (size_t i = 1; i < iplist_rows(a.list); i++) {
        struct iplist_row x = iplist_at(a.list, i - 1), y = iplist_at(a.list, i);
        assert_true(iplist_is_v4(&x.net) || memcmp(&x.net, &y.net, sizeof x.net) <= 0);
    }
    drop(&a);
    drop(&b);
}

static void bad_rows(void **state)
{
    struct iplist_row rows[] = {row("192.0.2.0", 24, 0, 1), row("192.0.2.0", 25, 0, 2)};
    const struct iplist_row bad[] = {row("192.0.2.1", 31, 0, 2), row("2001:db8::1", 64, 0, 2),
                                     row("192.0.2.0", 25, -1, 2), row("192.0.2.0", 25, 0, 0),
                                     row("::", 129, 0, 2)};
    struct iplist_report rep;
    struct err e = {0};
    char *file = NULL;
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        rows[1] = bad[i];
        assert_int_equal(iplist_build(rows, 2, &file, &n, &rep, &e), ERR_INVALID);
        assert_int_equal(rep.bad, 1);
        assert_null(file);
    }
    assert_int_equal(iplist_build(rows, IPLIST_ROWS_MAX + 1, &file, &n, &rep, &e), ERR_TOO_LARGE);
}

/* Every byte changed, every length cut: refused.  With a checksum that was made to fit: refused, or
 * searched without a step outside (the sanitizers say) and with matches only that hold the address.
 */
static void damaged(void **state)
{
    struct iplist_row rows[40], r;
    struct iplist *l = NULL;
    struct err e = {0};
    struct built b;
    char *copy;
    size_t tops;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        rows[i] = random_row(i + 1);
    b = make(rows, COUNT_OF(rows));
    copy = malloc(b.n);
    assert_non_null(copy);
    tops = b.n - sizeof(uint64_t) - (size_t)IPLIST_TOPS * sizeof(uint32_t);
    for (size_t at = 0; at < b.n; at += at < tops ? 1 : 4099) {
        uint64_t sum;
        memcpy(copy, b.file, b.n);
        copy[at] = (char)(copy[at] ^ (1 << any(8)));
        assert_int_equal(iplist_read((struct slice){copy, b.n}, &l, &e), ERR_MALFORMED);
        if (at >= b.n - sizeof sum)
            continue;
        sum = iplist_sum(copy, b.n - sizeof sum);
        memcpy(copy + b.n - sizeof sum, &sum, sizeof sum);
        if (iplist_read((struct slice){copy, b.n}, &l, &e) != ERR_OK)
            continue;
        for (int i = 0; i < 50; i++) {
            struct iplist_addr a = random_address(rows, COUNT_OF(rows));
            if (iplist_find(l, &a, NOW, &r))
                assert_true(memcmp(&a, &r.net, r.bits / 8) == 0);
        }
        iplist_close(l);
    }
    for (size_t n = 0; n < b.n; n += n < 200 ? 1 : 997) {
        char *cut = malloc(n + 1); /* of its own, so that a read behind it is seen */
        assert_non_null(cut);
        memcpy(cut, b.file, n);
        assert_int_equal(iplist_read((struct slice){cut, n}, &l, &e), ERR_MALFORMED);
        free(cut);
    }
    free(copy);
    drop(&b);
}

static void files(void **state)
{
    const struct iplist_row rows[] = {row("192.0.2.0", 24, 0, 1)};
    struct built b = make(rows, 1);
    struct iplist_addr a = addr("192.0.2.99");
    char path[] = "/tmp/inari-iplist-XXXXXX";
    int fd = mkstemp(path);
    struct iplist *l = NULL;
    struct iplist_row r;
    struct err e = {0};

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(iplist_open_fd(fd, &l, &e), ERR_MALFORMED); /* empty */
    assert_int_equal(file_write_atomic(path, (struct slice){b.file, b.n}, 0600, &e), ERR_OK);
    assert_int_equal(iplist_open(path, &l, &e), ERR_OK);
    assert_int_equal(unlink(path), 0); /* what is open stays */
    assert_true(iplist_find(l, &a, 0, &r) && r.id == 1 && r.bits == 120);
    iplist_close(l);
    l = NULL;
    assert_int_equal(iplist_open(path, &l, &e), ERR_NOT_FOUND);
    assert_int_equal(iplist_open("/tmp", &l, &e), ERR_MALFORMED);
    assert_null(l);
    assert_int_equal(close(fd), 0);
    drop(&b);
}

/* A million rows; the figures are printed, the bounds are wide because a build for tests is slow.
 */
static void a_million(void **state)
{
    size_t n = 1000 * 1000;
    struct iplist_row *rows = calloc(n, sizeof *rows), r;
    int64_t began;
    struct built b;
    size_t hits = 0;

    (void)state;
    assert_non_null(rows);
    for (size_t i = 0; i < n; i++) {
        uint32_t v = (uint32_t)any(UINT32_MAX);
        unsigned bits = (unsigned)(16 + any(17));
        v &= ~(uint32_t)((1ULL << (32 - bits)) - 1);
        rows[i].net = iplist_v4(
            (uint8_t[4]){(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v});
        rows[i].bits = (uint8_t)(96 + bits);
        rows[i].id = i + 1;
    }
    began = clock_mono_us();
    b = make(rows, n);
    (void)printf("built and read: %zu rows, %zu bytes, %d ms\n", b.rep.rows, b.n,
                 (int)((clock_mono_us() - began) / 1000));
    iplist_close(b.list);
    began = clock_mono_us();
    assert_int_equal(iplist_read((struct slice){b.file, b.n}, &b.list, NULL), ERR_OK);
    (void)printf("checked: %d us\n", (int)(clock_mono_us() - began));
    assert_true(clock_mono_us() - began < 5 * 1000 * 1000);
    began = clock_mono_us();
    for (int i = 0; i < 1000 * 1000; i++) {
        uint32_t v = (uint32_t)any(UINT32_MAX);
        struct iplist_addr a = iplist_v4(
            (uint8_t[4]){(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v});
        hits += iplist_find(b.list, &a, 0, &r);
    }
    (void)printf("searched: %d ns each, %zu of 1000000 found\n",
                 (int)(clock_mono_us() - began) / 1000, hits);
    assert_true(hits > 500 * 1000);
    free(rows);
    drop(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(longest_match),
        cmocka_unit_test(duplicates_keep_the_later_expiry),
        cmocka_unit_test(the_empty_list),
        cmocka_unit_test(everyone),
        cmocka_unit_test(as_a_naive_search),
        cmocka_unit_test(order_of_rows_does_not_matter),
        cmocka_unit_test(bad_rows),
        cmocka_unit_test(damaged),
        cmocka_unit_test(files),
        cmocka_unit_test(a_million),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
