/* What comes in: gate, parameters, cookies, languages, routes, problems. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/strbuf.h"
#include "http/gate.h"
#include "http/params.h"
#include "http/problem.h"
#include "http/req_source.h"
#include "http/router.h"

#define HOST                                                                                       \
    {                                                                                              \
        "Host", "localhost"                                                                        \
    }

struct gate_case {
    const char *name, *method, *target;
    const char *field[6][2];
    enum err_code want;
};

static const struct gate_case gate_cases[] = {
    {"plain", "GET", "/healthz", {HOST}, ERR_OK},
    {"escapes and query", "GET", "/a%20b/c?x=%00", {HOST}, ERR_OK},
    {"no Host", "GET", "/", {{NULL}}, ERR_MALFORMED},
    {"two Hosts", "GET", "/", {HOST, HOST}, ERR_MALFORMED},
    {"two Hosts, other case", "GET", "/", {HOST, {"hOST", "localhost"}}, ERR_MALFORMED},
    {"Host with a path", "GET", "/", {{"Host", "a/b"}}, ERR_MALFORMED},
    {"Host with user", "GET", "/", {{"Host", "a@b"}}, ERR_MALFORMED},
    {"Host with bad port", "GET", "/", {{"Host", "a:99999"}}, ERR_MALFORMED},
    {"Host IPv6", "GET", "/", {{"Host", "[::1]:8445"}}, ERR_OK},
    {"CL and TE",
     "POST",
     "/",
     {HOST, {"Content-Length", "3"}, {"Transfer-Encoding", "chunked"}},
     ERR_MALFORMED},
    {"two CL",
     "POST",
     "/",
     {HOST, {"Content-Length", "3"}, {"Content-Length", "3"}},
     ERR_MALFORMED},
    {"CL with space", "POST", "/", {HOST, {"Content-Length ", "3"}}, ERR_MALFORMED},
    {"CL sign", "POST", "/", {HOST, {"Content-Length", "+3"}}, ERR_MALFORMED},
    {"CL list", "POST", "/", {HOST, {"Content-Length", "3, 3"}}, ERR_MALFORMED},
    {"CL 2^64-1", "POST", "/", {HOST, {"Content-Length", "18446744073709551615"}}, ERR_MALFORMED},
    {"TE gzip", "POST", "/", {HOST, {"Transfer-Encoding", "gzip, chunked"}}, ERR_MALFORMED},
    {"TE identity", "POST", "/", {HOST, {"Transfer-Encoding", "identity"}}, ERR_MALFORMED},
    {"TE chunked", "POST", "/", {HOST, {"Transfer-Encoding", "Chunked"}}, ERR_OK},
    {"two TE",
     "POST",
     "/",
     {HOST, {"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}},
     ERR_MALFORMED},
    {"body on GET", "GET", "/", {HOST, {"Content-Length", "1"}}, ERR_MALFORMED},
    {"empty body on GET", "GET", "/", {HOST, {"Content-Length", "0"}}, ERR_OK},
    {"control byte in value", "GET", "/", {HOST, {"X", "a\x01z"}}, ERR_MALFORMED},
    {"bare CR in value", "GET", "/", {HOST, {"X", "a\rb"}}, ERR_MALFORMED},
    {"tab in value", "GET", "/", {HOST, {"X", "a\tb"}}, ERR_OK},
    {"name no token", "GET", "/", {HOST, {"X(y)", "a"}}, ERR_MALFORMED},
    {"two Authorization",
     "GET",
     "/",
     {HOST, {"Authorization", "a"}, {"authorization", "b"}},
     ERR_MALFORMED},
    {"two cookies headers",
     "GET",
     "/",
     {HOST, {"Cookie", "a=1"}, {"Cookie", "b=2"}},
     ERR_MALFORMED},
    {"unknown method", "TRACE", "/", {HOST}, ERR_METHOD_NOT_ALLOWED},
    {"lower-case method", "get", "/", {HOST}, ERR_METHOD_NOT_ALLOWED},
    {"absolute target", "GET", "http://evil/", {HOST}, ERR_MALFORMED},
    {"star", "GET", "*", {HOST}, ERR_MALFORMED},
    {"NUL escape", "GET", "/a%00b", {HOST}, ERR_MALFORMED},
    {"newline escape", "GET", "/a%0ab", {HOST}, ERR_MALFORMED},
    {"slash escape", "GET", "/a%2fb", {HOST}, ERR_MALFORMED},
    {"bad escape", "GET", "/a%zz", {HOST}, ERR_MALFORMED},
    {"cut escape", "GET", "/a%2", {HOST}, ERR_MALFORMED},
    {"dot dot", "GET", "/a/../b", {HOST}, ERR_MALFORMED},
    {"dot dot escaped", "GET", "/a/%2e%2E/b", {HOST}, ERR_MALFORMED},
    {"dot", "GET", "/a/./b", {HOST}, ERR_MALFORMED},
    {"three dots", "GET", "/a/.../b", {HOST}, ERR_OK},
    {"file with dots", "GET", "/assets/a..b.js", {HOST}, ERR_OK},
    {"backslash", "GET", "/a\\b", {HOST}, ERR_MALFORMED},
    {"not ASCII", "GET", "/\xc3\xa4", {HOST}, ERR_MALFORMED},
    {"fragment", "GET", "/a#b", {HOST}, ERR_MALFORMED},
    {"coded body", "POST", "/", {HOST, {"Content-Encoding", "gzip"}}, ERR_UNSUPPORTED_MEDIA_TYPE},
    {"body with zstd", "POST", "/", {HOST, {"Content-Encoding", "Zstd"}}, ERR_OK},
    {"two codings", "POST", "/", {HOST, {"Content-Encoding", "zstd, zstd"}}, ERR_UNSUPPORTED_MEDIA_TYPE},
    {"odd expectation", "POST", "/", {HOST, {"Expect", "coffee"}}, ERR_MALFORMED},
};

static void gate_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(gate_cases); i++) {
        const struct gate_case *c = &gate_cases[i];
        struct gate_field fields[6];
        struct gate_result result;
        struct err e = {0};
        size_t n = 0;
        for (; n < 6 && c->field[n][0] != NULL; n++)
            fields[n] = (struct gate_field){slice_of(c->field[n][0]), slice_of(c->field[n][1])};
        enum err_code got =
            gate_check(&(struct gate_request){slice_of(c->method), slice_of("HTTP/1.1"),
                                              slice_of(c->target), fields, n},
                       &result, &e);
        if (got != c->want)
            fail_msg("%s: %s (%s)", c->name, err_word(got), e.msg);
    }
}

static void gate_versions(void **state)
{
    static const char *const bad[] = {"HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1"};
    struct gate_field host = {slice_of("Host"), slice_of("localhost")};
    struct gate_result result;
    struct err e;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(gate_check(&(struct gate_request){slice_of("GET"), slice_of(bad[i]),
                                                           slice_of("/"), &host, 1},
                                    &result, &e),
                         ERR_MALFORMED);
}

static void hosts_are_normalised(void **state)
{
    static const struct {
        const char *in, *want;
    } cases[] = {{"Parent.Example:8445", "parent.example"},
                 {"parent.example.", "parent.example"},
                 {"[::1]:1", "::1"},
                 {"[FE80::1]", "fe80::1"},
                 {"10.0.0.1", "10.0.0.1"},
                 {"", NULL},
                 {":8445", NULL},
                 {"[::1", NULL},
                 {"a b", NULL},
                 {"a,b", NULL},
                 {"a:", NULL},
                 {"[::1]x", NULL}};
    char got[GATE_HOST_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        bool ok = gate_host(slice_of(cases[i].in), got);
        assert_int_equal(ok, cases[i].want != NULL);
        if (ok)
            assert_string_equal(got, cases[i].want);
    }
}

static void params_table(void **state)
{
    static const struct {
        const char *text, *name, *want; /* want NULL: refused; name NULL: accepted */
    } cases[] = {{"a=1&b=2", "b", "2"}, {"a=x+y%2B", "a", "x y+"},
                 {"a", "a", ""},        {"a=%E3%81%82", "a", "\xe3\x81\x82"},
                 {"&&a=1&", "a", "1"},  {"a=1&a=2", "a", NULL},
                 {"a=%00", "a", NULL},  {"a=%0A", "a", NULL},
                 {"a=%ff", "a", NULL},  {"a=%4", "a", NULL},
                 {"a=%", "a", NULL},    {"a=b=c", "a", "b=c"},
                 {"%61=1", "a", "1"},   {"%61=1&a=2", "a", NULL}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
        struct param_list p;
        struct err e = {0};
        enum err_code rc = params_parse(slice_of(cases[i].text), a, &p, &e);
        if ((rc == ERR_OK) != (cases[i].want != NULL))
            fail_msg("%s: %s", cases[i].text, e.msg);
        if (rc == ERR_OK)
            assert_string_equal(params_get(&p, cases[i].name), cases[i].want);
    }
}

