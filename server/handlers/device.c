#include "handlers/device.h"

#include "domain/adopt.h"
#include "domain/condition_text.h"
#include "domain/device.h"
#include "domain/device_instance.h"
#include "handlers/common.h"
#include "http/problem.h"

#include <stdio.h>
#include <string.h>

enum { HOLD_MINUTES_MAX = 24 * 60 * 30 };

static const char *query(const struct req *rq, const char *name)
{
    const char *v = req_query(rq, name);

    return v == NULL ? "" : v;
}

/* What the device says of itself, in the language of who asks. */
static enum err_code tell(json_t *device, enum lang lang, struct err *e)
{
    return conditions_tell_in(json_object_get(device, "conditions"), lang)
               ? ERR_OK
               : err_set(e, ERR_NO_MEMORY, "out of memory");
}

enum { TEXT_MAX = 100 };

static enum err_code read_filter(const struct req *rq, struct device_filter *ret, struct err *e)
{
    static const char *const words[] = {"first", "only", NULL};
    const char *attention = query(rq, "attention");

    *ret = (struct device_filter){.state = query(rq, "state"),
                                  .group = query(rq, "group"),
                                  .text = query(rq, "q"),
                                  .by_attention = attention[0] != '\0',
                                  .attention_only = strcmp(attention, "only") == 0};
    if (strlen(ret->text) > TEXT_MAX || !slice_is_text(slice_of(ret->text)))
        return err_field(e, ERR_INVALID, "/query/q", "a text of at most %d bytes is needed",
                         TEXT_MAX);
    for (int i = 0; words[i] != NULL && ret->by_attention; i++)
        if (strcmp(words[i], attention) == 0)
            return ERR_OK;
    return !ret->by_attention
               ? ERR_OK
               : err_field(e, ERR_INVALID, "/query/attention", "this list does not know that word");
}

enum err_code device_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    const char *cursor = "";
    struct device_filter f;
    json_t *j = NULL, *device;
    int limit = 0;
    size_t i;
    enum err_code rc = req_page(rq, &limit, &cursor, e);

    if (rc == ERR_OK)
        rc = read_filter(rq, &f, e);
    if (rc == ERR_OK)
        rc = device_list(rq->db, rq->app, &f, cursor, limit, rq->arena, &j, e);
    json_array_foreach(json_object_get(j, "items"), i, device)
    {
        if (rc == ERR_OK)
            rc = tell(device, rq->lang, e);
    }
    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code device_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    int64_t version = 0;
    enum err_code rc = device_get(rq->db, rq->app, rq->param[0], rq->arena, &j, &version, e);

    if (rc == ERR_OK)
        rc = tell(j, rq->lang, e);
    return rc == ERR_OK ? reply_resource(rp, 200, j, version, e) : rc;
}

/* --- orders --- */

static enum err_code run_order(struct req *rq, struct reply *rp, struct device_order *o,
                               struct err *e)
{
    const struct actor by = req_actor(rq);
    json_t *j = NULL;
    enum err_code rc;

    o->by = &by;
    o->dry_run = rq->dry_run;
    rc = device_order_run(rq->db, rq->app, rq->param[0], o, rq->arena, &j, e);
    if (rc == ERR_OK && j != NULL)
        rc = tell(j, rq->lang, e);
    if (rc != ERR_OK)
        return rc;
    return j == NULL ? reply_empty(rp) : reply_resource(rp, 200, j, json_int(j, "version", 1), e);
}

/* The version the caller has seen. */
static enum err_code seen_version(struct req *rq, int64_t *ret, struct err *e)
{
    AUTO(json_free) json_t *j = NULL;
    enum err_code rc = device_get(rq->db, rq->app, rq->param[0], rq->arena, &j, ret, e);

    return rc == ERR_OK ? req_if_version(rq, *ret, e) : rc;
}

enum err_code device_patch(struct req *rq, struct reply *rp, struct err *e)
{
    static const struct jdec_field fields[] = {
        JDEC_STR(struct device_order, name, 0, 1, 63),
        JDEC_ENUM(struct device_order, mode, 0, device_mode_names),
        JDEC_ENUM(struct device_order, placement, 0, device_placement_names),
        JDEC_ENUM(struct device_order, drift, 0, device_drift_names),
        JDEC_END,
    };
    struct device_order o = {
        .what = ORDER_CHANGE, .mode = -1, .placement = -1, .drift = -1, .f = &rp->findings};
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &o, e);

    if (rc == ERR_OK)
        rc = seen_version(rq, &o.version, e);
    return rc == ERR_OK ? run_order(rq, rp, &o, e) : rc;
}

enum err_code device_delete_one(struct req *rq, struct reply *rp, struct err *e)
{
    struct device_order o = {.what = ORDER_DELETE};
    enum err_code rc = seen_version(rq, &o.version, e);

    return rc == ERR_OK ? run_order(rq, rp, &o, e) : rc;
}

enum err_code device_hold_post(struct req *rq, struct reply *rp, struct err *e)
{
    static const struct jdec_field fields[] = {
        JDEC_STR(struct device_order, reason, JD_REQUIRED, 1, 500),
        JDEC_INT(struct device_order, minutes, JD_REQUIRED, 1, HOLD_MINUTES_MAX),
        JDEC_END,
    };
    struct device_order o = {.what = ORDER_HOLD};
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &o, e);

    return rc == ERR_OK ? run_order(rq, rp, &o, e) : rc;
}

