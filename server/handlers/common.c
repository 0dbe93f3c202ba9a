#include "handlers/common.h"

#include "base/clock.h"
#include "domain/auth.h"
#include "domain/change.h"

struct actor req_actor(const struct req *rq)
{
    static const char *const kinds[] = {[WHO_NOBODY] = "nobody",
                                        [WHO_ACCOUNT] = "account",
                                        [WHO_TOKEN] = "token",
                                        [WHO_DEVICE] = "device"};

    return (struct actor){kinds[rq->who.kind], rq->who.name, rq->who.id, rq->who.account,
                          rq->client_address};
}

enum err_code req_page(const struct req *rq, int *ret_limit, const char **ret_cursor, struct err *e)
{
    const char *cursor = req_query(rq, "cursor");
    int64_t limit = 0;
    enum err_code rc = req_query_int(rq, "limit", 1, 500, 50, &limit, e);

    if (rc != ERR_OK)
        return rc;
    *ret_limit = (int)limit;
    *ret_cursor = cursor == NULL ? "" : cursor;
    return ERR_OK;
}

enum err_code reply_items(struct reply *rp, json_t *items, const char *next, struct err *e)
{
    return reply_json(rp, 200,
                      json_pack("{s:o,s:s?}", "items", items, "next",
                                next == NULL || next[0] == '\0' ? NULL : next),
                      e);
}

enum err_code reply_resource(struct reply *rp, int status, json_t *j, int64_t version,
                             struct err *e)
{
    version_text(version, rp->etag);
    return reply_json(rp, status, j, e);
}

enum err_code reply_empty(struct reply *rp)
{
    rp->status = 204;
    return ERR_OK;
}

enum err_code req_if_version(const struct req *rq, int64_t version, struct err *e)
{
    char etag[VERSION_TEXT_SIZE];

    version_text(version, etag);
    return req_if_match(rq, etag, e);
}

const char *req_session_cookie(const struct req *rq)
{
    const char *header = req_header(rq, "Cookie");
    struct slice rest = slice_of(header);

    while (rest.n > 0) {
        struct slice value = slice_trim(slice_cut(&rest, ';'));
        struct slice name = slice_cut(&value, '=');

        if (slice_is(name, AUTH_COOKIE))
            return arena_slice_dup(rq->arena, value);
    }
    return NULL;
}