static void params_are_bounded(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(4096);
    struct param_list p;
    struct err e;

    (void)state;
    for (int i = 0; i <= PARAMS_MAX; i++)
        strbuf_printf(&b, "p%d=1&", i);
    assert_int_equal(params_parse(strbuf_slice(&b), a, &p, &e), ERR_MALFORMED);
}

static void cookies(void **state)
{
    static const struct {
        const char *header, *want;
    } cases[] = {{"__Host-inari=abc", "abc"},
                 {"x=1; __Host-inari=abc; y=2", "abc"},
                 {"__Host-inariX=abc", NULL},
                 {"__Host-inari=", NULL},
                 {"__Host-inari=a b", NULL},
                 {"__Host-inari=a; __Host-inari=b", NULL},
                 {"__Host-inari=\"abc\"", NULL},
                 {"", NULL},
                 {"x__Host-inari=abc", NULL},
                 {"__Host-inari=01234567890123456789012345678901234567890", NULL}};
    char got[40];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        bool ok = cookie_find(slice_of(cases[i].header), "__Host-inari", got, sizeof got);
        if (ok != (cases[i].want != NULL))
            fail_msg("%s", cases[i].header);
        if (ok)
            assert_string_equal(got, cases[i].want);
    }
}

static void languages(void **state)
{
    static const struct {
        const char *header;
        int want; /* -1: none */
    } cases[] = {{"ja", LANG_JA},
                 {"ja-JP,en;q=0.5", LANG_JA},
                 {"en;q=0.5, ja;q=0.8", LANG_JA},
                 {"de, en;q=0.1", LANG_EN},
                 {"fr", -1},
                 {"", -1},
                 {"ja;q=0", -1},
                 {"ja;q=x, en", LANG_EN},
                 {"EN-us", LANG_EN},
                 {"jap", -1}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        enum lang lang = LANG_EN;
        bool ok = accept_language(slice_of(cases[i].header), &lang);
        if ((ok ? (int)lang : -1) != cases[i].want)
            fail_msg("%s", cases[i].header);
    }
}

