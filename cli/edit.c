/* set and unset: a patch of the caller's draft, taken back when something is refused. */
#include "change.h"
#include "draft.h"

#include "catalog/preset.h"

#include <stdlib.h>
#include <string.h>

struct edit {
    char id[64];
    char *path;     /* of the draft */
    bool made;      /* the draft was begun for this edit */
    json_t *before; /* its changes as they were */
};

/* The rows a list has in the fleet's layer now: published, and with what the draft changes. */
static enum cli_exit rows_now(struct cli *c, const struct edit *e, const char *key, json_t **ret)
{
    AUTO_STR char *diff_path = apiclient_pathf("/api/v1/drafts/%s/diff", e->id);
    AUTO(json_free) json_t *published = NULL;
    AUTO(json_free) json_t *diff = NULL;
    json_t *rows;
    json_t *item;
    size_t i;
    enum cli_exit rc = cli_get(c, "/api/v1/settings?layer=fleet", &published);

    if (rc == EXIT_OK_)
        rc = cli_get(c, diff_path, &diff);
    if (rc != EXIT_OK_)
        return rc;
    rows = json_copy(json_object_get(json_object_get(published, "settings"), key));
    if (rows == NULL)
        rows = json_object();
    json_array_foreach(json_object_get(diff, "items"), i, item)
    {
        if (strcmp(json_str(item, "layer", ""), "fleet") != 0 ||
            strcmp(json_str(item, "key", ""), key) != 0)
            continue;
        if (json_is_null(json_object_get(item, "new")))
            json_object_del(rows, json_str(item, "row", ""));
        else
            json_object_set(rows, json_str(item, "row", ""), json_object_get(item, "new"));
    }
    *ret = rows;
    return EXIT_OK_;
}

/* {"$exactly": wanted} becomes rows to add and rows to drop; a row that is there keeps its members.
 */
static enum cli_exit resolve_list(struct cli *c, const struct edit *e, json_t *layer,
                                  const char *key)
{
    const json_t *wanted = json_object_get(json_object_get(layer, key), CHANGE_EXACTLY);
    AUTO(json_free) json_t *rows = NULL;
    json_t *patch = json_object();
    const char *row;
    json_t *members;
    enum cli_exit rc = rows_now(c, e, key, &rows);

    if (rc != EXIT_OK_) {
        json_decref(patch);
        return rc;
    }
    json_object_foreach((json_t *)(uintptr_t)wanted, row,
                        members) if (json_object_get(rows, row) == NULL)
        json_object_set(patch, row, members);
    json_object_foreach(rows, row, members) if (json_object_get(wanted, row) == NULL)
        json_object_set_new(patch, row, json_pack("{s:b}", "$inherit", 1));
    json_object_set_new(layer, key, patch);
    return EXIT_OK_;
}

static enum cli_exit resolve_lists(struct cli *c, const struct edit *e, json_t *changes)
{
    json_t *layer = json_object_get(changes, "fleet");
    const char *key;
    json_t *value;
    void *next;
    enum cli_exit rc = EXIT_OK_;

    json_object_foreach_safe(layer, next, key, value)
    {
        if (rc == EXIT_OK_ && json_object_get(value, CHANGE_EXACTLY) != NULL)
            rc = resolve_list(c, e, layer, key);
    }
    return rc;
}

/* The merge patch that makes b of a; new reference. */
static json_t *back_patch(const json_t *a, const json_t *b)
{
    json_t *patch = json_object();
    const char *name;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)a, name, v) if (json_object_get(b, name) == NULL)
        json_object_set_new(patch, name, json_null());
    json_object_foreach((json_t *)(uintptr_t)b, name, v)
    {
        const json_t *had = json_object_get(a, name);
        if (json_is_object(had) && json_is_object(v) && !json_equal(had, v))
            json_object_set_new(patch, name, back_patch(had, v));
        else if (!json_equal(had, v))
            json_object_set(patch, name, v);
    }
    return patch;
}

/* Nothing of a refused edit stays: the draft is what it was, or gone when it was begun for this. */
static void take_back(struct cli *c, const struct edit *e)
{
    AUTO(json_free) json_t *now = NULL;
    bool dry_run = c->dry_run;

    c->dry_run = false;
    if (e->made)
        draft_remove(c, e->id);
    else if (cli_get(c, e->path, &now) == EXIT_OK_ &&
             !json_equal(json_object_get(now, "changes"), e->before))
        (void)cli_change(c, "PATCH", e->path,
                         back_patch(json_object_get(now, "changes"), e->before), NULL);
    c->dry_run = dry_run;
}

static enum cli_exit begin(struct cli *c, struct edit *e)
{
    AUTO(json_free) json_t *draft = NULL;
    enum cli_exit rc = draft_need(c, e->id, &e->made);

