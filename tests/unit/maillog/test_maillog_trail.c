/* Every line once: rotated while nobody read, twice, by copy, compressed, deleted; restarted at any
 * line. */
#include "maillog/maillog_trail.h"

#include "base/strbuf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/inari-unit-trail-XXXXXX", path[64];
static struct maillog_trail t;
static struct strbuf got;
static int n_line, stop_after;
static bool gap;

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

static const char *file(const char *end)
{
    static char name[2][80];
    static int i;

    i = !i;
    (void)snprintf(name[i], sizeof name[i], "%s%s", path, end);
    return name[i];
}

static int begin(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "%s/log", dir);
    maillog_trail_init(&t, path);
    got = STRBUF_INIT(64 << 20);
    n_line = 0;
    stop_after = -1;
    return 0;
}

static int end(void **state)
{
    static const char *const all[] = {"", ".1", ".2", ".1.gz", "-20261122", ".copy"};

    (void)state;
    maillog_trail_close(&t);
    strbuf_clear(&got);
    for (size_t i = 0; i < COUNT_OF(all); i++)
        (void)unlink(file(all[i]));
    return 0;
}

/* The next n lines: numbered, long enough for a fingerprint. */
static void add_to(const char *name, int n)
{
    FILE *o = fopen(name, "ae");

    assert_non_null(o);
    for (; n > 0; n--)
        (void)fprintf(o, "%06d 2026-11-22T09:28:33.234Z mx postfix/smtpd[1]: a line\n", n_line++);
    assert_int_equal(fclose(o), 0);
    (void)usleep(5000); /* times of files differ */
}

static void add(int n)
{
    add_to(path, n);
}

static bool note(void *ctx, struct slice line)
{
    (void)ctx;
    strbuf_printf(&got, "%d ", atoi(line.p));
    return stop_after < 0 || --stop_after > 0;
}

static const char *see(void)
{
    struct err e;
    bool more = true, one;

    strbuf_clear(&got);
    gap = false;
    while (more) {
        assert_int_equal(maillog_trail_step(&t, 1 << 20, note, NULL, &more, &one, &e), ERR_OK);
        gap = gap || one;
    }
    return strbuf_str(&got);
}

/* As after a kill: the position is what was kept. */
static void restart(void)
{
    char text[MAILLOG_POS_TEXT];
    struct maillog_pos pos;

    maillog_pos_text(&t.pos, text);
    maillog_trail_close(&t);
    maillog_trail_init(&t, path);
    assert_true(maillog_pos_parse(slice_of(text), &pos));
    assert_true(memcmp(&pos, &t.pos, sizeof pos) != 0);
    maillog_trail_from(&t, &pos);
}

static void rename_to(const char *from, const char *to)
{
    assert_int_equal(rename(file(from), file(to)), 0);
}

static void grows_and_restarts(void **state)
{
    struct err e;
    bool more, g;

    (void)state;
    assert_int_equal(maillog_trail_step(&t, 1000, note, NULL, &more, &g, &e), ERR_NOT_FOUND);
    add(2);
    assert_string_equal(see(), "0 1 ");
    restart();
    assert_string_equal(see(), "");
    add(2);
    restart();
    assert_string_equal(see(), "2 3 ");
    /* stopped within a block: the rest comes again, after a restart as well */
    add(4);
    stop_after = 1;
    assert_int_equal(maillog_trail_step(&t, 1000, note, NULL, &more, &g, &e), ERR_OK);
    stop_after = -1;
    restart();
    assert_string_equal(see(), "5 6 7 ");
    assert_false(gap);
}

static void rotated_while_reading(void **state)
{
    (void)state;
    add(1);
    assert_string_equal(see(), "0 ");
    rename_to("", ".1");
    assert_string_equal(see(), "");
    add_to(file(".1"), 1); /* who writes does not know yet */
    assert_string_equal(see(), "1 ");
    add_to(file(".1"), 1);
    add(1);
    assert_string_equal(see(), "2 3 ");
    add(1);
    restart();
    assert_string_equal(see(), "4 ");
    assert_false(gap);
}

static void rotated_while_nobody_read(void **state)
{
    (void)state;
    add(2);
    assert_string_equal(see(), "0 1 ");
    add(2);
    rename_to("", ".1");
    add(1);
    restart();
    assert_string_equal(see(), "2 3 4 ");
    assert_false(gap);
    add(1);
    rename_to(".1", ".2");
    rename_to("", ".1");
    add(1);
    rename_to(".1", ".2"); /* twice, names with dates among them */
    rename_to("", "-20261122");
    add(1);
    restart();
    assert_string_equal(see(), "5 6 7 ");
    assert_false(gap);
    rename_to("", ".1"); /* and no new one yet */
    restart();
    assert_string_equal(see(), "");
    add(1);
    assert_string_equal(see(), "8 ");
    assert_false(gap);
}

