#include "cli.h"

#include "base/clock.h"
#include "base/hash.h"

#include <stdlib.h>

static enum cli_exit token_create(struct cli *c)
{
    AUTO(json_free) json_t *answer = NULL;
    json_t *scopes = json_array();
    json_t *body;
    struct slice rest;
    int64_t expires = 0;
    enum cli_exit rc = cli_opt_seconds(c, "expires", 0, &expires);

    if (rc == EXIT_OK_ && cli_opt(c, "scopes") == NULL)
        rc = usage(c, T_OPTION_NEEDED, "scopes");
    if (rc == EXIT_OK_ && c->n_args < 2)
        rc = usage(c, T_TOO_FEW);
    if (rc != EXIT_OK_) {
        json_decref(scopes);
        return rc;
    }
    rest = slice_of(cli_opt(c, "scopes"));
    while (rest.n > 0) {
        struct slice word = slice_trim(slice_cut(&rest, ','));
        json_array_append_new(scopes, json_stringn(word.p, word.n));
    }
    body = json_pack("{s:s, s:o}", "name", c->arg[1], "scopes", scopes);
    if (expires > 0) {
        char at[CLOCK_TEXT_SIZE];
        clock_format(clock_wall_ms() + expires * 1000, at);
        json_object_set_new(body, "expires_at", json_string(at));
    }
    rc = cli_send(c, "POST", "/api/v1/api-tokens", body, &answer);
    if (rc == EXIT_OK_ && c->json) {
        print_json(answer);
    } else if (rc == EXIT_OK_) {
        complain(c, T_TOKEN_ONCE);
        printf("%s\n", json_str(answer, "token", ""));
    }
    return rc;
}

enum cli_exit verb_tokens(struct cli *c)
{
    static const struct column cols[] = {{T_ID, "id", COL_TEXT},
                                         {T_NAME, "name", COL_TEXT},
                                         {T_OWNER, "account", COL_TEXT},
                                         {T_SCOPES, "scopes", COL_WORDS},
                                         {T_EXPIRES, "expires_at", COL_TIME},
                                         {T_USED, "used_at", COL_TIME}};
    AUTO_STR char *path = NULL;
    enum cli_exit rc;

    if (c->n_args == 0 || strcmp(c->arg[0], "list") == 0)
        return cli_get_list_show(c, "/api/v1/api-tokens", cols, COUNT_OF(cols));
    if (strcmp(c->arg[0], "create") == 0)
        return token_create(c);
    if (strcmp(c->arg[0], "revoke") != 0)
        return usage(c, T_UNKNOWN_VERB, c->arg[0]);
    if (c->n_args < 2)
        return usage(c, T_TOO_FEW);
    path = apiclient_pathf("/api/v1/api-tokens/%s", c->arg[1]);
    rc = cli_send(c, "DELETE", path, NULL, NULL);
    return rc == EXIT_OK_ ? done(c, NULL) : rc;
}

static enum cli_exit find(struct cli *c, const char *name, char ret_id[64])
{
    AUTO(json_free) json_t *all = NULL;
    struct err e = {0};
    size_t i;
    json_t *a;
    enum cli_exit rc = cli_list(c, "/api/v1/accounts", &all);

    if (rc != EXIT_OK_)
        return rc;
    json_array_foreach(json_object_get(all, "items"), i, a)
    {
        if (strcmp(json_str(a, "name", ""), name) == 0 ||
            strcmp(json_str(a, "id", ""), name) == 0) {
            snprintf(ret_id, 64, "%s", json_str(a, "id", ""));
            return EXIT_OK_;
        }
    }
    (void)err_set(&e, ERR_NOT_FOUND, "account \"%s\"", name);
    return fail(c, &e, NULL);
}

/* The members that options name; a new password is read, never an argument (arguments are seen by
 * every user). */
static enum cli_exit account_body(struct cli *c, bool password, json_t **ret)
{
    json_t *body = json_object();
    char *secret = NULL;

    if (cli_opt(c, "role") != NULL && !is_one_of(cli_opt(c, "role"), "viewer|operator|admin")) {
        json_decref(body);
        return usage(c, T_OPTION_BAD, "role", cli_opt(c, "role"), "viewer operator admin");
    }
    if (cli_opt(c, "role") != NULL)
        json_object_set_new(body, "role", json_string(cli_opt(c, "role")));
    if (cli_opt(c, "language") != NULL)
        json_object_set_new(body, "lang", json_string(cli_opt(c, "language")));
    if (cli_flag(c, "disable") || cli_flag(c, "enable"))
        json_object_set_new(body, "disabled", json_boolean(cli_flag(c, "disable")));
    if (password) {
        secret = read_secret(c, T_NEW_PASSWORD, false);
        if (secret == NULL) {
            json_decref(body);
            complain(c, T_NO_INPUT);
            return EXIT_USAGE;
        }
        json_object_set_new(body, "password", json_string(secret));
        secret_wipe(secret, strlen(secret));
        free(secret);
    }
    *ret = body;
    return EXIT_OK_;
}

static enum cli_exit account_add(struct cli *c)
{
    AUTO(json_free) json_t *answer = NULL;
    json_t *body = NULL;
    enum cli_exit rc = account_body(c, true, &body);

    if (rc != EXIT_OK_)
        return rc;
    json_object_set_new(body, "name", json_string(c->arg[1]));
    if (json_object_get(body, "role") == NULL)
        json_object_set_new(body, "role", json_string("viewer"));
    rc = cli_send(c, "POST", "/api/v1/accounts", body, &answer);
    return rc == EXIT_OK_ ? done(c, answer) : rc;
}

static enum cli_exit account_change(struct cli *c, const char *method)
{
    AUTO_STR char *path = NULL;
    AUTO(json_free) json_t *answer = NULL;
    json_t *body = NULL;
    char id[64];
    enum cli_exit rc = find(c, c->arg[1], id);

    if (rc == EXIT_OK_ && method[0] == 'P')
        rc = account_body(c, strcmp(c->arg[0], "password") == 0, &body);
    if (rc != EXIT_OK_)
        return rc;
    path = apiclient_pathf("/api/v1/accounts/%s", id);
    rc = cli_change(c, method, path, body, &answer);
    return rc == EXIT_OK_ ? done(c, answer) : rc;
}

enum cli_exit verb_accounts(struct cli *c)
{
    static const struct column cols[] = {{T_NAME, "name", COL_TEXT},
                                         {T_ROLE, "role", COL_TEXT},
                                         {T_LANG, "lang", COL_TEXT},
                                         {T_DISABLED, "disabled", COL_BOOL},
                                         {T_ID, "id", COL_TEXT}};

    if (c->n_args == 0 || strcmp(c->arg[0], "list") == 0)
        return cli_get_list_show(c, "/api/v1/accounts", cols, COUNT_OF(cols));
    if (!is_one_of(c->arg[0], "add|set|password|delete"))
        return usage(c, T_UNKNOWN_VERB, c->arg[0]);
    if (c->n_args < 2)
        return usage(c, T_TOO_FEW);
    if (strcmp(c->arg[0], "add") == 0)
        return account_add(c);
    if (strcmp(c->arg[0], "delete") == 0 && !cli_flag(c, "yes") && !c->dry_run) {
        complain(c, T_CONFIRM);
        return EXIT_USAGE;
    }
    return account_change(c, strcmp(c->arg[0], "delete") == 0 ? "DELETE" : "PATCH");
}
