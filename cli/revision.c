#include "draft.h"

#include <stdlib.h>

enum cli_exit verb_revisions(struct cli *c)
{
    static const struct column cols[] = {
        {T_REVISION, "pub", COL_VALUE},    {T_AT, "at", COL_TIME},
        {T_AUTHOR, "author", COL_TEXT},    {T_KIND, "kind", COL_TEXT},
        {T_CHANGES, "changes", COL_COUNT}, {T_REASON, "reason", COL_TEXT}};

    return cli_get_list_show(c, "/api/v1/revisions", cols, COUNT_OF(cols));
}

enum cli_exit verb_show(struct cli *c)
{
    static const struct column cols[] = {{T_REVISION, "pub", COL_VALUE},
                                         {T_AT, "at", COL_TIME},
                                         {T_AUTHOR, "author", COL_TEXT},
                                         {T_KIND, "kind", COL_TEXT},
                                         {T_REASON, "reason", COL_TEXT}};
    AUTO_STR char *path = apiclient_pathf("/api/v1/revisions/%s", c->arg[0]);
    AUTO_STR char *diff_path = apiclient_pathf("/api/v1/revisions/%s/diff", c->arg[0]);
    AUTO(json_free) json_t *doc = NULL;
    AUTO(json_free) json_t *diff = NULL;
    int64_t pub;
    enum cli_exit rc;

    if (!parse_i64(slice_of(c->arg[0]), 1, INT64_MAX, &pub))
        return usage(c, T_NOT_A_REVISION, c->arg[0]);
    rc = cli_get(c, path, &doc);
    if (rc == EXIT_OK_)
        rc = cli_get(c, diff_path, &diff);
    if (rc != EXIT_OK_)
        return rc;
    if (c->json) {
        json_object_set(doc, "diff", json_object_get(diff, "items"));
        print_json(doc);
        return EXIT_OK_;
    }
    show_object(c, doc, cols, COUNT_OF(cols));
    fputc('\n', stdout);
    (void)draft_show_diff(c, diff);
    return EXIT_OK_;
}
