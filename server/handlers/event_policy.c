#include "handlers/event_policy.h"

#include "domain/event_policy.h"
#include "handlers/common.h"

enum err_code event_policy_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    int64_t version = 0;
    json_t *j = NULL;
    enum err_code rc = event_policy_get(rq->db, rq->arena, &j, &version, e);

    return rc == ERR_OK ? reply_resource(rp, 200, j, version, e) : rc;
}

enum err_code event_policy_patch_one(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    int64_t version = 0;
    json_t *j = NULL;
    enum err_code rc = event_policy_get(rq->db, rq->arena, &j, &version, e);

    json_decref(j);
    j = NULL;
    if (rc == ERR_OK)
        rc = req_if_version(rq, version, e);
    if (rc == ERR_OK)
        rc = event_policy_patch(rq->db, rq->app, rq->json, version, rq->dry_run, &by, rq->arena, &j,
                                &version, e);
    return rc == ERR_OK ? reply_resource(rp, 200, j, version, e) : rc;
}
