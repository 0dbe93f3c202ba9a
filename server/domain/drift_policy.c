#include "domain/drift_policy.h"

#include <stdio.h>

const char *const drift_policy_words[] = {"report", "enforce", "adopt", NULL};

json_t *drift_policy_make(const json_t *effective, const char *device_word)
{
    const char *word = strcmp(device_word, "inherit") == 0
                           ? json_str(effective, "drift.policy", "report")
                           : device_word;
    uint64_t failed = json_failures();
    json_t *out = json_pack("{s:s}", "postfix", word), *items, *v;
    const char *name;

    if (json_object_size(json_object_get(effective, "drift.items")) == 0)
        return out;
    items = json_object();
    json_object_foreach(json_object_get(effective, "drift.items"), name, v)
    {
        (void)json_object_set_new(items, name, json_string(json_str(v, "policy", "report")));
    }
    (void)json_object_set_new(out, "items", items);
    if (json_failures() == failed)
        return out;
    json_decref(out);
    return NULL;
}

const char *drift_policy_of(const json_t *made, const char *item)
{
    return json_str(json_object_get(made, "items"), item, json_str(made, "postfix", "report"));
}

void drift_item_name(const json_t *row, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%s:%s", json_str(row, "file", ""), json_str(row, "item", ""));
}

const struct setting *drift_setting_of(const json_t *row)
{
    static const struct {
        const char *param, *key;
    } made_of[] = {{"mynetworks", "smtp.relay_networks"}, {"relayhost", "smtp.relayhost"}};
    const char *item = json_str(row, "item", "");

    if (strcmp(json_str(row, "file", ""), "main.cf") != 0 || item[0] == '\0')
        return NULL;
    for (size_t i = 0; i < COUNT_OF(made_of); i++)
        if (strcmp(made_of[i].param, item) == 0)
            return catalog_find(made_of[i].key);
    for (size_t i = 0; i < catalog_count(); i++)
        if (strcmp(catalog_at(i)->param, item) == 0)
            return catalog_at(i);
    return NULL;
}
