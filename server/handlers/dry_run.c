#include "domain/dry_run.h"
#include "handlers/common.h"
#include "handlers/device.h"

#include <stdio.h>

enum err_code draft_dry_run_post(struct req *rq, struct reply *rp, struct err *e)
{
    struct {
        int64_t wait_s;
    } in = {DRY_RUN_WAIT_S};
    const struct jdec_field fields[] = {
        JDEC_INT(__typeof__(in), wait_s, 0, DRY_RUN_WAIT_MIN_S, DRY_RUN_WAIT_MAX_S), JDEC_END};
    const struct actor by = req_actor(rq);
    struct dry_run_ask o = {.draft_id = rq->param[0],
                            .by = &by,
                            .lang = rq->lang,
                            .any_owner = (rq->who.perms & PERM_ADMIN) != 0,
                            .dry_run = rq->dry_run};
    json_t *j = NULL;
    enum err_code rc =
        rq->json == NULL ? ERR_OK : jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &in, e);

    o.wait_s = in.wait_s;
    if (rc == ERR_OK)
        rc = dry_run_draft(rq->db, rq->app, &o, rq->arena, &rp->findings, &j, e);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(rp->location, sizeof rp->location, "/api/v1/dry-runs/%s", json_str(j, "id", ""));
    return reply_json(rp, rq->dry_run ? 200 : 201, j, e);
}

enum err_code dry_run_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    const char *cursor = "";
    json_t *j = NULL;
    int limit = 0;
    enum err_code rc = req_page(rq, &limit, &cursor, e);

    if (rc == ERR_OK)
        rc = dry_run_list(rq->db, cursor, limit, rq->arena, &j, e);
    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code dry_run_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = dry_run_get(rq->db, rq->param[0], rq->arena, &j, e);

    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}
