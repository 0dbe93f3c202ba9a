#include "spool_check.h"

#include "base/file.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

char spool_dir[64];

int spool_check_begin(void **state)
{
    (void)state;
    (void)snprintf(spool_dir, sizeof spool_dir, "%s/inari-spool-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    return mkdtemp(spool_dir) == NULL;
}

int spool_check_end(void **state)
{
    (void)state;
    return file_remove_tree(spool_dir, NULL) != ERR_OK;
}

size_t payload_of(uint64_t seq, char *buf)
{
    size_t n =
        (size_t)snprintf(buf, PAYLOAD_SIZE, "{\"kind\":\"raw\",\"text\":\"%" PRIu64 " ", seq);

    for (size_t pad = (size_t)(seq * 7 % 200); pad > 0; pad--)
        buf[n++] = 'x';
    buf[n++] = '"';
    buf[n++] = '}';
    return n;
}

struct spool_writer *writer(const struct spool_limits *limits)
{
    struct spool_writer *w = NULL;
    struct err e = {0};

    if (spool_writer_open(spool_dir, limits, &w, &e) != ERR_OK)
        fail_msg("%s", e.msg);
    return w;
}

struct spool_reader *reader(void)
{
    struct spool_reader *r = NULL;
    struct err e = {0};

    if (spool_reader_open(spool_dir, &r, &e) != ERR_OK)
        fail_msg("%s", e.msg);
    return r;
}

void append_up_to(struct spool_writer *w, uint64_t last)
{
    char buf[PAYLOAD_SIZE];
    struct err e = {0};

    while (spool_last(w) < last) {
        size_t n = payload_of(spool_last(w) + 1, buf);
        if (spool_append(w, (struct slice){buf, n}, &e) != ERR_OK)
            fail_msg("%s", e.msg);
    }
}

void sync_mark(struct spool_writer *w, const char *mark)
{
    struct err e = {0};

    if (spool_sync(w, mark == NULL ? (struct slice){NULL, 0} : slice_of(mark), &e) != ERR_OK)
        fail_msg("%s", e.msg);
}

static bool check_one(void *ctx, uint64_t seq, struct slice payload)
{
    uint64_t *last = ctx;
    char want[PAYLOAD_SIZE];
    size_t n = payload_of(seq, want);

    if (!slice_eq(payload, (struct slice){want, n}))
        fail_msg("record %" PRIu64 " is not what was appended", seq);
    if (seq <= *last)
        fail_msg("record %" PRIu64 " after %" PRIu64, seq, *last);
    *last = seq;
    return true;
}

size_t read_all(struct spool_reader *r, uint64_t after, uint64_t *ret_last, uint64_t *ret_holes)
{
    uint64_t last = after, holes = 0;
    struct spool_batch b;
    struct err e = {0};
    size_t n = 0;

    for (;;) {
        uint64_t from = last;
        if (spool_next(r, last, 50, 3000, check_one, &last, &b, &e) != ERR_OK)
            fail_msg("%s", e.msg);
        if (b.n == 0)
            break;
        assert_int_equal(b.last - b.first + 1, b.n);
        assert_int_equal(b.last, last);
        holes += b.first - from - 1;
        n += b.n;
    }
    *ret_last = last;
    if (ret_holes != NULL)
        *ret_holes = holes;
    return n;
}
