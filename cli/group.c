#include "cli.h"

#include <stdlib.h>

enum cli_exit verb_groups(struct cli *c)
{
    static const struct column cols[] = {{T_NAME, "name", COL_TEXT},
                                         {T_KIND, "kind", COL_TEXT},
                                         {T_PRIORITY, "priority", COL_VALUE},
                                         {T_MEMBERS, "members", COL_WORDS},
                                         {T_ID, "id", COL_TEXT}};

    return cli_get_list_show(c, "/api/v1/groups", cols, COUNT_OF(cols));
}

/* The id of the group called name; prints when there is none. */
static enum cli_exit find(struct cli *c, const char *name, char ret_id[64])
{
    AUTO(json_free) json_t *all = NULL;
    struct err e = {0};
    size_t i;
    json_t *g;
    enum cli_exit rc = cli_list(c, "/api/v1/groups", &all);

    if (rc != EXIT_OK_)
        return rc;
    json_array_foreach(json_object_get(all, "items"), i, g)
    {
        if (strcmp(json_str(g, "name", ""), name) == 0 ||
            strcmp(json_str(g, "id", ""), name) == 0) {
            snprintf(ret_id, 64, "%s", json_str(g, "id", ""));
            return EXIT_OK_;
        }
    }
    (void)err_set(&e, ERR_NOT_FOUND, "group \"%s\"", name);
    return fail(c, &e, NULL);
}

static enum cli_exit add(struct cli *c)
{
    AUTO(json_free) json_t *answer = NULL;
    const char *kind = cli_opt(c, "kind");
    int64_t priority = 0;
    json_t *body;
    enum cli_exit rc = cli_opt_int(c, "priority", 1, 1000000, 0, &priority);

    if (rc == EXIT_OK_ && kind != NULL && !is_one_of(kind, "set|mx"))
        rc = usage(c, T_OPTION_BAD, "kind", kind, "set mx");
    if (rc != EXIT_OK_)
        return rc;
    body = json_pack("{s:s, s:s}", "name", c->arg[1], "kind", kind == NULL ? "set" : kind);
    if (priority > 0)
        json_object_set_new(body, "priority", json_integer(priority));
    rc = cli_send(c, "POST", "/api/v1/groups", body, &answer);
    return rc == EXIT_OK_ ? done(c, answer) : rc;
}

static enum cli_exit member(struct cli *c, const char *id, const char *method)
{
    enum cli_exit rc = EXIT_OK_;

    if (c->n_args < 3)
        return usage(c, T_TOO_FEW);
    for (int i = 2; rc == EXIT_OK_ && i < c->n_args; i++) {
        AUTO_STR char *path = cli_opt(c, "force") == NULL
                                  ? apiclient_pathf("/api/v1/groups/%s/members/%s", id, c->arg[i])
                                  : apiclient_pathf("/api/v1/groups/%s/members/%s?force=%s", id,
                                                    c->arg[i], cli_opt(c, "force"));
        rc = cli_send(c, method, path, NULL, NULL);
    }
    return rc == EXIT_OK_ ? done(c, NULL) : rc;
}

static enum cli_exit show_members(struct cli *c, const char *id)
{
    static const struct column cols[] = {{T_NAME, "name", COL_TEXT},
                                         {T_KIND, "kind", COL_TEXT},
                                         {T_PRIORITY, "priority", COL_VALUE},
                                         {T_MEMBERS, "members", COL_WORDS}};
    AUTO_STR char *path = apiclient_pathf("/api/v1/groups/%s", id);
    AUTO(json_free) json_t *doc = NULL;
    enum cli_exit rc = cli_get(c, path, &doc);

    if (rc == EXIT_OK_)
        show_object(c, doc, cols, COUNT_OF(cols));
    return rc;
}

static enum cli_exit delete (struct cli *c, const char *id) {
    AUTO_STR char *path = apiclient_pathf("/api/v1/groups/%s", id);
    enum cli_exit rc = cli_change(c, "DELETE", path, NULL, NULL);

    return rc == EXIT_OK_ ? done(c, NULL) : rc;
}

enum cli_exit verb_group(struct cli *c)
{
    char id[64];
    enum cli_exit rc;

    if (!is_one_of(c->arg[0], "create|add|remove|members|delete"))
        return usage(c, T_UNKNOWN_VERB, c->arg[0]);
    if (strcmp(c->arg[0], "create") == 0 && c->n_args > 2)
        return usage(c, T_TOO_MANY, c->arg[2]);
    if (strcmp(c->arg[0], "create") == 0 || (strcmp(c->arg[0], "add") == 0 && c->n_args == 2))
        return add(c);
    rc = find(c, c->arg[1], id);
    if (rc != EXIT_OK_)
        return rc;
    if (strcmp(c->arg[0], "add") == 0)
        return member(c, id, "PUT");
    if (strcmp(c->arg[0], "remove") == 0)
        return member(c, id, "DELETE");
    return strcmp(c->arg[0], "delete") == 0 ? delete (c, id) : show_members(c, id);
}
