#include "handlers/audit.h"

#include "base/clock.h"
#include "domain/audit.h"
#include "handlers/common.h"

#include <stdio.h>

static enum err_code filter_of(const struct req *rq, struct audit_filter *f, struct err *e)
{
    const char *cursor = "", *since = req_query(rq, "since");
    uint64_t before = 0;
    enum err_code rc = req_page(rq, &f->limit, &cursor, e);

    if (rc != ERR_OK)
        return rc;
    if (cursor[0] != '\0' && !parse_u64(slice_of(cursor), 1, INT64_MAX, &before))
        return err_field(e, ERR_INVALID, "/query/cursor", "this is not a cursor of this list");
    if (since != NULL && !clock_parse(slice_of(since), &f->since_ms))
        return err_field(e, ERR_INVALID, "/query/since",
                         "since must be a time like 2026-11-21T23:21:17Z");
    f->before_seq = (int64_t)before;
    f->action = req_query(rq, "action");
    f->actor = req_query(rq, "actor");
    f->object = req_query(rq, "object");
    return ERR_OK;
}

enum err_code audit_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    struct audit_filter f = {0};
    json_t *items = NULL;
    char next[32] = "";
    size_t n;
    enum err_code rc = filter_of(rq, &f, e);

    if (rc == ERR_OK)
        rc = audit_list(rq->db, &f, &items, e);
    if (rc != ERR_OK)
        return rc;
    n = json_array_size(items);
    if (n == (size_t)f.limit)
        (void)snprintf(next, sizeof next, "%lld",
                       (long long)json_int(json_array_get(items, n - 1), "seq", 0));
    return reply_items(rp, items, next, e);
}

enum err_code audit_verify_get(struct req *rq, struct reply *rp, struct err *e)
{
    struct audit_check c = {0};
    enum err_code rc = audit_verify(rq->db, &c, e);

    if (rc != ERR_OK)
        return rc;
    return reply_json(rp, 200,
                      json_pack("{s:b,s:I,s:o}", "ok", c.first_bad == 0, "entries",
                                (json_int_t)c.entries, "first_bad",
                                c.first_bad == 0 ? json_null() : json_integer(c.first_bad)),
                      e);
}
