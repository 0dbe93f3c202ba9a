#include "handlers/account.h"

#include "base/clock.h"
#include "domain/account.h"
#include "handlers/common.h"

#include <stdio.h>

enum err_code account_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    const char *cursor = "";
    json_t *items = NULL;
    char next[64];
    int limit = 0;
    enum err_code rc = req_page(rq, &limit, &cursor, e);

    if (rc == ERR_OK)
        rc = account_list(rq->db, cursor, limit, &items, next, e);
    return rc == ERR_OK ? reply_items(rp, items, next, e) : rc;
}

static enum err_code decode(const struct req *rq, bool create, struct account_spec *spec,
                            struct err *e)
{
    unsigned must = create ? JD_REQUIRED : 0;
    const struct jdec_field fields[] = {
        JDEC_STR(struct account_spec, password, must, 1, 200),
        JDEC_ENUM(struct account_spec, role, must, role_names),
        JDEC_ENUM(struct account_spec, lang, 0, lang_names),
        JDEC_BOOL(struct account_spec, disabled, 0),
        create ? (struct jdec_field)JDEC_STR(struct account_spec, name, JD_REQUIRED, 1, 63)
               : (struct jdec_field)JDEC_END,
        JDEC_END,
    };

    *spec = (struct account_spec){.role = -1, .lang = -1};
    spec->disabled_given = json_object_get(rq->json, "disabled") != NULL;
    return jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", spec, e);
}

enum err_code account_post(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    struct account_spec spec;
    json_t *made = NULL;
    enum err_code rc = decode(rq, true, &spec, e);

    if (rc == ERR_OK)
        rc = account_create(rq->db, &spec, &by, rq->dry_run, &made, e);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(rp->location, sizeof rp->location, "/api/v1/accounts/%s",
                   json_str(made, "id", ""));
    return reply_resource(rp, rq->dry_run ? 200 : 201, made, json_int(made, "version", 1), e);
}

enum err_code account_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    int64_t version = 0;
    enum err_code rc = account_get(rq->db, rq->param[0], &j, &version, e);

    return rc == ERR_OK ? reply_resource(rp, 200, j, version, e) : rc;
}

/* The version the caller has seen, or the reason why not. */
static enum err_code seen_version(struct req *rq, int64_t *ret, struct err *e)
{
    AUTO(json_free) json_t *j = NULL;
    enum err_code rc = account_get(rq->db, rq->param[0], &j, ret, e);

    return rc == ERR_OK ? req_if_version(rq, *ret, e) : rc;
}

enum err_code account_patch(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    struct account_spec spec;
    int64_t version = 0;
    json_t *changed = NULL;
    enum err_code rc = seen_version(rq, &version, e);

    if (rc == ERR_OK)
        rc = decode(rq, false, &spec, e);
    if (rc == ERR_OK)
        rc = account_update(rq->db, rq->param[0], version, &spec, &by, rq->dry_run, &changed, e);
    return rc == ERR_OK ? reply_resource(rp, 200, changed, json_int(changed, "version", 1), e) : rc;
}

enum err_code account_delete_one(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    int64_t version = 0;
    enum err_code rc = seen_version(rq, &version, e);

    if (rc == ERR_OK)
        rc = account_delete(rq->db, rq->param[0], version, &by, rq->dry_run, e);
    return rc == ERR_OK ? reply_empty(rp) : rc;
}

/* --- API tokens: everybody their own, administrators all --- */

static const char *whose(const struct req *rq)
{
    return (rq->who.perms & PERM_ADMIN) != 0 ? NULL : rq->who.account;
}

enum err_code api_token_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    const char *cursor = "";
    json_t *items = NULL;
    char next[64];
    int limit = 0;
    enum err_code rc = req_page(rq, &limit, &cursor, e);

    if (rc == ERR_OK)
        rc = api_token_list(rq->db, whose(rq), cursor, limit, &items, next, e);
    return rc == ERR_OK ? reply_items(rp, items, next, e) : rc;
}

enum err_code api_token_post(struct req *rq, struct reply *rp, struct err *e)
{
    struct {
        const char *name;
        json_t *scopes;
        int64_t expires_at;
    } in = {NULL, NULL, 0};
    const struct jdec_field fields[] = {
        JDEC_STR(__typeof__(in), name, JD_REQUIRED, 1, 50),
        JDEC_ARRAY(__typeof__(in), scopes, JD_REQUIRED, 16),
        JDEC_TIME(__typeof__(in), expires_at, JD_NULL_OK),
        JDEC_END,
    };
    const struct actor by = req_actor(rq);
    struct api_token_spec spec;
    json_t *made = NULL;
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &in, e);

    if (rc != ERR_OK)
        return rc;
    spec = (struct api_token_spec){in.name, in.scopes, in.expires_at};
    rc = api_token_create(rq->db, &rq->who, &spec, &by, clock_wall_ms(), rq->dry_run, &made, e);
    if (rc != ERR_OK)
        return rc;
    rp->secret = true;
    return reply_json(rp, rq->dry_run ? 200 : 201, made, e);
}

enum err_code api_token_delete(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    enum err_code rc =
        api_token_revoke(rq->db, rq->param[0], whose(rq), &by, clock_wall_ms(), rq->dry_run, e);

    return rc == ERR_OK ? reply_empty(rp) : rc;
}
