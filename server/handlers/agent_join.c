#include "handlers/agent.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/rand.h"
#include "domain/enrol.h"
#include "domain/fleet_cache.h"
#include "domain/keyring.h"
#include "domain/login.h"
#include "proto/proto.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { NOTICE_CACHE_MS = 5000, NOTICE_LIFE_S = 24 * 3600, APPROVAL_RETRY_S = 30 };

static json_t *strings(const char *const *v)
{
    json_t *a = json_array();

    for (; a != NULL && v != NULL && *v != NULL; v++)
        (void)json_array_append_new(a, json_string(*v));
    return a;
}

enum err_code agent_hello(struct req *rq, struct reply *rp, struct err *e)
{
    const struct app *app = rq->app;
    char now[CLOCK_TEXT_SIZE], nonce[KEYRING_NONCE_SIZE];
    int64_t now_ms = clock_wall_ms();

    if (app->keys == NULL)
        return err_set(e, ERR_OVERLOADED, "the parent is starting");
    clock_format(now_ms, now);
    keyring_nonce(app->keys, now_ms, nonce);
    reply_header(rp, "Cache-Control", "no-store");
    return reply_json(rp, 200,
                      json_pack("{s:s,s:[i],s:s,s:I,s:I,s:s,s:o,s:[s,s],s:s}", "time", now, "api",
                                PROTO_API, "fleet", app->fleet_id, "epoch", (json_int_t)app->epoch,
                                "trust", (json_int_t)keyring_trust_n(app->keys), "issuer",
                                app->issuer, "pins", strings(app->tls_pins), "enrolment",
                                "join_string", "admin_login", "nonce", nonce),
                      e);
}

static enum err_code reply_jose(struct reply *rp, const char *jws, struct err *e)
{
    rp->text = strdup(jws);
    if (rp->text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rp->text_n = strlen(rp->text);
    rp->content_type = "application/jose+json";
    return ERR_OK;
}

enum err_code agent_trust(struct req *rq, struct reply *rp, struct err *e)
{
    int64_t n = 0;
    const char *jws;

    if (rq->app->keys == NULL)
        return err_set(e, ERR_OVERLOADED, "the parent is starting");
    jws = parse_i64(slice_of(rq->param[0]), 1, INT32_MAX, &n) ? keyring_trust(rq->app->keys, n)
                                                              : NULL;
    if (jws == NULL)
        return err_set(e, ERR_NOT_FOUND, "there is no trust document \"%s\"", rq->param[0]);
    reply_header(rp, "Cache-Control", "public, max-age=31536000, immutable");
    return reply_jose(rp, jws, e);
}

static enum err_code make_notice(const struct app *app, int64_t n, bool fenced, char **ret,
                                 struct err *e)
{
    int64_t now = clock_wall_s();
    AUTO(json_free)
    json_t *j = json_pack("{s:s,s:I,s:b,s:I,s:I,s:o,s:o,s:I,s:I}", "fleet", app->fleet_id, "n",
                          (json_int_t)n, "fenced", fenced, "epoch", (json_int_t)app->epoch,
                          "highest_rev", (json_int_t)fleet_highest_rev(app->fleet), "revoked",
                          fleet_revoked(app->fleet), "addresses", strings(app->addresses), "iat",
                          (json_int_t)now, "exp", (json_int_t)(now + NOTICE_LIFE_S));
    AUTO_STR char *text = j == NULL ? NULL : json_canonical(j);

    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return jose_jws_sign(keyring_bundle_key(app->keys), PROTO_TYP_NOTICE, slice_of(text), false,
                         ret, e);
}

/* Made at most once in NOTICE_CACHE_MS: strangers may ask for it. */
enum err_code agent_notice(struct req *rq, struct reply *rp, struct err *e)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static char *cached;
    static int64_t made_ms, made_n;
    static bool made_fenced;
    int64_t now = clock_mono_ms(), n;
    bool fenced = atomic_load(&rq->app->fenced);
    enum err_code rc = ERR_OK;

