/* What the planner wants to know about the device for these settings (plan.h). */
#include "plan/plan_private.h"

#include <string.h>

static void want(json_t *list, const char *word, size_t max)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), word) == 0)
            return;
    if (json_array_size(list) < max)
        (void)json_array_append_new(list, json_string(word));
}

struct wanted {
    json_t *names, *domains, *files;
};

static void want_hops(const char *text, const struct wanted *w)
{
    struct slice rest = slice_of(text);
    struct plan_hop hop;

    while (plan_next_hop(&rest, &hop)) {
        if (hop.is_address || hop.host[0] == '\0')
            continue;
        want(w->names, hop.host, PLAN_WANTED_MAX);
        if (hop.by_mx)
            want(w->domains, hop.host, PLAN_WANTED_MX_MAX);
    }
}

static void want_value(enum setting_type type, const char *text, const struct wanted *w)
{
    if (text == NULL || text[0] == '\0')
        return;
    if (type == SET_PATH)
        want(w->files, text, PLAN_WANTED_MAX);
    else if (type == SET_HOST)
        want(w->names, text, PLAN_WANTED_MAX);
    else if (type == SET_HOSTPORT)
        want_hops(text, w);
}

/* Without smtp.relayhost, mail for a relay domain without a route goes to the domain's own MX. */
static void want_routeless(const json_t *settings, const struct wanted *w)
{
    const json_t *routes = json_object_get(settings, "smtp.routes");
    const char *domain;
    json_t *v;

    if (json_str(settings, "smtp.relayhost", "")[0] != '\0')
        return;
    json_object_foreach(json_object_get(settings, "smtp.relay_domains"), domain, v)
    {
        if (json_array_size(w->domains) >= PLAN_WANTED_MX_MAX)
            return;
        if (json_object_get(routes, domain) == NULL)
            want(w->domains, domain, PLAN_WANTED_MX_MAX);
    }
}

void plan_wanted(const json_t *settings, json_t **ret_names, json_t **ret_domains,
                 json_t **ret_files)
{
    const struct wanted w = {json_array(), json_array(), json_array()};

    for (size_t i = 0; i < catalog_count(); i++) {
        const struct setting *s = catalog_at(i);
        json_t *v = json_object_get(settings, s->key), *row;
        const char *key;
        if (s->value.type != SET_LIST) {
            want_value(s->value.type, json_string_value(v), &w);
            continue;
        }
        json_object_foreach(v, key, row)
        {
            for (size_t j = 0; j < s->n_fields; j++)
                want_value(s->fields[j].type, json_str(row, s->fields[j].name, NULL), &w);
        }
    }
    want_routeless(settings, &w);
    *ret_names = w.names;
    *ret_domains = w.domains;
    *ret_files = w.files;
}
