#include "draft.h"

#include "change.h"

#include <stdlib.h>

enum cli_exit draft_find(struct cli *c, char ret_id[64])
{
    AUTO(json_free) json_t *all = NULL;
    enum cli_exit rc;
    size_t i;
    int n = 0;
    json_t *d;

    ret_id[0] = '\0';
    if (cli_opt(c, "draft") != NULL) {
        snprintf(ret_id, 64, "%s", cli_opt(c, "draft"));
        return EXIT_OK_;
    }
    rc = cli_list(c, "/api/v1/drafts?owner=me", &all);
    if (rc != EXIT_OK_)
        return rc;
    json_array_foreach(json_object_get(all, "items"), i, d)
    {
        n++;
        /* UUIDv7: the greatest id is the newest. */
        if (strcmp(json_str(d, "id", ""), ret_id) > 0)
            snprintf(ret_id, 64, "%s", json_str(d, "id", ""));
    }
    if (n > 1)
        complain(c, T_MANY_DRAFTS, n, ret_id);
    return EXIT_OK_;
}

enum cli_exit draft_need(struct cli *c, char ret_id[64], bool *ret_made)
{
    AUTO(json_free) json_t *made = NULL;
    bool dry_run = c->dry_run;
    enum cli_exit rc = draft_find(c, ret_id);

    *ret_made = false;
    if (rc != EXIT_OK_ || ret_id[0] != '\0')
        return rc;
    c->dry_run = false; /* a dry run needs a draft to try in; it is removed again */
    rc = cli_send(c, "POST", "/api/v1/drafts", json_pack("{s:s}", "title", "inarictl"), &made);
    c->dry_run = dry_run;
    if (rc == EXIT_OK_) {
        snprintf(ret_id, 64, "%s", json_str(made, "id", ""));
        *ret_made = true;
    }
    return rc;
}

void draft_remove(struct cli *c, const char *id)
{
    AUTO_STR char *path = apiclient_pathf("/api/v1/drafts/%s", id);
    bool dry_run = c->dry_run;

    c->dry_run = false;
    if (path != NULL)
        (void)cli_change(c, "DELETE", path, NULL, NULL);
    c->dry_run = dry_run;
}

static void layer_cell(const struct cli *c, struct table *t, const json_t *item)
{
    const char *layer = json_str(item, "layer", "");
    const char *name = json_str(item, "name", json_str(item, "id", ""));
    enum text word = strcmp(layer, "group") == 0    ? T_GROUP
                     : strcmp(layer, "device") == 0 ? T_DEVICE
                     : strcmp(layer, "fleet") == 0  ? T_FLEET
                                                    : T_BUILTIN;

    table_cellf(t, "%s%s%s", tx(c, word), name[0] != '\0' && word != T_FLEET ? " " : "",
                word == T_FLEET ? "" : name);
}

/* A row without members says nothing but that it is there. */
static void side_cell(const struct cli *c, struct table *t, const json_t *item, const char *side)
{
    const json_t *v = json_object_get(item, side);

    if (json_is_object(v) && json_object_size(v) == 0 && json_str(item, "row", "")[0] != '\0')
        table_cell(t, tx(c, T_LISTED));
    else
        cell_json(c, t, item, side, COL_VALUE);
}

size_t draft_show_diff(const struct cli *c, const json_t *diff)
{
    static const enum text heads[] = {T_LAYER, T_KEY, T_OLD, T_NEW, T_LABEL};
    AUTO(table_free) struct table *t = table_new(COUNT_OF(heads));
    const json_t *items = json_object_get(diff, "items");
    size_t i;
    json_t *item;

    if (t == NULL || json_array_size(items) == 0)
        return 0;
    for (i = 0; i < COUNT_OF(heads); i++)
        table_cell(t, tx(c, heads[i]));
    json_array_foreach(items, i, item)
    {
        const char *row = json_str(item, "row", "");
        layer_cell(c, t, item);
        if (row[0] != '\0')
            table_cellf(t, "%s[%s]", json_str(item, "key", ""), row);
        else
            table_cell(t, json_str(item, "key", ""));
        side_cell(c, t, item, "old");
        side_cell(c, t, item, "new");
        table_cell(t, json_str(item, "label", ""));
    }
    table_print(t, stdout, 0);
    return json_array_size(items);
}

static void show_affected(const struct cli *c, const json_t *diff)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(256 * KIB);
    size_t i;
    json_t *d;

    json_array_foreach(json_object_get(diff, "devices"), i, d)
        strbuf_printf(&b, "%s%s", i == 0 ? "" : ", ", json_str(d, "name", json_str(d, "id", "?")));
    if (b.n == 0)
        say(c, T_AFFECTS_NONE);
    else
        say(c, T_AFFECTS, strbuf_str(&b));
}

static void add_findings(json_t *all, const json_t *more)
{
    size_t i;
    size_t k;
    json_t *f;
    json_t *had;

    json_array_foreach(more, i, f)
    {
        bool known = false;
        json_array_foreach(all, k, had) known |= json_equal(had, f) == 1;
        if (!known)
            json_array_append(all, f);
    }
}