static void etags(void **state)
{
    (void)state;
    assert_true(etag_listed(slice_of("\"7\""), "7", false));
    assert_true(etag_listed(slice_of("\"6\", \"7\""), "7", false));
    assert_true(etag_listed(slice_of("*"), "7", false));
    assert_false(etag_listed(slice_of("W/\"7\""), "7", false));
    assert_true(etag_listed(slice_of("W/\"7\""), "7", true));
    assert_false(etag_listed(slice_of("7"), "7", true));
    assert_false(etag_listed(slice_of("\"77\""), "7", true));
}

static enum err_code nothing(struct req *rq, struct reply *rp, struct err *e)
{
    (void)rq;
    (void)rp;
    return err_set(e, ERR_NOT_FOUND, "nothing");
}

static const struct route table[] = {
    {"GET", "/", nothing, PERM_NONE, 0, 0},
    {"GET", "/a/{id}", nothing, PERM_NONE, 0, 0},
    {"DELETE", "/a/{id}", nothing, PERM_NONE, 0, 0},
    {"POST", "/a/list", nothing, PERM_NONE, 0, 0},
    {"GET", "/a/list", nothing, PERM_NONE, 0, 0},
    {"PUT", "/a/{id}/b/{x}", nothing, PERM_NONE, 0, 0},
    {NULL, NULL, NULL, 0, 0, 0},
};

static void routes_are_found(void **state)
{
    static const struct {
        const char *method, *path;
        int want; /* index; -404, -405 */
    } cases[] = {{"GET", "/", 0},
                 {"GET", "/a/7", 1},
                 {"HEAD", "/a/7", 1},
                 {"DELETE", "/a/7", 2},
                 {"GET", "/a/list", 4},
                 {"POST", "/a/list", 3},
                 {"POST", "/a/7", -405},
                 {"PUT", "/a/7/b/8", 5},
                 {"GET", "/a/", -404},
                 {"GET", "/a", -404},
                 {"GET", "/a/7/", -404},
                 {"PUT", "/a//b/8", -404},
                 {"DELETE", "/a/list", 2},
                 {"GET", "//a/7", -404},
                 {"GET", "/1/2/3/4/5/6/7/8/9/10/11", -404}};
    struct router *r = router_new(table);

    (void)state;
    assert_non_null(r);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct router_match m;
        struct err e;
        enum err_code rc =
            router_find(r, slice_of(cases[i].method), slice_of(cases[i].path), &m, &e);
        int got = rc == ERR_OK ? (int)m.index : -err_http_status(rc);
        if (got != cases[i].want)
            fail_msg("%s %s: %d", cases[i].method, cases[i].path, got);
    }
    router_free(r);
}

