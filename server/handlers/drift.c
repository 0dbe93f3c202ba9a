#include "domain/drift.h"

#include "handlers/common.h"
#include "handlers/device.h"

#include <stdio.h>

static const char *const to_names[] = {"device", "group", "fleet", NULL};
static const enum layer_kind to_kinds[] = {LAYER_DEVICE, LAYER_GROUP, LAYER_FLEET};

enum err_code device_drift_get(struct req *rq, struct reply *rp, struct err *e)
{
    int64_t version = 0;
    json_t *j = NULL;
    enum err_code rc = drift_list(rq->db, rq->param[0], rq->lang, rq->arena, &j, &version, e);

    return rc == ERR_OK ? reply_resource(rp, 200, j, version, e) : rc;
}

struct body {
    json_t *items;
    const char *reason, *group;
    int to;
};

/* Both orders act on what the caller has seen. */
static enum err_code read_order(struct req *rq, const struct jdec_field *fields, struct body *in,
                                struct err *e)
{
    AUTO(json_free) json_t *seen = NULL;
    int64_t version = 0;
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", in, e);

    if (rc == ERR_OK && in->items != NULL && json_array_size(in->items) == 0)
        return err_field(e, ERR_INVALID, "/items",
                         "name at least one item, or leave \"items\" out for all that differ");
    if (rc == ERR_OK)
        rc = drift_list(rq->db, rq->param[0], rq->lang, rq->arena, &seen, &version, e);
    return rc == ERR_OK ? req_if_version(rq, version, e) : rc;
}

enum err_code device_drift_enforce_post(struct req *rq, struct reply *rp, struct err *e)
{
    static const struct jdec_field fields[] = {
        JDEC_ARRAY(struct body, items, 0, DRIFT_ITEMS_MAX),
        JDEC_STR(struct body, reason, 0, 0, 500),
        JDEC_END,
    };
    const struct actor by = req_actor(rq);
    struct body in = {.reason = ""};
    json_t *j = NULL;
    enum err_code rc = read_order(rq, fields, &in, e);
    const struct drift_order o = {in.items, in.reason, LAYER_DEVICE, "",
                                  &by,      rq->lang,  rq->dry_run};

    if (rc == ERR_OK)
        rc =
            drift_enforce_order(rq->db, rq->app, rq->param[0], &o, rq->arena, &rp->findings, &j, e);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(rp->location, sizeof rp->location, "/api/v1/commands/%s", json_str(j, "id", ""));
    return reply_resource(rp, rq->dry_run ? 200 : 201, j, json_int(j, "version", 1), e);
}

enum err_code device_drift_adopt_post(struct req *rq, struct reply *rp, struct err *e)
{
    static const struct jdec_field fields[] = {
        JDEC_ARRAY(struct body, items, 0, DRIFT_ITEMS_MAX),
        JDEC_ENUM(struct body, to, 0, to_names),
        JDEC_STR(struct body, group, 0, 1, 64),
        JDEC_END,
    };
    const struct actor by = req_actor(rq);
    struct body in = {.reason = "", .group = ""};
    json_t *j = NULL;
    enum err_code rc = read_order(rq, fields, &in, e);
    const struct drift_order o = {in.items, "",       to_kinds[in.to], in.group,
                                  &by,      rq->lang, rq->dry_run};

    if (rc == ERR_OK && (o.to == LAYER_GROUP) != (in.group[0] != '\0'))
        return err_field(e, ERR_INVALID, "/group",
                         "name the group with \"to\": \"group\", and only then");
    if (rc == ERR_OK)
        rc = drift_adopt(rq->db, rq->param[0], &o, rq->arena, &rp->findings, &j, e);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(rp->location, sizeof rp->location, "/api/v1/drafts/%s",
                   json_str(json_object_get(j, "draft"), "id", ""));
    return reply_resource(rp, rq->dry_run ? 200 : 201, j,
                          json_int(json_object_get(j, "draft"), "version", 1), e);
}
