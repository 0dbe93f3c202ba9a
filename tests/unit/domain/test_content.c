/* Diff, merge, undo and markers on revision content; pure. */
#include "domain/content.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static json_t *parse(const char *text)
{
    json_t *j = json_loads(text, JSON_DECODE_ANY, NULL);

    if (j == NULL)
        fail_msg("not JSON: %s", text);
    return j;
}

static void expect(const json_t *got, const char *want)
{
    AUTO(json_free) json_t *w = parse(want);
    AUTO_STR char *text = json_canonical(got);

    if (!json_equal(got, w))
        fail_msg("got %s\nwant %s", text, want);
}

#define A                                                                                          \
    "{\"fleet\":{\"smtp.message_size_limit\":1000000,\"smtp.relay_domains\":{\"a.example\":{},"    \
    "\"b.example\":{\"note\":\"b\"}}},"                                                            \
    "\"groups\":{},\"devices\":{\"d1\":{\"smtp.hostname\":\"x\"}}}"

static void changes_become_content(void **state)
{
    static const struct {
        const char *name, *changes, *want;
    } cases[] = {
        {"plain", "{\"fleet\":{\"smtp.message_size_limit\":5}}",
         "{\"fleet\":{\"smtp.message_size_limit\":5,\"smtp.relay_domains\":{\"a.example\":{},\"b."
         "example\":{\"note\":\"b\"}}},"
         "\"groups\":{},\"devices\":{\"d1\":{\"smtp.hostname\":\"x\"}}}"},
        {"inherit drops the value", "{\"fleet\":{\"smtp.message_size_limit\":{\"$inherit\":true}}}",
         "{\"fleet\":{\"smtp.relay_domains\":{\"a.example\":{},\"b.example\":{\"note\":\"b\"}}},"
         "\"groups\":{},\"devices\":{\"d1\":{\"smtp.hostname\":\"x\"}}}"},
        {"inherit the last one drops the layer",
         "{\"devices\":{\"d1\":{\"smtp.hostname\":{\"$inherit\":true}}}}",
         "{\"fleet\":{\"smtp.message_size_limit\":1000000,\"smtp.relay_domains\":{\"a.example\":{},"
         "\"b.example\":{\"note\":\"b\"}}},"
         "\"groups\":{},\"devices\":{}}"},
        {"rows: one new, one gone, one marked",
         "{\"fleet\":{\"smtp.relay_domains\":{\"c.example\":{},\"a.example\":{\"$inherit\":true}}},"
         "\"groups\":{\"g1\":{\"smtp.relay_domains\":{\"b.example\":{\"$remove\":true}}}}}",
         "{\"fleet\":{\"smtp.message_size_limit\":1000000,\"smtp.relay_domains\":{\"c.example\":{},"
         "\"b.example\":{\"note\":\"b\"}}},"
         "\"groups\":{\"g1\":{\"smtp.relay_domains\":{\"b.example\":{\"$remove\":true}}}},"
         "\"devices\":{\"d1\":{\"smtp.hostname\":\"x\"}}}"},
        {"members of a row merge",
         "{\"fleet\":{\"smtp.relay_domains\":{\"b.example\":{\"subdomains\":true}}}}",
         "{\"fleet\":{\"smtp.message_size_limit\":1000000,\"smtp.relay_domains\":{\"a.example\":{},"
         "\"b.example\":{\"note\":\"b\",\"subdomains\":true}}},"
         "\"groups\":{},\"devices\":{\"d1\":{\"smtp.hostname\":\"x\"}}}"},
        {"unset a list", "{\"fleet\":{\"smtp.relay_domains\":{\"$unset\":true}}}",
         "{\"fleet\":{\"smtp.message_size_limit\":1000000,\"smtp.relay_domains\":{\"$unset\":true}}"
         ","
         "\"groups\":{},\"devices\":{\"d1\":{\"smtp.hostname\":\"x\"}}}"},
    };
    struct err e;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO(json_free)
        json_t *content = parse(A),
               *base = parse(A), *changes = parse(cases[i].changes);
        AUTO(json_free) json_t *diff = NULL, *back = NULL, *again = parse(A), *conflicts = NULL;

        print_message("  %s\n", cases[i].name);
        assert_int_equal(changes_apply(content, changes, &e), ERR_OK);
        expect(content, cases[i].want);
        /* the diff leads there and its inverse back */
        diff = content_diff(base, content);
        assert_int_equal(content_apply(again, diff, false, &conflicts, &e), ERR_OK);
        expect(again, cases[i].want);
        assert_int_equal(json_array_size(conflicts), 0);
        json_decref(TAKE(conflicts));
        back = content_inverse(diff);
        assert_int_equal(content_apply(again, back, false, &conflicts, &e), ERR_OK);
        expect(again, A);
        assert_int_equal(json_array_size(conflicts), 0);
    }
}

