#include "cli.h"

#include "catalog/catalog.h"

#include <stdlib.h>

static enum cli_exit unknown(const struct cli *c, const char *key)
{
    complain(c, T_NO_SETTING_PLAIN, key);
    return EXIT_NOT_FOUND;
}

/* A list is a row a line: its key, then its members. */
static void print_value(const struct cli *c, const json_t *v)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(64 * MIB);
    const char *row;
    json_t *members;

    if (!json_is_object(v)) {
        value_text(c, &b, v);
        strbuf_putc(&b, '\n');
    } else {
        json_object_foreach((json_t *)(uintptr_t)v, row, members)
        {
            strbuf_puts(&b, row);
            if (json_object_size(members) > 0) {
                strbuf_putc(&b, '\t');
                value_text(c, &b, members);
            }
            strbuf_putc(&b, '\n');
        }
    }
    fputs(strbuf_str(&b), stdout);
}

static char *get_path(const struct cli *c)
{
    AUTO_STRBUF struct strbuf layer = STRBUF_INIT(512);

    if (cli_opt(c, "device") != NULL)
        return apiclient_pathf("/api/v1/settings/effective?device=%s", cli_opt(c, "device"));
    if (cli_opt(c, "group") == NULL)
        return strdup("/api/v1/settings?layer=fleet");
    strbuf_printf(&layer, "group:%s", cli_opt(c, "group"));
    return apiclient_pathf("/api/v1/settings?layer=%s", strbuf_str(&layer));
}

enum cli_exit verb_get(struct cli *c)
{
    AUTO_STR char *path = get_path(c);
    AUTO(json_free) json_t *doc = NULL;
    AUTO(json_free) json_t *fallback = NULL;
    const struct setting *s = catalog_find(c->arg[0]);
    const json_t *v;
    bool set;
    enum cli_exit rc;

    if (s == NULL)
        return unknown(c, c->arg[0]);
    rc = cli_get(c, path, &doc);
    if (rc != EXIT_OK_)
        return rc;
    v = json_object_get(json_object_get(doc, "settings"), s->key);
    set = v != NULL;
    if (!set && cli_opt(c, "group") == NULL)
        v = fallback = json_in_own(s->default_json);
    if (c->json) {
        AUTO(json_free)
        json_t *out = json_pack("{s:s, s:O?, s:b, s:O?}", "key", s->key, "value", v, "set", set,
                                "pub", json_object_get(doc, "pub"));
        print_json(out);
    } else if (v == NULL) {
        complain(c, T_NOT_SET);
    } else {
        print_value(c, v);
    }
    return EXIT_OK_;
}

static void layer_name(const struct cli *c, struct table *t, const json_t *layer)
{
    static const struct {
        const char *word;
        enum text text;
    } words[] = {{"builtin", T_BUILTIN},
                 {"fleet", T_FLEET},
                 {"group", T_GROUP},
                 {"device", T_DEVICE},
                 {"hold", T_HOLD}};
    const char *word = json_str(layer, "layer", "");
    const char *name = json_str(layer, "name", "");

    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strcmp(words[i].word, word) == 0) {
            table_cellf(t, "%s%s%s", tx(c, words[i].text), name[0] != '\0' && i > 1 ? " " : "",
                        i > 1 ? name : "");
            return;
        }
    }
    table_cell(t, word);
}

static void explain_layers(const struct cli *c, const json_t *doc)
{
    static const enum text heads[] = {T_LAYER,  T_VALUE, T_WINS,  T_REVISION,
                                      T_AUTHOR, T_AT,    T_REASON};
    AUTO(table_free) struct table *t = table_new(COUNT_OF(heads));
    size_t i;
    json_t *layer;

    for (i = 0; i < COUNT_OF(heads); i++)
        table_cell(t, tx(c, heads[i]));
    json_array_foreach(json_object_get(doc, "layers"), i, layer)
    {
        layer_name(c, t, layer);
        cell_json(c, t, layer, "value", COL_VALUE);
        cell_json(c, t, layer, "wins", COL_BOOL);
        cell_json(c, t, layer, "pub", COL_VALUE);
        cell_json(c, t, layer, "author", COL_TEXT);
        cell_json(c, t, layer, "at", COL_TIME);
        cell_json(c, t, layer, "reason", COL_TEXT);
    }
    table_print(t, stdout, 0);
}

