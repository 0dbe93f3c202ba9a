/* When a message arrived: by its long queue id, by the first records of its file, over folders with
 * a bound. */
#include "targets/queue_age.h"

#include "base/clock.h"
#include "base/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void ids(void **state)
{
    static const struct {
        const char *id;
        int64_t want;
    } all[] = {{"", 0},
               {"z", 0},
               {"0000000000z1", 0}, /* 1970 */
               {"zzzzzzzzzzzzzzzzzzzzzzz", 0},
               {"4hSzRp0CdB", 0},   /* no inode */
               {"4hSAEp0CdBz1", 0}, /* vowels are no digits */
               {"9B2C41A0F3", 0},   /* short */
               {"4hSz.p0CdBz1", 0}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(all); i++)
        assert_int_equal(queue_id_time_s(all[i].id), all[i].want);
}

/* The way of Postfix: seconds in base 52 to at least six digits, microseconds to four, 'z', inode.
 */
static void every_second_comes_back(void **state)
{
    static const char digits[] = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";

    (void)state;
    for (int64_t s = 946684800; s < INT64_C(5000000000); s += 9999991) {
        char id[32] = {0}, *p = id + 16;
        memcpy(p, "0Czbz7K", 8); /* 'z' is a digit of the microseconds as well */
        for (int64_t left = s; left > 0; left /= 52)
            *--p = digits[left % 52];
        assert_int_equal(queue_id_time_s(p), s);
    }
}

static void heads(void **state)
{
    static const struct {
        const char *head;
        size_t n;
        int64_t want;
    } all[] = {{"C\003abcT\0211763781605 123456A\002xy", 30, 1763781605},
               {"T\n1763781605", 12, 1763781605},
               {"T\n1763781605", 11, 0}, /* cut off */
               {"T\003abc", 5, 0},
               {"T\n-176378160", 12, 0},
               {"C\377\377\377\377\377", 6, 0},
               {"", 0, 0},
               {"T", 1, 0}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(all); i++)
        assert_int_equal(queue_head_time_s((struct slice){all[i].head, all[i].n}), all[i].want);
}

static void touch(const char *dir, const char *name, const char *text)
{
    char path[300];
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, O_WRONLY | O_CREAT, 0700);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    (void)close(fd);
}

static void folders(void **state)
{
    char root[] = "/tmp/inari-queue-XXXXXX", dir[100], sub[120], name[40];
    struct queue_look l = {0};
    int64_t began;

    (void)state;
    assert_non_null(mkdtemp(root));
    (void)snprintf(dir, sizeof dir, "%s/deferred", root);
    (void)snprintf(sub, sizeof sub, "%s/A", dir);
    queue_look(root, "deferred", &l); /* not there */
    assert_true(l.messages == 0 && l.oldest_s == 0);
    assert_true(mkdir(dir, 0700) == 0 && mkdir(sub, 0700) == 0);
    touch(dir, "AB12", "T\n1763781605");
    touch(sub, "AB13", "T\n1763781604");
    touch(sub, ".hidden", "T\n1000000000");
    queue_look(root, "deferred", &l);
    assert_true(l.messages == 2 && l.oldest_s == 1763781604 && l.reads == 2);
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(name, sizeof name, "CD%d", i);
        touch(sub, name, "T\n1763781603");
    }
    l = (struct queue_look){0};
    began = clock_mono_ms();
    queue_look(root, "deferred", &l);
    assert_int_equal(l.messages, 3002);
    assert_true(l.reads <= QUEUE_AGE_READS && l.reads > 0);
    assert_true(clock_mono_ms() - began < 30000);
    assert_int_equal(queue_count(root, "deferred"), 3002);
    assert_int_equal(file_remove_tree(root, NULL), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids),
        cmocka_unit_test(every_second_comes_back),
        cmocka_unit_test(heads),
        cmocka_unit_test(folders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