    if (rq->app->keys == NULL || rq->app->fleet == NULL || !fleet_usable(rq->app->fleet, now))
        return err_set(e, ERR_OVERLOADED, "could not read the device table for some time");
    n = fleet_notice_n(rq->app->fleet);
    (void)pthread_mutex_lock(&lock);
    if (cached == NULL || now - made_ms > NOTICE_CACHE_MS || n != made_n || fenced != made_fenced) {
        char *fresh = NULL;
        rc = make_notice(rq->app, n, fenced, &fresh, e);
        if (rc == ERR_OK) {
            free(cached);
            cached = fresh;
            made_ms = now;
            made_n = n;
            made_fenced = fenced;
        }
    }
    if (rc == ERR_OK)
        rc = reply_jose(rp, cached, e);
    (void)pthread_mutex_unlock(&lock);
    reply_header(rp, "Cache-Control", "no-store");
    return rc;
}

/* --- tokens --- */

static enum err_code oauth_error(struct reply *rp, enum err_code rc)
{
    const char *word = "invalid_client";

    if (rc == ERR_OK)
        return rc;
    if (rc == ERR_MALFORMED)
        word = "unsupported_grant_type";
    else if (rc == ERR_INVALID)
        word = "invalid_request";
    else if (rc == ERR_OVERLOADED || rc == ERR_SLOW_DOWN || rc == ERR_OUTCOME_UNKNOWN)
        word = "temporarily_unavailable";
    else if (rc == ERR_FORBIDDEN || rc == ERR_PASSWORD_CHANGE_REQUIRED || rc == ERR_TOKEN_SCOPE)
        word = "access_denied";
    if (rp->problem_extra == NULL)
        rp->problem_extra = json_object();
    (void)json_object_set_new(rp->problem_extra, "error", json_string(word));
    if (rc == ERR_CLOCK_SKEW) {
        char now[CLOCK_TEXT_SIZE];
        clock_format(clock_wall_ms(), now);
        (void)json_object_set_new(rp->problem_extra, "server_time", json_string(now));
    }
    return rc;
}

static enum err_code need(const struct req *rq, const char *field, const char **ret, struct err *e)
{
    char pointer[64];

    *ret = req_form(rq, field);
    if (*ret != NULL && (*ret)[0] != '\0')
        return ERR_OK;
    (void)snprintf(pointer, sizeof pointer, "/form/%s", field);
    return err_field(e, ERR_INVALID, pointer, "the form field \"%s\" is missing", field);
}

static enum err_code grant_password(struct req *rq, struct reply *rp, struct err *e)
{
    const char *user = NULL, *password = NULL, *scope = NULL;
    char token[ENROL_TOKEN_SIZE];
    int64_t wait = 0;
    struct who who;
    enum err_code rc = need(rq, "username", &user, e);

    if (rc == ERR_OK)
        rc = need(rq, "password", &password, e);
    if (rc == ERR_OK)
        rc = need(rq, "scope", &scope, e);
    if (rc == ERR_OK && strcmp(scope, "enrol") != 0)
        rc = err_field(e, ERR_INVALID, "/form/scope", "the only scope of a password is \"enrol\"");
    if (rc == ERR_OK)
        rc = login_check(rq->db, rq->app, user, password, rq->client_address, clock_wall_ms(), &who,
                         &wait, e);
    if (rc == ERR_SLOW_DOWN)
        reply_header(rp, "Retry-After", "%lld", (long long)wait);
    if (rc == ERR_OK && who.must_change_password)
        rc = err_set(e, ERR_PASSWORD_CHANGE_REQUIRED,
                     "change the first password in the console or with inarictl, then join");
    if (rc == ERR_OK)
        rc = enrol_token_for_login(
            rq->db, &who,
            &(struct actor){"account", who.name, who.id, who.account, rq->client_address}, token,
            e);
    if (rc == ERR_OK)
        rc = reply_json(rp, 200,
                        json_pack("{s:s,s:s,s:i,s:s}", "access_token", token, "token_type",
                                  "Bearer", "expires_in", ENROL_LOGIN_TTL_S, "scope", "enrol"),
                        e);
    secret_wipe(token, sizeof token);
    return rc;
}

static enum err_code grant_assertion(struct req *rq, struct reply *rp, struct err *e)
{
    const char *type = NULL, *assertion = NULL;
    json_t *answer = NULL;
    enum err_code rc = need(rq, "client_assertion_type", &type, e);

