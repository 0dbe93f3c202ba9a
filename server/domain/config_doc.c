#include "domain/config_doc.h"

#include "base/clock.h"
#include "base/rand.h"
#include "domain/change.h"
#include "domain/draft_private.h"
#include "http/problem.h"
#include "store/group_store.h"

#include <stdio.h>
#include <string.h>

const char *const config_mode_names[] = {"merge", "replace", NULL};
static const char *const part_names[] = {"fleet", "groups", "devices"};
static const char *const layer_names[] = {"fleet", "group", "device"};

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

/* --- export --- */

static const struct {
    const char *what;
    const char *why[2]; /* by enum lang */
} left_out[] = {
    {"accounts, sessions, API tokens, join tokens",
     {"they are secrets, and belong to this parent", "秘密情報であり、この親のものです"}},
    {"keys of the fleet and of devices",
     {"every parent and device has its own", "親も装置もそれぞれ自分の鍵を持ちます"}},
    {"certificate and key files",
     {"settings name their paths; the files are on the devices",
      "設定に書かれるのはパスだけで、ファイルは装置にあります"}},
    {"revisions, audit log, drafts", {"history is not configuration", "履歴は設定ではありません"}},
    {"database and network settings of the parent",
     {"they are in the parent's own settings file", "親の設定ファイルにあります"}},
};

static json_t *left_out_json(enum lang lang)
{
    json_t *a = json_array();

    for (size_t i = 0; i < COUNT_OF(left_out); i++)
        (void)json_array_append_new(
            a, json_pack("{s:s,s:s}", "what", left_out[i].what, "why", left_out[i].why[lang]));
    return a;
}

static json_t *layer_copy(const json_t *content, const char *layer, const char *id)
{
    const json_t *v = content_layer(content, layer, id);

    return v == NULL ? json_object() : json_deep_copy(v);
}

static json_t *export_content(const struct export_row *x)
{
    json_t *groups = json_object(), *devices = json_object(), *g, *name;
    const char *id;
    size_t i;

    json_array_foreach(x->groups, i, g)
    {
        (void)json_object_set_new(
            groups, json_str(g, "name", ""),
            json_pack("{s:O,s:O,s:O,s:o}", "kind", json_object_get(g, "kind"), "priority",
                      json_object_get(g, "priority"), "members", json_object_get(g, "members"),
                      "settings", layer_copy(x->content, "group", json_str(g, "id", ""))));
    }
    json_object_foreach((json_t *)(uintptr_t)x->devices, id, name)
    {
        const json_t *own = content_layer(x->content, "device", id);
        if (json_object_size(own) > 0)
            (void)json_object_set_new(devices, json_string_value(name), json_deep_copy(own));
    }
    return json_pack("{s:o,s:o,s:o}", "fleet", layer_copy(x->content, "fleet", ""), "groups",
                     groups, "devices", devices);
}

enum err_code config_export(struct db *db, enum lang lang, json_t **ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(DRAFT_ARENA);
    AUTO(json_free) json_t *content = NULL;
    struct export_row x;
    char at[CLOCK_TEXT_SIZE], digest[65];
    enum err_code rc = a == NULL ? no_memory(e) : revision_store_export(db, a, &x, e);

    if (rc != ERR_OK)
        return rc;
    content = export_content(&x);
    if (content == NULL || !json_digest(content, digest))
        return no_memory(e);
    clock_format(clock_wall_ms(), at);
    *ret = json_pack("{s:s,s:i,s:s,s:s,s:I,s:O,s:s,s:O,s:o}", "format", "inari.config", "version",
                     CONFIG_DOC_VERSION, "product", INARI_VERSION, "exported_at", at, "pub",
                     (json_int_t)x.pub, "content", content, "digest", digest, "identities",
                     x.identities, "left_out", left_out_json(lang));
    return *ret == NULL ? no_memory(e) : ERR_OK;
}

/* --- reading a document --- */

