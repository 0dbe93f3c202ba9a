// libs: inari_maillog
/* A log whose lines hold what foreign clients and servers said: nothing is read past a line, every
 * slice lies inside it, and the counter's rows stay what they are. */
#include "maillog/maillog_count.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct slice line, struct slice part)
{
    if (part.n > 0 && (part.p < line.p || part.p + part.n > line.p + line.n))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct maillog_count c;
    struct slice rest = {(const char *)data, size};
    int64_t now = 1795339713000;
    json_t *j;

    maillog_count_init(&c, "d.inari.invalid", 60);
    while (rest.n > 0) {
        struct slice line = slice_cut(&rest, '\n');
        struct maillog_line l;
        maillog_line_read(line, now, &l);
        inside(line, l.service);
        inside(line, l.queue_id);
        inside(line, l.client);
        inside(line, l.helo);
        inside(line, l.to);
        inside(line, l.relay);
        if ((int)l.reason >= MAILLOG_REASONS || l.latency_ms < -1)
            abort();
        maillog_count_line(&c, line, now);
    }
    j = maillog_count_json(&c, now, 0, MAILLOG_ROWS);
    if (json_array_size(j) > MAILLOG_ROWS)
        abort();
    json_decref(j);
    return 0;
}
