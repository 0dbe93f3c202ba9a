/* The spool as its users see it: order, marks, acknowledgement, limits, two processes that die. */
#include "spool_check.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct spool_limits small = {.segment_bytes = 4096, .keep_free = 1};

static size_t segments(uint64_t *ret_first)
{
    uint64_t *seg = calloc(SPOOL_SEGMENTS_MAX, sizeof *seg);
    struct err e = {0};
    size_t n = 0;

    assert_int_equal(spool_segments(spool_dir, seg, &n, &e), ERR_OK);
    *ret_first = n > 0 ? seg[0] : 0;
    free(seg);
    return n;
}

static void in_order(void **state)
{
    struct spool_writer *w = writer(&small);
    struct spool_reader *r;
    uint64_t last;

    (void)state;
    append_up_to(w, 300);
    sync_mark(w, "a");
    append_up_to(w, 310);
    r = reader();
    assert_int_equal(read_all(r, 0, &last, NULL), 300); /* what is not synced is not seen */
    sync_mark(w, NULL);
    assert_int_equal(read_all(r, last, &last, NULL), 10);
    assert_int_equal(read_all(r, 155, &last, NULL), 155); /* again, from anywhere */
    assert_int_equal(last, 310);
    spool_reader_close(r);
    spool_writer_close(w);
    w = writer(&small);
    assert_int_equal(spool_last(w), 310);
    append_up_to(w, 311);
    sync_mark(w, "b");
    r = reader();
    assert_int_equal(read_all(r, 310, &last, NULL), 1);
    spool_reader_close(r);
    spool_writer_close(w);
}

static void what_no_sync_covers_never_was(void **state)
{
    struct spool_writer *w = writer(NULL);
    struct spool_reader *r;
    uint64_t last;

    (void)state;
    assert_int_equal(spool_mark(w).n, 0);
    append_up_to(w, 5);
    sync_mark(w, "line 5");
    append_up_to(w, 9);
    spool_writer_close(w);
    w = writer(NULL);
    assert_int_equal(spool_last(w), 5);
    assert_true(slice_is(spool_mark(w), "line 5"));
    append_up_to(w, 7);
    sync_mark(w, "line 7");
    sync_mark(w, "line 8"); /* a mark alone: nothing came of that line */
    spool_writer_close(w);
    w = writer(NULL);
    assert_true(slice_is(spool_mark(w), "line 8"));
    sync_mark(w, "");
    spool_writer_close(w);
    w = writer(NULL);
    assert_int_equal(spool_mark(w).n, 0);
    r = reader();
    assert_int_equal(read_all(r, 0, &last, NULL), 7);
    spool_reader_close(r);
    spool_writer_close(w);
}

/* The mark survives when everything is acknowledged and a new segment has just begun. */
static void the_mark_outlives_its_segment(void **state)
{
    struct spool_writer *w = writer(&small);
    struct spool_reader *r = reader();
    struct err e = {0};
    uint64_t last, first;
    char mark[32];

    (void)state;
    for (int i = 1; i <= 100; i++) {
        append_up_to(w, (uint64_t)i);
        (void)snprintf(mark, sizeof mark, "at %d", i);
        sync_mark(w, mark);
        assert_int_equal(read_all(r, (uint64_t)i - 1, &last, NULL), 1);
        assert_int_equal(spool_ack(r, last, last, &e), ERR_OK);
        assert_true(segments(&first) <= 2);
        if (i % 7 == 0) {
            spool_writer_close(w);
            w = writer(&small);
            assert_true(slice_is(spool_mark(w), mark));
            assert_int_equal(spool_last(w), i);
        }
    }
    assert_true(first > 50);
    assert_int_equal(spool_dropped(r), 0);
    spool_reader_close(r);
    spool_writer_close(w);
}

