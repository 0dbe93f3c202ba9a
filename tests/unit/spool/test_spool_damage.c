/* Segments cut at every byte and with every byte changed: what is handed out is always a record
 * that was appended, in order, once; what is missing is counted; and the writer goes on. */
#include "spool_check.h"

#include "base/file.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static const struct spool_limits any = {.keep_free = 1};

/* Records 1..9 with marks behind 2, 5 and 9: one segment, its bytes. */
static char *made(size_t *ret_n, char *path, size_t size)
{
    struct spool_writer *w = writer(&any);
    struct err e = {0};
    char *text = NULL;

    append_up_to(w, 2);
    sync_mark(w, "2");
    append_up_to(w, 5);
    sync_mark(w, "5");
    append_up_to(w, 9);
    sync_mark(w, "9");
    spool_writer_close(w);
    spool_segment_path(spool_dir, 1, path, size);
    assert_int_equal(file_read(path, MIB, &text, ret_n, &e), ERR_OK);
    return text;
}

static void put(const char *path, const char *text, size_t n)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void anew(void)
{
    char path[128];
    static const char *const names[] = {"reader", "reader.lock", "writer.lock"};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", spool_dir, names[i]);
        (void)unlink(path);
    }
}

static void torn_at_every_byte(void **state)
{
    char path[128], mark[8];
    size_t n = 0;
    AUTO_STR char *text = made(&n, path, sizeof path);

    (void)state;
    for (size_t cut = n; cut > 40; cut--) {
        struct spool_item it = {0};
        struct spool_writer *w;
        struct spool_reader *r;
        uint64_t last, kept;

        (void)spool_last_mark((struct slice){text, cut}, &it);
        kept = it.seq;
        anew();
        put(path, text, cut);
        r = reader(); /* before the writer has cut it */
        assert_int_equal(read_all(r, 0, &last, NULL), kept);
        w = writer(&any);
        assert_int_equal(spool_last(w), kept);
        (void)snprintf(mark, sizeof mark, "%" PRIu64, kept);
        assert_true(slice_is(spool_mark(w), kept == 0 ? "" : mark));
        append_up_to(w, 12);
        sync_mark(w, "12");
        assert_int_equal(read_all(r, last, &last, NULL), 12 - kept);
        assert_int_equal(read_all(r, 0, &last, NULL), 12);
        spool_reader_close(r);
        spool_writer_close(w);
    }
}

static void every_byte_changed(void **state)
{
    char path[128];
    size_t n = 0;
    AUTO_STR char *text = made(&n, path, sizeof path);

    (void)state;
    for (size_t at = 0; at < n; at++) {
        struct spool_writer *w;
        struct spool_reader *r;
        uint64_t last, holes;
        size_t got;

        anew();
        text[at] = (char)(text[at] ^ (1 << at % 8));
        put(path, text, n);
        text[at] = (char)(text[at] ^ (1 << at % 8));
        r = reader();
        got = read_all(r, 0, &last, &holes);
        assert_true(got + holes == last);
        assert_true(last == 9 ? got >= 8 : last == 8 || last == 5); /* the last mark is the one */
        w = writer(&any);
        assert_true(spool_last(w) == 9 || spool_last(w) == 5);
        append_up_to(w, 12);
        sync_mark(w, "12");
        got += read_all(r, last, &last, &holes);
        assert_int_equal(last, 12);
        assert_true(got >= 11);
        spool_reader_close(r);
        spool_writer_close(w);
    }
}

/* A record that is not covered by a mark is never handed out, however whole it is. */
static void not_beyond_the_mark(void **state)
{
    char path[128], item[64], *more;
    size_t n = 0, size = spool_item_size(SPOOL_RECORD, 5);
    AUTO_STR char *text = made(&n, path, sizeof path);
    struct spool_reader *r;
    uint64_t last;

    (void)state;
    spool_item_put(item, SPOOL_RECORD, 10, 0, slice_of("{\"a\"}"));
    more = malloc(n + size);
    assert_non_null(more);
    memcpy(more, text, n);
    memcpy(more + n, item, size);
    put(path, more, n + size);
    free(more);
    r = reader();
    assert_int_equal(read_all(r, 0, &last, NULL), 9);
    spool_reader_close(r);
}

