#include "plan/plan.h"

#include "base/clock.h"

#include <stdio.h>

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory while reading a device's facts");
}

/* An array of texts; what is no text is left out: facts come from a newer agent, too. */
static bool strings(const json_t *array, struct arena *a, const char *const **ret, size_t *ret_n)
{
    size_t n = json_array_size(array), used = 0;
    const char **v = arena_alloc(a, (n + 1) * sizeof *v);

    if (v == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *s = json_string_value(json_array_get(array, i));
        if (s != NULL && (v[used++] = arena_strdup(a, s)) == NULL)
            return false;
    }
    *ret = v;
    *ret_n = used;
    return true;
}

static void version(const char *text, struct plan_facts *f)
{
    if (text == NULL ||
        sscanf(text, "%5d.%5d.%5d", &f->postfix_major, &f->postfix_minor, &f->postfix_patch) < 2)
        f->postfix_major = f->postfix_minor = f->postfix_patch = 0;
}

static bool listeners(const json_t *array, struct arena *a, struct plan_facts *f)
{
    size_t n = json_array_size(array);
    struct plan_listener_fact *v = arena_alloc(a, (n + 1) * sizeof *v);

    if (v == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(array, i);
        v[i].address = arena_strdup(a, json_str(o, "address", ""));
        v[i].owner = arena_strdup(a, json_str(o, "owner", ""));
        v[i].port = json_int(o, "port", 0);
        if (v[i].address == NULL || v[i].owner == NULL)
            return false;
    }
    f->listeners = v;
    f->n_listeners = n;
    return true;
}

static bool names(const json_t *object, struct arena *a, struct plan_facts *f)
{
    struct plan_name_fact *v = arena_alloc(a, (json_object_size(object) + 1) * sizeof *v);
    const char *name;
    json_t *addresses;

    if (v == NULL)
        return false;
    json_object_foreach((json_t *)(uintptr_t)object, name, addresses)
    {
        struct plan_name_fact *x = &v[f->n_names++];
        x->name = arena_strdup(a, name);
        if (x->name == NULL || !strings(addresses, a, &x->addresses, &x->n))
            return false;
    }
    f->names = v;
    return true;
}

static bool files(const json_t *array, struct arena *a, struct plan_facts *f)
{
    size_t n = json_array_size(array);
    struct plan_file_fact *v = arena_alloc(a, (n + 1) * sizeof *v);

    if (v == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(array, i);
        const char *until = json_str(o, "not_after", NULL);
        v[i].path = arena_strdup(a, json_str(o, "path", ""));
        if (v[i].path == NULL)
            return false;
        v[i].readable = json_bool(o, "readable", false);
        v[i].is_cert = json_bool(o, "is_cert", false);
        v[i].is_key = json_bool(o, "is_key", false);
        v[i].key_matches = json_bool(o, "key_matches", false);
        if (until == NULL || !clock_parse(slice_of(until), &v[i].not_after_ms))
            v[i].not_after_ms = 0;
    }
    f->files = v;
    f->n_files = n;
    return true;
}

enum err_code plan_facts_from_json(const json_t *facts, struct arena *a, struct plan_facts *ret,
                                   struct err *e)
{
    struct plan_facts f = {0};

    f.device_id = arena_strdup(a, json_str(facts, "device_id", NULL));
    f.hostname = arena_strdup(a, json_str(facts, "hostname", NULL));
    f.placement = arena_strdup(a, json_str(facts, "placement", NULL));
    version(json_str(facts, "postfix", NULL), &f);
    if (!strings(json_object_get(facts, "addresses"), a, &f.addresses, &f.n_addresses) ||
        !strings(json_object_get(facts, "map_types"), a, &f.map_types, &f.n_map_types) ||
        !listeners(json_object_get(facts, "listeners"), a, &f) ||
        !names(json_object_get(facts, "names"), a, &f) ||
        !files(json_object_get(facts, "files"), a, &f))
        return no_memory(e);
    *ret = f;
    return ERR_OK;
}