    if (rc == ERR_OK && strcmp(type, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer") != 0)
        rc =
            err_field(e, ERR_INVALID, "/form/client_assertion_type", "the only type is jwt-bearer");
    if (rc == ERR_OK)
        rc = need(rq, "client_assertion", &assertion, e);
    if (rc == ERR_OK)
        rc = device_token_grant(rq->db, rq->app, slice_of(assertion), clock_wall_s(),
                                rq->client_address, rq->arena, &answer, e);
    return rc == ERR_OK ? reply_json(rp, 200, answer, e) : rc;
}

enum err_code oauth_token(struct req *rq, struct reply *rp, struct err *e)
{
    const char *grant = NULL;
    enum err_code rc;

    reply_header(rp, "Cache-Control", "no-store");
    if (rq->app->keys == NULL)
        rc = err_set(e, ERR_OVERLOADED, "the parent is starting");
    else if (need(rq, "grant_type", &grant, e) != ERR_OK)
        rc = ERR_INVALID;
    else if (strcmp(grant, "password") == 0)
        rc = grant_password(rq, rp, e);
    else if (strcmp(grant, "client_credentials") == 0)
        rc = grant_assertion(rq, rp, e);
    else
        rc = err_field(e, ERR_MALFORMED, "/form/grant_type",
                       "the grants are \"password\" and \"client_credentials\"");
    return oauth_error(rp, rc);
}

/* --- enrolment --- */

/* What the child sends as its Authorization, at most max bytes, to a parent that can judge it. */
static enum err_code credential(const struct req *rq, struct reply *rp, size_t max,
                                const char *what, const char **ret, struct err *e)
{
    const char *authorization = req_header(rq, "Authorization");

    reply_header(rp, "Cache-Control", "no-store");
    if (rq->app->keys == NULL)
        return err_set(e, ERR_OVERLOADED, "the parent is starting");
    if (authorization == NULL || strncasecmp(authorization, "Bearer ", 7) != 0 ||
        strlen(authorization) > 7 + max)
        return err_set(e, ERR_TOKEN_INVALID, "send %s as Authorization: Bearer", what);
    *ret = authorization + 7;
    return ERR_OK;
}

/* rc, pending and body are what the domain gave for device id. */
static enum err_code reply_enrolment(struct reply *rp, enum err_code rc, const char *id,
                                     bool pending, int done, json_t *body, struct err *e)
{
    if (rc == ERR_SLOW_DOWN)
        reply_header(rp, "Retry-After", "%d", 1 + (int)rand_below(5));
    if (rc != ERR_OK)
        return rc;
    if (pending) {
        (void)snprintf(rp->location, sizeof rp->location, "/api/agent/v1/enrolments/%s", id);
        reply_header(rp, "Retry-After", "%d",
                     APPROVAL_RETRY_S + (int)rand_below(APPROVAL_RETRY_S / 5));
    }
    return reply_json(rp, pending ? 202 : done, body, e);
}

enum err_code agent_enrol(struct req *rq, struct reply *rp, struct err *e)
{
    const char *token = NULL;
    char id[37];
    bool pending = false;
    json_t *body = NULL;
    enum err_code rc = credential(rq, rp, 4096, "the join token, or the receipt", &token, e);

    if (rc == ERR_OK) /* a join token has no dots, a receipt two */
        rc = (strchr(token, '.') == NULL ? enrol_device : enrol_reattach)(
            rq->db, rq->app, token, rq->body, rq->client_address, rq->arena, id, &pending, &body,
            e);
    return reply_enrolment(rp, rc, id, pending, 201, body, e);
}

enum err_code agent_enrolment_get(struct req *rq, struct reply *rp, struct err *e)
{
    const char *proof = NULL;
    bool pending = false;
    json_t *body = NULL;
    enum err_code rc = credential(rq, rp, 4096, "a proof of the device's key", &proof, e);

    if (rc == ERR_OK)
        rc = enrol_state(rq->db, rq->app, rq->param[0], proof, rq->client_address, rq->arena,
                         &pending, &body, e);
    return reply_enrolment(rp, rc, rq->param[0], pending, 200, body, e);
}