enum err_code device_revoke_post(struct req *rq, struct reply *rp, struct err *e)
{
    static const struct jdec_field fields[] = {
        JDEC_STR(struct device_order, reason, JD_REQUIRED, 1, 500),
        JDEC_END,
    };
    struct device_order o = {.what = ORDER_REVOKE};
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &o, e);

    return rc == ERR_OK ? run_order(rq, rp, &o, e) : rc;
}

static enum err_code plain_order(struct req *rq, struct reply *rp, enum device_order_kind what,
                                 struct err *e)
{
    static const struct jdec_field fields[] = {JDEC_END};
    struct device_order o = {.what = what};
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &o, e);

    return rc == ERR_OK ? run_order(rq, rp, &o, e) : rc;
}

enum err_code device_release_post(struct req *rq, struct reply *rp, struct err *e)
{
    return plain_order(rq, rp, ORDER_RELEASE, e);
}

enum err_code device_approve_post(struct req *rq, struct reply *rp, struct err *e)
{
    static const struct jdec_field fields[] = {
        JDEC_ENUM(struct device_order, as, 0, device_as_names),
        JDEC_END,
    };
    struct device_order o = {.what = ORDER_APPROVE, .as = -1};
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &o, e);

    return rc == ERR_OK ? run_order(rq, rp, &o, e) : rc;
}

enum err_code device_reject_post(struct req *rq, struct reply *rp, struct err *e)
{
    return plain_order(rq, rp, ORDER_REJECT, e);
}

enum err_code device_retire_post(struct req *rq, struct reply *rp, struct err *e)
{
    return plain_order(rq, rp, ORDER_RETIRE, e);
}

enum err_code device_reinstate_post(struct req *rq, struct reply *rp, struct err *e)
{
    static const struct jdec_field fields[] = {
        JDEC_STR(struct device_order, reason, JD_REQUIRED, 1, 500),
        JDEC_END,
    };
    struct device_order o = {.what = ORDER_REINSTATE};
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &o, e);

    return rc == ERR_OK ? run_order(rq, rp, &o, e) : rc;
}

enum err_code device_instances_post(struct req *rq, struct reply *rp, struct err *e)
{
    struct body {
        int decision;
        const char *boot, *reason;
    } in = {0};
    static const struct jdec_field fields[] = {
        JDEC_ENUM(struct body, decision, JD_REQUIRED, instance_decision_names),
        JDEC_UUID(struct body, boot, 0),
        JDEC_STR(struct body, reason, JD_REQUIRED, 1, 500),
        JDEC_END,
    };
    const struct actor by = req_actor(rq);
    json_t *j = NULL;
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &in, e);

    if (rc == ERR_OK)
        rc = device_instance_decide(rq->db, rq->app, rq->param[0],
                                    (enum instance_decision)in.decision, in.boot, in.reason, &by,
                                    rq->dry_run, rq->arena, &j, e);
    return rc == ERR_OK ? reply_resource(rp, 200, j, json_int(j, "version", 1), e) : rc;
}

/* --- what it reported and what it gets --- */

enum err_code device_status_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = device_status_get(rq->db, rq->param[0], rq->arena, &j, e);

    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code device_proposal_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = device_proposal_get(rq->db, rq->param[0], rq->arena, &j, e);

    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code device_effective_get(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = device_effective(rq->db, rq->param[0], rq->arena, &j, e);

    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code device_bundle_get(struct req *rq, struct reply *rp, struct err *e)
{
    enum err_code rc = device_bundle(rq->db, rq->param[0], rq->arena, &rp->text, rp->etag, e);

    if (rc != ERR_OK)
        return rc;
    rp->status = 200;
    rp->text_n = strlen(rp->text);
    rp->content_type = "application/jose+json";
    return ERR_OK;
}

enum err_code device_plan_get(struct req *rq, struct reply *rp, struct err *e)
{
    struct findings f = {0};
    json_t *j = NULL;
    enum err_code rc = device_plan(rq->db, rq->param[0], rq->arena, &j, &f, e);

    if (rc == ERR_OK)
        (void)json_object_set_new(j, "findings", problem_findings(&f, rq->lang));
    findings_clear(&f);
    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code device_adopt_post(struct req *rq, struct reply *rp, struct err *e)
{
    struct body {
        json_t *keys;
    } in = {NULL};
    static const struct jdec_field fields[] = {JDEC_ARRAY(struct body, keys, JD_REQUIRED, 500),
                                               JDEC_END};
    const struct actor by = req_actor(rq);
    json_t *draft = NULL;
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &in, e);

    if (rc == ERR_OK)
        rc = adopt_device(rq->db, rq->param[0], in.keys, &by, rq->lang, rq->dry_run, rq->arena,
                          &rp->findings, &draft, e);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(rp->location, sizeof rp->location, "/api/v1/drafts/%s",
                   json_str(draft, "id", ""));
    return reply_resource(rp, rq->dry_run ? 200 : 201, draft, json_int(draft, "version", 1), e);
}
