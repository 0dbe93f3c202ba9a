/* json_in.h: foreign JSON (protocol.md 7 A13, A15; security.md 0.5). */
#include "json/json_in.h"
#include "proto/proto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

static void test_refused(void **state)
{
    static const struct {
        const char *text;
        size_t n;
    } t[] = {{"", 0}, {"1", 1}, {"\"a\"", 3}, {"{\"a\":1,\"a\":2}", 13}, {"{\"a\":1}x", 8}, {"{'a':1}", 7},
             {"{\"a\":\"\xff\"}", 9}, {"[1,]", 4}, {"123\0", 4}, {"{\"a\":1}\0", 8}, {"nul", 3}, {"{\"\\u0000\":1}", 12}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        json_t *j = NULL;
        if (json_in_parse((struct slice){t[i].text, t[i].n}, 1000, &j, NULL) == ERR_OK)
            fail_msg("accepted row %zu", i);
    }
}

static void test_depth_and_size(void **state)
{
    enum { DEEP = 10000 };
    char *text = malloc(DEEP);
    json_t *j = NULL;
    struct err e = {0};

    (void)state;
    memset(text, '[', DEEP);
    assert_int_equal(json_in_parse((struct slice){text, DEEP}, 2 * DEEP, &j, &e), ERR_MALFORMED);
    assert_non_null(strstr(e.msg, "deeper"));
    assert_int_equal(json_in_parse((struct slice){text, DEEP}, DEEP - 1, &j, &e), ERR_TOO_LARGE);
    free(text);
    /* braces inside strings are no depth */
    assert_int_equal(json_in_parse(slice_of("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[\"}"), 1000, &j, &e), ERR_OK);
    json_decref(j);
}

struct target {
    const char *name, *id;
    int64_t count, when;
    bool on;
    int colour;
};
static const char *const colours[] = {"red", "green", NULL};
static const struct jdec_field fields[] = {
    JDEC_STR(struct target, name, JD_REQUIRED, 1, 5), JDEC_UUID(struct target, id, 0),
    JDEC_INT(struct target, count, 0, 1, 9),          JDEC_TIME(struct target, when, 0),
    JDEC_BOOL(struct target, on, 0),                  JDEC_ENUM(struct target, colour, JD_NULL_OK, colours),
    JDEC_END,
};

static void test_decode(void **state)
{
    static const struct {
        const char *text, *pointer; /* NULL: good */
    } t[] = {
        {"{\"name\":\"a\"}", NULL},
        {"{\"name\":\"a\",\"colour\":\"green\",\"count\":9,\"on\":true}", NULL},
        {"{\"name\":\"a\",\"colour\":null}", NULL},
        {"{}", "/name"},
        {"{\"name\":\"\"}", "/name"},
        {"{\"name\":\"abcdef\"}", "/name"},
        {"{\"name\":\"a\\nb\"}", "/name"},
        {"{\"name\":1}", "/name"},
        {"{\"name\":\"a\",\"count\":10}", "/count"},
        {"{\"name\":\"a\",\"count\":1.0}", "/count"},
        {"{\"name\":\"a\",\"on\":1}", "/on"},
        {"{\"name\":\"a\",\"colour\":\"blue\"}", "/colour"},
        {"{\"name\":\"a\",\"id\":\"x\"}", "/id"},
        {"{\"name\":\"a\",\"when\":\"yesterday\"}", "/when"},
        {"{\"name\":\"a\",\"x/y~z\":1}", "/x~1y~0z"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        AUTO(json_free) json_t *j = NULL;
        struct target v = {0};
        struct err e = {0};
        enum err_code rc;
        assert_int_equal(json_in_parse(slice_of(t[i].text), 1000, &j, &e), ERR_OK);
        rc = jdec_object(j, fields, JD_REFUSE_UNKNOWN, "", &v, &e);
        if ((rc == ERR_OK) != (t[i].pointer == NULL) || (rc != ERR_OK && strcmp(e.pointer, t[i].pointer) != 0))
            fail_msg("row %zu: %s at %s", i, e.msg, e.pointer);
    }
}

static void test_merge_patch(void **state)
{
    /* RFC 7396, appendix A */
    static const char *const t[][3] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"e\":null}", "{\"a\":1}", "{\"a\":1,\"e\":null}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        AUTO(json_free) json_t *target = json_loads(t[i][0], 0, NULL);
        AUTO(json_free) json_t *patch = json_loads(t[i][1], 0, NULL);
        AUTO_STR char *got = NULL;
        assert_int_equal(json_merge_patch(&target, patch, NULL), ERR_OK);
        got = json_canonical(target);
        assert_string_equal(got, t[i][2]);
    }
}

static void test_digest_is_canonical(void **state)
{
    AUTO(json_free) json_t *a = json_loads("{\"b\":[1,2],\"a\":{\"y\":true,\"x\":\"\\u00e9\"}}", 0, NULL);
    AUTO(json_free) json_t *b = json_loads(" { \"a\" : {\"x\":\"\xc3\xa9\", \"y\":true}, \"b\":[1, 2]}", 0, NULL);
    AUTO(json_free) json_t *c = json_loads("{\"b\":[2,1],\"a\":{\"y\":true,\"x\":\"\\u00e9\"}}", 0, NULL);
    char da[65], db[65], dc[65];

    (void)state;
    assert_true(proto_content_digest(a, da) && proto_content_digest(b, db) && proto_content_digest(c, dc));
    assert_string_equal(da, db);
    assert_string_not_equal(da, dc);
}

static void test_join_string(void **state)
{
    struct proto_join j = {.addresses = json_pack("[s]", "https://parent.example:8445"),
                           .pins = json_pack("[s]", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
                           .fleet = "01900000-0000-7000-8000-000000000000",
                           .token = "0123456789abcdef",
                           .expires_ms = 1795303277000};
    struct proto_join back = {0};
    struct err e = {0};
    AUTO_STR char *text = NULL;

    (void)state;
    assert_int_equal(proto_join_format(&j, &text, &e), ERR_OK);
    assert_int_equal(proto_join_parse(slice_of(text), &back, &e), ERR_OK);
    assert_string_equal(back.token, j.token);
    assert_string_equal(back.fleet, j.fleet);
    assert_true(back.expires_ms == j.expires_ms);
    proto_join_clear(&back);
    for (size_t cut = 0; cut < strlen(text); cut += 3) /* every truncation is refused */
        assert_int_not_equal(proto_join_parse((struct slice){text, cut}, &back, &e), ERR_OK);
    json_array_append_new(j.addresses, json_string("http://plain.example"));
    free(TAKE(text));
    assert_int_equal(proto_join_format(&j, &text, &e), ERR_OK);
    assert_int_equal(proto_join_parse(slice_of(text), &back, &e), ERR_INVALID);
    proto_join_clear(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_depth_and_size),      cmocka_unit_test(test_decode),
        cmocka_unit_test(test_merge_patch), cmocka_unit_test(test_digest_is_canonical), cmocka_unit_test(test_join_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