static void copy_file(const char *to)
{
    char buf[8192];
    FILE *i = fopen(path, "re"), *o = fopen(file(to), "we");
    size_t n = fread(buf, 1, sizeof buf, i);

    assert_int_equal(fwrite(buf, 1, n, o), n);
    assert_int_equal(fclose(o) | fclose(i), 0);
    (void)usleep(5000);
    assert_int_equal(truncate(path, 0), 0);
}

static void copied_and_truncated(void **state)
{
    (void)state;
    add(2);
    assert_string_equal(see(), "0 1 ");
    add(2);
    copy_file(".1"); /* while it reads */
    assert_string_equal(see(), "2 3 ");
    assert_false(gap);
    add(2);
    assert_string_equal(see(), "4 5 ");
    add(1);
    copy_file(".2"); /* while nobody reads, and soon as long again */
    add(9);
    restart();
    assert_string_equal(see(), "6 7 8 9 10 11 12 13 14 15 ");
    assert_false(gap);
    /* as long again before anybody looked */
    copy_file(".copy");
    add(12);
    assert_string_equal(see(), "16 17 18 19 20 21 22 23 24 25 26 27 ");
    assert_false(gap);
}

static void lost(void **state)
{
    (void)state;
    add(2);
    assert_string_equal(see(), "0 1 ");
    add(2);
    rename_to("", ".1.gz");
    add(1);
    restart();
    assert_string_equal(see(), "4 ");
    assert_true(gap);
    assert_int_equal(truncate(path, 0), 0); /* by hand, without a copy */
    add(1);
    assert_string_equal(see(), "5 ");
    assert_true(gap);
    assert_int_equal(unlink(path), 0);
    restart();
    add(1);
    assert_string_equal(see(), "6 ");
    assert_true(gap);
    add(1);
    assert_string_equal(see(), "7 ");
    assert_false(gap);
}

static void another_file_of_the_same_inode(void **state)
{
    FILE *o;

    (void)state;
    add(3);
    assert_string_equal(see(), "0 1 2 ");
    maillog_trail_close(&t);
    o = fopen(path, "we");
    assert_non_null(o);
    assert_int_equal(fclose(o), 0);
    add(5);
    assert_string_equal(see(), "3 4 5 6 7 ");
    assert_true(gap);
}

static void long_and_half_lines(void **state)
{
    static char big[MAILLOG_TRAIL_LINE * 20];
    FILE *o;

    (void)state;
    memset(big, '7', sizeof big - 1);
    add(1);
    o = fopen(path, "ae");
    (void)fputs("000055 ", o);
    (void)fputs(big, o);
    (void)fclose(o);
    assert_string_equal(see(), "0 55 ");
    assert_string_equal(see(), "");
    o = fopen(path, "ae");
    (void)fputs("\n0000", o);
    (void)fclose(o);
    assert_string_equal(see(), "");
    restart();
    o = fopen(path, "ae");
    (void)fputs("99 x\n", o);
    (void)fclose(o);
    assert_string_equal(see(), "99 ");
}

static void the_end(void **state)
{
    struct maillog_pos last, back;

    (void)state;
    assert_false(maillog_trail_end(&t, 100, &last, &back));
    add(1000);
    assert_true(maillog_trail_end(&t, 150, &last, &back));
    maillog_trail_from(&t, &back);
    assert_string_equal(see(), "997 998 999 ");
    assert_true(maillog_pos_same(&t.pos, &last) && t.pos.at == last.at);
    assert_true(maillog_trail_has(&t, &last));
    rename_to("", ".1");
    assert_true(maillog_trail_has(&t, &last));
    assert_int_equal(unlink(file(".1")), 0);
    assert_false(maillog_trail_has(&t, &last));
}

#define WITH(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(grows_and_restarts),
        WITH(rotated_while_reading),
        WITH(rotated_while_nobody_read),
        WITH(copied_and_truncated),
        WITH(lost),
        WITH(another_file_of_the_same_inode),
        WITH(long_and_half_lines),
        WITH(the_end),
    };

    return cmocka_run_group_tests_name("maillog_trail", tests, make, unmake);
}
