/* inari-agent spool show | append: what waits in an event spool, and a way to put a line into one.
 * Both work beside the running agent; only the program that owns a spool may append meanwhile. */
#include "base/clock.h"
#include "loop/ctl.h"
#include "spool/spool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SYNC_EVERY = 500 };

static bool print_record(void *ctx, uint64_t seq, struct slice payload)
{
    (void)ctx;
    return printf("%" PRIu64 " %.*s\n", seq, (int)payload.n, payload.p) > 0;
}

int ctl_spool_show(const char *dir, int64_t max)
{
    char oldest[CLOCK_TEXT_SIZE] = "-", acked[CLOCK_TEXT_SIZE] = "-";
    struct spool_view v = {0};
    struct err e = {0};

    if (spool_look(dir, &v, &e) != ERR_OK) {
        say_error(&e);
        return EXIT_FAILED;
    }
    if (v.oldest_ms != 0)
        clock_format(v.oldest_ms, oldest);
    if (v.acked_ms != 0)
        clock_format(v.acked_ms, acked);
    (void)fprintf(stderr,
                  say_tr("%" PRIu64 " events wait (oldest %s), %" PRIu64 " bytes on disk, %" PRIu64
                         " lost; %" PRIu64 " of %" PRIu64 " acknowledged (last %s)\n",
                         "送信待ち %" PRIu64 " 件 (最古 %s)、ディスク使用量 %" PRIu64
                         " バイト、消失 %" PRIu64 " 件、%" PRIu64 " / %" PRIu64
                         " 件が受領済み (最終 %s)\n"),
                  v.waiting, oldest, v.bytes, v.dropped, v.acked, v.last, acked);
    if (max > 0 && spool_show(dir, (size_t)max, print_record, NULL, &e) != ERR_OK) {
        say_error(&e);
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

/* Each line of standard input; the numbers kept are said as they are, so that a program that feeds
 * this one knows what is safe. */
int ctl_spool_append(const char *dir)
{
    AUTO(spool_writer_close) struct spool_writer *w = NULL;
    struct err e = {0};
    char line[SPOOL_PAYLOAD_MAX + 2];
    enum err_code rc = spool_writer_open(dir, NULL, &w, &e);
    int n = 0;

    while (rc == ERR_OK && fgets(line, sizeof line, stdin) != NULL) {
        rc = spool_append(w, slice_trim(slice_of(line)), &e);
        if (rc != ERR_OK || ++n % SYNC_EVERY != 0)
            continue;
        rc = spool_sync(w, (struct slice){NULL, 0}, &e);
        if (rc == ERR_OK && (printf("%" PRIu64 "\n", spool_last(w)) < 0 || fflush(stdout) != 0))
            break;
    }
    if (rc == ERR_OK)
        rc = spool_sync(w, (struct slice){NULL, 0}, &e);
    if (rc == ERR_OK)
        (void)printf("%" PRIu64 "\n", spool_last(w));
    if (rc != ERR_OK)
        say_error(&e);
    return rc == ERR_OK ? EXIT_OK : EXIT_FAILED;
}
