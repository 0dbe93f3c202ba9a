#include "domain/event_read.h"

#include "pack/unpack.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROWS_MAX = 48 * 1024 * 1024 };
static const int64_t SEQ_MAX = INT64_C(1) << 62;

struct reading {
    struct event_rules *rules;
    struct event_read *to;
    bool head;           /* was read */
    struct strbuf carry; /* of a line whose end has not come yet */
    bool too_long;       /* that line: only its beginning is in carry */
};

static enum err_code read_head(struct reading *x, struct slice line, struct err *e)
{
    struct head {
        const char *spool;
        int64_t first, n, begins, until;
        json_t *dropped;
    } h = {.begins = 1};
    static const struct jdec_field fields[] = {
        JDEC_UUID(struct head, spool, JD_REQUIRED),
        JDEC_INT(struct head, first, JD_REQUIRED, 1, INT64_C(1) << 62),
        JDEC_INT(struct head, n, JD_REQUIRED, 1, EVENT_LINES_MAX),
        JDEC_INT(struct head, begins, 0, 1, INT64_C(1) << 62),
        JDEC_INT(struct head, until, 0, 0, INT64_C(1) << 53),
        JDEC_OBJECT(struct head, dropped, 0),
        JDEC_END};
    AUTO(json_free) json_t *j = NULL;
    enum err_code rc = json_in_parse(line, EVENT_HEAD_MAX, &j, e);

    if (rc == ERR_OK)
        rc = jdec_object(j, fields, JD_ALLOW_UNKNOWN, "", &h, e);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(x->to->spool, sizeof x->to->spool, "%s", h.spool);
    x->to->first = h.first;
    x->to->n = h.n;
    x->to->begins = h.begins;
    x->to->until_ms = h.until;
    x->to->dropped = json_int(h.dropped, "total", 0);
    if (x->to->dropped < 0 || x->to->dropped > SEQ_MAX)
        return err_field(e, ERR_INVALID, "/dropped/total", "\"total\" must be a count");
    x->to->row = calloc((size_t)h.n, sizeof *x->to->row);
    if (x->to->row == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    x->head = true;
    return ERR_OK;
}

static enum err_code read_line(struct reading *x, struct slice line, struct err *e)
{
    struct event_read *to = x->to;
    int32_t n = (int32_t)to->n_rows + 1;

    if (!x->head)
        return x->too_long ? err_set(e, ERR_TOO_LARGE, "the first line is too long")
                           : read_head(x, line, e);
    if (to->n_rows == (size_t)to->n)
        return err_field(e, ERR_INVALID, "/n", "there are more lines than \"n\" says");
    if (x->too_long)
        event_line_unreadable(x->rules, line, "the line is too long", n, to->first + n - 1,
                              &to->rows, &to->row[to->n_rows]);
    else
        event_line_add(x->rules, line, n, to->first + n - 1, &to->rows, &to->row[to->n_rows]);
    to->n_rows++;
    return strbuf_check(&to->rows, e);
}

/* Keep what there is of a line that goes on in the next piece, but no more than a line may have. */
static enum err_code carry(struct reading *x, struct slice part, struct err *e)
{
    size_t room = EVENT_LINE_MAX - x->carry.n;

    x->too_long = x->too_long || part.n > room;
    strbuf_add(&x->carry, (struct slice){part.p, part.n < room ? part.n : room});
    return strbuf_check(&x->carry, e);
}

static enum err_code end_line(struct reading *x, struct slice part, struct err *e)
{
    enum err_code rc;

    if (x->carry.n == 0 && !x->too_long && part.n <= EVENT_LINE_MAX)
        return read_line(x, part, e); /* nearly all of them: not copied */
    rc = carry(x, part, e);
    if (rc == ERR_OK)
        rc = read_line(x, strbuf_slice(&x->carry), e);
    x->carry.n = 0;
    x->too_long = false;
    return rc;
}

static enum err_code take(struct reading *x, struct slice piece, struct err *e)
{
    enum err_code rc = ERR_OK;
    const char *end;

    while (rc == ERR_OK && piece.n > 0 && (end = memchr(piece.p, '\n', piece.n)) != NULL) {
        struct slice line = {piece.p, (size_t)(end - piece.p)};

        rc = end_line(x, line, e);
        piece = (struct slice){end + 1, piece.n - line.n - 1};
    }
    return rc == ERR_OK ? carry(x, piece, e) : rc;
}

static enum err_code take_zstd(struct reading *x, struct slice body, struct err *e)
{
    AUTO(unpack_free) struct unpack *u = unpack_new(body, EVENT_BODY_MAX);
    struct slice piece = {NULL, 1};
    enum err_code rc = u == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;

    while (rc == ERR_OK && piece.n > 0) {
        rc = unpack_next(u, &piece, e);
        if (rc == ERR_OK)
            rc = take(x, piece, e);
    }
    return rc;
}

enum err_code event_read_body(struct slice body, bool zstd, struct event_rules *rules,
                              struct event_read *ret, struct err *e)
{
    struct reading x = {.rules = rules, .to = ret, .carry = STRBUF_INIT(EVENT_LINE_MAX)};
    uint64_t failed = json_failures();
    enum err_code rc;

    *ret = (struct event_read){.rows = STRBUF_INIT(ROWS_MAX)};
    rc = zstd ? take_zstd(&x, body, e) : take(&x, body, e);
    if (rc == ERR_OK && (x.carry.n > 0 || x.too_long))
        rc = end_line(&x, (struct slice){"", 0}, e);
    strbuf_clear(&x.carry);
    if (json_failures() != failed)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (rc == ERR_OK && !x.head)
        rc = err_set(e, ERR_MALFORMED, "the body has no first line: {\"spool\",\"first\",\"n\"}");
    if (rc == ERR_OK && ret->n_rows != (size_t)ret->n)
        rc = err_field(e, ERR_INVALID, "/n", "there are fewer lines than \"n\" says");
    return rc;
}

void event_read_clear(struct event_read *r)
{
    strbuf_clear(&r->rows);
    free(r->row);
    *r = (struct event_read){0};
}
