/* From a routed request to a handler's answer: authenticate, permission, body, handler (request.h).
 */
#include "http/http_private.h"

#include "base/clock.h"
#include "domain/auth.h"

#include <stdio.h>
#include <strings.h>

static const char *header(const struct call *c, const char *name)
{
    const struct gate_field *f = gate_field(c->src.fields, c->src.n_fields, name);

    return f == NULL ? NULL : f->value.p;
}

/* A caller on this machine, and nobody a proxy speaks for. */
static bool is_local(const struct call *c)
{
    return c->conn->loopback && header(c, "Forwarded") == NULL &&
           header(c, "X-Forwarded-For") == NULL && header(c, "Via") == NULL;
}

static bool is_open(const struct call *c)
{
    const struct route *r = c->match.route;

    return r->perm == PERM_NONE || ((r->flags & R_LOOPBACK) != 0 && is_local(c));
}

bool call_needs_worker(const struct call *c)
{
    const struct route *r = c->match.route;

    return (r->flags & R_INLINE) == 0 || !(is_open(c) || r->perm == PERM_DEVICE);
}

static bool changes_state(const struct call *c)
{
    return strcmp(c->match.route->method, "GET") != 0;
}

/* A cookie alone proves little: another site's page can make a browser send it (security.md C4). */
static enum err_code check_csrf(const struct call *c, struct err *e)
{
    const char *mark = header(c, "X-Inari-Request"), *origin = header(c, "Origin"),
               *host = header(c, "Host");

    if (!changes_state(c))
        return ERR_OK;
    if (mark == NULL || strcmp(mark, "1") != 0)
        return err_set(e, ERR_CSRF, "header X-Inari-Request is missing");
    if (origin != NULL && (strncasecmp(origin, "https://", 8) != 0 || host == NULL ||
                           strcasecmp(origin + 8, host) != 0))
        return err_set(e, ERR_CSRF, "the request comes from another origin");
    return ERR_OK;
}

static enum err_code by_device(struct call *c, struct slice token, struct err *e)
{
    enum err_code rc;

    if (c->h->cfg.hooks.device_token == NULL || !atomic_load(&c->h->ready))
        return err_set(e, ERR_OVERLOADED, "the parent is starting");
    if (token.n > 4 * KIB)
        return err_set(e, ERR_TOKEN_INVALID, "the token is too long");
    if (c->asked_s == 0)
        c->asked_s = clock_wall_coarse_ms() / 1000;
    rc = c->h->cfg.hooks.device_token(c->h->cfg.app, &c->conn->device, token, c->asked_s,
                                      &c->rq.who, e);
    if (rc == ERR_OK)
        conns_trust(&c->h->conns, c->conn);
    return rc;
}

static enum err_code by_cookie(struct call *c, struct db *db, struct err *e)
{
    const char *cookies = header(c, "Cookie");
    char value[200];

    if (cookies == NULL || !cookie_find(slice_of(cookies), AUTH_COOKIE, value, sizeof value))
        return err_set(e, ERR_UNAUTHENTICATED, "this needs a session or a token");
    if (check_csrf(c, e) != ERR_OK)
        return e->code;
    return c->h->cfg.hooks.session(db, c->h->cfg.app, value, clock_wall_ms(), c->arena, &c->rq.who,
                                   e);
}

static enum err_code authenticate(struct call *c, struct db *db, struct err *e)
{
    const char *authorization = header(c, "Authorization"), *token = authorization;

    if (authorization != NULL) {
        if (strncasecmp(authorization, "Bearer ", 7) != 0)
            return err_set(e, ERR_TOKEN_INVALID, "the only scheme is Bearer");
        for (token += 7; *token == ' ';)
            token++;
    }
    if (c->match.route->perm == PERM_DEVICE)
        return token == NULL ? err_set(e, ERR_UNAUTHENTICATED, "this needs a device's access token")
                             : by_device(c, slice_of(token), e);
    if (c->h->cfg.hooks.session == NULL || db == NULL)
        return err_set(e, ERR_OVERLOADED, "no database connection");
    if (token == NULL)
        return by_cookie(c, db, e);
    if (strncmp(token, AUTH_TOKEN_PREFIX, strlen(AUTH_TOKEN_PREFIX)) != 0 || strlen(token) > 200)
        return err_set(e, ERR_TOKEN_INVALID, "this is not an API token");
    return c->h->cfg.hooks.api_token(db, c->h->cfg.app, token, clock_wall_ms(), c->arena,
                                     &c->rq.who, e);
}

static enum err_code permit(const struct call *c, struct err *e)
{
    const struct route *r = c->match.route;
    unsigned missing = r->perm & ~c->rq.who.perms;

    if (c->rq.who.must_change_password && (r->flags & R_OPEN_PW) == 0)
        return err_set(e, ERR_PASSWORD_CHANGE_REQUIRED,
                       "change the first password, then repeat this");
    if (missing == 0)
        return ERR_OK;
    for (unsigned bit = 0; bit < 16; bit++)
        if ((missing & (1u << bit)) != 0) {
            const char *scope = scope_names[bit][0] == '\0' ? "a session" : scope_names[bit];
            return c->rq.who.kind == WHO_TOKEN
                       ? err_set(e, ERR_TOKEN_SCOPE, "this token lacks: %s", scope)
                       : err_set(e, ERR_FORBIDDEN, "this account lacks: %s", scope);
        }
    return err_set(e, ERR_FORBIDDEN, "this account may not do that");
}

