// libs: inari_maillog
/* A log whose lines hold what foreign clients and servers said: nothing is read past a line, every
 * slice lies inside it, the counter's rows stay what they are; events are always JSON within their
 * bounds, and what is kept of messages stays within its own. */
#include "maillog/maillog_count.h"
#include "maillog/maillog_event.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct slice line, struct slice part)
{
    if (part.n > 0 && (part.p < line.p || part.p + part.n > line.p + line.n))
        abort();
}

static void events_of(struct maillog_events *m, struct slice line, int64_t now)
{
    struct err e;

    if (maillog_events_line(m, line, now, &e) != ERR_OK || m->n_out > MAILLOG_EVENTS ||
        m->context.bytes > MAILLOG_MESSAGE_BYTES)
        abort();
    for (size_t i = 0; i < m->n_out; i++) {
        struct strbuf s = STRBUF_INIT(MAILLOG_EVENT_MAX);
        json_t *j = NULL;
        maillog_event_json(&m->out[i], 0, &s);
        if (!strbuf_ok(&s) || memchr(s.p, '\n', s.n) != NULL ||
            json_in_parse(strbuf_slice(&s), MAILLOG_EVENT_MAX, &j, &e) != ERR_OK ||
            json_string_length(json_object_get(j, "kind")) == 0)
            abort();
        json_decref(j);
        strbuf_clear(&s);
    }
}

/* What was kept is the same after a restart. */
static void over_a_restart(struct maillog_events *m)
{
    static struct maillog_context again;
    struct strbuf s = STRBUF_INIT(16), t = STRBUF_INIT(16);
    struct err e;

    maillog_events_settle(m);
    maillog_context_save(&m->context, &s);
    if (maillog_context_init(&again, &e) != ERR_OK ||
        maillog_context_load(&again, strbuf_slice(&s), &e) != ERR_OK)
        abort();
    maillog_context_save(&again, &t);
    if (!slice_eq(strbuf_slice(&s), strbuf_slice(&t)))
        abort();
    maillog_context_clear(&again);
    strbuf_clear(&s);
    strbuf_clear(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct maillog_events m;
    static struct maillog_count c;
    struct slice rest = {(const char *)data, size};
    int64_t now = 1795339713000;
    struct err e;
    json_t *j;

    if (maillog_events_init(&m, "d.inari.invalid", &e) != ERR_OK)
        return 0;
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
        events_of(&m, line, now);
    }
    over_a_restart(&m);
    maillog_events_clear(&m);
    j = maillog_count_json(&c, now, 0, MAILLOG_ROWS);
    if (json_array_size(j) > MAILLOG_ROWS)
        abort();
    json_decref(j);
    return 0;
}
