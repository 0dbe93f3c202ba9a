/* An fsync that fails may have lost what it was to write: the kernel reports the error once and
 * counts the pages as clean, so the next fsync succeeds without them.  What the spool says is kept
 * after a failed sync must be on the disk all the same. */
#include "fault.h"

#include "base/file.h"
#include "spool/spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *base;

/* The one segment there is. */
static int segment(void)
{
    char path[512];

    (void)snprintf(path, sizeof path, "%s/%020d.seg", base, 1);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void append(struct spool_writer *w, int n)
{
    char text[32];
    struct err e = {0};

    (void)snprintf(text, sizeof text, "record %d", n);
    assert_int_equal(spool_append(w, slice_of(text), &e), ERR_OK);
}

static bool next_one(void *ctx, uint64_t seq, struct slice payload)
{
    char want[32];
    uint64_t *last = ctx;

    (void)snprintf(want, sizeof want, "record %d", (int)seq);
    if (seq != *last + 1 || !slice_is(payload, want))
        return false;
    *last = seq;
    return true;
}

static void assert_holds(uint64_t records, const char *mark)
{
    struct spool_view view;
    struct err e = {0};
    uint64_t last = 0;

    assert_int_equal(spool_look(base, &view, &e), ERR_OK);
    assert_int_equal(view.last, records);
    assert_true(slice_is((struct slice){view.mark, view.mark_n}, mark));
    assert_int_equal(spool_show(base, 100, next_one, &last, &e), ERR_OK);
    assert_int_equal(last, records);
}

/* Two records are kept; two more fail to be, fails times, at call number at; more come in
 * meanwhile.  false: no call has that number. */
static bool once(long at, int fails, bool more, long *lost)
{
    static const struct spool_limits any = {.keep_free = 1};
    struct spool_writer *w = NULL;
    struct err e = {0};
    char before[4096];
    int fd, records = 4;
    bool hit = false;
    ssize_t n;

    assert_int_equal(file_remove_tree(base, NULL), ERR_OK);
    assert_int_equal(mkdir(base, 0700), 0);
    assert_int_equal(spool_writer_open(base, &any, &w, &e), ERR_OK);
    append(w, 1);
    append(w, 2);
    assert_int_equal(spool_sync(w, slice_of("two"), &e), ERR_OK);
    fd = segment();
    n = pread(fd, before, sizeof before, 0);
    append(w, 3);
    append(w, 4);
    for (int i = 0; i < fails; i++) {
        fault_arm((struct fault){.mode = FAULT_FAIL, .kind = FAULT_CALL, .at = at, .err = EIO});
        enum err_code rc = spool_sync(w, slice_of("four"), &e);
        hit = fault_disarm() >= at && fault_hits() > 0;
        if (rc == ERR_OK)
            break;
        assert_true(spool_unsynced(w) > 0);
        if (strcmp(fault_where(), "fdatasync") == 0) { /* the disk never had it */
            assert_int_equal(ftruncate(fd, n), 0);
            assert_int_equal(pwrite(fd, before, (size_t)n, 0), n);
            (*lost)++;
        }
        if (more)
            append(w, ++records);
    }
    assert_int_equal(spool_sync(w, slice_of("end"), &e), ERR_OK);
    assert_int_equal(spool_unsynced(w), 0);
    assert_holds((uint64_t)records, "end");
    append(w, ++records);
    assert_int_equal(spool_sync(w, slice_of("later"), &e), ERR_OK);
    spool_writer_close(w);
    (void)close(fd);
    assert_int_equal(spool_writer_open(base, &any, &w, &e), ERR_OK); /* as after a new start */
    assert_int_equal(spool_last(w), records);
    spool_writer_close(w);
    assert_holds((uint64_t)records, "later");
    return hit;
}

static void what_a_failed_fsync_lost_is_written_again(void **state)
{
    long lost = 0;

    (void)state;
    for (int fails = 1; fails <= 3; fails++)
        for (int more = 0; more < 2; more++)
            for (long at = 1; once(at, fails, more != 0, &lost);)
                at++;
    assert_true(lost >= 12);
    fault_report("lost-fsync", lost);
}

/* Only its own mark stands for it: a reader that saw it and one that comes later see the same. */
static void what_a_reader_saw_stays(void **state)
{
    static const struct spool_limits any = {.keep_free = 1};
    struct spool_writer *w = NULL;
    struct err e = {0};
    char seen[4096], now[4096];
    ssize_t n;
    int fd;

    (void)state;
    assert_int_equal(file_remove_tree(base, NULL), ERR_OK);
    assert_int_equal(mkdir(base, 0700), 0);
    assert_int_equal(spool_writer_open(base, &any, &w, &e), ERR_OK);
    append(w, 1);
    assert_int_equal(spool_sync(w, slice_of("one"), &e), ERR_OK);
    append(w, 2);
    fault_arm((struct fault){.mode = FAULT_FAIL, .kind = FAULT_CALL, .at = 2, .err = EIO});
    assert_int_equal(spool_sync(w, slice_of("two"), &e), ERR_STORAGE);
    (void)fault_disarm();
    assert_string_equal(fault_where(), "fdatasync");
    fd = segment();
    n = pread(fd, seen, sizeof seen, 0);
    assert_holds(2, "two");
    append(w, 3);
    assert_int_equal(spool_sync(w, slice_of("three"), &e), ERR_OK);
    assert_true(pread(fd, now, sizeof now, 0) > n);
    assert_memory_equal(seen, now, (size_t)n);
    assert_holds(3, "three");
    (void)close(fd);
    spool_writer_close(w);
}

static int setup(void **state)
{
    (void)state;
    return (base = fault_folder()) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return file_remove_tree(base, NULL) == ERR_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_a_failed_fsync_lost_is_written_again),
                                       cmocka_unit_test(what_a_reader_saw_stays)};

    fault_begin();
    return cmocka_run_group_tests(tests, setup, teardown);
}