enum cli_exit verb_explain(struct cli *c)
{
    AUTO_STR char *path = NULL;
    AUTO(json_free) json_t *doc = NULL;
    AUTO_STRBUF struct strbuf value = STRBUF_INIT(64 * MIB);
    enum cli_exit rc;

    if (cli_opt(c, "device") == NULL)
        return usage(c, T_OPTION_NEEDED, "device");
    path = apiclient_pathf("/api/v1/devices/%s/explain?path=%s", cli_opt(c, "device"), c->arg[0]);
    rc = cli_get(c, path, &doc);
    if (rc != EXIT_OK_)
        return rc;
    if (c->json) {
        print_json(doc);
        return EXIT_OK_;
    }
    value_text(c, &value, json_object_get(doc, "value"));
    printf("%s", json_str(doc, "key", c->arg[0]));
    if (json_str(doc, "label", "")[0] != '\0')
        printf(" (%s)", json_str(doc, "label", ""));
    fputs(" = ", stdout);
    print_safe(stdout, strbuf_str(&value));
    fputs("\n\n", stdout);
    explain_layers(c, doc);
    if (json_object_get(doc, "running") != NULL && !json_is_null(json_object_get(doc, "running"))) {
        AUTO_STRBUF struct strbuf running = STRBUF_INIT(64 * MIB);
        value_text(c, &running, json_object_get(doc, "running"));
        fputc('\n', stdout);
        say(c, T_RUNNING_VALUE, strbuf_str(&running));
    }
    return EXIT_OK_;
}

static void catalog_line(const struct cli *c, struct table *t, const json_t *s)
{
    table_cell(t, json_str(s, "key", ""));
    cell_json(c, t, s, "type", COL_TEXT);
    cell_json(c, t, s, "default", COL_VALUE);
    cell_json(c, t, s, "scope", COL_WORDS);
    cell_json(c, t, s, "label", COL_TEXT);
}

static const json_t *find_key(const json_t *items, const char *key)
{
    size_t i;
    json_t *s;

    json_array_foreach(items, i, s) if (strcmp(json_str(s, "key", ""), key) == 0) return s;
    return NULL;
}

static enum cli_exit catalog_one(const struct cli *c, const json_t *doc)
{
    static const struct column cols[] = {
        {T_KEY, "key", COL_TEXT},        {T_LABEL, "label", COL_TEXT},
        {T_TYPE, "type", COL_TEXT},      {T_DEFAULT, "default", COL_VALUE},
        {T_MIN, "min", COL_VALUE},       {T_MAX, "max", COL_VALUE},
        {T_WORDS, "enum", COL_WORDS},    {T_ROW, "row_key.name", COL_TEXT},
        {T_FIELDS, "fields", COL_WORDS}, {T_SCOPE, "scope", COL_WORDS},
        {T_APPLY, "apply", COL_TEXT},    {T_NEEDS, "needs", COL_TEXT},
        {T_HELP, "help", COL_TEXT}};
    const json_t *s = find_key(json_object_get(doc, "items"), c->arg[0]);

    if (s == NULL)
        return unknown(c, c->arg[0]);
    show_object(c, s, cols, COUNT_OF(cols));
    return EXIT_OK_;
}

enum cli_exit verb_catalog(struct cli *c)
{
    static const enum text heads[] = {T_KEY, T_TYPE, T_DEFAULT, T_SCOPE, T_LABEL};
    AUTO(table_free) struct table *t = table_new(COUNT_OF(heads));
    AUTO(json_free) json_t *doc = NULL;
    size_t i;
    json_t *s;
    enum cli_exit rc = cli_list(c, "/api/v1/catalog", &doc);

    if (rc != EXIT_OK_)
        return rc;
    if (c->n_args > 0)
        return catalog_one(c, doc);
    if (c->json) {
        print_json(doc);
        return EXIT_OK_;
    }
    for (i = 0; i < COUNT_OF(heads); i++)
        table_cell(t, tx(c, heads[i]));
    json_array_foreach(json_object_get(doc, "items"), i, s) catalog_line(c, t, s);
    table_print(t, stdout, 0);
    return EXIT_OK_;
}
