/* What differs on a device from what was published: look at it, put it back, take it over into a
 * draft. */
#include "command.h"

#include <stdlib.h>
#include <string.h>

static enum cli_exit show(struct cli *c, const char *device)
{
    static const struct column cols[] = {{T_ITEM, "name", COL_TEXT},
                                         {T_EXPECTED, "expected", COL_TEXT},
                                         {T_FOUND, "found", COL_TEXT},
                                         {T_SINCE, "since", COL_TIME},
                                         {T_FILE_CHANGED, "file_changed_at", COL_TIME},
                                         {T_FILE_OWNER, "file_owner", COL_TEXT},
                                         {T_SET_BY, "set_by.author", COL_TEXT},
                                         {T_REVISION, "set_by.pub", COL_VALUE},
                                         {T_POLICY, "policy", COL_TEXT},
                                         {T_ACTION, "action", COL_TEXT}};
    AUTO_STR char *path = apiclient_pathf("/api/v1/devices/%s/drift", device);
    AUTO(json_free) json_t *doc = NULL;
    enum cli_exit rc = cli_get(c, path, &doc);
    size_t i;
    json_t *v;

    if (rc != EXIT_OK_)
        return rc;
    show_list(c, doc, cols, COUNT_OF(cols));
    json_array_foreach(json_object_get(doc, "items"), i, v)
    {
        const char *problem = json_str(v, "problem", NULL);
        const char *refused = json_str(json_object_get(v, "adoption"), "problem", NULL);
        if (c->json || (problem == NULL && refused == NULL))
            continue;
        fputs("  ", stdout);
        print_safe(stdout, json_str(v, "name", ""));
        fputs(": ", stdout);
        print_safe(stdout, problem != NULL ? problem : refused);
        fputc('\n', stdout);
    }
    return EXIT_OK_;
}

/* {"items":[...]} of the arguments behind the device's name; none: all. */
static json_t *body_of(const struct cli *c)
{
    json_t *body = json_object(), *items = json_array();

    for (int i = 2; i < c->n_args; i++)
        (void)json_array_append_new(items, json_string(c->arg[i]));
    if (json_array_size(items) > 0)
        (void)json_object_set(body, "items", items);
    json_decref(items);
    return body;
}

static void print_names(const json_t *names)
{
    size_t i;
    json_t *v;

    json_array_foreach(names, i, v)
    {
        fputs("  ", stdout);
        print_safe(stdout, json_string_value(v));
        fputc('\n', stdout);
    }
}

static enum cli_exit enforce(struct cli *c)
{
    AUTO_STR char *seen = apiclient_pathf("/api/v1/devices/%s/drift", c->arg[1]);
    AUTO_STR char *path = apiclient_pathf("/api/v1/devices/%s/drift/enforce", c->arg[1]);
    json_t *body = body_of(c);
    struct given g = {.output = STRBUF_INIT(KIB)};
    enum cli_exit rc;

    if (cli_opt(c, "reason") != NULL)
        (void)json_object_set_new(body, "reason", json_string(cli_opt(c, "reason")));
    rc = cli_send_seen(c, path, seen, body, &g.command);
    if (rc == EXIT_OK_)
        rc = command_follow(c, &g);
    if (c->json && g.command != NULL) {
        print_json(g.command);
    } else if (rc == EXIT_OK_ && c->dry_run) {
        say(c, T_DRY_RUN);
    } else if (rc == EXIT_OK_ && command_is_done(&g)) {
        say(c, T_PUT_BACK, c->arg[1]);
        print_names(json_object_get(json_object_get(g.command, "result"), "repaired"));
    } else if (rc == EXIT_OK_) {
        say(c, T_COMMAND_GIVEN, json_str(g.command, "id", ""), json_str(g.command, "state", ""));
    }
    given_clear(&g);
    return rc;
}

static enum cli_exit adopt(struct cli *c)
{
    AUTO_STR char *seen = apiclient_pathf("/api/v1/devices/%s/drift", c->arg[1]);
    AUTO_STR char *path = apiclient_pathf("/api/v1/devices/%s/drift/adopt", c->arg[1]);
    AUTO(json_free) json_t *answer = NULL;
    json_t *body = body_of(c);
    enum cli_exit rc;

    if (cli_flag(c, "fleet"))
        (void)json_object_set_new(body, "to", json_string("fleet"));
    if (cli_opt(c, "group") != NULL) {
        (void)json_object_set_new(body, "to", json_string("group"));
        (void)json_object_set_new(body, "group", json_string(cli_opt(c, "group")));
    }
    rc = cli_send_seen(c, path, seen, body, &answer);
    if (rc != EXIT_OK_)
        return rc;
    if (c->json) {
        print_json(answer);
        return EXIT_OK_;
    }
    print_names(json_object_get(answer, "adopted"));
    show_findings(c, json_object_get(answer, "skipped"));
    say(c, c->dry_run ? T_DRY_RUN : T_ADOPTED);
    return EXIT_OK_;
}

enum cli_exit verb_drift(struct cli *c)
{
    bool order = c->n_args > 1 && is_one_of(c->arg[0], "enforce|adopt");

    if (!order && c->n_args > 1)
        return usage(c, T_OPTION_BAD, "drift", c->arg[0], "enforce adopt");
    if (!order)
        return show(c, c->arg[0]);
    if (cli_flag(c, "fleet") && cli_opt(c, "group") != NULL)
        return usage(c, T_OPTION_BAD, "group", cli_opt(c, "group"), "--fleet | --group NAME");
    return strcmp(c->arg[0], "adopt") == 0 ? adopt(c) : enforce(c);
}
