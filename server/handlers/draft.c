#include "domain/draft.h"

#include "domain/publish.h"
#include "domain/secret.h"
#include "handlers/common.h"
#include "handlers/settings.h"

#include <stdio.h>

enum err_code draft_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    const char *cursor = "", *owner = req_query(rq, "owner");
    json_t *items = NULL;
    char next[64];
    int limit = 0;
    enum err_code rc = req_page(rq, &limit, &cursor, e);

    if (rc == ERR_OK && owner != NULL && strcmp(owner, "me") == 0)
        owner = rq->who.account;
    else if (rc == ERR_OK && owner != NULL)
        return err_field(e, ERR_INVALID, "/query/owner", "owner is \"me\" or left out");
    if (rc == ERR_OK)
        rc = draft_list(rq->db, owner, cursor, limit, &items, next, e);
    return rc == ERR_OK ? reply_items(rp, items, next, e) : rc;
}

enum err_code draft_post(struct req *rq, struct reply *rp, struct err *e)
{
    struct {
        const char *title;
    } in = {""};
    const struct jdec_field fields[] = {JDEC_STR(__typeof__(in), title, 0, 0, 200), JDEC_END};
    const struct actor by = req_actor(rq);
    json_t *made = NULL;
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &in, e);

    if (rc == ERR_OK)
        rc = draft_create(rq->db, in.title, &by, rq->dry_run, &made, e);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(rp->location, sizeof rp->location, "/api/v1/drafts/%s",
                   json_str(made, "id", ""));
    return reply_resource(rp, rq->dry_run ? 200 : 201, made, json_int(made, "version", 1), e);
}

enum err_code draft_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    int64_t version = 0;
    json_t *j = NULL;
    enum err_code rc = draft_get(rq->db, rq->param[0], &j, &version, e);

    return rc == ERR_OK ? reply_resource(rp, 200, j, version, e) : rc;
}

static enum err_code seen_version(struct req *rq, int64_t *ret, struct err *e)
{
    AUTO(json_free) json_t *j = NULL;
    enum err_code rc = draft_get(rq->db, rq->param[0], &j, ret, e);

    return rc == ERR_OK ? req_if_version(rq, *ret, e) : rc;
}

static bool any_owner(const struct req *rq)
{
    return (rq->who.perms & PERM_ADMIN) != 0;
}

/* The changes themselves, or {"changes":{...}}: the draft as a resource. */
static enum err_code patch_of(const struct req *rq, json_t **ret, struct err *e)
{
    json_t *changes = json_object_get(rq->json, "changes");

    *ret = rq->json;
    if (changes == NULL)
        return ERR_OK;
    if (json_object_size(rq->json) != 1)
        return err_field(e, ERR_INVALID, "/changes", "changes must be the only member");
    if (!json_is_object(changes))
        return err_field(e, ERR_INVALID, "/changes", "changes must be an object");
    *ret = changes;
    return ERR_OK;
}

enum err_code draft_patch(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    json_t *patch = NULL, *changed = NULL;
    int64_t version = 0;
    enum err_code rc = seen_version(rq, &version, e);

    if (rc == ERR_OK)
        rc = patch_of(rq, &patch, e);
    if (rc == ERR_OK)
        rc = secret_take(rq->db, rq->app, patch, "/changes", !rq->dry_run, &by, &rp->findings, e);
    if (rc == ERR_OK)
        rc = draft_edit(rq->db, rq->param[0], version, patch, &by, any_owner(rq), rq->lang,
                        rq->dry_run, &rp->findings, &changed, e);
    return rc == ERR_OK ? reply_resource(rp, 200, changed, json_int(changed, "version", 1), e) : rc;
}

enum err_code draft_delete_one(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    int64_t version = 0;
    enum err_code rc = seen_version(rq, &version, e);

    if (rc == ERR_OK)
        rc = draft_delete(rq->db, rq->param[0], version, &by, any_owner(rq), rq->dry_run, e);
    return rc == ERR_OK ? reply_empty(rp) : rc;
}

enum err_code draft_diff_get(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = draft_diff(rq->db, rq->param[0], rq->lang, &j, e);

    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code draft_check_post(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = draft_check(rq->db, rq->param[0], rq->lang, &j, e);

    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}