/* findings[] of the whole and of each device of a check, each said once; new reference. */
static json_t *all_findings(const json_t *check)
{
    json_t *all = json_array();
    size_t i;
    json_t *d;

    add_findings(all, json_object_get(check, "findings"));
    json_array_foreach(json_object_get(check, "devices"), i, d)
        add_findings(all, json_object_get(d, "findings"));
    return all;
}

/* What the draft is now: settings that would change, devices, every finding. */
enum cli_exit draft_show(struct cli *c, const char *id, size_t *ret_refused)
{
    AUTO_STR char *diff_path = apiclient_pathf("/api/v1/drafts/%s/diff", id);
    AUTO_STR char *check_path = apiclient_pathf("/api/v1/drafts/%s/check", id);
    AUTO(json_free) json_t *diff = NULL;
    AUTO(json_free) json_t *check = NULL;
    AUTO(json_free) json_t *findings = NULL;
    size_t refused;
    enum cli_exit rc = cli_get(c, diff_path, &diff);

    if (rc == EXIT_OK_)
        rc = cli_send(c, "POST", check_path, json_object(), &check);
    if (rc != EXIT_OK_)
        return rc;
    findings = all_findings(check);
    if (c->json) {
        AUTO(json_free)
        json_t *out = json_pack("{s:s, s:O?, s:O?, s:O}", "draft", id, "changes",
                                json_object_get(diff, "items"), "devices",
                                json_object_get(diff, "devices"), "findings", findings);
        print_json(out);
    } else {
        if (draft_show_diff(c, diff) == 0)
            say(c, T_DRAFT_EMPTY);
        else
            show_affected(c, diff);
    }
    refused = show_findings(c, findings);
    if (ret_refused != NULL)
        *ret_refused = refused;
    return EXIT_OK_;
}

enum cli_exit verb_diff(struct cli *c)
{
    AUTO_STR char *path = NULL;
    AUTO(json_free) json_t *diff = NULL;
    char id[64];
    enum cli_exit rc = draft_find(c, id);

    if (rc != EXIT_OK_)
        return rc;
    if (id[0] == '\0') {
        if (c->json)
            fputs("{\"items\":[],\"devices\":[]}\n", stdout);
        say(c, T_NO_DRAFT);
        return EXIT_OK_;
    }
    if (!c->json)
        return draft_show(c, id, NULL);
    path = apiclient_pathf("/api/v1/drafts/%s/diff", id);
    rc = cli_get(c, path, &diff);
    if (rc == EXIT_OK_)
        print_json(diff);
    return rc;
}

/* Drop single values from the draft: a merge patch with null takes them out of its changes. */
static enum cli_exit drop_values(struct cli *c, const char *id)
{
    AUTO_STR char *path = apiclient_pathf("/api/v1/drafts/%s", id);
    AUTO_STRBUF struct strbuf names = STRBUF_INIT(16 * KIB);
    json_t *layer = json_object();
    enum cli_exit rc;

    for (int i = 0; i < c->n_args; i++) {
        struct assignment a;
        if (!assignment_parse(c->arg[i], &a) || a.value != NULL || a.field[0] != '\0') {
            json_decref(layer);
            return usage(c, T_NOT_A_KEY, c->arg[i]);
        }
        if (a.has_row && !json_is_object(json_object_get(layer, a.key)))
            json_object_set_new(layer, a.key, json_object());
        if (a.has_row)
            json_object_set_new(json_object_get(layer, a.key), a.row, json_null());
        else
            json_object_set_new(layer, a.key, json_null());
        strbuf_printf(&names, "%s%s", i == 0 ? "" : ", ", c->arg[i]);
    }
    rc = cli_change(c, "PATCH", path, change_wrap(c, layer), NULL);
    if (rc == EXIT_OK_) {
        say(c, T_DRAFT_DROPPED, strbuf_str(&names));
        rc = draft_show(c, id, NULL);
    }
    return rc;
}

enum cli_exit verb_discard(struct cli *c)
{
    AUTO_STR char *path = NULL;
    char id[64];
    enum cli_exit rc = change_check_options(c);

    if (rc == EXIT_OK_)
        rc = draft_find(c, id);
    if (rc != EXIT_OK_)
        return rc;
    if (id[0] == '\0') {
        if (c->json)
            fputs("{}\n", stdout);
        say(c, T_NO_DRAFT);
        return EXIT_OK_;
    }
    if (c->n_args > 0)
        return drop_values(c, id);
    path = apiclient_pathf("/api/v1/drafts/%s", id);
    rc = cli_change(c, "DELETE", path, NULL, NULL);
    if (rc == EXIT_OK_) {
        if (c->json)
            fputs("{}\n", stdout);
        say(c, T_DRAFT_DISCARDED);
    }
    return rc;
}

enum cli_exit verb_drafts(struct cli *c)
{
    static const struct column cols[] = {{T_ID, "id", COL_TEXT},
                                         {T_OWNER, "owner_name", COL_TEXT},
                                         {T_TITLE, "title", COL_TEXT},
                                         {T_BASE, "base_pub", COL_VALUE},
                                         {T_UPDATED, "updated_at", COL_TIME}};

    return cli_get_list_show(c, "/api/v1/drafts", cols, COUNT_OF(cols));
}
