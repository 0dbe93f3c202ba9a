#include "handlers/command.h"

#include "domain/command.h"
#include "handlers/common.h"

#include <stdio.h>

enum err_code device_command_post(struct req *rq, struct reply *rp, struct err *e)
{
    struct body {
        json_t *args;
        const char *reason;
        int64_t expires_in_s;
        int kind;
    } in = {.reason = "", .expires_in_s = COMMAND_EXPIRES_S};
    static const struct jdec_field fields[] = {
        JDEC_ENUM(struct body, kind, JD_REQUIRED, command_kind_names),
        JDEC_OBJECT(struct body, args, 0),
        JDEC_STR(struct body, reason, 0, 0, 500),
        JDEC_INT(struct body, expires_in_s, 0, COMMAND_EXPIRES_MIN_S, COMMAND_EXPIRES_MAX_S),
        JDEC_END,
    };
    const struct actor by = req_actor(rq);
    struct command_order o;
    json_t *j = NULL;
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &in, e);

    if (rc != ERR_OK)
        return rc;
    o = (struct command_order){
        (enum command_kind)in.kind, in.args, in.reason, in.expires_in_s, &by, rq->dry_run};
    rc = command_give(rq->db, rq->app, rq->param[0], &o, rq->arena, &j, e);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(rp->location, sizeof rp->location, "/api/v1/commands/%s", json_str(j, "id", ""));
    return reply_resource(rp, rq->dry_run ? 200 : 201, j, json_int(j, "version", 1), e);
}

static const char *query(const struct req *rq, const char *name)
{
    const char *v = req_query(rq, name);

    return v == NULL ? "" : v;
}

enum err_code command_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    const char *cursor = "";
    json_t *j = NULL;
    int limit = 0;
    enum err_code rc = req_page(rq, &limit, &cursor, e);

    if (rc == ERR_OK)
        rc = command_list(rq->db, query(rq, "device"), query(rq, "state"), query(rq, "kind"),
                          cursor, limit, rq->arena, &j, e);
    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code command_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    int64_t version = 0;
    json_t *j = NULL;
    enum err_code rc = command_get(rq->db, rq->param[0], rq->arena, &j, &version, e);

    return rc == ERR_OK ? reply_resource(rp, 200, j, version, e) : rc;
}

enum err_code command_output_get(struct req *rq, struct reply *rp, struct err *e)
{
    int64_t from = 0;
    json_t *j = NULL;
    enum err_code rc = req_query_int(rq, "from", 0, COMMAND_OUTPUT_MAX, 0, &from, e);

    if (rc == ERR_OK)
        rc = command_output(rq->db, rq->param[0], from, rq->arena, &j, e);
    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code command_cancel_post(struct req *rq, struct reply *rp, struct err *e)
{
    static const struct jdec_field fields[] = {JDEC_END};
    const struct actor by = req_actor(rq);
    json_t *j = NULL;
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", NULL, e);

    if (rc == ERR_OK)
        rc = command_cancel(rq->db, rq->app, rq->param[0], &by, rq->dry_run, rq->arena, &j, e);
    return rc == ERR_OK ? reply_resource(rp, 200, j, json_int(j, "version", 1), e) : rc;
}
