/* Editing main.cf and master.cf: tables of cases, and properties over random files. */
#include "cf_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char *const own_a[] = {"a", "b"};
static const struct plan_param set_a[] = {{"a", "1"}};
static const struct plan plan_a = {.params = set_a, .n_params = 1, .owned = own_a, .n_owned = 2};

static void main_cf_cases(void **state)
{
    static const struct {
        const char *name, *old, *want;
    } t[] = {
        {"empty file", "", CF_BLOCK_HEAD "\na = 1\n"},
        {"in its place", "x = y\na = 0\nz = 1\n", "x = y\na = 1\nz = 1\n"},
        {"no blanks", "a=0\n", "a = 1\n"},
        {"continued", "a = 0\n  more\nz = 1\n", "a = 1\nz = 1\n"},
        {"comment inside is kept", "a = 0\n# why\n  more\nz = 1\n", "a = 1\n# why\nz = 1\n"},
        {"empty line inside", "a = 0\n\n  more\nz = 1\n", "a = 1\n\nz = 1\n"},
        {"duplicates go", "a = 0\nx = y\na = 2\n", "a = 1\nx = y\n"},
        {"owned but not planned goes", "b = 0\n  c\nx = y\n", "x = y\n" CF_BLOCK_HEAD "\na = 1\n"},
        {"a longer name is foreign", "aa = 0\n", "aa = 0\n" CF_BLOCK_HEAD "\na = 1\n"},
        {"commented out is foreign", "#a = 0\n", "#a = 0\n" CF_BLOCK_HEAD "\na = 1\n"},
        {"foreign continuation that looks like ours", "x = y\n a = 0\n",
         "x = y\n a = 0\n" CF_BLOCK_HEAD "\na = 1\n"},
        {"no newline at the end", "x = y", "x = y\n" CF_BLOCK_HEAD "\na = 1\n"},
        {"CR LF", "x = y\r\na = 0\r\n", "x = y\r\na = 1\n"},
        {"into the block", CF_BLOCK_HEAD "\nb = 1\n", CF_BLOCK_HEAD "\na = 1\n"},
        {"a block that somebody continued", "x = y\n" CF_BLOCK_HEAD "\n  z\n",
         "x = y\n" CF_BLOCK_HEAD "\n  z\n" CF_BLOCK_HEAD "\na = 1\n"},
        {"line without =", "rubbish\n", "rubbish\n" CF_BLOCK_HEAD "\na = 1\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        AUTO_STRBUF struct strbuf out = STRBUF_INIT(MIB);
        struct err e;
        print_message("%s\n", t[i].name);
        assert_int_equal(main_cf_edit(slice_of(t[i].old), &plan_a, &out, &e), ERR_OK);
        assert_string_equal(strbuf_str(&out), t[i].want);
    }
}

static void refused_values(void **state)
{
    static const char *const bad[] = {"a\nb",  "a\rb", " a",       "a ",   "\ta",
                                      "a\x01", "\x7f", "\xc2\x85", "\xff", NULL};

    (void)state;
    for (size_t i = 0; bad[i] != NULL; i++) {
        const struct plan_param pp = {"a", bad[i]};
        const struct plan_service s = {"inari-scan", "unix", "-", "-", "n",  "-",
                                       "-",          "smtp", &pp, 1,   false};
        const struct plan p = {.params = &pp, .n_params = 1};
        const struct plan q = {.services = &s, .n_services = 1};
        AUTO_STRBUF struct strbuf out = STRBUF_INIT(MIB);
        struct err e;
        assert_int_equal(main_cf_edit(slice_of("x = y\n"), &p, &out, &e), ERR_INVALID);
        assert_int_equal(master_cf_edit(slice_of(""), &q, &out, &e), ERR_INVALID);
        assert_int_equal(out.n, 0);
    }
}

static void refused_services(void **state)
{
    static const struct plan_service bad[] = {
        {"x", "unix", "-", "-", "n", "-", "-", "pipe", NULL, 0, false},
        {"x", "unix", "-", "-", "n", "-", "-", "spawn", NULL, 0, false},
        {"x", "unix", "-", "-", "n", "-", "-", "../../bin/sh", NULL, 0, false},
        {"x", "fifo", "-", "-", "n", "-", "-", "smtp", NULL, 0, false},
        {"x y", "unix", "-", "-", "n", "-", "-", "smtp", NULL, 0, false},
        {"#x", "unix", "-", "-", "n", "-", "-", "smtp", NULL, 0, false},
        {"", "unix", "-", "-", "n", "-", "-", "smtp", NULL, 0, false},
        {"x", "unix", "-", "-", "n", "-", "1 2", "smtp", NULL, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        const struct plan p = {.services = &bad[i], .n_services = 1};
        AUTO_STRBUF struct strbuf out = STRBUF_INIT(MIB);
        struct err e;
        assert_int_equal(master_cf_edit(slice_of(""), &p, &out, &e), ERR_INVALID);
    }
}

static void master_cf_cases(void **state)
{
    const struct plan *p = cf_check_plan(0);
    const char *old = "# head\n"
                      "smtp      inet  n       -       y       -       -       smtpd\n"
                      "  -o foo=bar\n"
                      "#smtps inet n - y - - smtpd\n"
                      "pickup    unix  n       -       y       60      1       pickup\n"
                      "127.0.0.1:10026 inet n - n - - smtpd -o a=b\n"
                      "127.0.0.1:10029 inet n - n - - smtpd\n";
    AUTO_STRBUF struct strbuf out = STRBUF_INIT(MIB);
    AUTO(arena_free) struct arena *a = arena_new(MIB);
    struct cf_service *v;
    struct err e;
    size_t n;

    (void)state;
    assert_int_equal(master_cf_edit(slice_of(old), p, &out, &e), ERR_OK);
    print_message("%s", strbuf_str(&out));
    assert_int_equal(master_cf_parse(strbuf_slice(&out), a, &v, &n, &e), ERR_OK);
    assert_int_equal(n, 4);
    assert_string_equal(v[0].name, "0.0.0.0:25");
    assert_string_equal(v[1].name, "pickup");
    assert_string_equal(v[2].name, "127.0.0.1:10026");
    assert_string_equal(v[2].options[0].value, "permit_mynetworks, reject");
    assert_string_equal(v[2].options[1].value, "");
    assert_string_equal(v[3].name, "inari-scan");
    assert_non_null(strstr(strbuf_str(&out), "#smtps inet"));
}

static void master_cf_faults(void **state)
{
    static const char *const bad[] = {"smtp inet n\n", "smtp inet n - - - - smtpd -o\n",
                                      "smtp inet n - - - - smtpd -o { a = b\n", NULL};

    (void)state;
    for (size_t i = 0; bad[i] != NULL; i++) {
        AUTO(arena_free) struct arena *a = arena_new(MIB);
        struct cf_service *v;
        struct err e;
        size_t n;
        assert_int_equal(master_cf_parse(slice_of(bad[i]), a, &v, &n, &e), ERR_INVALID);
        assert_non_null(strstr(e.msg, "master.cf:1"));
    }
}

struct seen {
    char text[1024];
};

static void note(void *ctx, const char *file, const char *item, const char *expected,
                 const char *found)
{
    struct seen *s = ctx;
    size_t n = strlen(s->text);

    (void)snprintf(s->text + n, sizeof s->text - n, "%s %s %s %s;", file, item,
                   expected == NULL ? "-" : expected, found == NULL ? "-" : found);
}

static void differences(void **state)
{
    struct seen s = {""};
    struct err e;

    (void)state;
    assert_int_equal(main_cf_diff(slice_of("a = 1\n"), &plan_a, note, &s, &e), ERR_OK);
    assert_string_equal(s.text, "");
    assert_int_equal(main_cf_diff(slice_of("a = 2\nb = 3\nx = y\n"), &plan_a, note, &s, &e),
                     ERR_OK);
    assert_string_equal(s.text, "main.cf a 1 2;main.cf b - 3;");
    s.text[0] = '\0';
    assert_int_equal(main_cf_diff(slice_of("a = 1\na = 2\n"), &plan_a, note, &s, &e), ERR_OK);
    assert_string_equal(s.text, "main.cf a 1 2;");
    s.text[0] = '\0';
    assert_int_equal(
        master_cf_diff(slice_of("smtp inet n - n - - smtpd\n"), cf_check_plan(1), note, &s, &e),
        ERR_OK);
    assert_non_null(strstr(s.text, "master.cf 127.0.0.1:10026/inet n - n - 20 smtpd"));
}

/* xorshift: the same files on every run. */
static uint32_t next(uint32_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 17;
    *s ^= *s << 5;
    return *s;
}

static void random_files(void **state)
{
    static const char *const pieces[] = {
        "a",
        "b",
        "=",
        " = ",
        "\n",
        "\n",
        "\n ",
        "\n\t",
        "\r\n",
        "#",
        "\n#",
        "# note\n",
        "message_size_limit = 1\n",
        "mynetworks=10.0.0.0/8",
        "relay_domains",
        "smtpd_banner = x\n  y",
        "\n" CF_BLOCK_HEAD "\n",
        "smtp inet ",
        "25",
        " inet n - y - - smtpd\n",
        "127.0.0.1:10026 inet n - n - - smtpd\n",
        " -o { a = b }",
        " -o x=y",
        "pickup unix n - y 60 1 pickup\n",
        "inari-scan unix - - n - - lmtp\n",
        "\xc3\xa4",
        "\xff",
        "{",
        "}",
        "$x",
        "\0",
        "0.0.0.0:25 inet n - n - - smtpd\n  -o a=b\n",
    };
    uint32_t seed = 20261121;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        AUTO_STRBUF struct strbuf m = STRBUF_INIT(MIB);
        unsigned n = next(&seed) % 40;
        const char *fault;
        for (unsigned i = 0; i < n; i++) {
            const char *p = pieces[next(&seed) % COUNT_OF(pieces)];
            strbuf_add(&m, (struct slice){p, *p == '\0' ? 1 : strlen(p)});
        }
        fault = cf_check_properties(strbuf_slice(&m), strbuf_slice(&m), cf_check_plan(round));
        if (fault != NULL)
            print_message("%s in <<<%s>>>\n", fault, strbuf_str(&m));
        assert_null(fault);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(main_cf_cases),    cmocka_unit_test(refused_values),
        cmocka_unit_test(refused_services), cmocka_unit_test(master_cf_cases),
        cmocka_unit_test(master_cf_faults), cmocka_unit_test(differences),
        cmocka_unit_test(random_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
