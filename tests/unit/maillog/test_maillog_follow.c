/* A log file that grows, is rotated both ways, has half lines and lines without end. */
#include "maillog/maillog_follow.h"

#include "base/strbuf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/inari-unit-maillog-XXXXXX", path[64], old[64];
static struct maillog_follow f;
static struct strbuf got;

static int make(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL;
}

static int unmake(void **state)
{
    (void)state;
    return rmdir(dir);
}

static int begin(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "%s/log", dir);
    (void)snprintf(old, sizeof old, "%s/log.1", dir);
    maillog_follow_init(&f, path);
    got = STRBUF_INIT(64 << 20);
    return 0;
}

static int end(void **state)
{
    (void)state;
    maillog_follow_close(&f);
    strbuf_clear(&got);
    (void)unlink(path);
    (void)unlink(old);
    return 0;
}

static void add_to(const char *name, const char *text)
{
    FILE *o = fopen(name, "ae");

    assert_non_null(o);
    assert_true(fputs(text, o) >= 0);
    assert_int_equal(fclose(o), 0);
}

static void add(const char *text)
{
    add_to(path, text);
}

static void note(void *ctx, struct slice line)
{
    (void)ctx;
    strbuf_add(&got, line);
    strbuf_putc(&got, '|');
}

static const char *see(void)
{
    struct err e;
    bool more;

    strbuf_clear(&got);
    assert_int_equal(maillog_follow_step(&f, 1 << 20, note, NULL, &more, &e), ERR_OK);
    assert_false(more);
    return strbuf_str(&got);
}

static void grows(void **state)
{
    struct err e;
    bool more;

    (void)state;
    assert_int_equal(maillog_follow_step(&f, 1000, note, NULL, &more, &e), ERR_NOT_FOUND);
    add("one\ntw");
    assert_string_equal(see(), "one|");
    assert_string_equal(see(), "");
    add("o\nthree\n");
    assert_string_equal(see(), "two|three|");
}

static void rotated(void **state)
{
    (void)state;
    add("one\n");
    assert_string_equal(see(), "one|");
    add("two\n");
    assert_int_equal(rename(path, old), 0);
    assert_string_equal(see(), "two|"); /* no new file yet: the old one is read to its end */
    add("three\n");
    assert_string_equal(see(), "three|");
    /* copytruncate */
    assert_int_equal(truncate(path, 0), 0);
    assert_string_equal(see(), "");
    add("four\n");
    assert_string_equal(see(), "four|");
    assert_int_equal(truncate(path, 0), 0);
    add("5\n");
    assert_string_equal(see(), "5|");
}

/* logrotate with "create": the new file is there before rsyslog is told to take it. */
static void rotated_before_the_writer_knows(void **state)
{
    (void)state;
    add("one\n");
    assert_string_equal(see(), "one|");
    assert_int_equal(rename(path, old), 0);
    add("");
    assert_string_equal(see(), "");
    add_to(old, "two\n");
    assert_string_equal(see(), "two|");
    add_to(old, "thr");
    assert_string_equal(see(), "");
    add_to(old, "ee\n");
    add("four\n");
    assert_string_equal(see(), "three|four|");
    add("five\n");
    assert_string_equal(see(), "five|");
}

static void bounds(void **state)
{
    static char big[MAILLOG_LINE * 20];
    struct err e;
    bool more;

    (void)state;
    memset(big, 'x', sizeof big - 1);
    add("one\n");
    add(big);
    assert_string_equal(see(), "one|");
    add("\ntwo\n");
    assert_string_equal(see(), "two|");
    for (int i = 0; i < 40; i++)
        add(big);
    add("\n");
    strbuf_clear(&got);
    assert_int_equal(maillog_follow_step(&f, 100000, note, NULL, &more, &e), ERR_OK);
    assert_true(more); /* one step takes what it is given, not all there is */
}

/* What was written long before is not all read, and not from the middle of a line. */
static void begins_near_the_end(void **state)
{
    static char line[1024];
    FILE *o = fopen(path, "we");

    (void)state;
    memset(line, 'y', sizeof line - 2);
    line[sizeof line - 2] = '\n';
    assert_non_null(o);
    for (int i = 0; i < MAILLOG_BACK / 1000 + 100; i++)
        assert_true(fputs(line, o) >= 0);
    assert_true(fputs("last\n", o) >= 0);
    assert_int_equal(fclose(o), 0);
    struct err e;
    bool more;
    assert_int_equal(maillog_follow_step(&f, MAILLOG_BACK * 2, note, NULL, &more, &e), ERR_OK);
    assert_true(strbuf_slice(&got).n <= MAILLOG_BACK && strbuf_slice(&got).n > MAILLOG_BACK - 2048);
    assert_int_equal(strbuf_slice(&got).n % (sizeof line - 1), 5);
}

static void far_behind_is_said(void **state)
{
    (void)state;
    add("one\n");
    assert_string_equal(see(), "one|");
    assert_int_equal(truncate(path, (int64_t)MAILLOG_BEHIND * 2),
                     0); /* a hole: no line end in it */
    add("\nlast\n");
    struct err e;
    bool more;
    strbuf_clear(&got);
    assert_int_equal(maillog_follow_step(&f, MAILLOG_BACK * 2, note, NULL, &more, &e), ERR_OK);
    assert_string_equal(strbuf_str(&got), "last|");
    assert_true(f.lost > MAILLOG_BEHIND);
}

static void not_a_file(void **state)
{
    struct err e;
    bool more;

    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(maillog_follow_step(&f, 1000, note, NULL, &more, &e), ERR_NOT_FOUND);
    maillog_follow_init(&f, dir);
    assert_int_equal(maillog_follow_step(&f, 1000, note, NULL, &more, &e), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(grows, begin, end),
        cmocka_unit_test_setup_teardown(rotated, begin, end),
        cmocka_unit_test_setup_teardown(rotated_before_the_writer_knows, begin, end),
        cmocka_unit_test_setup_teardown(bounds, begin, end),
        cmocka_unit_test_setup_teardown(begins_near_the_end, begin, end),
        cmocka_unit_test_setup_teardown(far_behind_is_said, begin, end),
        cmocka_unit_test_setup_teardown(not_a_file, begin, end),
    };

    return cmocka_run_group_tests(tests, make, unmake);
}
