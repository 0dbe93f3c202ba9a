#include "domain/rollout.h"
#include "handlers/common.h"
#include "handlers/device.h"

enum err_code rollout_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    const char *cursor = "";
    json_t *j = NULL;
    int limit = 0;
    enum err_code rc = req_page(rq, &limit, &cursor, e);

    if (rc == ERR_OK)
        rc = rollout_list(rq->db, cursor, limit, rq->arena, &j, e);
    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code rollout_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = rollout_get(rq->db, rq->param[0], rq->arena, &j, e);

    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}
