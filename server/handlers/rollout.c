#include "domain/rollout.h"
#include "handlers/common.h"
#include "handlers/device.h"

#include <string.h>

enum { REASON_MAX = 500 };

enum err_code rollout_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    const char *cursor = "", *device = req_query(rq, "device");
    json_t *j = NULL;
    int limit = 0;
    enum err_code rc = req_page(rq, &limit, &cursor, e);

    if (rc == ERR_OK)
        rc = rollout_list(rq->db, device == NULL ? "" : device, cursor, limit, rq->arena, &j, e);
    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code rollout_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    int64_t version = 0;
    json_t *j = NULL;
    enum err_code rc = rollout_get(rq->db, rq->param[0], rq->arena, &j, &version, e);

    rollout_tell_in(j, rq->lang);
    return rc == ERR_OK ? reply_resource(rp, 200, j, version, e) : rc;
}

enum err_code rollout_device_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    const char *cursor = "", *state = req_query(rq, "state");
    int64_t wave = -1;
    json_t *j = NULL;
    int limit = 0;
    enum err_code rc = req_page(rq, &limit, &cursor, e);

    if (rc == ERR_OK)
        rc = req_query_int(rq, "wave", 0, 100, -1, &wave, e);
    if (rc == ERR_OK)
        rc = rollout_device_list(rq->db, rq->param[0], (int)wave, state == NULL ? "" : state,
                                 cursor, limit, rq->arena, &j, e);
    rollout_tell_in(j, rq->lang);
    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

/* If-Match is compared when it is sent, not asked for: an emergency stop must not fail on it. */
static enum err_code seen_version(struct req *rq, int64_t *ret, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc;

    *ret = 0;
    if (req_header(rq, "If-Match") == NULL)
        return ERR_OK;
    rc = rollout_get(rq->db, rq->param[0], rq->arena, &j, ret, e);
    json_decref(j);
    return rc == ERR_OK ? req_if_version(rq, *ret, e) : rc;
}

static enum err_code order(struct req *rq, struct reply *rp, enum rollout_verb verb, struct err *e)
{
    struct {
        const char *reason;
    } in = {NULL};
    const struct jdec_field fields[] = {JDEC_STR(__typeof__(in), reason, 0, 1, REASON_MAX),
                                        JDEC_END};
    const struct actor by = req_actor(rq);
    struct rollout_order o = {.verb = verb, .by = &by, .dry_run = rq->dry_run};
    int64_t version = 0;
    json_t *j = NULL;
    enum err_code rc =
        rq->json == NULL ? ERR_OK : jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &in, e);

    if (rc == ERR_OK)
        rc = seen_version(rq, &o.version, e);
    o.reason = in.reason;
    if (rc == ERR_OK)
        rc = rollout_order_run(rq->db, rq->app, rq->param[0], &o, rq->arena, &j, &version, e);
    rollout_tell_in(j, rq->lang);
    return rc == ERR_OK ? reply_resource(rp, 200, j, version, e) : rc;
}

enum err_code rollout_pause_post(struct req *rq, struct reply *rp, struct err *e)
{
    return order(rq, rp, ROLLOUT_PAUSE, e);
}

enum err_code rollout_resume_post(struct req *rq, struct reply *rp, struct err *e)
{
    return order(rq, rp, ROLLOUT_RESUME, e);
}

enum err_code rollout_halt_post(struct req *rq, struct reply *rp, struct err *e)
{
    return order(rq, rp, ROLLOUT_HALT, e);
}

enum err_code rollout_cancel_post(struct req *rq, struct reply *rp, struct err *e)
{
    return order(rq, rp, ROLLOUT_CANCEL, e);
}

enum err_code rollout_approve_post(struct req *rq, struct reply *rp, struct err *e)
{
    return order(rq, rp, ROLLOUT_APPROVE, e);
}

enum err_code rollout_promote_post(struct req *rq, struct reply *rp, struct err *e)
{
    return order(rq, rp, ROLLOUT_PROMOTE, e);
}

/* --- the fleet's policy --- */

enum err_code rollout_policy_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    int64_t version = 0;
    json_t *j = NULL;
    enum err_code rc = rollout_policy_get(rq->db, rq->arena, &j, &version, e);

    return rc == ERR_OK ? reply_resource(rp, 200, j, version, e) : rc;
}

enum err_code rollout_policy_patch_one(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    int64_t version = 0;
    json_t *j = NULL;
    enum err_code rc = rollout_policy_get(rq->db, rq->arena, &j, &version, e);

    json_decref(j);
    j = NULL;
    if (rc == ERR_OK && json_object_get(rq->json, "approval") != NULL &&
        (rq->who.perms & PERM_ADMIN) == 0)
        rc = err_field(e, ERR_FORBIDDEN, "/approval",
                       "who may publish alone is decided by an administrator");
    if (rc == ERR_OK)
        rc = req_if_version(rq, version, e);
    if (rc == ERR_OK)
        rc = rollout_policy_patch(rq->db, rq->json, version, rq->dry_run, &by, rq->arena, &j,
                                  &version, e);
    return rc == ERR_OK ? reply_resource(rp, 200, j, version, e) : rc;
}
