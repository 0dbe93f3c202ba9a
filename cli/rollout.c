#include "cli.h"

#include <stdlib.h>

static void show_one(const struct cli *c, const json_t *doc)
{
    static const struct column head[] = {{T_ID, "id", COL_TEXT},
                                         {T_REVISION, "pub", COL_VALUE},
                                         {T_STATE, "state", COL_TEXT},
                                         {T_AT, "created_at", COL_TIME}};
    static const struct column cols[] = {{T_DEVICE, "name", COL_TEXT},
                                         {T_STATE, "state", COL_TEXT},
                                         {T_PROBLEM, "problem.detail", COL_TEXT}};
    AUTO(json_free) json_t *list = json_pack("{s:O?}", "items", json_object_get(doc, "devices"));

    show_object(c, doc, head, COUNT_OF(head));
    if (c->json)
        return;
    fputc('\n', stdout);
    show_list(c, list, cols, COUNT_OF(cols));
}

enum cli_exit verb_rollouts(struct cli *c)
{
    static const struct column cols[] = {{T_ID, "id", COL_TEXT},
                                         {T_REVISION, "pub", COL_VALUE},
                                         {T_STATE, "state", COL_TEXT},
                                         {T_AT, "created_at", COL_TIME}};
    AUTO_STR char *path = NULL;
    AUTO(json_free) json_t *doc = NULL;
    enum cli_exit rc;

    if (c->n_args == 0)
        return cli_get_list_show(c, "/api/v1/rollouts", cols, COUNT_OF(cols));
    path = apiclient_pathf("/api/v1/rollouts/%s", c->arg[0]);
    rc = cli_get(c, path, &doc);
    if (rc == EXIT_OK_)
        show_one(c, doc);
    return rc;
}