enum err_code call_check_type(const struct call *c, struct err *e)
{
    unsigned flags = c->match.route->flags;
    const char *given = header(c, "Content-Type");
    struct slice type = slice_of(given);

    if (given != NULL && (flags & R_RAW) != 0 &&
        (media_type_is(type, "application/jose+json") || media_type_is(type, "application/jose") ||
         media_type_is(type, "application/x-ndjson") ||
         media_type_is(type, "application/octet-stream") ||
         media_type_is(type, "application/json")))
        return ERR_OK;
    if ((flags & R_RAW) != 0)
        return err_set(e, ERR_UNSUPPORTED_MEDIA_TYPE, "send Content-Type: application/jose+json");
    if ((flags & R_FORM) != 0)
        return given != NULL && media_type_is(type, "application/x-www-form-urlencoded")
                   ? ERR_OK
                   : err_set(e, ERR_UNSUPPORTED_MEDIA_TYPE,
                             "send Content-Type: application/x-www-form-urlencoded");
    if (given != NULL && (flags & R_MERGE) != 0 &&
        media_type_is(type, "application/merge-patch+json"))
        return ERR_OK;
    return given != NULL && media_type_is(type, "application/json")
               ? ERR_OK
               : err_set(e, ERR_UNSUPPORTED_MEDIA_TYPE, "send Content-Type: application/json");
}

/* Once a request, also when its handler runs again after parking. */
static enum err_code parse_body(struct call *c, struct err *e)
{
    const struct route *r = c->match.route;
    struct slice body = strbuf_slice(&c->body);

    if (c->body_parsed)
        return ERR_OK;
    c->rq.body = body;
    if ((r->flags & R_RAW) == 0 && (r->flags & R_FORM) != 0 &&
        params_parse(body, c->arena, &c->src.form, e) != ERR_OK)
        return e->code;
    if ((r->flags & (R_RAW | R_FORM)) == 0 && r->body_max > 0) {
        /* Without a body the handler's table names the members that are missing. */
        if (body.n == 0)
            c->json = json_object();
        else if (json_in_parse(body, r->body_max, &c->json, e) != ERR_OK)
            return e->code;
        if (c->json == NULL)
            return err_set(e, ERR_NO_MEMORY, "out of memory");
        if (!json_is_object(c->json))
            return err_set(e, ERR_MALFORMED, "the body must be a JSON object");
        c->rq.json = c->json;
    }
    c->body_parsed = true;
    return ERR_OK;
}

static enum err_code fill_request(struct call *c, struct err *e)
{
    const char *dry;

    for (size_t i = 0; i < ROUTER_PARAMS && c->match.param[i].p != NULL; i++)
        if ((c->rq.param[i] = params_segment(c->match.param[i], ROUTER_PARAM_MAX, c->arena)) ==
            NULL)
            return err_set(e, ERR_NOT_FOUND, "no such address");
    if (params_parse(c->query, c->arena, &c->src.query, e) != ERR_OK)
        return e->code;
    dry = req_query(&c->rq, "dry_run");
    if (dry != NULL && strcmp(dry, "true") != 0 && strcmp(dry, "false") != 0)
        return err_field(e, ERR_INVALID, "/query/dry_run", "dry_run must be true or false");
    c->rq.dry_run = dry != NULL && dry[0] == 't';
    return ERR_OK;
}

static void choose_language(struct call *c)
{
    const char *accept = header(c, "Accept-Language");

    if (accept != NULL && accept_language(slice_of(accept), &c->rq.lang))
        return;
    if (c->rq.who.kind == WHO_ACCOUNT)
        c->rq.lang = c->rq.who.lang;
}

static enum err_code decide(struct call *c, struct db *db, struct reply *rp, struct err *e)
{
    bool first = c->parked.serial == 0;

    e->code = ERR_OK;
    e->msg[0] = e->pointer[0] = '\0';
    choose_language(c);
    /* Who was already asked is asked again only where it is cheap: a device may be revoked while it
     * is parked. */
    if (!is_open(c) && (first || c->match.route->perm == PERM_DEVICE) &&
        (authenticate(c, db, e) != ERR_OK || permit(c, e) != ERR_OK))
        return e->code;
    if (c->rq.who.kind == WHO_ACCOUNT)
        choose_language(c); /* the account's own, when the request names none */
    if (first && (fill_request(c, e) != ERR_OK || parse_body(c, e) != ERR_OK))
        return e->code;
    c->rq.db = (c->match.route->flags & R_INLINE) != 0 ? NULL : db;
    if (c->rq.db != NULL && c->h->cfg.hooks.post != NULL &&
        strcmp(c->match.route->method, "POST") == 0)
        return c->h->cfg.hooks.post(c->match.route->handler, &c->rq, rp, e);
    return c->match.route->handler(&c->rq, rp, e);
}

enum err_code call_execute(struct call *c, struct db *db, struct reply *rp, struct err *e)
{
    uint64_t failed = json_failures() + arena_failures();
    enum err_code rc = decide(c, db, rp, e);

    if (json_failures() + arena_failures() == failed)
        return rc;
    /* An answer with a part missing is none, nor is a refusal for want of what was missing. */
    e->pointer[0] = '\0';
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}