    if (rc != EXIT_OK_)
        return rc;
    e->path = apiclient_pathf("/api/v1/drafts/%s", e->id);
    rc = cli_get(c, e->path, &draft);
    if (rc == EXIT_OK_)
        e->before = json_incref(json_object_get(draft, "changes"));
    return rc;
}

static enum cli_exit apply(struct cli *c, struct edit *e, json_t *changes)
{
    size_t refused = 0;
    enum cli_exit rc = resolve_lists(c, e, changes);

    if (rc == EXIT_OK_)
        rc = cli_change(c, "PATCH", e->path, json_incref(changes), NULL);
    if (rc == EXIT_OK_ && c->dry_run)
        return done(c, NULL);
    if (rc == EXIT_OK_)
        rc = draft_show(c, e->id, &refused);
    if (rc == EXIT_OK_ && refused > 0 && !cli_flag(c, "force"))
        rc = EXIT_REFUSED;
    if (rc == EXIT_REFUSED)
        complain(c, T_NOTHING_STORED);
    if (rc == EXIT_OK_)
        say(c, T_DRAFT_KEPT);
    return rc;
}

/* changes is stolen. */
static enum cli_exit edit(struct cli *c, json_t *changes)
{
    struct edit e = {0};
    enum cli_exit rc = begin(c, &e);

    if (rc == EXIT_OK_)
        rc = apply(c, &e, changes);
    if (e.id[0] != '\0' && e.before != NULL && (rc != EXIT_OK_ || c->dry_run))
        take_back(c, &e);
    json_decref(changes);
    json_decref(e.before);
    free(e.path);
    return rc;
}

/* INPUT=VALUE ... after the preset's name. */
static enum cli_exit read_inputs(struct cli *c, json_t *inputs)
{
    for (int i = 1; i < c->n_args; i++) {
        const char *at = strchr(c->arg[i], '=');
        if (at == NULL || at == c->arg[i])
            return usage(c, T_PRESET_INPUT, c->arg[i]);
        json_object_setn_new_nocheck(inputs, c->arg[i], (size_t)(at - c->arg[i]),
                                     json_string(at + 1));
    }
    return EXIT_OK_;
}

static const json_t *preset_named(const json_t *doc, const char *name)
{
    size_t i;
    json_t *p;

    json_array_foreach(json_object_get(doc, "items"), i, p)
    {
        if (strcmp(json_str(p, "name", ""), name) == 0)
            return p;
    }
    return NULL;
}

static enum cli_exit list_presets(struct cli *c, const json_t *doc)
{
    static const struct column cols[] = {
        {T_NAME, "name", COL_TEXT}, {T_INPUTS, "inputs", COL_WORDS}, {T_LABEL, "label", COL_TEXT}};

    show_list(c, doc, cols, COUNT_OF(cols));
    return EXIT_OK_;
}

enum cli_exit verb_preset(struct cli *c)
{
    AUTO(json_free) json_t *doc = NULL;
    AUTO(json_free) json_t *inputs = json_object();
    json_t *layer = NULL;
    const json_t *preset;
    struct err e = {0};
    enum cli_exit rc = change_check_options(c);

    if (rc == EXIT_OK_)
        rc = cli_list(c, "/api/v1/presets", &doc);
    if (rc != EXIT_OK_)
        return rc;
    if (c->n_args == 0)
        return list_presets(c, doc);
    preset = preset_named(doc, c->arg[0]);
    if (preset == NULL) {
        complain(c, T_NO_PRESET, c->arg[0]);
        return EXIT_NOT_FOUND;
    }
    rc = read_inputs(c, inputs);
    if (rc == EXIT_OK_ && preset_settings(preset, inputs, &layer, &e) != ERR_OK)
        return usage(c, T_PRESET_REFUSED, c->arg[0], strrchr(e.pointer, '/') + 1);
    return rc == EXIT_OK_ ? edit(c, change_wrap(c, layer)) : rc;
}

enum cli_exit verb_set(struct cli *c)
{
    AUTO(json_free) json_t *layer = json_object();
    enum cli_exit rc = change_check_options(c);

    for (int i = 0; rc == EXIT_OK_ && i < c->n_args; i++)
        rc = change_set(c, layer, c->arg[i]);
    return rc == EXIT_OK_ ? edit(c, change_wrap(c, TAKE(layer))) : rc;
}

enum cli_exit verb_unset(struct cli *c)
{
    AUTO(json_free) json_t *layer = json_object();
    enum cli_exit rc = change_check_options(c);

    for (int i = 0; rc == EXIT_OK_ && i < c->n_args; i++)
        rc = change_unset(c, layer, c->arg[i], cli_flag(c, "default"));
    return rc == EXIT_OK_ ? edit(c, change_wrap(c, TAKE(layer))) : rc;
}