static enum err_code check_head(const json_t *doc, struct err *e)
{
    const json_t *content = json_object_get(doc, "content");
    const char *given = json_str(doc, "digest", NULL);
    int64_t version = json_int(doc, "version", 0);
    char digest[65];

    if (strcmp(json_str(doc, "format", ""), "inari.config") != 0)
        return err_field(e, ERR_INVALID, "/document/format",
                         "this is no exported configuration: format must be \"inari.config\"");
    if (version < 1 || version > CONFIG_DOC_VERSION)
        return err_field(e, ERR_INVALID, "/document/version",
                         "version %lld of the format is not understood here: this parent reads "
                         "versions 1 to %d",
                         (long long)version, CONFIG_DOC_VERSION);
    if (!json_is_object(content))
        return err_field(e, ERR_INVALID, "/document/content", "content must be an object");
    if (json_object_get(doc, "digest") == NULL)
        return ERR_OK; /* written by hand */
    if (!json_digest(content, digest))
        return no_memory(e);
    if (given == NULL || strcmp(given, digest) != 0)
        return err_field(e, ERR_INVALID, "/document/digest",
                         "the content was changed since it was exported: export it again, or "
                         "remove the member digest if the change was yours");
    return ERR_OK;
}

static enum err_code check_parts(const json_t *parts, bool chosen[3], struct err *e)
{
    json_t *v;
    size_t i;

    chosen[0] = chosen[1] = parts == NULL;
    chosen[2] = false;
    json_array_foreach(parts, i, v)
    {
        char at[40];
        size_t k = 0;
        while (k < COUNT_OF(part_names) &&
               (!json_is_string(v) || strcmp(json_string_value(v), part_names[k]) != 0))
            k++;
        (void)snprintf(at, sizeof at, "/parts/%zu", i);
        if (k == COUNT_OF(part_names))
            return err_field(e, ERR_INVALID, at, "parts are fleet, groups and devices");
        chosen[k] = true;
    }
    return ERR_OK;
}

/* --- what it changes --- */

struct importing {
    const struct config_import *how;
    bool chosen[3];
    json_t *names; /* {"groups":{id:name},"devices":{id:name}} */
    json_t *result;
};

static const char *id_of(const json_t *names, const char *name)
{
    const char *id;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)names, id, v)
    {
        if (strcmp(json_string_value(v), name) == 0)
            return id;
    }
    return NULL;
}

/* The values of one layer onto the target; a list row by row, each row as a whole. */
static enum err_code put_layer(json_t *target, const char *layer, const char *id,
                               const json_t *settings, const char *at, struct err *e)
{
    const char *key, *row;
    json_t *v, *members;

    if (!json_is_object(settings))
        return err_field(e, ERR_INVALID, at, "settings must be an object");
    json_object_foreach((json_t *)(uintptr_t)settings, key, v)
    {
        const struct setting *s = catalog_find(key);
        bool ok = true;
        if (s == NULL || s->value.type != SET_LIST || !json_is_object(v) ||
            content_marker(v, "$unset")) {
            ok = content_set(target, layer, id, key, "", v);
        } else {
            json_object_foreach(v, row, members)
            {
                ok = ok && content_set(target, layer, id, key, row, members);
            }
        }
        if (!ok)
            return no_memory(e);
    }
    return ERR_OK;
}

/* A group the document names without its settings keeps them, also where others are replaced. */
static bool keep_layer(const json_t *before, const char *id, json_t *target)
{
    const json_t *own = id == NULL ? NULL : content_layer(before, "group", id);
    json_t *groups = json_object_get(target, "groups");

    return own == NULL || json_object_set_new(groups, id, json_deep_copy(own)) == 0;
}

