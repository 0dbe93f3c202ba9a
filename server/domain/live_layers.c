#include "domain/live_layers.h"

#include "store/group_store.h"

#include <stdio.h>
#include <string.h>

static enum err_code of_part(json_t *content, const json_t *head, const json_t *names,
                             const char *part, bool refuse, struct err *e)
{
    json_t *layers = json_object_get(content, part), *v;
    const json_t *before = json_object_get(head, part);
    const char *id;
    void *next;

    json_object_foreach_safe(layers, next, id, v)
    {
        json_t *have = json_object_get(before, id);
        char at[64], pointer[192];

        if (json_object_get(json_object_get(names, part), id) != NULL || json_equal(v, have))
            continue;
        (void)snprintf(at, sizeof at, "/changes/%s", part);
        json_pointer_add(pointer, sizeof pointer, at, id);
        if (refuse)
            return err_field(e, ERR_CONFLICT, pointer,
                             "this %s was removed meanwhile: drop its values from the draft",
                             strcmp(part, "groups") == 0 ? "group" : "device");
        if (have == NULL ? json_object_del(layers, id) != 0
                         : json_object_set_new(layers, id, json_deep_copy(have)) != 0)
            return err_set(e, ERR_NO_MEMORY, "out of memory");
    }
    return ERR_OK;
}

enum err_code live_layers(struct db *db, json_t *content, const json_t *head, bool refuse,
                          struct arena *a, struct err *e)
{
    json_t *names = NULL;
    enum err_code rc = group_store_names(db, a, &names, e);

    if (rc == ERR_OK)
        rc = of_part(content, head, names, "groups", refuse, e);
    return rc == ERR_OK ? of_part(content, head, names, "devices", refuse, e) : rc;
}