static void acknowledged_segments_go(void **state)
{
    struct spool_writer *w = writer(&small);
    struct spool_reader *r = reader();
    struct err e = {0};
    uint64_t last, first;
    size_t before;
    char birth[UUID_TEXT_SIZE];

    (void)state;
    (void)snprintf(birth, sizeof birth, "%s", spool_birth(r));
    for (uint64_t i = 10; i <= 300; i += 10) {
        append_up_to(w, i);
        sync_mark(w, NULL);
    }
    before = segments(&first);
    assert_true(before > 8);
    assert_int_equal(first, 1);
    assert_int_equal(spool_ack(r, 1, 150, &e), ERR_OK);
    assert_true(segments(&first) < before);
    assert_true(first > 100 && first <= 151);
    assert_int_equal(spool_ack(r, 100, 140, &e), ERR_OK); /* an old one: nothing */
    assert_int_equal(spool_acked(r), 150);
    assert_int_equal(spool_ack(r, 151, 300, &e), ERR_OK);
    assert_int_equal(segments(&first), 1);
    spool_reader_close(r);
    r = reader();
    assert_int_equal(spool_acked(r), 300);
    assert_string_equal(spool_birth(r), birth);
    assert_int_equal(spool_begins(r), 1);
    assert_int_equal(read_all(r, 0, &last, NULL), 0);
    spool_reader_close(r);
    spool_writer_close(w);
}

/* Numbers that the other side has are not given again, whatever somebody removed. */
static void numbers_never_come_twice(void **state)
{
    struct spool_writer *w = writer(&small);
    struct spool_reader *r = reader();
    struct err e = {0};
    uint64_t last, first;
    char path[128];

    (void)state;
    append_up_to(w, 20);
    sync_mark(w, NULL);
    assert_int_equal(spool_ack(r, 1, 20, &e), ERR_OK);
    spool_writer_close(w);
    assert_int_equal(segments(&first), 1);
    spool_segment_path(spool_dir, first, path, sizeof path);
    assert_int_equal(unlink(path), 0);
    w = writer(&small);
    assert_int_equal(spool_last(w), 20);
    append_up_to(w, 21);
    sync_mark(w, NULL);
    assert_int_equal(read_all(r, 0, &last, NULL), 1);
    assert_int_equal(last, 21);
    spool_reader_close(r);
    spool_writer_close(w);
}

static void the_oldest_goes_over_the_limit(void **state)
{
    static const struct spool_limits limits = {
        .bytes = 20000, .segment_bytes = 4096, .keep_free = 1};
    struct spool_writer *w = writer(&limits);
    struct spool_reader *r = reader();
    struct spool_view v;
    struct err e = {0};
    uint64_t last, holes, first;
    size_t n;

    (void)state;
    for (uint64_t i = 10; i <= 1000; i += 10) {
        append_up_to(w, i);
        sync_mark(w, NULL);
    }
    assert_true(segments(&first) <= 10);
    assert_true(first > 800);
    assert_int_equal(spool_look(spool_dir, &v, &e), ERR_OK);
    assert_int_equal(v.dropped, first - 1);
    assert_int_equal(v.waiting, 1000 - first + 1);
    assert_true(v.bytes <= 20000);
    n = read_all(r, 0, &last, &holes);
    assert_int_equal(n, 1000 - first + 1);
    assert_int_equal(holes, first - 1);
    assert_int_equal(spool_ack(r, first, 1000, &e), ERR_OK);
    assert_int_equal(spool_dropped(r), first - 1);
    spool_reader_close(r);
    r = reader(); /* durably */
    assert_int_equal(spool_dropped(r), first - 1);
    append_up_to(w, 1001);
    sync_mark(w, NULL);
    assert_int_equal(read_all(r, 0, &last, &holes), 1);
    assert_int_equal(spool_ack(r, 1001, 1001, &e), ERR_OK);
    assert_int_equal(spool_dropped(r), first - 1);
    spool_reader_close(r);
    spool_writer_close(w);
}

