#include "cli.h"

#include <stdlib.h>

enum { JOIN_DEFAULT_S = 86400 };

static json_t *split(const char *list)
{
    json_t *out = json_array();
    struct slice rest = slice_of(list);

    while (rest.n > 0) {
        struct slice word = slice_trim(slice_cut(&rest, ','));
        if (word.n > 0)
            json_array_append_new(out, json_stringn(word.p, word.n));
    }
    return out;
}

static enum cli_exit create_body(struct cli *c, json_t **ret)
{
    static const struct {
        const char *option, *member;
    } plain[] = {{"group", "group"}, {"name-pattern", "name_pattern"}, {"placement", "placement"}};
    json_t *body = json_pack("{s:s}", "name", c->n_args > 1 ? c->arg[1] : "inarictl");
    int64_t uses = 1;
    int64_t expires = JOIN_DEFAULT_S;
    enum cli_exit rc = cli_opt_int(c, "uses", 1, 10000, 1, &uses);

    if (rc == EXIT_OK_)
        rc = cli_opt_seconds(c, "expires", JOIN_DEFAULT_S, &expires);
    json_object_set_new(body, "uses", json_integer(uses));
    json_object_set_new(body, "expires_in_s", json_integer(expires));
    for (size_t i = 0; i < COUNT_OF(plain); i++)
        if (cli_opt(c, plain[i].option) != NULL)
            json_object_set_new(body, plain[i].member, json_string(cli_opt(c, plain[i].option)));
    if (cli_opt(c, "networks") != NULL)
        json_object_set_new(body, "networks", split(cli_opt(c, "networks")));
    if (cli_flag(c, "approval"))
        json_object_set_new(body, "approval", json_true());
    if (rc == EXIT_OK_)
        *ret = body;
    else
        json_decref(body);
    return rc;
}

static enum cli_exit create(struct cli *c)
{
    AUTO(json_free) json_t *answer = NULL;
    json_t *body = NULL;
    enum cli_exit rc = create_body(c, &body);

    if (rc == EXIT_OK_)
        rc = cli_send(c, "POST", "/api/v1/enrolment-tokens", body, &answer);
    if (rc != EXIT_OK_)
        return rc;
    if (c->json) {
        print_json(answer);
        return EXIT_OK_;
    }
    if (c->dry_run)
        return done(c, NULL);
    /* The join string alone on standard output, so that a script can take it. */
    complain(c, T_TOKEN_ONCE);
    printf("%s\n", json_str(answer, "join", ""));
    return EXIT_OK_;
}

enum cli_exit verb_join_token(struct cli *c)
{
    static const struct column cols[] = {{T_ID, "id", COL_TEXT},
                                         {T_NAME, "name", COL_TEXT},
                                         {T_USED, "used", COL_VALUE},
                                         {T_USES, "uses", COL_VALUE},
                                         {T_EXPIRES, "expires_at", COL_TIME},
                                         {T_GROUP, "group", COL_TEXT},
                                         {T_DEVICES, "devices", COL_WORDS}};
    AUTO_STR char *path = NULL;
    enum cli_exit rc;

    if (strcmp(c->arg[0], "create") == 0)
        return create(c);
    if (strcmp(c->arg[0], "list") == 0)
        return cli_get_list_show(c, "/api/v1/enrolment-tokens", cols, COUNT_OF(cols));
    if (strcmp(c->arg[0], "revoke") != 0)
        return usage(c, T_UNKNOWN_VERB, c->arg[0]);
    if (c->n_args < 2)
        return usage(c, T_TOO_FEW);
    path = apiclient_pathf("/api/v1/enrolment-tokens/%s", c->arg[1]);
    rc = cli_send(c, "DELETE", path, NULL, NULL);
    return rc == EXIT_OK_ ? done(c, NULL) : rc;
}