static void edits_merge_into_a_draft(void **state)
{
    static const struct {
        const char *name, *changes, *patch, *want;
    } cases[] = {
        {"null takes an edit back", "{\"fleet\":{\"a\":1,\"b\":2}}", "{\"fleet\":{\"a\":null}}",
         "{\"fleet\":{\"b\":2}}"},
        {"null of what is not there", "{}", "{\"fleet\":{\"a\":null,\"l\":{\"r\":null,\"s\":{}}}}",
         "{\"fleet\":{\"l\":{\"s\":{}}}}"},
        {"a marker replaces rows", "{\"fleet\":{\"l\":{\"r\":{\"n\":1}}}}",
         "{\"fleet\":{\"l\":{\"$unset\":true}}}", "{\"fleet\":{\"l\":{\"$unset\":true}}}"},
        {"rows replace a marker", "{\"fleet\":{\"l\":{\"$unset\":true}}}",
         "{\"fleet\":{\"l\":{\"r\":{}}}}", "{\"fleet\":{\"l\":{\"r\":{}}}}"},
        {"a row replaces its marker", "{\"fleet\":{\"l\":{\"r\":{\"$remove\":true},\"q\":{}}}}",
         "{\"fleet\":{\"l\":{\"r\":{\"n\":1}}}}", "{\"fleet\":{\"l\":{\"r\":{\"n\":1},\"q\":{}}}}"},
        {"a value replaces a marker", "{\"fleet\":{\"a\":{\"$inherit\":true}}}",
         "{\"fleet\":{\"a\":3}}", "{\"fleet\":{\"a\":3}}"},
    };
    struct err e;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO(json_free) json_t *changes = parse(cases[i].changes), *patch = parse(cases[i].patch);

        print_message("  %s\n", cases[i].name);
        assert_int_equal(changes_merge(changes, patch, &e), ERR_OK);
        expect(changes, cases[i].want);
    }
}

static void colleagues_changes_are_kept(void **state)
{
    AUTO(json_free)
    json_t *base = parse(A),
           *target = parse(A), *head = parse(A), *diff = NULL, *conflicts = NULL;
    AUTO(json_free)
    json_t *mine = parse(
        "{\"fleet\":{\"smtp.message_size_limit\":5,\"smtp.relay_domains\":{\"mine.example\":{}}}}");
    AUTO(json_free)
    json_t *theirs = parse("{\"fleet\":{\"smtp.message_size_limit\":7,\"smtp.relay_domains\":{"
                           "\"theirs.example\":{}}}}");
    struct err e;

    (void)state;
    assert_int_equal(changes_apply(target, mine, &e), ERR_OK);
    assert_int_equal(changes_apply(head, theirs, &e), ERR_OK);
    diff = content_diff(base, target);
    assert_int_equal(content_apply(head, diff, false, &conflicts, &e), ERR_OK);
    assert_int_equal(json_array_size(conflicts), 1); /* the same leaf; the two rows do not meet */
    assert_string_equal(json_str(json_array_get(conflicts, 0), "key", ""),
                        "smtp.message_size_limit");
    expect(content_get(head, "fleet", "", "smtp.message_size_limit", ""), "7");
    assert_non_null(content_get(head, "fleet", "", "smtp.relay_domains", "mine.example"));
    assert_non_null(content_get(head, "fleet", "", "smtp.relay_domains", "theirs.example"));
    json_decref(TAKE(conflicts));
    assert_int_equal(content_apply(head, diff, true, &conflicts, &e), ERR_OK);
    expect(content_get(head, "fleet", "", "smtp.message_size_limit", ""), "5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_become_content),
        cmocka_unit_test(edits_merge_into_a_draft),
        cmocka_unit_test(colleagues_changes_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
