#include "handlers/agent.h"

#include "base/rand.h"
#include "domain/command.h"
#include "domain/device.h"
#include "domain/device_instance.h"
#include "domain/device_key.h"
#include "domain/device_status.h"
#include "domain/dry_run.h"
#include "domain/enrol.h"
#include "domain/event_ingest.h"
#include "domain/kept.h"
#include "domain/kept_notice.h"
#include "handlers/common.h"
#include "proto/proto.h"

#include <strings.h>

enum err_code agent_status(struct req *rq, struct reply *rp, struct err *e)
{
    enum err_code rc = device_status_put(rq->db, rq->app, rq->who.id, rq->body, rq->arena, e);

    return rc == ERR_OK ? reply_empty(rp) : rc;
}

enum err_code agent_proposal(struct req *rq, struct reply *rp, struct err *e)
{
    enum err_code rc = device_proposal_put(rq->db, rq->app, rq->who.id, rq->body, rq->arena, e);

    return rc == ERR_OK ? reply_empty(rp) : rc;
}

enum err_code agent_kept(struct req *rq, struct reply *rp, struct err *e)
{
    enum err_code rc = kept_notice_is(rq->body)
                           ? kept_notice_put(rq->db, rq->app, rq->who.id, rq->body, rq->arena, e)
                           : kept_put(rq->db, rq->app, rq->who.id, rq->body, e);

    return rc == ERR_OK ? reply_empty(rp) : rc;
}

/* Nobody is handed anything by a parent that may not know who was revoked. */
static enum err_code may_give(const struct req *rq, struct reply *rp, struct err *e)
{
    if (!atomic_load(&rq->app->fenced))
        return ERR_OK;
    reply_header(rp, "Retry-After", "%d", 10 + (int)rand_below(20));
    return err_set(e, ERR_FENCED,
                   "this parent may not know who was revoked: nothing is given out until an "
                   "administrator has decided");
}

enum err_code agent_key(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = device_instance_check(rq->app, rq->who.id, req_header(rq, PROTO_H_BOOT), e);

    if (rc == ERR_OK)
        rc = may_give(rq, rp, e);
    if (rc == ERR_OK)
        rc = device_key_offer(rq->db, rq->app, rq->who.id, rq->body, req_header(rq, PROTO_H_PROOF),
                              rq->client_address, rq->arena, &j, e);

    reply_header(rp, "Cache-Control", "no-store");
    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code agent_leave(struct req *rq, struct reply *rp, struct err *e)
{
    struct actor by = req_actor(rq);
    struct device_order order = {.what = ORDER_RETIRE, .reason = "the device left", .by = &by};
    json_t *ignored = NULL;
    /* For ever: whoever only got hold of an access token must not end a device. */
    enum err_code rc = device_proof(rq->db, rq->app, rq->who.id, req_header(rq, PROTO_H_PROOF),
                                    PROTO_ACT_LEAVE, rq->client_address, rq->arena, NULL, e);

    if (rc == ERR_OK) /* a copy that goes does not take the original with it */
        rc = device_instance_check(rq->app, rq->who.id, req_header(rq, PROTO_H_BOOT), e);
    if (rc == ERR_OK)
        rc = device_order_run(rq->db, rq->app, rq->who.id, &order, rq->arena, &ignored, e);

    json_decref(ignored);
    return rc == ERR_OK ? reply_empty(rp) : rc;
}

enum err_code agent_commands(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = device_instance_check(rq->app, rq->who.id, req_header(rq, PROTO_H_BOOT), e);

    if (rc == ERR_OK)
        rc = may_give(rq, rp, e);
    if (rc == ERR_OK)
        rc = command_for_device(rq->db, rq->app, rq->who.id, rq->arena, &j, e);

    reply_header(rp, "Cache-Control", "no-store");
    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code agent_command_result(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc =
        command_report(rq->db, rq->app, rq->who.id, rq->param[0], rq->body, rq->arena, &j, e);

    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code agent_command_bundle(struct req *rq, struct reply *rp, struct err *e)
{
    enum err_code rc = may_give(rq, rp, e);

    if (rc == ERR_OK)
        rc = dry_run_bundle(rq->db, rq->app, rq->who.id, rq->param[0], rq->arena, &rp->text, e);

    if (rc != ERR_OK)
        return rc;
    rp->status = 200;
    rp->text_n = strlen(rp->text);
    rp->content_type = "application/jose+json";
    reply_header(rp, "Cache-Control", "no-store");
    return ERR_OK;
}

enum err_code agent_events(struct req *rq, struct reply *rp, struct err *e)
{
    const char *coding = req_header(rq, "Content-Encoding"), *stream = rq->param[0];
    const struct event_batch batch = {rq->who.id, stream, rq->body,
                                      coding != NULL && strcasecmp(coding, "identity") != 0};
    int64_t acknowledged = 0;
    size_t n = strlen(stream);
    enum err_code rc;

    if (n > EVENT_STREAM_MAX || strspn(stream, "abcdefghijklmnopqrstuvwxyz") != n)
        return err_field(e, ERR_INVALID, "/stream", "a stream's name has 1 to %d letters a-z",
                         EVENT_STREAM_MAX);
    rc = event_ingest(rq->db, rq->app, &batch, rq->arena, &acknowledged, e);
    return rc == ERR_OK
               ? reply_json(rp, 200, json_pack("{s:I}", "acknowledged", (json_int_t)acknowledged),
                            e)
               : rc;
}
