/* Strategies on the command line: options of publish, and the fleet's policy. */
#include "rollout.h"

#include <stdlib.h>

static json_t *split(const char *words)
{
    json_t *list = json_array();
    struct slice rest = slice_of(words);

    while (rest.n > 0) {
        struct slice one = slice_trim(slice_cut(&rest, ','));
        if (!slice_is(one, "rest")) /* the rest always follows */
            (void)json_array_append_new(list, json_stringn(one.p, one.n));
    }
    return list;
}

enum cli_exit rollout_options(struct cli *c, json_t **ret)
{
    static const struct {
        const char *option, *member;
    } texts[] = {{"strategy", "strategy"},
                 {"max-unavailable", "max_unavailable"},
                 {"on-failure", "on_failure"}};
    AUTO(json_free) json_t *j = json_object();
    int64_t bake = 0;
    enum cli_exit rc = cli_opt_seconds(c, "bake", 0, &bake);

    if (rc != EXIT_OK_)
        return rc;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (cli_opt(c, texts[i].option) != NULL)
            (void)json_object_set_new(j, texts[i].member, json_string(cli_opt(c, texts[i].option)));
    }
    if (cli_opt(c, "waves") != NULL) {
        (void)json_object_set_new(j, "waves", split(cli_opt(c, "waves")));
        if (cli_opt(c, "strategy") == NULL)
            (void)json_object_set_new(j, "strategy", json_string("waves"));
    }
    if (cli_opt(c, "bake") != NULL) {
        (void)json_object_set_new(j, "canary_bake_s", json_integer(bake));
        (void)json_object_set_new(j, "bake_s", json_integer(bake));
    }
    if (cli_flag(c, "approval"))
        (void)json_object_set_new(j, "approval", json_true());
    if (cli_flag(c, "on-devices"))
        (void)json_object_set_new(j, "shadow", json_string("always"));
    if (cli_flag(c, "expedite"))
        (void)json_object_set_new(j, "expedite", json_true());
    *ret = json_object_size(j) > 0 ? TAKE(j) : NULL;
    return EXIT_OK_;
}

/* --- the policy --- */

/* "default" takes a member out; the parent says what is wrong with a value. */
static json_t *value_of(const char *name, const char *text)
{
    int64_t n;

    if (strcmp(text, "default") == 0)
        return json_null();
    if (strcmp(name, "waves") == 0)
        return split(text);
    if (is_one_of(text, "yes|true"))
        return json_true();
    if (is_one_of(text, "no|false"))
        return json_false();
    if (is_one_of(name, "max_unavailable|max_failures"))
        return json_string(text);
    return parse_seconds(text, &n) ? json_integer(n) : json_string(text);
}

static enum cli_exit change(struct cli *c, json_t **ret)
{
    AUTO(json_free) json_t *body = json_object();

    for (int i = 1; i < c->n_args; i++) {
        const char *eq = strchr(c->arg[i], '=');
        char name[64];
        if (eq == NULL || eq == c->arg[i] || (size_t)(eq - c->arg[i]) >= sizeof name)
            return usage(c, T_NOT_ASSIGNMENT, c->arg[i]);
        (void)snprintf(name, sizeof name, "%.*s", (int)(eq - c->arg[i]), c->arg[i]);
        (void)json_object_set_new(body, name, value_of(name, eq + 1));
    }
    return cli_change(c, "PATCH", "/api/v1/rollout-policy", TAKE(body), ret);
}

enum cli_exit rollout_policy(struct cli *c)
{
    AUTO(json_free) json_t *doc = NULL;
    AUTO(table_free) struct table *t = table_new(3);
    enum cli_exit rc = c->n_args > 1 ? change(c, &doc) : cli_get(c, "/api/v1/rollout-policy", &doc);
    const char *name;
    json_t *v;

    if (rc != EXIT_OK_)
        return rc;
    if (c->json) {
        print_json(doc);
        return EXIT_OK_;
    }
    json_object_foreach(json_object_get(doc, "effective"), name, v)
    {
        AUTO_STRBUF struct strbuf b = STRBUF_INIT(4 * KIB);
        value_text(c, &b, v);
        table_cell(t, name);
        table_cell(t, strbuf_str(&b));
        table_cell(t, json_object_get(json_object_get(doc, "policy"), name) == NULL
                          ? tx(c, T_RO_BUILT_IN)
                          : "");
    }
    table_print(t, stdout, 0);
    return EXIT_OK_;
}
