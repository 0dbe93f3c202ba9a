#include "handlers/session.h"

#include "base/clock.h"
#include "domain/auth.h"
#include "domain/login.h"
#include "domain/preference.h"
#include "domain/role.h"
#include "handlers/common.h"

static void set_cookie(struct reply *rp, const char *value, int64_t max_age_s)
{
    reply_header(rp, "Set-Cookie", "%s=%s; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=%lld",
                 AUTH_COOKIE, value, (long long)max_age_s);
}

static const char *role_of(unsigned perms)
{
    if ((perms & PERM_ADMIN) != 0)
        return "admin";
    return (perms & PERM_SETTINGS_WRITE) != 0 ? "operator" : "viewer";
}

static enum err_code reply_session(struct reply *rp, const struct who *who, int64_t expires_at_ms,
                                   struct err *e)
{
    return reply_json(rp, 200,
                      json_pack("{s:s,s:s,s:s,s:s,s:o,s:b,s:s,s:o}", "user", who->name, "id",
                                who->id, "account", who->account, "role", role_of(who->perms),
                                "permissions", perms_to_json(who->perms), "must_change_password",
                                who->must_change_password, "lang",
                                who->lang == LANG_JA ? "ja" : "en", "expires_at",
                                time_json(expires_at_ms)),
                      e);
}

enum err_code session_post(struct req *rq, struct reply *rp, struct err *e)
{
    struct {
        const char *user, *password;
    } in = {NULL, NULL};
    const struct jdec_field fields[] = {
        JDEC_STR(__typeof__(in), user, JD_REQUIRED, 1, 63),
        JDEC_STR(__typeof__(in), password, JD_REQUIRED, 1, 200),
        JDEC_END,
    };
    char cookie[SESSION_COOKIE_SIZE];
    int64_t expires = 0, wait = 0, now = clock_wall_ms();
    struct who who;
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &in, e);

    if (rc == ERR_OK)
        rc = login_check(rq->db, rq->app, in.user, in.password, rq->client_address, now, &who,
                         &wait, e);
    if (rc == ERR_SLOW_DOWN)
        reply_header(rp, "Retry-After", "%lld", (long long)wait);
    if (rc == ERR_OK)
        rc = session_start(rq->db, &who, rq->client_address, now, cookie, &expires, e);
    if (rc != ERR_OK)
        return rc;
    set_cookie(rp, cookie, SESSION_MAX_MS / 1000);
    return reply_session(rp, &who, expires, e);
}

enum err_code session_get(struct req *rq, struct reply *rp, struct err *e)
{
    const char *cookie = req_session_cookie(rq);
    int64_t expires = 0;
    enum err_code rc;

    if (rq->who.kind == WHO_TOKEN) /* "who am I" has an answer for a script too */
        return reply_session(rp, &rq->who, 0, e);
    if (cookie == NULL)
        return err_set(e, ERR_UNAUTHENTICATED, "there is no session");
    rc = session_expiry(rq->db, cookie, &expires, e);
    return rc == ERR_OK ? reply_session(rp, &rq->who, expires, e) : rc;
}

enum err_code session_delete(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    const char *cookie = req_session_cookie(rq);
    enum err_code rc = cookie == NULL ? ERR_OK : session_end(rq->db, cookie, &by, e);

    if (rc != ERR_OK)
        return rc;
    set_cookie(rp, "", 0);
    return reply_empty(rp);
}

enum err_code session_password_put(struct req *rq, struct reply *rp, struct err *e)
{
    struct {
        const char *old, *new;
    } in = {NULL, NULL};
    const struct jdec_field fields[] = {
        JDEC_STR(__typeof__(in), old, JD_REQUIRED, 1, 200),
        JDEC_STR(__typeof__(in), new, JD_REQUIRED, 1, 200),
        JDEC_END,
    };
    const struct actor by = req_actor(rq);
    char cookie[SESSION_COOKIE_SIZE];
    int64_t expires = 0, wait = 0;
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &in, e);

    if (rc == ERR_OK)
        rc = password_change(rq->db, rq->app, &rq->who, in.old, in.new, &by, clock_wall_ms(),
                             cookie, &expires, &wait, e);
    if (rc == ERR_SLOW_DOWN)
        reply_header(rp, "Retry-After", "%lld", (long long)wait);
    if (rc == ERR_TOKEN_INVALID) /* 401 would make the console sign out */
        return err_field(e, ERR_INVALID, "/old", "the old password is not right");
    if (rc != ERR_OK)
        return rc;
    set_cookie(rp, cookie, SESSION_MAX_MS / 1000);
    return reply_empty(rp);
}

enum err_code session_preferences_get(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = preference_get(rq->db, rq->who.account, &j, e);

    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code session_preferences_patch(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = preference_patch(rq->db, rq->who.account, rq->json, rq->dry_run, &j, e);

    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}
