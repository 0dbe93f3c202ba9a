/* Checking single values, and handling findings (check.h). */
#include "domain/check_private.h"

#include <stdio.h>
#include <string.h>

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

/* --- values --- */

static void changes_pointer(char *buf, size_t size, const char *layer, const char *id)
{
    if (strcmp(layer, "fleet") == 0) {
        (void)snprintf(buf, size, "/changes/fleet");
        return;
    }
    json_pointer_add(buf, size,
                     strcmp(layer, "group") == 0 ? "/changes/groups" : "/changes/devices", id);
}

static enum layer_kind kind_of(const char *layer)
{
    return strcmp(layer, "fleet") == 0   ? LAYER_FLEET
           : strcmp(layer, "group") == 0 ? LAYER_GROUP
                                         : LAYER_DEVICE;
}

enum err_code check_values(json_t *content, const json_t *leaves, bool at_changes,
                           struct findings *f, struct err *e)
{
    AUTO(json_free) json_t *seen = json_object();
    json_t *leaf;
    size_t i;

    if (seen == NULL)
        return no_memory(e);
    json_array_foreach(leaves, i, leaf)
    {
        const char *layer = json_str(leaf, "layer", ""), *id = json_str(leaf, "id", "");
        const char *key = json_str(leaf, "key", "");
        json_t *settings = content_layer(content, layer, id),
               *value = json_object_get(settings, key);
        AUTO(json_free) json_t *one = json_object();
        char at[192], mark[512];

        (void)snprintf(mark, sizeof mark, "%s %s %s", layer, id, key);
        if (value == NULL || json_object_get(seen, mark) != NULL)
            continue;
        /* the whole value of the setting at that layer: rows are checked together */
        if (one == NULL || json_object_set_new(seen, mark, json_true()) != 0 ||
            json_object_set(one, key, value) != 0)
            return no_memory(e);
        changes_pointer(at, sizeof at, layer, id);
        catalog_check_layer(one, kind_of(layer), at_changes ? at : "/settings", f);
    }
    return ERR_OK;
}

size_t check_hard(const struct findings *f)
{
    size_t n = f->dropped;

    for (size_t i = 0; i < f->n; i++)
        n += !f->v[i].warning && !f->v[i].forceable;
    return n;
}

size_t check_forceable(const struct findings *f)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n; i++)
        n += !f->v[i].warning && f->v[i].forceable;
    return n;
}

size_t check_count_changes(const json_t *a, const json_t *b)
{
    /* effective settings are a layer without markers */
    AUTO(json_free)
    json_t *ca = json_pack("{s:O}", "fleet", a), *cb = json_pack("{s:O}", "fleet", b);
    AUTO(json_free) json_t *diff = ca == NULL || cb == NULL ? NULL : content_diff(ca, cb);

    return json_array_size(diff);
}

/* --- findings --- */

static bool same_finding(const struct finding *a, const struct finding *b)
{
    return a->id == b->id && strcmp(a->pointer, b->pointer) == 0 &&
           memcmp(a->arg, b->arg, sizeof a->arg) == 0;
}

static bool has(const struct findings *f, const struct finding *x)
{
    for (size_t i = 0; i < f->n; i++)
        if (same_finding(&f->v[i], x))
            return true;
    return false;
}

void check_take_over(struct findings *to, const struct findings *from)
{
    for (size_t i = 0; i < from->n; i++) {
        const struct finding *x = &from->v[i];
        struct finding *y;

        if (has(to, x))
            continue; /* the same of another device */
        y = x->warning
                ? finding_warn(to, x->id, x->pointer, x->arg[0], x->arg[1], x->arg[2], x->arg[3])
                : finding_add(to, x->id, x->pointer, x->arg[0], x->arg[1], x->arg[2], x->arg[3]);
        if (y != NULL)
            y->forceable = x->forceable;
    }
    to->dropped += from->dropped;
    to->errors += from->dropped;
}

void check_soften_known(struct findings *f, const struct findings *known)
{
    for (size_t i = 0; i < f->n; i++) {
        if (!f->v[i].warning && has(known, &f->v[i])) {
            f->v[i].warning = true;
            f->errors--;
        }
    }
}

void check_group_conflicts(const struct bundle_member *members, size_t n, const json_t *content,
                           struct findings *f)
{
    for (size_t i = 1; i < n; i++) {
        for (size_t k = i; k-- > 0 && members[k].priority == members[i].priority;) {
            const struct catalog_layer a = {LAYER_GROUP, members[k].group_id, members[k].group_name,
                                            content_layer(content, "group", members[k].group_id),
                                            members[k].priority},
                                       b = {LAYER_GROUP, members[i].group_id, members[i].group_name,
                                            content_layer(content, "group", members[i].group_id),
                                            members[i].priority};

            catalog_group_conflicts(&a, &b, f);
        }
    }
}

void check_repoint(struct finding *x, const json_t *leaves, const char *device_id)
{
    static const char prefix[] = "/settings/";
    const char *rest = x->pointer + sizeof prefix - 1, *best = NULL, *best_id = "";
    char tail[sizeof x->pointer], at[192];
    json_t *leaf;
    size_t i, n;

    if (strncmp(x->pointer, prefix, sizeof prefix - 1) != 0)
        return;
    n = strcspn(rest, "/");
    json_array_foreach(leaves, i, leaf)
    {
        const char *key = json_str(leaf, "key", ""), *layer = json_str(leaf, "layer", ""),
                   *id = json_str(leaf, "id", "");
        bool own = strcmp(layer, "device") == 0;

        if (strlen(key) != n || strncmp(key, rest, n) != 0 || (own && strcmp(id, device_id) != 0))
            continue;
        if (best == NULL || own || strcmp(best, "fleet") == 0) {
            best = layer;
            best_id = id;
        }
    }
    if (best == NULL)
        return;
    changes_pointer(at, sizeof at, best, best_id);
    (void)snprintf(tail, sizeof tail, "%s", rest);
    (void)snprintf(x->pointer, sizeof x->pointer, "%s/%s", at, tail);
}
