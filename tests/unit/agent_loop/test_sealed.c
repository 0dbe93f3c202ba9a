/* Secrets of a bundle, opened with the keys of this device and with no other. */
#include "loop/sealed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ONE "019ab000-0000-7000-8000-0000000000a1"
#define TWO "019ab000-0000-7000-8000-0000000000a2"

static struct jose_key *key[4]; /* old, in force, next, somebody else's */

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(key); i++)
        key[i] = jose_key_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(key); i++)
        jose_key_free(key[i]);
    return 0;
}

static struct identity device(void)
{
    return (struct identity){.old.enc = key[0], .key.enc = key[1], .next.enc = key[2]};
}

static json_t *sealed(const struct jose_key *to, const char *text)
{
    AUTO_STR char *jwe = NULL;

    assert_int_equal(jose_jwe_encrypt(to, slice_of(text), &jwe, NULL), ERR_OK);
    return json_string(jwe);
}

static enum err_code open_it(const struct identity *id, json_t *boxes, json_t **ret, struct err *e)
{
    const struct bundle b = {.sealed = boxes};

    return sealed_open(id, &b, ret, e);
}

/* A bundle outlives a renewal of keys, before and after it. */
static void any_key_of_this_device(void **state)
{
    const struct identity id = device();

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        AUTO(json_free) json_t *boxes = json_object();
        json_t *out = NULL;
        struct err e = {0};
        json_object_set_new(boxes, ONE, sealed(key[i], "first"));
        json_object_set_new(boxes, TWO, sealed(key[1], "s\xc3\xa9"));
        assert_int_equal(open_it(&id, boxes, &out, &e), ERR_OK);
        assert_int_equal(json_object_size(out), 2);
        assert_string_equal(json_str(out, ONE, ""), "first");
        assert_string_equal(json_str(out, TWO, ""), "s\xc3\xa9");
        sealed_wipe(out);
    }
}

static void nobody_elses(void **state)
{
    const struct identity id = device(), bare = {.key.enc = key[1]};
    AUTO(json_free) json_t *boxes = json_object();
    json_t *out = (json_t *)1;
    struct err e = {0};

    (void)state;
    json_object_set_new(boxes, TWO, sealed(key[1], "mine"));
    json_object_set_new(boxes, ONE, sealed(key[3], "theirs"));
    assert_int_equal(open_it(&id, boxes, &out, &e), ERR_SIGNATURE);
    assert_null(out); /* not even those that opened */
    assert_non_null(strstr(e.msg, ONE));
    json_object_set_new(boxes, ONE, sealed(key[0], "before"));
    assert_int_equal(open_it(&bare, boxes, &out, &e), ERR_SIGNATURE);
    assert_int_equal(open_it(&id, boxes, &out, &e), ERR_OK);
    sealed_wipe(out);
}

static void none(void **state)
{
    const struct identity id = device();
    AUTO(json_free) json_t *boxes = json_object();
    json_t *out = (json_t *)1;
    struct err e = {0};

    (void)state;
    assert_int_equal(open_it(&id, boxes, &out, &e), ERR_OK);
    assert_null(out);
    out = (json_t *)1;
    assert_int_equal(open_it(&id, NULL, &out, &e), ERR_OK);
    assert_null(out);
    sealed_wipe(NULL);
}

static void not_of_our_kind(void **state)
{
    const struct identity id = device();
    AUTO_STR char *huge = malloc(6000);
    struct {
        const char *name;
        json_t *value;
        enum err_code want;
    } rows[] = {
        {"not-an-id", sealed(key[1], "x"), ERR_MALFORMED},
        {ONE, json_integer(7), ERR_MALFORMED},
        {ONE, json_null(), ERR_MALFORMED},
        {ONE, json_string(""), 0},
        {ONE, json_string("a.b.c.d.e"), 0},
        {ONE, NULL, ERR_MALFORMED},
    };

    (void)state;
    memset(huge, 'a', 6000);
    huge[5999] = '\0';
    rows[5].value = sealed(key[1], huge);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(json_free) json_t *boxes = json_object();
        json_t *out = (json_t *)1;
        struct err e = {0};
        enum err_code rc;
        json_object_set_new(boxes, rows[i].name, rows[i].value);
        rc = open_it(&id, boxes, &out, &e);
        if (rc == ERR_OK || (rows[i].want != 0 && rc != rows[i].want))
            fail_msg("row %zu: %d", i, (int)rc);
        assert_null(out);
    }
}

static void not_without_end(void **state)
{
    const struct identity id = device();
    AUTO(json_free) json_t *boxes = json_object();
    json_t *out = (json_t *)1;
    struct err e = {0};

    (void)state;
    for (int i = 0; i < 65; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "019ab000-0000-7000-8000-%012d", i);
        json_object_set_new(boxes, name, sealed(key[1], "x"));
    }
    assert_int_equal(open_it(&id, boxes, &out, &e), ERR_TOO_LARGE);
    assert_null(out);
    json_object_del(boxes, "019ab000-0000-7000-8000-000000000000");
    assert_int_equal(open_it(&id, boxes, &out, &e), ERR_OK);
    assert_int_equal(json_object_size(out), 64);
    sealed_wipe(out);
}

/* One flipped bit anywhere, and nothing comes out of it. */
static void damaged(void **state)
{
    const struct identity id = device();
    json_t *good = sealed(key[1], "the text");
    AUTO_STR char *text = strdup(json_string_value(good));

    (void)state;
    json_decref(good);
    for (size_t i = 0; i + 1 < strlen(text);
         i += 3) { /* the last digit has bits that mean nothing */
        AUTO(json_free) json_t *boxes = json_object();
        json_t *out = NULL;
        struct err e = {0};
        char was = text[i];
        text[i] = was == 'A' ? 'B' : 'A';
        json_object_set_new(boxes, ONE, json_string(text));
        if (open_it(&id, boxes, &out, &e) == ERR_OK)
            fail_msg("byte %zu changed and opened", i);
        assert_null(out);
        text[i] = was;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_key_of_this_device),
        cmocka_unit_test(nobody_elses),
        cmocka_unit_test(none),
        cmocka_unit_test(not_of_our_kind),
        cmocka_unit_test(not_without_end),
        cmocka_unit_test(damaged),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
