#include "handlers/parent.h"

#include "domain/parent.h"
#include "domain/recovery.h"
#include "handlers/common.h"

enum { REASON_MAX = 500 };

enum err_code parent_get(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = parent_describe(rq->db, rq->app, rq->arena, &j, e);

    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code recovery_get(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = recovery_describe(rq->db, rq->app, rq->arena, &j, e);

    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code recovery_continue_post(struct req *rq, struct reply *rp, struct err *e)
{
    struct {
        const char *reason;
    } in = {NULL};
    const struct jdec_field fields[] = {
        JDEC_STR(__typeof__(in), reason, JD_REQUIRED, 1, REASON_MAX), JDEC_END};
    const struct actor by = req_actor(rq);
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &in, e);

    if (rc == ERR_OK)
        rc = recovery_continue(rq->db, rq->app, &by, in.reason, e);
    return rc == ERR_OK ? recovery_get(rq, rp, e) : rc;
}
