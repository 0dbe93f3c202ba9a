#include "cli.h"

static enum cli_exit show(struct cli *c, const json_t *doc)
{
    static const struct column head[] = {
        {T_FENCED, "fenced", COL_BOOL},    {T_REASON, "reason", COL_TEXT},
        {T_SINCE, "since", COL_TIME},      {T_BACKUP_OF, "backup_of", COL_TIME},
        {T_REVISION, "pub", COL_VALUE},    {T_REV_HERE, "rev", COL_VALUE},
        {T_REV_SEEN, "highest", COL_VALUE}};
    static const struct column cols[] = {{T_NAME, "name", COL_TEXT},
                                         {T_REV_DEVICE, "rev", COL_VALUE},
                                         {T_REV_OFFERED, "offered", COL_VALUE}};
    AUTO(json_free) json_t *list = json_pack("{s:O?}", "items", json_object_get(doc, "ahead"));

    show_object(c, doc, head, COUNT_OF(head));
    if (c->json)
        return EXIT_OK_;
    if (json_array_size(json_object_get(list, "items")) > 0) {
        fputc('\n', stdout);
        show_list(c, list, cols, COUNT_OF(cols));
    }
    return EXIT_OK_;
}

/* Exit status 1 while the parent is fenced, for scripts that watch it. */
enum cli_exit verb_recovery(struct cli *c)
{
    AUTO(json_free) json_t *doc = NULL;
    const char *word = c->n_args == 0 ? "show" : c->arg[0];
    enum cli_exit rc;

    if (strcmp(word, "show") == 0) {
        rc = cli_get(c, "/api/v1/recovery", &doc);
        if (rc == EXIT_OK_)
            rc = show(c, doc);
        return rc == EXIT_OK_ && json_bool(doc, "fenced", false) ? EXIT_ERROR : rc;
    }
    if (strcmp(word, "continue") != 0)
        return usage(c, T_BAD_ENUM, "recovery", word, "show|continue");
    if (cli_opt(c, "reason") == NULL)
        return usage(c, T_OPTION_NEEDED, "reason");
    if (!cli_flag(c, "yes")) {
        complain(c, T_CONFIRM);
        return EXIT_USAGE;
    }
    rc = cli_send(c, "POST", "/api/v1/recovery/continue",
                  json_pack("{s:s}", "reason", cli_opt(c, "reason")), &doc);
    return rc == EXIT_OK_ ? show(c, doc) : rc;
}
