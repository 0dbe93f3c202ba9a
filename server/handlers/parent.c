#include "handlers/parent.h"

#include "domain/parent.h"

enum err_code parent_get(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = parent_describe(rq->db, rq->app, rq->arena, &j, e);

    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}
