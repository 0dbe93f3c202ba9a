#include "apiclient/sse.h"

#include <string.h>

void sse_init(struct sse *s, size_t max, const char *last_id, sse_fn fn, void *ctx)
{
    *s = (struct sse){.line = STRBUF_INIT(max),
                      .data = STRBUF_INIT(max),
                      .name = STRBUF_INIT(KIB),
                      .retry_ms = -1,
                      .fn = fn,
                      .ctx = ctx,
                      .max = max};
    text_copy(s->id, sizeof s->id, last_id);
    text_copy(s->next_id, sizeof s->next_id, last_id);
}

void sse_clear(struct sse *s)
{
    strbuf_clear(&s->line);
    strbuf_clear(&s->data);
    strbuf_clear(&s->name);
}

static void cut(struct strbuf *b)
{
    b->n = 0;
    if (b->p != NULL)
        b->p[0] = '\0';
}

/* An empty line: what came since the last one.  false: enough. */
static bool dispatch(struct sse *s)
{
    const struct sse_message m = {strbuf_str(&s->name), strbuf_str(&s->data), s->id};
    bool go_on;

    memcpy(s->id, s->next_id, sizeof s->id); /* not before all of the message is there */
    go_on = !s->has_data || s->fn(s->ctx, &m);
    s->has_data = false;
    cut(&s->data);
    cut(&s->name);
    return go_on;
}

static void field(struct sse *s, struct slice name, struct slice value)
{
    uint64_t ms;

    if (slice_is(name, "data")) {
        if (s->has_data)
            strbuf_putc(&s->data, '\n');
        strbuf_add(&s->data, value);
        s->has_data = true;
    } else if (slice_is(name, "event")) {
        cut(&s->name);
        strbuf_add(&s->name, value);
    } else if (slice_is(name, "id") && value.n < sizeof s->next_id &&
               memchr(value.p, '\0', value.n) == NULL) {
        memcpy(s->next_id, value.p, value.n);
        s->next_id[value.n] = '\0';
    } else if (slice_is(name, "retry") && parse_u64(value, 0, 3600000, &ms)) {
        s->retry_ms = (int)ms;
    }
}

/* false: enough. */
static bool line(struct sse *s)
{
    struct slice all = strbuf_slice(&s->line), value = {"", 0};
    const char *colon = all.n == 0 ? NULL : memchr(all.p, ':', all.n);
    bool go_on = true;

    if (all.n == 0) {
        go_on = dispatch(s);
    } else if (colon != all.p) { /* else a comment */
        if (colon != NULL) {
            value = (struct slice){colon + 1, all.n - (size_t)(colon - all.p) - 1};
            all.n = (size_t)(colon - all.p);
            if (value.n > 0 && value.p[0] == ' ')
                value = (struct slice){value.p + 1, value.n - 1};
        }
        field(s, all, value);
    }
    cut(&s->line);
    return go_on;
}

enum err_code sse_feed(struct sse *s, struct slice piece, bool *ret_stopped, struct err *e)
{
    *ret_stopped = false;
    while (piece.n > 0) {
        size_t n = 0;
        bool ends;
        if (s->cr && piece.p[0] == '\n') { /* of CR LF */
            s->cr = false;
            piece = (struct slice){piece.p + 1, piece.n - 1};
            continue;
        }
        s->cr = false;
        while (n < piece.n && piece.p[n] != '\n' && piece.p[n] != '\r')
            n++;
        strbuf_add(&s->line, (struct slice){piece.p, n});
        ends = n < piece.n;
        s->cr = ends && piece.p[n] == '\r';
        piece = (struct slice){piece.p + n + ends, piece.n - n - ends};
        if (ends && strbuf_ok(&s->line) && !line(s)) {
            *ret_stopped = true;
            return ERR_OK;
        }
        if (!strbuf_ok(&s->line) || !strbuf_ok(&s->data) || !strbuf_ok(&s->name))
            return s->line.no_memory || s->data.no_memory || s->name.no_memory
                       ? err_set(e, ERR_NO_MEMORY, "out of memory")
                       : err_set(e, ERR_TOO_LARGE, "a message has more than %zu bytes", s->max);
    }
    return ERR_OK;
}
