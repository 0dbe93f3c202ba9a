/* change.h, value.h: what is typed becomes the merge patch it means, or is refused by name. */
#include "../../../cli/change.h"
#include "../../../cli/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static void test_assignment_forms(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        const char *key, *row, *field;
        int op;
        const char *value;
    } rows[] = {
        {"a.b=1", true, "a.b", "", "", ASSIGN_SET, "1"},
        {"a.b=", true, "a.b", "", "", ASSIGN_SET, ""},
        {"a.b=x=y", true, "a.b", "", "", ASSIGN_SET, "x=y"},
        {"a.b+=example.org", true, "a.b", "", "", ASSIGN_ADD, "example.org"},
        {"a.b-=example.org", true, "a.b", "", "", ASSIGN_REMOVE, "example.org"},
        {"a.b[example.org].next_hop=[10.0.0.1]:25", true, "a.b", "example.org", "next_hop",
         ASSIGN_SET, "[10.0.0.1]:25"},
        {"a.b[[10.0.0.1]:25].note=x", true, "a.b", "[10.0.0.1]:25", "note", ASSIGN_SET, "x"},
        {"a.b[r]={}", true, "a.b", "r", "", ASSIGN_SET, "{}"},
        {"a.b[r]", true, "a.b", "r", "", ASSIGN_SET, NULL},
        {"a.b", true, "a.b", "", "", ASSIGN_SET, NULL},
        {"a.b[r", false, NULL, NULL, NULL, 0, NULL},
        {"a.b[]=1", false, NULL, NULL, NULL, 0, NULL},
        {"a.b[r].=1", false, NULL, NULL, NULL, 0, NULL},
        {"a.b[r]+=1", false, NULL, NULL, NULL, 0, NULL},
        {"=1", false, NULL, NULL, NULL, 0, NULL},
        {"", false, NULL, NULL, NULL, 0, NULL},
        {"A.B=1", false, NULL, NULL, NULL, 0, NULL},
        {"a b=1", false, NULL, NULL, NULL, 0, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct assignment a;
        print_message("%s\n", rows[i].text);
        assert_int_equal(assignment_parse(rows[i].text, &a), rows[i].ok);
        if (!rows[i].ok)
            continue;
        assert_string_equal(a.key, rows[i].key);
        assert_string_equal(a.row, rows[i].row);
        assert_string_equal(a.field, rows[i].field);
        assert_int_equal(a.op, rows[i].op);
        if (rows[i].value == NULL)
            assert_null(a.value);
        else
            assert_string_equal(a.value, rows[i].value);
    }
}

static void test_sizes_and_times(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes, seconds; /* -1: not one */
    } rows[] = {
        {"65536", 65536, 65536},
        {"40M", 41943040, -1},
        {"40m", 41943040, 2400},
        {"1G", 1073741824, -1},
        {"1GiB", 1073741824, -1},
        {"8k", 8192, -1},
        {"5d", -1, 432000},
        {"2h", -1, 7200},
        {"", -1, -1},
        {"M", -1, -1},
        {"-1", -1, -1},
        {"1.5M", -1, -1},
        {"9223372036854775807K", -1, -1},
        {"40 M", -1, -1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t v = 0;
        print_message("%s\n", rows[i].text);
        assert_int_equal(parse_bytes(rows[i].text, &v), rows[i].bytes >= 0);
        if (rows[i].bytes >= 0)
            assert_int_equal(v, rows[i].bytes);
        assert_int_equal(parse_seconds(rows[i].text, &v), rows[i].seconds >= 0);
        if (rows[i].seconds >= 0)
            assert_int_equal(v, rows[i].seconds);
    }
}

static void check_layer(const struct cli *c, const char *const *args, size_t n, const char *want)
{
    AUTO(json_free) json_t *layer = json_object();
    AUTO_STR char *got = NULL;

    for (size_t i = 0; i < n; i++)
        assert_int_equal(change_set(c, layer, args[i]), EXIT_OK_);
    got = json_canonical(layer);
    assert_string_equal(got, want);
}