/* One part of the document onto the target. */
static enum err_code put_part(const struct importing *x, size_t part, const json_t *before,
                              json_t *target, struct err *e)
{
    const json_t *content = json_object_get(x->how->document, "content"),
                 *in = json_object_get(content, part_names[part]),
                 *names = json_object_get(x->names, part_names[part]);
    char base[64], at[192];
    const char *name;
    json_t *v;
    enum err_code rc = ERR_OK;

    (void)snprintf(base, sizeof base, "/document/content/%s", part_names[part]);
    if (!json_is_object(in))
        return err_field(e, ERR_INVALID, base, "this must be an object");
    if (part == 0)
        return put_layer(target, "fleet", "", in, base, e);
    json_object_foreach((json_t *)(uintptr_t)in, name, v)
    {
        const json_t *settings = part == 1 ? json_object_get(v, "settings") : v;
        const char *id = id_of(names, name);
        json_pointer_add(at, sizeof at, base, name);
        if (!json_is_object(v))
            return err_field(e, ERR_INVALID, at, "this must be an object");
        if (settings == NULL && !keep_layer(before, id, target))
            return no_memory(e);
        if (settings == NULL || (json_is_object(settings) && json_object_size(settings) == 0))
            continue;
        if (id == NULL)
            return err_field(e, ERR_INVALID, at,
                             part == 1 ? "there is no group \"%s\" here: make it first, or import "
                                         "without the part groups"
                                       : "there is no device \"%s\" here: let it join first, or "
                                         "import without the part devices",
                             name);
        rc = put_layer(target, layer_names[part], id, settings, at, e);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static enum err_code make_target(const struct importing *x, const json_t *before, json_t **ret,
                                 struct err *e)
{
    AUTO(json_free) json_t *target = json_deep_copy(before);

    if (target == NULL)
        return no_memory(e);
    for (size_t part = 0; part < COUNT_OF(part_names); part++) {
        enum err_code rc = ERR_OK;
        if (!x->chosen[part] ||
            json_object_get(json_object_get(x->how->document, "content"), part_names[part]) == NULL)
            continue; /* a document that does not have the part says nothing about it */
        if (x->how->mode == CONFIG_REPLACE &&
            json_object_set_new(target, part_names[part], json_object()) != 0)
            return no_memory(e);
        rc = put_part(x, part, before, target, e);
        if (rc != ERR_OK)
            return rc;
    }
    *ret = TAKE(target);
    return ERR_OK;
}

/* A row as a draft's change: members merge there, so one that is gone is named with what a row
 * without it means. */
static json_t *whole_row(const char *key, const json_t *old, const json_t *new)
{
    const struct setting *s = catalog_find(key);
    json_t *row = json_deep_copy(new);

    for (size_t i = 0; s != NULL && json_is_object(old) && i < s->n_fields; i++) {
        const struct setting_field *fd = &s->fields[i];
        if (fd->default_json != NULL && json_object_get(old, fd->name) != NULL &&
            json_object_get(row, fd->name) == NULL)
            (void)json_object_set_new(row, fd->name, json_in_own(fd->default_json));
    }
    return row;
}

static bool put_change(json_t *changes, const json_t *leaf)
{
    const char *layer = json_str(leaf, "layer", ""), *id = json_str(leaf, "id", ""),
               *key = json_str(leaf, "key", ""), *row = json_str(leaf, "row", "");
    json_t *old = json_object_get(leaf, "old"), *new = json_object_get(leaf, "new"), *value;
    bool ok;

    value = json_is_null(new) ? json_pack("{s:b}", "$inherit", 1)
            : row[0] != '\0'  ? whole_row(key, old, new)
                              : json_deep_copy(new);
    ok = value != NULL && content_set(changes, layer, id, key, row, value);
    json_decref(value);
    return ok;
}

static enum err_code make_changes(const json_t *before, const json_t *target, json_t **ret,
                                  struct err *e)
{
    AUTO(json_free) json_t *diff = content_diff(before, target), *changes = content_new();
    json_t *leaf;
    size_t i;

    if (diff == NULL || changes == NULL)
        return no_memory(e);
    json_array_foreach(diff, i, leaf)
    {
        if (!put_change(changes, leaf))
            return no_memory(e);
    }
    *ret = TAKE(changes);
    return ERR_OK;
}

/* --- import --- */

static enum err_code audit_import(struct db *db, const struct importing *x, const char *id,
                                  const struct preview *p, struct err *e)
{
    AUTO(json_free)
    json_t *detail =
        json_pack("{s:s,s:I,s:s,s:O?,s:O?}", "title", x->how->title, "changes",
                  (json_int_t)json_array_size(p->leaves), "mode", config_mode_names[x->how->mode],
                  "parts", x->how->parts, "digest", json_object_get(x->how->document, "digest"));
    char object[64];

    (void)snprintf(object, sizeof object, "draft/%s", id);
    return detail == NULL ? no_memory(e)
                          : audit_append(db, x->how->by, "config.import", object, detail, e);
}

static enum err_code store(struct db *db, struct importing *x, struct draft_row *row,
                           struct preview *p, struct err *e)
{
    int64_t version = 0, n = 0;
    enum err_code rc = draft_store_count(db, x->how->by->account, &n, e);

    if (rc == ERR_OK && n >= DRAFTS_MAX)
        return err_set(e, ERR_CONFLICT, "you have %d open drafts: publish or delete some",
                       DRAFTS_MAX);
    if (rc == ERR_OK)
        rc = draft_store_insert(db, row, e);
    json_decref(x->result);
    x->result = NULL;
    if (rc == ERR_OK)
        rc = draft_get(db, row->id, &x->result, &version, e);
    if (rc == ERR_OK)
        rc = leaves_describe(db, p->leaves, x->how->lang, e);
    if (rc == ERR_OK &&
        (json_object_set_new(x->result, "findings", problem_findings(x->how->f, x->how->lang)) !=
             0 ||
         json_object_set(x->result, "diff", p->leaves) != 0 ||
         (p->devices != NULL && json_object_set(x->result, "devices", p->devices) != 0)))
        rc = no_memory(e);
    return rc == ERR_OK ? audit_import(db, x, row->id, p, e) : rc;
}

static enum err_code import(struct db *db, struct importing *x, struct arena *a, struct err *e)
{
    AUTO(json_free) json_t *target = NULL, *changes = NULL;
    char id[UUID_TEXT_SIZE];
    struct draft_row row = {.id = id, .owner = x->how->by->account, .title = x->how->title};
    struct preview p = {0};
    struct revision_row head;
    enum err_code rc = revision_store_get(db, 0, a, &head, e);

    if (rc == ERR_OK)
        rc = group_store_names(db, a, &x->names, e);
    if (rc == ERR_OK)
        rc = make_target(x, head.content, &target, e);
    if (rc == ERR_OK)
        rc = make_changes(head.content, target, &changes, e);
    if (rc != ERR_OK)
        return rc;
    uuid7(id);
    row.base_pub = head.pub;
    row.changes = changes;
    rc = draft_preview(db, &row, a, false, x->how->lang, x->how->f, &p, e);
    if (rc == ERR_OK && check_hard(x->how->f) > 0)
        rc = err_set(e, ERR_INVALID, "%zu of the values cannot be accepted", check_hard(x->how->f));
    if (rc == ERR_OK)
        rc = store(db, x, &row, &p, e);
    draft_preview_clear(&p);
    return rc;
}

static enum err_code import_in_tx(struct db *db, void *ctx, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(DRAFT_ARENA);
    struct importing *x = ctx;

    findings_clear(x->how->f); /* a repeated transaction begins anew */
    return a == NULL ? no_memory(e) : import(db, x, a, e);
}

enum err_code config_import(struct db *db, const struct config_import *how, json_t **ret,
                            struct err *e)
{
    struct importing x = {.how = how};
    enum err_code rc = check_head(how->document, e);

    if (rc == ERR_OK)
        rc = check_parts(how->parts, x.chosen, e);
    if (rc == ERR_OK)
        rc = change_run(db, "config_import", how->dry_run, import_in_tx, &x, e);
    if (rc == ERR_OK)
        *ret = TAKE(x.result);
    json_decref(x.result);
    return rc;
}
