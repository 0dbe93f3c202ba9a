/* The configuration as a whole: what differs from the fleet, export, import, and the exceptions of
 * a host that was managed by hand. */
#include "cli.h"

#include "base/file.h"
#include "catalog/catalog.h"
#include "draft.h"

#include <stdlib.h>

enum { DOCUMENT_MAX = 16 * 1024 * 1024, INI_MAX = 1024 * 1024 };

/* --- overrides --- */

static void override_line(const struct cli *c, struct table *t, const json_t *item)
{
    const char *layer = json_str(item, "layer", ""), *row = json_str(item, "row", "");
    enum text word = strcmp(layer, "group") == 0    ? T_GROUP
                     : strcmp(layer, "device") == 0 ? T_DEVICE
                                                    : T_FLEET;

    table_cellf(t, "%s %s", tx(c, word), json_str(item, "name", ""));
    if (row[0] != '\0')
        table_cellf(t, "%s[%s]", json_str(item, "key", ""), row);
    else
        table_cell(t, json_str(item, "key", ""));
    cell_json(c, t, item, "value", COL_VALUE);
    cell_json(c, t, item, "fleet", COL_VALUE);
    cell_json(c, t, item, "pub", COL_VALUE);
    cell_json(c, t, item, "author", COL_TEXT);
    cell_json(c, t, item, "reason", COL_TEXT);
}

static void secret_line(const struct cli *c, struct table *t, const json_t *item, bool of_device)
{
    table_cell(t, json_str(item, "setting", ""));
    cell_json(c, t, item, "pub", COL_VALUE);
    cell_json(c, t, item, "author", COL_TEXT);
    table_cell(t, json_str(item, of_device ? "given_at" : "created_at", ""));
    table_cell(t, json_bool(item, "rotate", false)   ? tx(c, T_SECRET_ROTATE)
                  : json_bool(item, "in_use", false) ? tx(c, T_SECRET_IN_USE)
                                                     : "");
}

enum cli_exit verb_secrets(struct cli *c)
{
    const char *device = cli_opt(c, "device");
    const enum text heads[] = {T_KEY, T_REVISION, T_AUTHOR, device == NULL ? T_AT : T_SECRET_GIVEN,
                               T_STATE};
    AUTO(table_free) struct table *t = table_new(COUNT_OF(heads));
    AUTO_STR char *path = device == NULL ? strdup("/api/v1/secrets")
                                         : apiclient_pathf("/api/v1/devices/%s/secrets", device);
    AUTO(json_free) json_t *doc = NULL;
    enum cli_exit rc = cli_get(c, path, &doc);
    json_t *item;
    size_t i;

    if (rc != EXIT_OK_)
        return rc;
    if (c->json) {
        print_json(doc);
        return EXIT_OK_;
    }
    if (json_array_size(json_object_get(doc, "items")) == 0) {
        say(c, T_NO_SECRETS);
        return EXIT_OK_;
    }
    for (i = 0; i < COUNT_OF(heads); i++)
        table_cell(t, tx(c, heads[i]));
    json_array_foreach(json_object_get(doc, "items"), i, item)
        secret_line(c, t, item, device != NULL);
    table_print(t, stdout, 0);
    return EXIT_OK_;
}

enum cli_exit verb_overrides(struct cli *c)
{
    static const enum text heads[] = {T_LAYER,    T_KEY,    T_VALUE, T_FLEET_HAS,
                                      T_REVISION, T_AUTHOR, T_REASON};
    AUTO(table_free) struct table *t = table_new(COUNT_OF(heads));
    AUTO_STR char *path =
        cli_opt(c, "device") == NULL
            ? strdup("/api/v1/overrides")
            : apiclient_pathf("/api/v1/devices/%s/overrides", cli_opt(c, "device"));
    AUTO(json_free) json_t *doc = NULL;
    enum cli_exit rc = cli_get(c, path, &doc);
    json_t *item;
    size_t i;

    if (rc != EXIT_OK_)
        return rc;
    if (c->json) {
        print_json(doc);
        return EXIT_OK_;
    }
    if (json_array_size(json_object_get(doc, "items")) == 0) {
        say(c, T_NO_OVERRIDES);
        return EXIT_OK_;
    }
    for (i = 0; i < COUNT_OF(heads); i++)
        table_cell(t, tx(c, heads[i]));
    json_array_foreach(json_object_get(doc, "items"), i, item) override_line(c, t, item);
    table_print(t, stdout, 0);
    return EXIT_OK_;
}

/* --- export and import --- */

enum cli_exit verb_export(struct cli *c)
{
    AUTO(json_free) json_t *doc = NULL;
    AUTO_STR char *text = NULL;
    struct err e = {0};
    enum cli_exit rc = cli_get(c, "/api/v1/config/export", &doc);

    if (rc != EXIT_OK_)
        return rc;
    if (c->n_args == 0) {
        print_json(doc);
        return EXIT_OK_;
    }
    text = json_text(doc, JSON_INDENT(2) | JSON_SORT_KEYS);
    if (text == NULL)
        (void)err_set(&e, ERR_NO_MEMORY, "out of memory");
    if (text == NULL || file_write_atomic(c->arg[0], slice_of(text), 0600, &e) != ERR_OK)
        return fail(c, &e, NULL);
    say(c, T_EXPORTED, c->arg[0]);
    return EXIT_OK_;
}