static void test_set_makes_patches(void **state)
{
    static const struct cli c = {.lang = LANG_EN};
    static const char *const plain[] = {"smtp.message_size_limit=40M"};
    static const char *const rows[] = {"smtp.relay_domains+=example.org,example.net",
                                       "smtp.relay_domains-=old.example"};
    static const char *const whole[] = {"smtp.relay_domains=a.example, b.example"};
    static const char *const route[] = {"smtp.routes[example.org].next_hop=[10.0.0.1]:25"};

    (void)state;
    check_layer(&c, plain, 1, "{\"smtp.message_size_limit\":41943040}");
    check_layer(&c, rows, 2,
                "{\"smtp.relay_domains\":{\"example.net\":{},\"example.org\":{},\"old.example\":{"
                "\"$remove\":true}}}");
    check_layer(&c, whole, 1,
                "{\"smtp.relay_domains\":{\"$exactly\":{\"a.example\":{},\"b.example\":{}}}}");
    check_layer(&c, route, 1,
                "{\"smtp.routes\":{\"example.org\":{\"next_hop\":\"[10.0.0.1]:25\"}}}");
}

static void test_set_refuses(void **state)
{
    static const struct cli c = {.lang = LANG_JA};
    static const struct {
        const char *arg;
        int want;
    } rows[] = {
        {"no.such.setting=1", EXIT_REFUSED},
        {"smtp.message_size_limit=huge", EXIT_REFUSED},
        {"smtp.message_size_limit+=1", EXIT_REFUSED},
        {"smtp.message_size_limit[a]={}", EXIT_REFUSED},

        {"smtp.relay_domains={\"a\":1", EXIT_REFUSED},
        {"smtp.routes[example.org].nosuch=1", EXIT_REFUSED},
        {"smtp.relay_domains+=@/nonexistent", EXIT_ERROR},
        {"smtp.message_size_limit", EXIT_USAGE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(json_free) json_t *layer = json_object();
        print_message("%s\n", rows[i].arg);
        assert_int_equal(change_set(&c, layer, rows[i].arg), rows[i].want);
    }
}

static void test_rows_from_a_file(void **state)
{
    static const struct cli c = {.lang = LANG_EN};
    char path[] = "/tmp/inari-rows-XXXXXX";
    char arg[64];
    int fd = mkstemp(path);
    const char *const args[] = {arg};

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "# ours\na.example\n\n b.example # two\n", 35), 35);
    close(fd);
    snprintf(arg, sizeof(arg), "smtp.relay_domains+=@%s", path);
    check_layer(&c, args, 1, "{\"smtp.relay_domains\":{\"a.example\":{},\"b.example\":{}}}");
    unlink(path);
}

static void test_unset_and_wrap(void **state)
{
    struct cli c = {.lang = LANG_EN};
    json_t *layer = json_object();
    AUTO(json_free) json_t *changes = NULL;
    AUTO_STR char *text = NULL;

    (void)state;
    c.option[0].name = "device";
    c.option[0].value = "mx1";
    c.n_options = 1;
    assert_int_equal(change_unset(&c, layer, "smtp.message_size_limit", true), EXIT_OK_);
    assert_int_equal(change_unset(&c, layer, "smtp.relay_domains[a.example]", false), EXIT_OK_);
    assert_int_equal(change_unset(&c, layer, "smtp.message_size_limit=1", false), EXIT_USAGE);
    changes = change_wrap(&c, layer);
    text = json_canonical(changes);
    assert_string_equal(text,
                        "{\"devices\":{\"mx1\":{\"smtp.message_size_limit\":{\"$unset\":true},"
                        "\"smtp.relay_domains\":{\"a.example\":{\"$inherit\":true}}}}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_assignment_forms),  cmocka_unit_test(test_sizes_and_times),
        cmocka_unit_test(test_set_makes_patches), cmocka_unit_test(test_set_refuses),
        cmocka_unit_test(test_rows_from_a_file),  cmocka_unit_test(test_unset_and_wrap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
