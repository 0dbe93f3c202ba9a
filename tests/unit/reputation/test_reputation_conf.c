#include "reputation/reputation_conf.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static uint32_t code(const char *text)
{
    struct in_addr a;

    assert_int_equal(inet_pton(AF_INET, text, &a), 1);
    return ntohl(a.s_addr);
}

static void zone_names(void **state)
{
    static const struct {
        const char *text, *want; /* NULL: refused */
    } rows[] = {
        {"zen.example.org", "zen.example.org"},
        {"ZEN.Example.Org.", "zen.example.org"},
        {"bl-1.x", "bl-1.x"},
        {"", NULL},
        {".", NULL},
        {"a..b", NULL},
        {".a", NULL},
        {"a b", NULL},
        {"a/b", NULL},
        {"a\xc3\xa9", NULL},
        {"a.b;", NULL},
    };
    char got[REP_ZONE_NAME_SIZE], longest[REP_ZONE_NAME_MAX + 2];
    struct err e;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum err_code rc = reputation_conf_zone_name(slice_of(rows[i].text), got, &e);
        if (rc != (rows[i].want == NULL ? ERR_INVALID : ERR_OK))
            fail_msg("%s: %d", rows[i].text, rc);
        if (rows[i].want != NULL)
            assert_string_equal(got, rows[i].want);
    }
    memset(longest, 'a', sizeof longest);
    for (size_t i = 63; i < sizeof longest; i += 64)
        longest[i] = '.';
    assert_int_equal(reputation_conf_zone_name((struct slice){longest, REP_ZONE_NAME_MAX}, got, &e),
                     ERR_OK);
    assert_int_equal(
        reputation_conf_zone_name((struct slice){longest, REP_ZONE_NAME_MAX + 1}, got, &e),
        ERR_INVALID);
    longest[63] = 'a'; /* a label of 64 and more */
    assert_int_equal(reputation_conf_zone_name((struct slice){longest, 100}, got, &e), ERR_INVALID);
}

static void resolvers(void **state)
{
    static const char *const rows[][2] = {
        {"127.0.0.1", "127.0.0.1:53"},
        {"127.0.0.1:5353", "127.0.0.1:5353"},
        {"2001:db8::1", "[2001:db8::1]:53"},
        {"[2001:db8::1]:5353", "[2001:db8::1]:5353"},
        {"[2001:db8::1]", "[2001:db8::1]:53"},
        {"", NULL},
        {"dns.example.org", NULL},
        {"127.0.0.1:0", NULL},
        {"127.0.0.1:65536", NULL},
        {"127.0.0.1:", NULL},
        {"[127.0.0.1]:53", NULL},
        {"[2001:db8::1", NULL},
        {"127.0.0.1:53,192.0.2.1", NULL},
    };
    char got[REP_RESOLVER_SIZE];
    struct err e;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum err_code rc = reputation_conf_resolver(slice_of(rows[i][0]), got, &e);
        if (rc != (rows[i][1] == NULL ? ERR_INVALID : ERR_OK))
            fail_msg("%s: %d", rows[i][0], rc);
        if (rows[i][1] != NULL)
            assert_string_equal(got, rows[i][1]);
    }
}

static void codes_of_an_answer(void **state)
{
    static const struct {
        const char *codes, *code;
        enum rep_action want;
    } rows[] = {
        {"", "127.0.0.2", REP_REJECT},
        {"", "127.0.0.254", REP_REJECT},
        {"", "127.0.0.1", REP_PASS},
        {"", "127.0.1.2", REP_PASS},
        {"127.0.0.2", "127.0.0.2", REP_REJECT},
        {"127.0.0.2", "127.0.0.3", REP_PASS},
        {"127.0.0.2-127.0.0.11 127.0.0.10=defer", "127.0.0.9", REP_REJECT},
        {"127.0.0.2-127.0.0.11 127.0.0.10=defer", "127.0.0.10", REP_DEFER},
        {"127.0.0.10=defer 127.0.0.2-127.0.0.11", "127.0.0.10", REP_DEFER},
        {"  127.0.0.4=log   127.0.0.5=approve ", "127.0.0.4", REP_LOG},
        {"  127.0.0.4=log   127.0.0.5=approve ", "127.0.0.5", REP_APPROVE},
        {"127.0.0.4=log 127.0.0.4=defer", "127.0.0.4", REP_DEFER},
    };
    static const char *const bad[] = {
        "127.0.0.2-",
        "-127.0.0.2",
        "127.0.0.9-127.0.0.2",
        "128.0.0.2",
        "127.255.255.1",
        "127.0.0.2=maybe",
        "127.0.0.2=",
        "127.0.0",
        "x",
        "127.0.0.2-127.0.0.3-127.0.0.4",
        "127.0.0.2=unknown",
        "127.0.0.2=pass",
    };
    struct rep_codes codes;
    struct err e;
    char many[(REP_CODES_MAX + 1) * 10 + 1] = "";

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(reputation_conf_codes(slice_of(rows[i].codes), REP_REJECT, &codes, &e),
                         ERR_OK);
        if (rep_codes_action(&codes, code(rows[i].code)) != rows[i].want)
            fail_msg("row %zu", i);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (reputation_conf_codes(slice_of(bad[i]), REP_REJECT, &codes, &e) != ERR_INVALID)
            fail_msg("%s", bad[i]);
        assert_true(e.msg[0] != '\0');
    }
    for (size_t i = 0; i <= REP_CODES_MAX; i++)
        memcpy(many + i * 10, "127.0.0.2 ", 11);
    assert_int_equal(reputation_conf_codes(slice_of(many), REP_REJECT, &codes, &e), ERR_INVALID);
    many[REP_CODES_MAX * 10] = '\0';
    assert_int_equal(reputation_conf_codes(slice_of(many), REP_REJECT, &codes, &e), ERR_OK);
}

static void words(void **state)
{
    enum rep_profile profile;
    enum rep_action action;
    struct err e;

    (void)state;
    assert_int_equal(reputation_conf_profile(slice_of("advanced"), &profile, &e), ERR_OK);
    assert_int_equal(profile, REP_ADVANCED);
    assert_int_equal(reputation_conf_default(REP_STANDARD), REP_REJECT);
    assert_int_equal(reputation_conf_default(REP_ADVANCED), REP_DEFER);
    assert_int_equal(reputation_conf_default(REP_ALLOW), REP_APPROVE);
    assert_int_equal(reputation_conf_profile(slice_of("Advanced"), &profile, &e), ERR_INVALID);
    assert_int_equal(reputation_conf_action(slice_of("defer"), &action, &e), ERR_OK);
    assert_int_equal(action, REP_DEFER);
    assert_int_equal(reputation_conf_action(slice_of("unknown"), &action, &e), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zone_names),
        cmocka_unit_test(resolvers),
        cmocka_unit_test(codes_of_an_answer),
        cmocka_unit_test(words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
