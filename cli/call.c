#include "cli.h"

#include "base/hash.h"

#include <stdlib.h>

enum cli_exit cli_connect(struct cli *c)
{
    const struct apiclient_options o = {.url = c->conf.url,
                                        .ca_file = c->conf.ca_file,
                                        .ca_pem = c->conf.ca_pem,
                                        .pin = c->conf.pin,
                                        .token = c->conf.token,
                                        .cookie = c->conf.cookie,
                                        .lang = c->lang};
    struct err e = {0};

    if (c->client != NULL)
        return EXIT_OK_;
    if (c->conf.url == NULL) {
        complain(c, T_NO_URL);
        return EXIT_USAGE;
    }
    if (apiclient_new(&o, &c->client, &e) != ERR_OK) {
        (void)fail(c, &e, NULL);
        return EXIT_USAGE;
    }
    return EXIT_OK_;
}

static enum cli_exit call_failed(struct cli *c, const struct err *e, const json_t *problem)
{
    enum cli_exit rc = fail(c, e, problem);

    if (e->code == ERR_UNAUTHENTICATED && c->conf.token == NULL)
        complain(c, T_NOT_SIGNED_IN);
    return rc;
}

/* A session gets a new id when its rights change (a new password): the old one is over. */
static void keep_cookie(struct cli *c, const struct apireply *r)
{
    if (r->cookie[0] == '\0' || c->conf.token != NULL)
        return;
    if (c->conf.cookie != NULL)
        secret_wipe(c->conf.cookie, strlen(c->conf.cookie));
    free(c->conf.cookie);
    c->conf.cookie = strdup(r->cookie);
    apiclient_set_cookie(c->client, r->cookie);
}

static enum cli_exit call(struct cli *c, const struct apicall *what, struct apireply *r)
{
    struct err e = {0};
    enum cli_exit rc = cli_connect(c);

    *r = (struct apireply){0};
    if (rc == EXIT_OK_ && apiclient_call(c->client, what, r, &e) != ERR_OK)
        rc = call_failed(c, &e, r->json);
    c->failed = e.code;
    if (rc == EXIT_OK_)
        keep_cookie(c, r);
    return rc;
}

enum cli_exit cli_get(struct cli *c, const char *path, json_t **ret)
{
    struct apireply r;
    enum cli_exit rc = call(c, &(struct apicall){.method = "GET", .path = path}, &r);

    if (rc == EXIT_OK_)
        *ret = r.json == NULL ? json_object() : json_incref(r.json);
    apireply_clear(&r);
    return rc;
}

enum cli_exit cli_list(struct cli *c, const char *path, json_t **ret)
{
    return cli_list_some(c, path, CLI_ITEMS_MAX, ret);
}

enum cli_exit cli_list_some(struct cli *c, const char *path, size_t max, json_t **ret)
{
    AUTO(json_free) json_t *problem = NULL;
    struct err e = {0};
    enum cli_exit rc = cli_connect(c);

    if (rc == EXIT_OK_ && apiclient_list(c->client, path, max, ret, &problem, &e) != ERR_OK)
        rc = call_failed(c, &e, problem);
    return rc;
}

static enum cli_exit send(struct cli *c, const char *method, const char *path, const char *etag,
                          json_t *body, json_t **ret)
{
    const struct apicall what = {.method = method,
                                 .path = path,
                                 .body = body,
                                 .merge = strcmp(method, "PATCH") == 0,
                                 .if_match = etag,
                                 .dry_run = c->dry_run};
    struct apireply r;
    enum cli_exit rc = call(c, &what, &r);

    if (rc == EXIT_OK_ && ret != NULL)
        *ret = json_incref(r.json);
    json_decref(body);
    apireply_clear(&r);
    return rc;
}

enum cli_exit cli_send(struct cli *c, const char *method, const char *path, json_t *body,
                       json_t **ret)
{
    return send(c, method, path, NULL, body, ret);
}

enum cli_exit cli_send_seen(struct cli *c, const char *path, const char *seen, json_t *body,
                            json_t **ret)
{
    struct apireply r;
    enum cli_exit rc = call(c, &(struct apicall){.method = "GET", .path = seen}, &r);

    if (rc == EXIT_OK_)
        rc = send(c, "POST", path, r.etag[0] != '\0' ? r.etag : NULL, body, ret);
    else
        json_decref(body);
    apireply_clear(&r);
    return rc;
}

enum cli_exit cli_change(struct cli *c, const char *method, const char *path, json_t *body,
                         json_t **ret)
{
    struct apireply r;
    enum cli_exit rc = call(c, &(struct apicall){.method = "GET", .path = path}, &r);

    if (rc == EXIT_OK_)
        rc = send(c, method, path, r.etag[0] != '\0' ? r.etag : NULL, body, ret);
    else
        json_decref(body);
    apireply_clear(&r);
    return rc;
}

enum cli_exit cli_get_list_show(struct cli *c, const char *path, const struct column *cols,
                                size_t n)
{
    AUTO(json_free) json_t *doc = NULL;
    enum cli_exit rc = cli_list(c, path, &doc);

    if (rc == EXIT_OK_)
        show_list(c, doc, cols, n);
    return rc;
}