static enum cli_exit read_document(const struct cli *c, const char *path, json_t **ret)
{
    AUTO_STR char *text = NULL;
    json_error_t fault;
    struct err e = {0};
    size_t n = 0;

    if (file_read(path, DOCUMENT_MAX, &text, &n, &e) != ERR_OK)
        return fail(c, &e, NULL);
    *ret = json_loadb(text, n, JSON_REJECT_DUPLICATES, &fault);
    if (*ret != NULL)
        return EXIT_OK_;
    complain(c, T_NOT_JSON, path, fault.line, fault.text);
    return EXIT_REFUSED;
}

static json_t *words(const char *list)
{
    json_t *a = list == NULL ? NULL : json_array();
    struct slice rest = slice_of(list == NULL ? "" : list);

    while (rest.n > 0) {
        struct slice w = slice_trim(slice_cut(&rest, ','));
        if (w.n > 0)
            (void)json_array_append_new(a, json_stringn(w.p, w.n));
    }
    return a;
}

enum cli_exit verb_import(struct cli *c)
{
    AUTO(json_free) json_t *answer = NULL, *diff = NULL;
    json_t *document = NULL, *body;
    enum cli_exit rc;

    if (cli_opt(c, "mode") != NULL && !is_one_of(cli_opt(c, "mode"), "merge|replace"))
        return usage(c, T_OPTION_BAD, "mode", cli_opt(c, "mode"), "merge, replace");
    rc = read_document(c, c->arg[0], &document);
    if (rc != EXIT_OK_)
        return rc;
    body = json_pack("{s:o,s:s,s:s*,s:o*}", "document", document, "title", "import", "mode",
                     cli_opt(c, "mode"), "parts", words(cli_opt(c, "parts")));
    rc = cli_send(c, "POST", "/api/v1/config/import", body, &answer);
    if (rc != EXIT_OK_)
        return rc;
    if (c->json) {
        print_json(answer);
    } else {
        diff = json_pack("{s:O}", "items", json_object_get(answer, "diff"));
        (void)draft_show_diff(c, diff);
    }
    (void)show_findings(c, json_object_get(answer, "findings"));
    if (c->dry_run)
        say(c, T_DRY_RUN);
    else
        say(c, T_IMPORTED, json_array_size(json_object_get(answer, "diff")));
    return EXIT_OK_;
}

/* --- exceptions of a host that was managed by hand --- */

/* The value of "detach_key_postfix" in an ini text; the last line that has it counts. */
static struct slice detached(struct slice rest)
{
    struct slice found = {NULL, 0};

    while (rest.n > 0) {
        struct slice line = slice_trim(slice_cut(&rest, '\n')), value = line;
        struct slice name = slice_trim(slice_cut(&value, '='));
        if (line.n > 0 && line.p[0] != '#' && line.p[0] != ';' &&
            slice_is(name, "detach_key_postfix"))
            found = slice_trim(value);
    }
    return found;
}

static const struct setting *setting_of_param(struct slice param)
{
    for (size_t i = 0; i < catalog_count(); i++) {
        const struct setting *s = catalog_at(i);
        if (s->param[0] != '\0' && slice_is(param, s->param))
            return s;
    }
    return NULL;
}

/* The settings to take over; what cannot be is said. */
static json_t *keys_of(const struct cli *c, struct slice list, const json_t *proposed)
{
    json_t *keys = json_array();

    while (list.n > 0) {
        struct slice param = slice_trim(slice_cut(&list, ':'));
        const struct setting *s = setting_of_param(param);
        char text[128];
        if (param.n == 0)
            continue;
        (void)snprintf(text, sizeof text, "%.*s", (int)param.n, param.p);
        if (s == NULL)
            complain(c, T_DETACHED_FOREIGN, text);
        else if (json_object_get(proposed, s->key) == NULL)
            complain(c, T_DETACHED_UNSET, text);
        else
            (void)json_array_append_new(keys, json_string(s->key));
    }
    return keys;
}

enum cli_exit verb_import_exceptions(struct cli *c)
{
    AUTO_STR char *text = NULL,
                  *proposal = apiclient_pathf("/api/v1/devices/%s/proposal", c->arg[0]),
                  *adopt = apiclient_pathf("/api/v1/devices/%s/adopt", c->arg[0]);
    AUTO(json_free) json_t *doc = NULL, *answer = NULL;
    struct err e = {0};
    struct slice list;
    json_t *keys;
    size_t n = 0;
    enum cli_exit rc;

    if (file_read(c->arg[1], INI_MAX, &text, &n, &e) != ERR_OK)
        return fail(c, &e, NULL);
    list = detached((struct slice){text, n});
    if (list.n == 0) {
        complain(c, T_NO_DETACHED, c->arg[1]);
        return EXIT_REFUSED;
    }
    rc = cli_get(c, proposal, &doc);
    if (rc != EXIT_OK_)
        return rc;
    keys = keys_of(c, list, json_object_get(doc, "settings"));
    if (json_array_size(keys) == 0) {
        json_decref(keys);
        complain(c, T_DETACHED_NONE);
        return EXIT_REFUSED;
    }
    rc = cli_send(c, "POST", adopt, json_pack("{s:o}", "keys", keys), &answer);
    if (rc != EXIT_OK_)
        return rc;
    print_json(c->json ? answer : json_object_get(answer, "changes"));
    say(c, c->dry_run ? T_DRY_RUN : T_ADOPTED);
    return EXIT_OK_;
}
