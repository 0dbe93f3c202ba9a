/* What a device runs now, what of it to take over, and what managing it would change. */
#include "cli.h"

#include <stdlib.h>

static void print_words(const struct cli *c, const json_t *array)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(256 * KIB);
    size_t i;
    json_t *v;

    json_array_foreach(array, i, v)
    {
        strbuf_puts(&b, i == 0 ? "" : ", ");
        value_text(c, &b, v);
    }
    if (b.n > 0) {
        fputs("  ", stdout);
        print_safe(stdout, strbuf_str(&b));
        fputc('\n', stdout);
    }
}

static void print_members(const struct cli *c, const json_t *object)
{
    AUTO(table_free) struct table *t = table_new(2);
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)object, key, v)
    {
        AUTO_STRBUF struct strbuf text = STRBUF_INIT(1 * MIB);
        value_text(c, &text, v);
        table_cell(t, key);
        table_cell(t, strbuf_str(&text));
    }
    table_print(t, stdout, 2);
}

enum cli_exit verb_proposal(struct cli *c)
{
    AUTO_STR char *path = apiclient_pathf("/api/v1/devices/%s/proposal", c->arg[0]);
    AUTO(json_free) json_t *doc = NULL;
    const json_t *foreign;
    enum cli_exit rc = cli_get(c, path, &doc);

    if (rc != EXIT_OK_)
        return rc;
    if (c->json) {
        print_json(doc);
        return EXIT_OK_;
    }
    say(c, T_FOUND_SETTINGS, c->arg[0]);
    print_members(c, json_object_get(doc, "settings"));
    foreign = json_object_get(doc, "foreign");
    if (json_array_size(json_object_get(foreign, "main_cf")) +
            json_array_size(json_object_get(foreign, "master_cf")) >
        0)
        say(c, T_FOREIGN);
    print_words(c, json_object_get(foreign, "main_cf"));
    print_words(c, json_object_get(foreign, "master_cf"));
    if (json_object_size(json_object_get(doc, "unreadable")) > 0) {
        say(c, T_UNREADABLE);
        print_members(c, json_object_get(doc, "unreadable"));
    }
    return EXIT_OK_;
}

enum cli_exit verb_adopt(struct cli *c)
{
    AUTO_STR char *path = apiclient_pathf("/api/v1/devices/%s/adopt", c->arg[0]);
    AUTO(json_free) json_t *answer = NULL;
    json_t *keys = json_array();
    enum cli_exit rc;

    for (int i = 1; i < c->n_args; i++)
        json_array_append_new(keys, json_string(c->arg[i]));
    rc = cli_send(c, "POST", path, json_pack("{s:o}", "keys", keys), &answer);
    if (rc != EXIT_OK_)
        return rc;
    if (c->json)
        print_json(answer);
    say(c, c->dry_run ? T_DRY_RUN : T_ADOPTED);
    return EXIT_OK_;
}

enum cli_exit verb_plan(struct cli *c)
{
    AUTO_STR char *path = apiclient_pathf("/api/v1/devices/%s/plan", c->arg[0]);
    AUTO(json_free) json_t *doc = NULL;
    enum cli_exit rc = cli_get(c, path, &doc);

    if (rc != EXIT_OK_)
        return rc;
    print_json(doc);
    return show_findings(c, json_object_get(doc, "findings")) > 0 ? EXIT_REFUSED : EXIT_OK_;
}
