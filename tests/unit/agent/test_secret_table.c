/* The one file of a host with clear texts in it: what is written, and when it counts as untouched.
 */
#include "targets/secret_table.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ONE "019ab000-0000-7000-8000-0000000000a1"
#define TWO "019ab000-0000-7000-8000-0000000000a2"

static char dir[64], path[128];
static const struct plan_table table = {.name = "auth",
                                        .type = "texthash",
                                        .content = "[mail.test]:587 mx:" CATALOG_SEALED ONE
                                                   "\nother.test x:" CATALOG_SEALED TWO "\n",
                                        .secret = true};

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/inari-secret-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/auth", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(dir);
}

static json_t *secrets(void)
{
    return json_pack("{s:s,s:s}", ONE, "Pa55 $x:y#z", TWO, "second");
}

static char *content(void)
{
    char *text = NULL;
    size_t n = 0;

    assert_int_equal(file_read(path, 4096, &text, &n, NULL), ERR_OK);
    return text;
}

static void write_it(void)
{
    AUTO(json_free) json_t *s = secrets();
    struct err e = {0};

    assert_int_equal(secret_table_write(dir, &table, s, &e), ERR_OK);
}

static void put(const char *text, mode_t mode)
{
    assert_int_equal(file_write_atomic(path, slice_of(text), 0600, NULL), ERR_OK);
    assert_int_equal(chmod(path, mode), 0);
}

static void texts_in_their_places(void **state)
{
    struct stat st;

    (void)state;
    write_it();
    {
        AUTO_STR char *text = content();
        const char *body = strchr(text, '\n');
        assert_non_null(body);
        assert_string_equal(body + 1, "[mail.test]:587 mx:Pa55 $x:y#z\nother.test x:second\n");
        assert_int_equal(text[0], '#');
    }
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_true(secret_table_ok(path, &table));
}

/* The first line can be tried against only by somebody who may read the rest anyway. */
static void the_checksum_is_salted(void **state)
{
    (void)state;
    write_it();
    {
        AUTO_STR char *first = content();
        assert_int_equal(unlink(path), 0);
        write_it();
        AUTO_STR char *second = content();
        assert_int_not_equal(strncmp(first, second, strcspn(first, "\n")), 0);
    }
}

/* What is there and right stays: no text is needed, and none is written anew. */
static void there_already(void **state)
{
    struct stat before, after;
    struct err e = {0};

    (void)state;
    write_it();
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(secret_table_write(dir, &table, NULL, &e), ERR_OK);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
}

static void a_text_that_did_not_come(void **state)
{
    AUTO(json_free) json_t *s = json_pack("{s:s}", ONE, "first");
    struct err e = {0};

    (void)state;
    assert_int_equal(secret_table_write(dir, &table, s, &e), ERR_CONFLICT);
    assert_non_null(strstr(e.msg, "auth"));
    assert_null(strstr(e.msg, "first"));
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(secret_table_write(dir, &table, NULL, &e), ERR_CONFLICT);
}

/* A second line of a table would be one of its own. */
static void a_text_of_two_lines(void **state)
{
    AUTO(json_free) json_t *s = json_pack("{s:s,s:s}", ONE, "a\nevil.test x:y", TWO, "b");
    struct err e = {0};

    (void)state;
    assert_int_equal(secret_table_write(dir, &table, s, &e), ERR_INVALID);
    assert_null(strstr(e.msg, "evil"));
    assert_int_equal(access(path, F_OK), -1);
}

static void every_change_shows(void **state)
{
    (void)state;
    write_it();
    AUTO_STR char *good = content();
    size_t n = strlen(good);

    for (size_t i = 0; i < n; i++) {
        char was = good[i];
        good[i] = (char)(was ^ 1);
        put(good, 0600);
        if (secret_table_ok(path, &table))
            fail_msg("byte %zu changed and taken for untouched", i);
        good[i] = was;
    }
    for (size_t cut = 0; cut < n; cut++) {
        char was = good[cut];
        good[cut] = '\0';
        put(good, 0600);
        if (secret_table_ok(path, &table))
            fail_msg("cut at %zu and taken for untouched", cut);
        good[cut] = was;
    }
    put(good, 0600);
    assert_true(secret_table_ok(path, &table));
    write_it(); /* and what was changed is put right */
    put("x\n", 0600);
    write_it();
    assert_true(secret_table_ok(path, &table));
}

static void others_may_not_read_it(void **state)
{
    static const mode_t modes[] = {0644, 0640, 0604, 0700, 0400, 04600};
    char aside[160];

    (void)state;
    write_it();
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_false(secret_table_ok(path, &table));
    }
    assert_int_equal(chmod(path, 0600), 0);
    assert_true(secret_table_ok(path, &table));
    if (geteuid() == 0) { /* somebody else's, who could change it at any time */
        assert_int_equal(chown(path, 65534, (gid_t)-1), 0);
        assert_false(secret_table_ok(path, &table));
        assert_int_equal(chown(path, 0, (gid_t)-1), 0);
    }
    (void)snprintf(aside, sizeof aside, "%s.real", path);
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(symlink(aside, path), 0);
    assert_false(secret_table_ok(path, &table));
    assert_int_equal(unlink(aside), 0);
}

/* The texts are right, but the plan means another host now. */
static void of_another_plan(void **state)
{
    struct plan_table other = table;

    (void)state;
    write_it();
    other.content =
        "[mail.test]:587 my:" CATALOG_SEALED ONE "\nother.test x:" CATALOG_SEALED TWO "\n";
    assert_false(secret_table_ok(path, &other));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(texts_in_their_places),    T(the_checksum_is_salted), T(there_already),
        T(a_text_that_did_not_come), T(a_text_of_two_lines),    T(every_change_shows),
        T(others_may_not_read_it),   T(of_another_plan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
