#include "domain/revision.h"

#include "domain/publish.h"
#include "domain/rollout.h"
#include "handlers/common.h"
#include "handlers/device.h"
#include "handlers/settings.h"

#include "http/problem.h"

#include <stdio.h>

enum { REASON_MAX = 500 };

static enum err_code pub_of(const char *text, int64_t *ret, struct err *e)
{
    uint64_t pub;

    if (text == NULL || !parse_u64(slice_of(text), 1, INT64_MAX, &pub))
        return err_set(e, ERR_NOT_FOUND, "there is no revision \"%s\"", text == NULL ? "" : text);
    *ret = (int64_t)pub;
    return ERR_OK;
}

enum err_code revision_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    const char *cursor = "";
    uint64_t before = 0;
    json_t *items = NULL;
    char next[32] = "";
    int limit = 0;
    size_t n;
    enum err_code rc = req_page(rq, &limit, &cursor, e);

    if (rc == ERR_OK && cursor[0] != '\0' && !parse_u64(slice_of(cursor), 1, INT64_MAX, &before))
        return err_field(e, ERR_INVALID, "/query/cursor", "this is not a cursor of this list");
    if (rc == ERR_OK)
        rc = revision_list(rq->db, (int64_t)before, limit, &items, e);
    if (rc != ERR_OK)
        return rc;
    n = json_array_size(items);
    if (n == (size_t)limit)
        (void)snprintf(next, sizeof next, "%lld",
                       (long long)json_int(json_array_get(items, n - 1), "pub", 0));
    return reply_items(rp, items, next, e);
}

enum err_code revision_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    int64_t pub = 0;
    json_t *j = NULL;
    enum err_code rc = pub_of(rq->param[0], &pub, e);

    if (rc == ERR_OK)
        rc = revision_get(rq->db, pub, rq->lang, &j, e);
    return rc == ERR_OK ? reply_resource(rp, 200, j, pub, e) : rc;
}

enum err_code revision_diff_get(struct req *rq, struct reply *rp, struct err *e)
{
    int64_t pub = 0, against = -1;
    json_t *j = NULL;
    enum err_code rc = pub_of(rq->param[0], &pub, e);

    if (rc == ERR_OK && req_query(rq, "against") != NULL)
        rc = pub_of(req_query(rq, "against"), &against, e);
    if (rc == ERR_OK)
        rc = revision_diff(rq->db, pub, against, rq->lang, &j, e);
    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

/* --- publishing --- */

static enum err_code decode_how(const struct req *rq, const struct actor *by, struct publish *how,
                                struct err *e)
{
    struct {
        const char *reason;
        json_t *force, *rollout;
        int64_t confirm;
    } in = {.confirm = ROLLOUT_NOT_SAID};
    const struct jdec_field fields[] = {
        JDEC_STR(__typeof__(in), reason, JD_REQUIRED, 1, REASON_MAX),
        JDEC_OBJECT(__typeof__(in), force, JD_NULL_OK),
        JDEC_OBJECT(__typeof__(in), rollout, JD_NULL_OK),
        JDEC_INT(__typeof__(in), confirm, JD_NULL_OK, 0, 1000000),
        JDEC_END,
    };
    struct {
        const char *reason;
    } forced = {NULL};
    const struct jdec_field force_fields[] = {
        JDEC_STR(__typeof__(forced), reason, JD_REQUIRED, 1, REASON_MAX), JDEC_END};
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &in, e);

    if (rc == ERR_OK && in.force != NULL && !json_is_null(in.force))
        rc = jdec_object(in.force, force_fields, JD_REFUSE_UNKNOWN, "/force", &forced, e);
    *how = (struct publish){.by = by,
                            .reason = in.reason,
                            .force_reason = forced.reason,
                            .lang = rq->lang,
                            .any_owner = (rq->who.perms & PERM_ADMIN) != 0,
                            .dry_run = rq->dry_run,
                            .confirm = in.confirm,
                            .rollout = json_is_object(in.rollout) ? in.rollout : NULL};
    return rc;
}

/* Takes what out holds. */
static enum err_code reply_published(const struct req *rq, struct reply *rp, enum err_code rc,
                                     struct published *out, struct err *e)
{
    if (rc != ERR_OK) {
        rp->findings = out->findings;
        out->findings = (struct findings){0};
        json_decref(rp->problem_extra);
        rp->problem_extra = TAKE(out->problem);
        published_clear(out);
        return rc;
    }
    (void)json_object_set_new(out->result, "findings", problem_findings(&out->findings, rq->lang));
    if (!rq->dry_run)
        (void)snprintf(rp->location, sizeof rp->location, "/api/v1/revisions/%lld",
                       (long long)json_int(out->result, "pub", 0));
    rc = reply_json(rp, rq->dry_run ? 200 : 201, TAKE(out->result), e);
    published_clear(out);
    return rc;
}

enum err_code draft_publish_post(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    struct published out = {0};
    struct publish how;
    enum err_code rc = decode_how(rq, &by, &how, e);

    if (rc == ERR_OK)
        rc = publish_draft(rq->db, rq->app, rq->param[0], &how, &out, e);
    return reply_published(rq, rp, rc, &out, e);
}

enum err_code revision_restore_post(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    struct published out = {0};
    struct publish how;
    int64_t pub = 0;
    enum err_code rc = pub_of(rq->param[0], &pub, e);

    if (rc == ERR_OK)
        rc = decode_how(rq, &by, &how, e);
    if (rc == ERR_OK)
        rc = publish_restore(rq->db, rq->app, pub, &how, &out, e);
    return reply_published(rq, rp, rc, &out, e);
}

enum err_code rollout_revert_post(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    struct published out = {0};
    struct publish how;
    enum err_code rc = decode_how(rq, &by, &how, e);

    if (rc == ERR_OK)
        rc = publish_revert(rq->db, rq->app, rq->param[0], &how, NULL, &out, e);
    return reply_published(rq, rp, rc, &out, e);
}

enum err_code revision_undo_post(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    struct published out = {0};
    struct publish how;
    int64_t pub = 0;
    enum err_code rc = pub_of(rq->param[0], &pub, e);

    if (rc == ERR_OK)
        rc = decode_how(rq, &by, &how, e);
    if (rc == ERR_OK)
        rc = publish_undo(rq->db, rq->app, pub, &how, &out, e);
    return reply_published(rq, rp, rc, &out, e);
}