static void placeholders_and_allow(void **state)
{
    struct router *r = router_new(table);
    struct router_match m;
    struct err e;

    (void)state;
    assert_int_equal(router_find(r, slice_of("PUT"), slice_of("/a/x%20y/b/z"), &m, &e), ERR_OK);
    assert_true(slice_is(m.param[0], "x%20y"));
    assert_true(slice_is(m.param[1], "z"));
    assert_int_equal(router_find(r, slice_of("PATCH"), slice_of("/a/7"), &m, &e),
                     ERR_METHOD_NOT_ALLOWED);
    assert_string_equal(m.allow, "GET, DELETE");
    router_free(r);
}

static void problems(void **state)
{
    struct err e = {0};
    const char *text;
    json_t *doc;

    (void)state;
    (void)err_field(&e, ERR_INVALID, "/name", "name is too long");
    doc = problem_json(&e, NULL, LANG_JA, "abc", NULL);
    assert_string_equal(json_str(doc, "type", ""), "urn:inari:problem:invalid");
    assert_string_equal(json_str(doc, "title", ""), problem_texts[ERR_INVALID].title[LANG_JA]);
    assert_string_equal(json_str(json_array_get(json_object_get(doc, "errors"), 0), "pointer", ""),
                        "/name");
    json_decref(doc);
    (void)err_set(&e, ERR_INTERNAL, "relation \"x\" does not exist in /srv/secret.c");
    doc = problem_json(&e, NULL, LANG_EN, "abc", NULL);
    text = json_str(doc, "detail", "");
    assert_string_equal(text, problem_texts[ERR_INTERNAL].title[LANG_EN]);
    assert_string_equal(json_str(doc, "request_id", ""), "abc");
    json_decref(doc);
}

static void if_match(void **state)
{
    struct gate_field f = {slice_of("If-Match"), slice_of("\"3\"")};
    struct req_source src = {.fields = &f, .n_fields = 1};
    struct req rq = {.conn = &src};
    struct err e;

    (void)state;
    assert_int_equal(req_if_match(&rq, "3", &e), ERR_OK);
    assert_int_equal(req_if_match(&rq, "4", &e), ERR_STALE_EDIT);
    src.n_fields = 0;
    assert_int_equal(req_if_match(&rq, "4", &e), ERR_PRECONDITION_REQUIRED);
}

static void long_header_is_left_out(void **state)
{
    struct reply rp = {0};
    char text[sizeof rp.header[0].value + 2];

    (void)state;
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    reply_header(&rp, "Set-Cookie", "%s", text);
    assert_int_equal(rp.n_headers, 0);
    reply_header(&rp, "X", "%d", 7);
    assert_int_equal(rp.n_headers, 1);
    assert_string_equal(rp.header[0].value, "7");
}

static void plain_formats(void **state)
{
    static const long long numbers[] = {0, 7, -7, 1234567890123LL, INT64_MAX, INT64_MIN};
    char want[32];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        struct reply rp = {0};
        reply_header(&rp, "X", "%lld", numbers[i]);
        (void)snprintf(want, sizeof want, "%lld", numbers[i]);
        assert_string_equal(rp.header[0].value, want);
        reply_header(&rp, "X", "%s", want);
        assert_string_equal(rp.header[1].value, want);
        reply_header(&rp, "X", "plain");
        assert_string_equal(rp.header[2].value, "plain");
        reply_header(&rp, "X", "%d-%s", 5, "x");
        assert_string_equal(rp.header[3].value, "5-x");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gate_table),
        cmocka_unit_test(gate_versions),
        cmocka_unit_test(hosts_are_normalised),
        cmocka_unit_test(params_table),
        cmocka_unit_test(params_are_bounded),
        cmocka_unit_test(cookies),
        cmocka_unit_test(languages),
        cmocka_unit_test(etags),
        cmocka_unit_test(routes_are_found),
        cmocka_unit_test(placeholders_and_allow),
        cmocka_unit_test(problems),
        cmocka_unit_test(if_match),
        cmocka_unit_test(long_header_is_left_out),
        cmocka_unit_test(plain_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