static void a_volume_without_room(void **state)
{
    static const struct spool_limits none = {.keep_free = INT64_MAX};
    struct spool_writer *w = writer(&none);
    char text[SPOOL_PAYLOAD_MAX];
    struct spool_reader *r;
    struct err e = {0};
    uint64_t last = 0, holes;
    enum err_code rc;

    (void)state;
    append_up_to(w, 10);
    assert_int_equal(spool_sync(w, slice_of("x"), &e), ERR_STORAGE);
    assert_int_equal(spool_unsynced(w) > 0, 1);
    memset(text, 'x', sizeof text);
    while ((rc = spool_append(w, (struct slice){text, sizeof text}, &e)) == ERR_OK)
        assert_true(++last < 100);
    assert_int_equal(rc, ERR_OVERLOADED);
    spool_skip(w, 3);
    last = spool_last(w);
    spool_writer_close(w);
    assert_int_equal(spool_look(spool_dir, &(struct spool_view){0}, &e), ERR_OK);

    w = writer(&small); /* room again: what was collected is gone with its writer */
    assert_int_equal(spool_last(w), 0);
    append_up_to(w, 2);
    spool_skip(w, 3);
    append_up_to(w, 8);
    sync_mark(w, "y");
    r = reader();
    assert_int_equal(read_all(r, 0, &last, &holes), 5);
    assert_int_equal(holes, 3);
    assert_int_equal(spool_ack(r, 1, 2, &e), ERR_OK);
    assert_int_equal(spool_ack(r, 6, 8, &e), ERR_OK);
    assert_int_equal(spool_dropped(r), 3);
    spool_reader_close(r);
    spool_writer_close(w);
}

static void limits_of_a_record(void **state)
{
    struct spool_writer *w = writer(&small);
    char text[SPOOL_PAYLOAD_MAX + 1];
    struct err e = {0};

    (void)state;
    memset(text, 'x', sizeof text);
    assert_int_equal(spool_append(w, (struct slice){text, 0}, &e), ERR_INVALID);
    assert_int_equal(spool_append(w, (struct slice){text, sizeof text}, &e), ERR_TOO_LARGE);
    assert_int_equal(spool_append(w, (struct slice){text, sizeof text - 1}, &e), ERR_OK);
    assert_int_equal(spool_sync(w, (struct slice){text, SPOOL_MARK_MAX + 1}, &e), ERR_TOO_LARGE);
    assert_int_equal(spool_sync(w, (struct slice){text, SPOOL_MARK_MAX}, &e), ERR_OK);
    spool_writer_close(w);
}

static void one_writer_one_reader(void **state)
{
    struct spool_writer *w = writer(&small), *w2 = NULL;
    struct spool_reader *r = reader(), *r2 = NULL;
    struct err e = {0};

    (void)state;
    assert_int_equal(spool_writer_open(spool_dir, &small, &w2, &e), ERR_CONFLICT);
    assert_int_equal(spool_reader_open(spool_dir, &r2, &e), ERR_CONFLICT);
    assert_int_equal(spool_reader_open("/nonexistent/inari", &r2, &e), ERR_NOT_FOUND);
    spool_reader_close(r);
    spool_writer_close(w);
}

static void a_new_birth(void **state)
{
    struct spool_writer *w = writer(&small);
    struct spool_reader *r = reader();
    char birth[UUID_TEXT_SIZE];
    struct err e = {0};
    uint64_t last;

    (void)state;
    (void)snprintf(birth, sizeof birth, "%s", spool_birth(r));
    append_up_to(w, 30);
    sync_mark(w, NULL);
    assert_int_equal(spool_ack(r, 1, 12, &e), ERR_OK);
    assert_int_equal(spool_reborn(r, &e), ERR_OK);
    assert_string_not_equal(spool_birth(r), birth);
    assert_int_equal(spool_begins(r), 13);
    (void)snprintf(birth, sizeof birth, "%s", spool_birth(r));
    spool_reader_close(r);
    r = reader();
    assert_string_equal(spool_birth(r), birth);
    assert_int_equal(spool_begins(r), 13);
    assert_int_equal(read_all(r, 0, &last, NULL), 18);
    append_up_to(w, 31);
    sync_mark(w, NULL);
    assert_int_equal(read_all(r, 30, &last, NULL), 1);
    spool_reader_close(r);
    spool_writer_close(w);
}

static bool count_one(void *ctx, uint64_t seq, struct slice payload)
{
    (void)seq;
    (void)payload;
    return ++*(int *)ctx < 1000;
}

