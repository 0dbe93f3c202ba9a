#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "foxproxy/decide.h"

/* A list in memory, as a file would give it. */
static struct list *list_of(const char *net, uint64_t id, int64_t expires_ms, char **ret_file)
{
    struct list *l = calloc(1, sizeof *l);
    struct iplist_row row = {.id = id, .expires_ms = expires_ms};
    struct addr_net n;
    struct err e;
    size_t size = 0;

    assert_non_null(l);
    atomic_init(&l->refs, 1);
    assert_true(addr_net_parse(slice_of(net), &n));
    row.net = n.net;
    row.bits = n.bits;
    assert_int_equal(iplist_build(&row, 1, ret_file, &size, NULL, &e), ERR_OK);
    assert_int_equal(iplist_read((struct slice){*ret_file, size}, &l->rows, &e), ERR_OK);
    return l;
}

static void order(void **state)
{
    static const struct {
        enum ini_mode approved, blocked;
        const char *addr;
        bool refuse;
        enum decide_source source;
        uint64_t row;
        enum decide_source would;
    } rows[] = {
        {INI_OFF, INI_OFF, "192.0.2.1", false, DECIDE_NOBODY, 0, DECIDE_NOBODY},
        {INI_OFF, INI_ON, "192.0.2.1", true, DECIDE_BLOCKED, 7, DECIDE_NOBODY},
        {INI_ON, INI_ON, "192.0.2.1", false, DECIDE_APPROVED, 5, DECIDE_NOBODY},
        {INI_ON, INI_ON, "192.0.2.9", true, DECIDE_BLOCKED, 7, DECIDE_NOBODY},
        {INI_LOG, INI_ON, "192.0.2.1", true, DECIDE_BLOCKED, 7, DECIDE_APPROVED},
        {INI_OFF, INI_LOG, "192.0.2.1", false, DECIDE_NOBODY, 0, DECIDE_BLOCKED},
        {INI_LOG, INI_LOG, "192.0.2.1", false, DECIDE_NOBODY, 0, DECIDE_APPROVED},
        {INI_ON, INI_LOG, "192.0.2.1", false, DECIDE_APPROVED, 5, DECIDE_NOBODY},
        {INI_ON, INI_ON, "198.51.100.1", false, DECIDE_NOBODY, 0, DECIDE_NOBODY},
        {INI_ON, INI_ON, "2001:db8::1", false, DECIDE_NOBODY, 0, DECIDE_NOBODY},
    };
    char *files[2];
    struct list *approved = list_of("192.0.2.1", 5, 0, &files[0]);
    struct list *blocked = list_of("192.0.2.0/24", 7, 1000, &files[1]);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct ini ini = {.approved = rows[i].approved, .blocked = rows[i].blocked};
        struct snapshot *s = snapshot_new(&ini, approved, blocked, NULL, 0);
        struct iplist_addr a;
        struct decision d;
        assert_non_null(s);
        assert_true(addr_parse(slice_of(rows[i].addr), &a));
        d = decide_address(s, &a, 999);
        if (d.refuse != rows[i].refuse || d.source != rows[i].source || d.row != rows[i].row ||
            d.would != rows[i].would)
            fail_msg("row %zu: refuse %d source %d row %d would %d", i, d.refuse, (int)d.source,
                     (int)d.row, (int)d.would);
        /* The blocked row ends at 1000. */
        d = decide_address(s, &a, 1000);
        assert_false(d.refuse);
        snapshot_unref(s);
    }
    list_unref(approved);
    list_unref(blocked);
    free(files[0]);
    free(files[1]);
}

static void replies(void **state)
{
    struct ini ini = {.hostname = "mx.example.com",
                      .blocked_reply = {.code = 421, .status = "4.7.0", .text = "Go away"}};
    struct snapshot *s = snapshot_new(&ini, NULL, NULL, NULL, 0);

    (void)state;
    assert_non_null(s);
    assert_string_equal(s->reply[REPLY_BLOCKED].p,
                        "421 4.7.0 mx.example.com Go away [list.blocked]\r\n");
    for (int i = 0; i < REPLIES; i++) {
        const struct reply *r = &s->reply[i];
        assert_int_equal(strlen(r->p), r->n);
        assert_true(r->n <= 512); /* RFC 5321 4.5.3.1.5 */
        assert_non_null(strstr(r->p, " mx.example.com "));
        assert_string_equal(r->p + r->n - 3, "]\r\n");
    }
    snapshot_unref(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order),
        cmocka_unit_test(replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