static void damaged_from_end_to_end(void **state)
{
    struct spool_limits small = {.segment_bytes = 2048, .keep_free = 1};
    struct spool_writer *w = writer(&small);
    uint64_t *seg = calloc(SPOOL_SEGMENTS_MAX, sizeof *seg), last, holes, newest;
    struct spool_reader *r;
    struct err e = {0};
    char path[128];
    size_t n = 0;

    (void)state;
    for (uint64_t i = 3; i <= 30; i += 3) {
        append_up_to(w, i);
        sync_mark(w, NULL);
    }
    spool_writer_close(w);
    assert_int_equal(spool_segments(spool_dir, seg, &n, &e), ERR_OK);
    assert_true(n > 2);
    newest = seg[n - 1];
    spool_segment_path(spool_dir, newest, path, sizeof path);
    put(path, "rubbish", 7);
    w = writer(&small);
    assert_int_equal(spool_last(w), newest);
    append_up_to(w, newest + 5);
    sync_mark(w, NULL);
    r = reader();
    assert_int_equal(read_all(r, 0, &last, &holes), newest - 1 + 5);
    assert_int_equal(holes, 1);
    spool_reader_close(r);
    spool_writer_close(w);
    free(seg);
}

/* One slot of what the reader keeps is damaged: the one before it counts; both: a new birth. */
static void the_file_of_the_reader(void **state)
{
    struct spool_writer *w = writer(&any);
    struct spool_reader *r = reader();
    char path[128], birth[UUID_TEXT_SIZE];
    AUTO_STR char *text = NULL;
    struct err e = {0};
    size_t n = 0;

    (void)state;
    append_up_to(w, 9);
    sync_mark(w, NULL);
    assert_int_equal(spool_ack(r, 1, 4, &e), ERR_OK);
    assert_int_equal(spool_ack(r, 5, 7, &e), ERR_OK);
    (void)snprintf(birth, sizeof birth, "%s", spool_birth(r));
    spool_reader_close(r);
    (void)snprintf(path, sizeof path, "%s/reader", spool_dir);
    assert_int_equal(file_read(path, MIB, &text, &n, &e), ERR_OK);
    assert_int_equal(n, 512);
    for (size_t at = 0; at < n; at += 3) {
        text[at] ^= 1;
        put(path, text, n);
        text[at] ^= 1;
        r = reader();
        assert_true(spool_acked(r) == 7 || spool_acked(r) == 4);
        assert_string_equal(spool_birth(r), birth);
        spool_reader_close(r);
    }
    memset(text, 'x', n);
    put(path, text, n);
    r = reader();
    assert_int_equal(spool_acked(r), 0);
    assert_string_not_equal(spool_birth(r), birth);
    spool_reader_close(r);
    spool_writer_close(w);
}

static void crc_32c(void **state)
{
    char p[SPOOL_HEADER + SPOOL_PAYLOAD_MAX];
    struct spool_item it;

    (void)state;
    assert_int_equal(spool_crc(0, "123456789", 9), 0xe3069283); /* RFC 3720 B.4 and everybody */
    spool_item_put(p, SPOOL_RECORD, 7, 0, slice_of("abc"));
    assert_true(spool_item_get((struct slice){p, SPOOL_HEADER + 3}, &it));
    assert_int_equal(it.seq, 7);
    assert_true(slice_is(it.payload, "abc"));
    assert_false(spool_item_get((struct slice){p, SPOOL_HEADER + 2}, &it));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, spool_check_begin, spool_check_end)
    const struct CMUnitTest tests[] = {
        T(torn_at_every_byte),      T(every_byte_changed),     T(not_beyond_the_mark),
        T(damaged_from_end_to_end), T(the_file_of_the_reader), cmocka_unit_test(crc_32c),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
