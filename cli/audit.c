#include "cli.h"

#include <stdlib.h>

static enum cli_exit verify(struct cli *c)
{
    AUTO(json_free) json_t *doc = NULL;
    bool ok;
    enum cli_exit rc = cli_get(c, "/api/v1/audit/verify", &doc);

    if (rc != EXIT_OK_)
        return rc;
    ok = json_bool(doc, "ok", false);
    if (c->json)
        print_json(doc);
    if (ok)
        say(c, T_AUDIT_OK, (long long)json_int(doc, "entries", 0));
    else
        complain(c, T_AUDIT_BAD, (long long)json_int(doc, "first_bad", 0));
    return ok ? EXIT_OK_ : EXIT_ERROR;
}

enum { AUDIT_SHOWN = 100 };

enum cli_exit verb_audit(struct cli *c)
{
    static const struct column cols[] = {
        {T_SEQ, "seq", COL_VALUE},      {T_AT, "at", COL_TIME},
        {T_ACTOR, "actor", COL_TEXT},   {T_ADDRESS, "address", COL_TEXT},
        {T_ACTION, "action", COL_TEXT}, {T_OBJECT, "object", COL_TEXT}};
    static const char *const filters[] = {"since", "action", "actor", "object"};
    AUTO_STRBUF struct strbuf path = STRBUF_INIT(8 * KIB);
    AUTO(json_free) json_t *doc = NULL;
    char separator = '?';
    int64_t limit = 0;
    enum cli_exit rc;

    if (cli_flag(c, "verify"))
        return verify(c);
    strbuf_puts(&path, "/api/v1/audit");
    for (size_t i = 0; i < COUNT_OF(filters); i++) {
        AUTO_STR char *v =
            cli_opt(c, filters[i]) == NULL ? NULL : apiclient_escape(cli_opt(c, filters[i]));
        if (v != NULL)
            strbuf_printf(&path, "%c%s=%s", separator, filters[i], v);
        if (v != NULL)
            separator = '&';
    }
    rc = cli_opt_int(c, "limit", 1, CLI_ITEMS_MAX, AUDIT_SHOWN, &limit);
    if (rc == EXIT_OK_)
        rc = cli_list_some(c, strbuf_str(&path), (size_t)limit, &doc);
    if (rc == EXIT_OK_)
        show_list(c, doc, cols, COUNT_OF(cols));
    return rc;
}
