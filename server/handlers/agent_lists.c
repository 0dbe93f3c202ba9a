/* What devices fetch when a poll's answer names other lists than they have (docs/internals/wire.md,
 * "Lists"). */
#include "domain/list_give.h"
#include "handlers/agent.h"

#include <string.h>

static enum err_code share(struct reply *rp, struct list_bytes *b, const char *type)
{
    rp->status = 200;
    rp->content_type = type;
    rp->shared = list_bytes_text(b, &rp->shared_n);
    rp->release = list_bytes_unref;
    rp->release_arg = b;
    return ERR_OK;
}

enum err_code agent_lists(struct req *rq, struct reply *rp, struct err *e)
{
    struct list_bytes *b = NULL;
    enum err_code rc;

    reply_header(rp, "Cache-Control", "no-store");
    if (atomic_load(&rq->app->fenced)) {
        reply_header(rp, "Retry-After", "10");
        return err_set(e, ERR_FENCED, "this parent may have lost changes of the lists");
    }
    rc = list_give_manifest(rq->db, rq->app, rq->who.id, &b, e);
    if (rc == ERR_OVERLOADED)
        reply_header(rp, "Retry-After", "1");
    return rc == ERR_OK ? share(rp, b, "application/jose+json") : rc;
}

enum err_code agent_blob(struct req *rq, struct reply *rp, struct err *e)
{
    struct list_bytes *b = list_give_blob(rq->app->lists, rq->param[0]);

    if (b == NULL)
        return err_set(e, ERR_NOT_FOUND, "there is no file \"%.64s\" now", rq->param[0]);
    reply_header(rp, "Cache-Control", "private, max-age=31536000, immutable");
    text_copy(rp->etag, sizeof rp->etag, rq->param[0]);
    return share(rp, b, "application/zstd");
}
