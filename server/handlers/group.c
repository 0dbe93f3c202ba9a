#include "handlers/group.h"

#include "domain/change.h"
#include "domain/group.h"
#include "handlers/common.h"

#include <stdio.h>
#include <string.h>

enum { FORCE_MAX = 500 };

static enum err_code change_of(struct req *rq, struct reply *rp, const struct actor *by,
                               struct group_change *ret, struct err *e)
{
    const char *force = req_query(rq, "force");

    if (force != NULL && (force[0] == '\0' || strlen(force) > FORCE_MAX))
        return err_field(e, ERR_INVALID, "/query/force", "a reason has 1 to %d bytes", FORCE_MAX);
    if (force != NULL && (rq->who.perms & PERM_PUBLISH) == 0)
        return err_field(e, ERR_FORBIDDEN, "/query/force",
                         "it overrides what speaks against the settings, which takes the right to "
                         "publish");
    *ret = (struct group_change){.app = rq->app,
                                 .by = by,
                                 .lang = rq->lang,
                                 .dry_run = rq->dry_run,
                                 .f = &rp->findings,
                                 .force = force};
    return ERR_OK;
}

enum err_code group_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    const char *cursor = "";
    json_t *items = NULL;
    char next[64];
    int limit = 0;
    enum err_code rc = req_page(rq, &limit, &cursor, e);

    if (rc == ERR_OK)
        rc = group_list(rq->db, cursor, limit, &items, next, e);
    return rc == ERR_OK ? reply_items(rp, items, next, e) : rc;
}

static enum err_code decode(const struct req *rq, bool create, struct group_spec *spec,
                            struct err *e)
{
    const struct jdec_field fields[] = {
        JDEC_STR(struct group_spec, name, create ? JD_REQUIRED : 0, 1, 63),
        JDEC_ENUM(struct group_spec, kind, 0, group_kind_names),
        JDEC_INT(struct group_spec, priority, 0, 1, 1000000),
        JDEC_END,
    };

    *spec = (struct group_spec){.kind = -1};
    return jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", spec, e);
}

enum err_code group_post(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    struct group_change c;
    struct group_spec spec;
    json_t *made = NULL;
    enum err_code rc = decode(rq, true, &spec, e);

    if (rc == ERR_OK)
        rc = change_of(rq, rp, &by, &c, e);
    if (rc == ERR_OK)
        rc = group_create(rq->db, &spec, &c, &made, e);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(rp->location, sizeof rp->location, "/api/v1/groups/%s",
                   json_str(made, "id", ""));
    return reply_resource(rp, rq->dry_run ? 200 : 201, made, json_int(made, "version", 1), e);
}

enum err_code group_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    int64_t version = 0;
    json_t *j = NULL;
    enum err_code rc = group_get(rq->db, rq->param[0], &j, &version, e);

    return rc == ERR_OK ? reply_resource(rp, 200, j, version, e) : rc;
}

static enum err_code seen_version(struct req *rq, int64_t *ret, struct err *e)
{
    AUTO(json_free) json_t *j = NULL;
    enum err_code rc = group_get(rq->db, rq->param[0], &j, ret, e);

    return rc == ERR_OK ? req_if_version(rq, *ret, e) : rc;
}

enum err_code group_patch(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    struct group_change c;
    struct group_spec spec;
    int64_t version = 0;
    json_t *changed = NULL;
    enum err_code rc = seen_version(rq, &version, e);

    if (rc == ERR_OK)
        rc = decode(rq, false, &spec, e);
    if (rc == ERR_OK)
        rc = change_of(rq, rp, &by, &c, e);
    if (rc == ERR_OK)
        rc = group_update(rq->db, rq->param[0], version, &spec, &c, &changed, e);
    return rc == ERR_OK ? reply_resource(rp, 200, changed, json_int(changed, "version", 1), e) : rc;
}

enum err_code group_delete_one(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    struct group_change c;
    int64_t version = 0;
    enum err_code rc = seen_version(rq, &version, e);

    if (rc == ERR_OK)
        rc = change_of(rq, rp, &by, &c, e);
    if (rc == ERR_OK)
        rc = group_delete(rq->db, rq->param[0], version, &c, e);
    return rc == ERR_OK ? reply_empty(rp) : rc;
}

/* A member is there or not, whoever says it: If-Match is looked at when it is sent, not asked for.
 */
static enum err_code member(struct req *rq, struct reply *rp, bool join, struct err *e)
{
    const struct actor by = req_actor(rq);
    struct group_change c;
    int64_t version = 0;
    enum err_code rc = req_header(rq, "If-Match") == NULL ? ERR_OK : seen_version(rq, &version, e);

    if (rc == ERR_OK)
        rc = change_of(rq, rp, &by, &c, e);
    if (rc == ERR_OK)
        rc = join ? group_add(rq->db, rq->param[0], rq->param[1], version, &c, &version, e)
                  : group_remove(rq->db, rq->param[0], rq->param[1], version, &c, &version, e);
    if (rc != ERR_OK)
        return rc;
    version_text(version, rp->etag);
    return reply_empty(rp);
}

enum err_code group_member_put(struct req *rq, struct reply *rp, struct err *e)
{
    return member(rq, rp, true, e);
}

enum err_code group_member_delete(struct req *rq, struct reply *rp, struct err *e)
{
    return member(rq, rp, false, e);
}
