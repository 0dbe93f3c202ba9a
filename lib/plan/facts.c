#include "plan/plan.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

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

static int by_preference(const void *a, const void *b)
{
    const struct plan_mx_host *x = a, *y = b;

    return x->preference != y->preference ? (x->preference < y->preference ? -1 : 1)
                                          : strcmp(x->host, y->host);
}

static bool mx_hosts(const json_t *array, struct arena *a, struct plan_mx_fact *x)
{
    size_t n = json_array_size(array);
    struct plan_mx_host *v = arena_alloc(a, (n + 1) * sizeof *v);

    if (v == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(array, i);
        v[i].preference = json_int(o, "preference", 0);
        v[i].host = arena_strdup(a, json_str(o, "host", ""));
        if (v[i].host == NULL ||
            !strings(json_object_get(o, "addresses"), a, &v[i].addresses, &v[i].n))
            return false;
    }
    if (n > 1)
        qsort(v, n, sizeof *v, by_preference);
    x->hosts = v;
    x->n = n;
    return true;
}

static bool mx(const json_t *object, struct arena *a, struct plan_facts *f)
{
    struct plan_mx_fact *v = arena_alloc(a, (json_object_size(object) + 1) * sizeof *v);
    const char *domain;
    json_t *hosts;

    if (v == NULL)
        return false;
    json_object_foreach((json_t *)(uintptr_t)object, domain, hosts)
    {
        struct plan_mx_fact *x = &v[f->n_mx++];
        x->domain = arena_strdup(a, domain);
        if (x->domain == NULL || !mx_hosts(hosts, a, x))
            return false;
    }
    f->mx = v;
    return true;
}

static int64_t time_of(const json_t *o, const char *member)
{
    const char *text = json_str(o, member, NULL);
    int64_t ms = 0;

    return text != NULL && clock_parse(slice_of(text), &ms) ? ms : 0;
}

static bool files(const json_t *array, struct arena *a, struct plan_facts *f)
{
    size_t n = json_array_size(array);
    struct plan_file_fact *v = arena_alloc(a, (n + 1) * sizeof *v);

    if (v == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(array, i);
        v[i].path = arena_strdup(a, json_str(o, "path", ""));
        if (v[i].path == NULL)
            return false;
        v[i].readable = json_bool(o, "readable", false);
        v[i].is_cert = json_bool(o, "is_cert", false);
        v[i].is_key = json_bool(o, "is_key", false);
        v[i].key_matches = json_bool(o, "key_matches", false);
        v[i].in_use = json_bool(o, "in_use", false);
        v[i].not_before_ms = time_of(o, "not_before");
        v[i].not_after_ms = time_of(o, "not_after");
        if (!strings(json_object_get(o, "names"), a, &v[i].names, &v[i].n_names))
            return false;
    }
    f->files = v;
    f->n_files = n;
    return true;
}

static bool checks(const json_t *o, struct arena *a, struct plan_facts *f)
{
    f->checks_known = json_is_object(o);
    for (size_t i = 0; i < PLAN_CHECKS; i++) {
        const char *s = json_str(o, plan_checks_params[i], NULL);
        if (s != NULL && (f->checks[i] = arena_strdup(a, s)) == NULL)
            return false;
    }
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
    f.reported = json_object_get(facts, "postfix") != NULL;
    f.foxproxy = arena_strdup(a, json_str(facts, "foxproxy", NULL));
    if (!strings(json_object_get(facts, "addresses"), a, &f.addresses, &f.n_addresses) ||
        !strings(json_object_get(facts, "proxy_addresses"), a, &f.proxy_addresses,
                 &f.n_proxy_addresses) ||
        !strings(json_object_get(facts, "map_types"), a, &f.map_types, &f.n_map_types) ||
        !listeners(json_object_get(facts, "listeners"), a, &f) ||
        !names(json_object_get(facts, "names"), a, &f) ||
        !mx(json_object_get(facts, "mx"), a, &f) ||
        !files(json_object_get(facts, "files"), a, &f) ||
        (f.foxproxy == NULL && json_str(facts, "foxproxy", NULL) != NULL) ||
        !checks(json_object_get(facts, "header_checks"), a, &f))
        return no_memory(e);
    *ret = f;
    return ERR_OK;
}
