#include "cli.h"

/* What devices hold that is not known here, a line a setting. */
static void show_lost(struct cli *c, const json_t *lost)
{
    static const struct column cols[] = {{T_NAME, "name", COL_TEXT},
                                         {T_KEY, "key", COL_TEXT},
                                         {T_HERE, "here", COL_VALUE},
                                         {T_ON_DEVICE, "device", COL_VALUE}};
    AUTO(json_free) json_t *list = json_pack("{s:[]}", "items");
    size_t i, k;
    json_t *device, *item;

    json_array_foreach(lost, i, device)
    {
        json_array_foreach(json_object_get(device, "settings"), k, item)
        {
            AUTO(json_free) json_t *row = json_copy(item);
            (void)json_object_set(row, "name", json_object_get(device, "name"));
            (void)json_array_append(json_object_get(list, "items"), row);
        }
    }
    if (json_array_size(json_object_get(list, "items")) == 0)
        return;
    fputc('\n', stdout);
    show_list(c, list, cols, COUNT_OF(cols));
}

static enum cli_exit show(struct cli *c, const json_t *doc)
{
    static const struct column head[] = {
        {T_FENCED, "fenced", COL_BOOL},    {T_REASON, "reason", COL_TEXT},
        {T_SINCE, "since", COL_TIME},      {T_BACKUP_OF, "backup_of", COL_TIME},
        {T_NOTICE_OF, "notice", COL_TIME}, {T_REVISION, "pub", COL_VALUE},
        {T_EPOCH, "epoch", COL_VALUE},     {T_REV_HERE, "rev", COL_VALUE},
        {T_REV_SEEN, "highest", COL_VALUE}};
    static const struct column cols[] = {{T_NAME, "name", COL_TEXT},
                                         {T_EPOCH, "epoch", COL_VALUE},
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
    show_lost(c, json_object_get(doc, "lost"));
    return EXIT_OK_;
}

/* Exit status 1 while the parent is fenced, for scripts that watch it. */
enum cli_exit verb_recovery(struct cli *c)
{
    AUTO(json_free) json_t *doc = NULL;
    const char *word = c->n_args == 0 ? "show" : c->arg[0];
    enum cli_exit rc;

    if (strcmp(word, "show") == 0) {
        AUTO(json_free) json_t *lost = NULL;
        rc = cli_get(c, "/api/v1/recovery", &doc);
        if (rc == EXIT_OK_)
            rc = cli_get(c, "/api/v1/recovery/lost", &lost);
        (void)json_object_set(doc, "lost", json_object_get(lost, "items"));
        if (rc == EXIT_OK_)
            rc = show(c, doc);
        return rc == EXIT_OK_ && json_bool(doc, "fenced", false) ? EXIT_ERROR : rc;
    }
    if (strcmp(word, "adopt") == 0) {
        const char *title = cli_opt(c, "title");
        rc = cli_send(c, "POST", "/api/v1/recovery/adopt",
                      json_pack("{s:s}", "title", title == NULL ? "recovery" : title), &doc);
        if (rc == EXIT_OK_ && !c->json)
            (void)printf("%s\n", json_str(doc, "id", ""));
        else if (rc == EXIT_OK_)
            print_json(doc);
        return rc;
    }
    if (strcmp(word, "continue") != 0)
        return usage(c, T_BAD_ENUM, "recovery", word, "show|adopt|continue");
    if (cli_opt(c, "reason") == NULL)
        return usage(c, T_OPTION_NEEDED, "reason");
    if (!cli_flag(c, "yes")) {
        complain(c, T_CONFIRM);
        return EXIT_USAGE;
    }
    rc = cli_send(
        c, "POST", "/api/v1/recovery/continue",
        json_pack("{s:s,s:b}", "reason", cli_opt(c, "reason"), "keep", cli_flag(c, "keep")), &doc);
    return rc == EXIT_OK_ ? show(c, doc) : rc;
}

enum cli_exit verb_trust(struct cli *c)
{
    static const struct column head[] = {{T_NUMBER, "n", COL_VALUE},
                                         {T_EPOCH, "epoch", COL_VALUE},
                                         {T_ROOT_KEY, "root", COL_TEXT},
                                         {T_TLS_PINS, "tls_pins", COL_WORDS},
                                         {T_ADDRESSES, "addresses", COL_WORDS}};
    static const struct column cols[] = {{T_DEVICE_KEY, "kid", COL_TEXT},
                                         {T_KEY_USE, "use", COL_TEXT},
                                         {T_IN_FORCE, "in_force", COL_BOOL},
                                         {T_UNTIL, "not_after", COL_TIME}};
    AUTO(json_free) json_t *doc = NULL;
    AUTO(json_free) json_t *list = NULL;
    enum cli_exit rc = cli_get(c, "/api/v1/trust", &doc);

    if (rc != EXIT_OK_)
        return rc;
    show_object(c, doc, head, COUNT_OF(head));
    if (c->json)
        return EXIT_OK_;
    list = json_pack("{s:O?}", "items", json_object_get(doc, "keys"));
    fputc('\n', stdout);
    show_list(c, list, cols, COUNT_OF(cols));
    return EXIT_OK_;
}
