#include "catalog/preset.h"

#include "base/strbuf.h"

#include <stdio.h>
#include <string.h>

extern const unsigned char presets_json[]; /* generated from api/presets.json */
extern const size_t presets_json_n;

/* {"en","ja"} becomes the text, in place. */
static void speak(json_t *of, const char *member, enum lang lang)
{
    const json_t *both = json_object_get(of, member);
    json_t *one = json_object_get(both, lang == LANG_JA ? "ja" : "en");

    (void)json_object_set(of, member, one);
}

json_t *preset_list(enum lang lang)
{
    AUTO(json_free)
    json_t *doc = json_loadb((const char *)presets_json, presets_json_n, 0, NULL);
    json_t *items = json_object_get(doc, "presets"), *p, *input;
    size_t i, k;

    json_array_foreach(items, i, p)
    {
        speak(p, "label", lang);
        speak(p, "help", lang);
        (void)json_object_del(p, "facts");
        json_array_foreach(json_object_get(p, "inputs"), k, input)
        {
            speak(input, "label", lang);
        }
    }
    return json_incref(items);
}

/* The text with its inputs in place; NULL without memory. */
static json_t *fill_text(const char *text, const json_t *inputs)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(64 * KIB);
    const char *name;
    json_t *v;

    while (*text != '\0') {
        size_t skip = 0;
        json_object_foreach((json_t *)(uintptr_t)inputs, name, v)
        {
            size_t n = strlen(name);
            if (skip == 0 && text[0] == '{' && strncmp(text + 1, name, n) == 0 &&
                text[n + 1] == '}') {
                strbuf_puts(&b, json_string_value(v));
                skip = n + 2;
            }
        }
        if (skip == 0)
            strbuf_putc(&b, *text);
        text += skip == 0 ? 1 : skip;
    }
    return strbuf_check(&b, NULL) == ERR_OK ? json_string(strbuf_str(&b)) : NULL;
}

static json_t *fill(const json_t *value, const json_t *inputs)
{
    const char *key;
    json_t *v, *out;

    if (json_is_string(value))
        return fill_text(json_string_value(value), inputs);
    if (!json_is_object(value))
        return json_deep_copy(value);
    out = json_object();
    json_object_foreach((json_t *)(uintptr_t)value, key, v)
    {
        AUTO(json_free) json_t *name = fill_text(key, inputs);
        if (out == NULL || name == NULL ||
            json_object_set_new(out, json_string_value(name), fill(v, inputs)) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static enum err_code bad_input(const char *name, const char *why, struct err *e)
{
    char pointer[128];

    (void)snprintf(pointer, sizeof pointer, "/inputs/%.60s", name);
    return err_field(e, ERR_INVALID, pointer, "%.60s %s", name, why);
}

static enum err_code check_inputs(const json_t *preset, const json_t *inputs, struct err *e)
{
    const json_t *wanted = json_object_get(preset, "inputs");
    const char *name, *text;
    json_t *v, *one;
    size_t i, known;

    json_array_foreach(wanted, i, one)
    {
        name = json_string_value(json_object_get(one, "name"));
        text = json_string_value(json_object_get(inputs, name));
        if (text == NULL || text[0] == '\0')
            return bad_input(name, "is needed", e);
    }
    json_object_foreach((json_t *)(uintptr_t)inputs, name, v)
    {
        known = 0;
        json_array_foreach(wanted, i, one)
        {
            known += strcmp(json_string_value(json_object_get(one, "name")), name) == 0;
        }
        if (known == 0)
            return bad_input(name, "is no input of this preset", e);
    }
    return ERR_OK;
}

enum err_code preset_settings(const json_t *preset, const json_t *inputs, json_t **ret,
                              struct err *e)
{
    enum err_code rc = check_inputs(preset, inputs, e);

    if (rc != ERR_OK)
        return rc;
    *ret = fill(json_object_get(preset, "settings"), inputs);
    return *ret == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}