static void looking_changes_nothing(void **state)
{
    struct spool_writer *w = writer(&small);
    struct spool_view v;
    struct err e = {0};
    char path[128];
    int n = 0;

    (void)state;
    append_up_to(w, 40);
    sync_mark(w, "here");
    append_up_to(w, 50);
    assert_int_equal(spool_look(spool_dir, &v, &e), ERR_OK);
    assert_string_equal(v.birth, "");
    assert_int_equal(v.waiting, 40);
    assert_int_equal(v.last, 40);
    assert_string_equal(v.mark, "here");
    assert_true(v.oldest_ms > clock_wall_ms() - 60000 && v.oldest_ms <= clock_wall_ms());
    assert_int_equal(spool_show(spool_dir, 1000, count_one, &n, &e), ERR_OK);
    assert_int_equal(n, 40);
    (void)snprintf(path, sizeof path, "%s/reader", spool_dir);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(spool_look("/nonexistent/inari", &v, &e), ERR_NOT_FOUND);
    spool_writer_close(w);
}

/* --- a writer that is killed again and again, and a reader beside it --- */

enum { SOURCE = 20000, PER_SYNC = 37 };

/* Makes records of a source, one a number, from the mark on; never ends by itself before SOURCE. */
static void write_source(void)
{
    struct spool_limits limits = {.segment_bytes = 65536, .keep_free = 1};
    struct spool_writer *w = NULL;
    struct err e = {0};
    char mark[32], buf[PAYLOAD_SIZE];

    if (spool_writer_open(spool_dir, &limits, &w, &e) != ERR_OK)
        _exit(1);
    (void)snprintf(mark, sizeof mark, "%.*s", (int)spool_mark(w).n,
                   spool_mark(w).n == 0 ? "" : spool_mark(w).p);
    for (long at = atol(mark); at < SOURCE;) {
        for (int i = 0; i < PER_SYNC && at < SOURCE; i++) {
            size_t n = payload_of((uint64_t)++at, buf);
            if (spool_append(w, (struct slice){buf, n}, &e) != ERR_OK ||
                spool_last(w) != (uint64_t)at)
                _exit(2);
        }
        (void)snprintf(mark, sizeof mark, "%ld", at);
        if (spool_sync(w, slice_of(mark), &e) != ERR_OK)
            _exit(3);
        (void)usleep(300); /* so that it is killed many times on its way */
    }
    spool_writer_close(w);
    _exit(0);
}

static void two_processes(void **state)
{
    struct err e = {0};
    struct spool_reader *r = NULL;
    uint64_t last = 0, holes;
    int64_t until = clock_mono_ms() + 60000;
    bool done = false;
    size_t total = 0;
    int deaths = 0;

    (void)state;
    while (!done) {
        int status = 0, reads = 3 + deaths % 7;
        pid_t pid = fork();

        assert_true(pid >= 0 && clock_mono_ms() < until);
        if (pid == 0)
            write_source();
        while (!done && reads-- > 0) {
            if (r == NULL && spool_reader_open(spool_dir, &r, &e) != ERR_OK)
                continue;
            total += read_all(r, last, &last, &holes);
            assert_int_equal(holes, 0);
            assert_int_equal(spool_ack(r, spool_acked(r) + 1, last, &e), ERR_OK);
            done = waitpid(pid, &status, WNOHANG) == pid;
            (void)usleep(2000);
        }
        if (!done) {
            assert_int_equal(kill(pid, SIGKILL), 0);
            assert_int_equal(waitpid(pid, &status, 0), pid);
            done = WIFEXITED(status);
            deaths++;
        }
        assert_true(!done || WEXITSTATUS(status) == 0);
        spool_reader_close(r);
        r = NULL;
    }
    r = reader();
    total += read_all(r, last, &last, &holes);
    assert_int_equal(total, SOURCE);
    assert_int_equal(last, SOURCE);
    assert_true(deaths > 0);
    spool_reader_close(r);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, spool_check_begin, spool_check_end)
    const struct CMUnitTest tests[] = {
        T(in_order),
        T(what_no_sync_covers_never_was),
        T(the_mark_outlives_its_segment),
        T(acknowledged_segments_go),
        T(numbers_never_come_twice),
        T(the_oldest_goes_over_the_limit),
        T(a_volume_without_room),
        T(limits_of_a_record),
        T(one_writer_one_reader),
        T(a_new_birth),
        T(looking_changes_nothing),
        T(two_processes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
