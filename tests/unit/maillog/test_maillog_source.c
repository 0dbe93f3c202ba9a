/* Places of a log file and of the journal: kept as text and read back, compared, never taken for
 * one another. */
#include "maillog/maillog_source.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define S "s=91c5a9aa8d644ca99e3fbd04fb1efe34;"
#define B ";b=ee5c2b3bfa774bc8be44219b7cc24dd2;m=11861f2eff;t="

static void texts(void **state)
{
    struct maillog_place all[] = {{.journal = true, .cursor = S "i=912" B "660e321e7c7f8;x=602b"},
                                  {.journal = true},
                                  {.file = {.dev = 1, .ino = 2, .at = 3, .n_print = 4, .print = 5}},
                                  {.journal = false}},
                         back;
    char buf[MAILLOG_PLACE_TEXT], text[MAILLOG_CURSOR + 20];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        maillog_place_text(&all[i], buf);
        assert_true(maillog_place_parse(slice_of(buf), &back));
        assert_true(back.journal == all[i].journal);
        assert_string_equal(back.cursor, all[i].cursor);
        assert_true(back.file.ino == all[i].file.ino && back.file.at == all[i].file.at);
        assert_true(maillog_place_first(&back) == (i % 2 == 1));
    }
    memset(text, 'x', sizeof text);
    memcpy(text, "journal ", 8);
    text[sizeof text - 1] = '\0';
    assert_false(maillog_place_parse(slice_of(text), &back)); /* longer than any cursor */
    assert_false(maillog_place_parse(slice_of("nonsense"), &back));
}

static void order(void **state)
{
    static const struct {
        const char *a, *b;
        bool reached;
    } all[] = {{S "i=912" B "100;x=1", S "i=912" B "100;x=1", true},
               {S "i=a00" B "100;x=1", S "i=912" B "200;x=1", true}, /* of one journal: by number */
               {S "i=911" B "300;x=1", S "i=912" B "200;x=1", false},
               {"s=0;i=1" B "300;x=1", S "i=912" B "200;x=1", true}, /* of another: by time */
               {"s=0;i=fff" B "1ff;x=1", S "i=1" B "200;x=1", false}};
    struct maillog_place p = {.journal = true}, q = {.journal = true}, file = {.file = {.ino = 1}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        text_copy(p.cursor, sizeof p.cursor, all[i].a);
        text_copy(q.cursor, sizeof q.cursor, all[i].b);
        assert_true(maillog_place_reached(&p, &q) == all[i].reached);
    }
    assert_false(maillog_place_reached(&p, &file));
    assert_false(maillog_place_reached(&file, &p));
}

/* The name is gone for a moment: the file that was read is there, rotated. */
static void rotated_away(void)
{
    char dir[] = "/tmp/inari-source-XXXXXX", log[60], old[70];
    struct maillog_place end, back;
    struct maillog_source s;
    FILE *f;

    assert_non_null(mkdtemp(dir));
    (void)snprintf(log, sizeof log, "%s/mail.log", dir);
    (void)snprintf(old, sizeof old, "%s.1", log);
    f = fopen(log, "we");
    assert_non_null(f);
    assert_true(
        fputs("2026-11-22T10:00:00Z mx postfix/qmgr[1]: long enough for a fingerprint\n", f) >= 0);
    assert_int_equal(fclose(f), 0);
    maillog_source_init(&s, log, "auto", NULL);
    assert_true(maillog_source_end(&s, 1000, &end, &back));
    maillog_source_close(&s);
    assert_int_equal(rename(log, old), 0);
    maillog_source_init(&s, log, "auto", &end);
    assert_true(!s.journal && maillog_source_has(&s, &end));
    maillog_source_close(&s);
    assert_int_equal(file_remove_tree(dir, NULL), ERR_OK);
}

static void which(void **state)
{
    struct maillog_source s;
    bool more, gap;
    struct err e;

    (void)state;
    maillog_source_init(&s, "/dev/null/none", "no", NULL);
    assert_false(s.journal);
    assert_false(maillog_source_elsewhere(&s, "no"));
    maillog_source_close(&s);
    maillog_source_init(&s, "/etc/hostname", "auto", NULL); /* a file is there */
    assert_false(s.journal);
    assert_false(maillog_source_elsewhere(&s, "auto"));
    maillog_source_close(&s);
    rotated_away();
    maillog_source_init(&s, "/etc/hostname", "/nonexistent/journal", NULL);
    assert_true(s.journal);
    assert_int_equal(maillog_source_step(&s, 1000, NULL, NULL, &more, &gap, &e), ERR_NOT_FOUND);
    maillog_source_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(order),
        cmocka_unit_test(which),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
