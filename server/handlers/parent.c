#include "handlers/parent.h"

#include "domain/kept.h"
#include "domain/parent.h"
#include "domain/recovery.h"
#include "domain/trust.h"
#include "handlers/common.h"

#include <stdio.h>

enum { REASON_MAX = 500, TITLE_MAX = 200 };

enum err_code parent_get(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = parent_describe(rq->db, rq->app, rq->arena, &j, e);

    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code trust_get(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = trust_describe(rq->app, &j, e);

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
        bool keep;
    } in = {NULL, false};
    const struct jdec_field fields[] = {
        JDEC_STR(__typeof__(in), reason, JD_REQUIRED, 1, REASON_MAX),
        JDEC_BOOL(__typeof__(in), keep, 0), JDEC_END};
    const struct actor by = req_actor(rq);
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &in, e);

    if (rc == ERR_OK)
        rc = recovery_continue(rq->db, rq->app, &by, in.reason, in.keep, e);
    return rc == ERR_OK ? recovery_get(rq, rp, e) : rc;
}

enum err_code recovery_lost_get(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = kept_describe(rq->db, rq->arena, &j, e);

    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code recovery_adopt_post(struct req *rq, struct reply *rp, struct err *e)
{
    struct {
        const char *title;
    } in = {NULL};
    const struct jdec_field fields[] = {JDEC_STR(__typeof__(in), title, JD_REQUIRED, 1, TITLE_MAX),
                                        JDEC_END};
    const struct actor by = req_actor(rq);
    json_t *draft = NULL;
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &in, e);

    if (rc == ERR_OK)
        rc = kept_adopt(rq->db, in.title, &by, rq->lang, rq->dry_run, rq->arena, &rp->findings,
                        &draft, e);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(rp->location, sizeof rp->location, "/api/v1/drafts/%s",
                   json_str(draft, "id", ""));
    return reply_resource(rp, rq->dry_run ? 200 : 201, draft, json_int(draft, "version", 1), e);
}
