#include "domain/enrol.h"
#include "domain/device.h"
#include "handlers/common.h"
#include "handlers/device.h"

#include <stdio.h>

enum { EXPIRES_MAX_S = 30 * 86400, EXPIRES_DEFAULT_S = 86400, NETWORKS_MAX = 64 };

enum err_code enrolment_token_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    const char *cursor = "";
    json_t *j = NULL;
    int limit = 0;
    enum err_code rc = req_page(rq, &limit, &cursor, e);

    if (rc == ERR_OK)
        rc = enrol_token_list(rq->db, cursor, limit, rq->arena, &j, e);
    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code enrolment_token_post(struct req *rq, struct reply *rp, struct err *e)
{
    struct body {
        const char *name, *group, *name_pattern;
        json_t *networks;
        int64_t uses, expires_in_s;
        bool approval;
        int placement;
    } in = {.uses = 1, .expires_in_s = EXPIRES_DEFAULT_S, .name_pattern = "*", .placement = 0};
    static const struct jdec_field fields[] = {
        JDEC_STR(struct body, name, JD_REQUIRED, 1, 100),
        JDEC_INT(struct body, uses, 0, 1, 10000),
        JDEC_INT(struct body, expires_in_s, 0, 60, EXPIRES_MAX_S),
        JDEC_ARRAY(struct body, networks, 0, NETWORKS_MAX),
        JDEC_STR(struct body, group, JD_NULL_OK, 1, 100),
        JDEC_STR(struct body, name_pattern, 0, 1, 100),
        JDEC_BOOL(struct body, approval, 0),
        JDEC_ENUM(struct body, placement, 0, device_placement_names),
        JDEC_END,
    };
    const struct actor by = req_actor(rq);
    struct enrol_spec spec;
    json_t *j = NULL;
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &in, e);

    if (rc != ERR_OK)
        return rc;
    spec = (struct enrol_spec){
        in.name,     in.group, in.name_pattern, device_placement_names[in.placement],
        in.networks, in.uses,  in.expires_in_s, in.approval};
    rc = enrol_token_create(rq->db, rq->app, &spec, &by, rq->dry_run, rq->arena, &j, e);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(rp->location, sizeof rp->location, "/api/v1/enrolment-tokens/%s",
                   json_str(j, "id", ""));
    rp->secret = true;
    reply_header(rp, "Cache-Control", "no-store");
    return reply_json(rp, rq->dry_run ? 200 : 201, j, e);
}

enum err_code enrolment_token_delete(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    json_t *j = NULL;
    enum err_code rc = enrol_token_revoke(rq->db, rq->param[0], &by, rq->dry_run, &j, e);

    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}
