/* Texts in both languages take the same arguments, every option and verb is explained, tables line
 * up. */
#include "../../../cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

/* The conversions of a format, in order: "%s is %lld" gives "s lld ". */
static void conversions(const char *fmt, char *out, size_t size)
{
    size_t n = 0;

    for (; *fmt != '\0'; fmt++) {
        if (*fmt != '%')
            continue;
        fmt++;
        while (*fmt != '\0' && n + 2 < size) {
            out[n++] = *fmt;
            if (strchr("sdiucx%", *fmt) != NULL)
                break;
            fmt++;
        }
        out[n++] = ' ';
    }
    out[n] = '\0';
}

static void test_both_languages(void **state)
{
    (void)state;
    for (int i = 0; i < TEXT_COUNT; i++) {
        char en[64];
        char ja[64];
        conversions(text_get((enum text)i, LANG_EN), en, sizeof(en));
        conversions(text_get((enum text)i, LANG_JA), ja, sizeof(ja));
        print_message("%s\n", text_get((enum text)i, LANG_EN));
        assert_string_equal(en, ja);
        assert_true(text_get((enum text)i, LANG_JA)[0] != '\0');
    }
}

static void test_verbs_are_explained(void **state)
{
    (void)state;
    for (const struct verb *v = verbs; v->name != NULL; v++) {
        struct slice rest = slice_of(v->options);
        print_message("%s\n", v->name);
        assert_ptr_equal(verb_find(v->name), v);
        assert_true(v->summary[0][0] != '\0' && v->summary[1][0] != '\0');
        assert_int_equal(v->more[0] == NULL, v->more[1] == NULL);
        while (rest.n > 0) {
            struct slice word = slice_cut(&rest, ' ');
            char name[32];
            snprintf(name, sizeof(name), "%.*s", (int)(word.n - (word.p[word.n - 1] == '=')),
                     word.p);
            assert_non_null(option_text_find(name));
        }
    }
}

static void test_widths(void **state)
{
    (void)state;
    assert_int_equal(text_width("mx1"), 3);
    assert_int_equal(text_width("上位デバイス"), 12);
    assert_int_equal(text_width("ｶﾅ"), 2);
    assert_int_equal(text_width("e\xcc\x81"), 1);
    assert_int_equal(text_width("\xff\xfe"), 2);
}

static void test_table_and_hostile_text(void **state)
{
    AUTO(table_free) struct table *t = table_new(2);
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    (void)state;
    table_cell(t, "名前");
    table_cell(t, "x");
    table_cell(t, "a\033[2Jb");
    table_cell(t, "y\nz");
    table_print(t, f, 0);
    fclose(f);
    assert_string_equal(text, "名前    x\na?[2Jb  y?z\n");
    free(text);
}

/* What a device printed may look like anything but never steer the terminal. */
static void test_hostile_lines(void **state)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    (void)state;
    assert_non_null(f);
    print_lines(f, "a\tb\nred\x1b[31m \xc2\x9b"
                   "2J \xe2\x80\xae"
                   "x\r上\n");
    assert_int_equal(fclose(f), 0);
    assert_string_equal(text, "a\tb\nred?[31m ?2J ?x?上\n");
    free(text);
}

static void test_exit_statuses(void **state)
{
    (void)state;
    assert_int_equal(cli_exit_of(ERR_OK), 0);
    assert_int_equal(cli_exit_of(ERR_INVALID), 3);
    assert_int_equal(cli_exit_of(ERR_UNAUTHENTICATED), 5);
    assert_int_equal(cli_exit_of(ERR_FORBIDDEN), 5);
    assert_int_equal(cli_exit_of(ERR_UNAVAILABLE), 6);
    assert_int_equal(cli_exit_of(ERR_SIGNATURE), 6);
    assert_int_equal(cli_exit_of(ERR_NOT_FOUND), 7);
    assert_int_equal(cli_exit_of(ERR_STALE_DRAFT), 8);
    assert_int_equal(cli_exit_of(ERR_STALE_EDIT), 8);
    assert_int_equal(cli_exit_of(ERR_SLOW_DOWN), 9);
    assert_int_equal(cli_exit_of(ERR_MALFORMED), 1);
}

static void test_command_line(void **state)
{
    char a0[] = "a=1";
    char a1[] = "--device=mx1";
    char a2[] = "--";
    char a3[] = "--b=2";
    char a4[] = "--nosuch";
    char a5[] = "--json=1";
    char a6[] = "--device";
    char *good[] = {a0, a1, a2, a3};
    char *unknown[] = {a0, a4};
    char *no_value[] = {a0, a5};
    char *missing[] = {a0, a6};
    struct cli c = {.verb = verb_find("set")};

    (void)state;
    assert_int_equal(opts_parse(&c, 4, good), EXIT_OK_);
    assert_int_equal(c.n_args, 2);
    assert_string_equal(c.arg[1], "--b=2");
    assert_string_equal(cli_opt(&c, "device"), "mx1");
    assert_null(cli_opt(&c, "group"));
    c = (struct cli){.verb = verb_find("set")};
    assert_int_equal(opts_parse(&c, 2, unknown), EXIT_USAGE);
    c = (struct cli){.verb = verb_find("set")};
    assert_int_equal(opts_parse(&c, 2, no_value), EXIT_USAGE);
    c = (struct cli){.verb = verb_find("set")};
    assert_int_equal(opts_parse(&c, 2, missing), EXIT_USAGE);
    c = (struct cli){.verb = verb_find("set")};
    assert_int_equal(opts_parse(&c, 0, good), EXIT_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_languages), cmocka_unit_test(test_verbs_are_explained),
        cmocka_unit_test(test_widths),         cmocka_unit_test(test_table_and_hostile_text),
        cmocka_unit_test(test_hostile_lines),  cmocka_unit_test(test_exit_statuses),
        cmocka_unit_test(test_command_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
