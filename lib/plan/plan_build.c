#include "plan/plan_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static bool fits(const json_t *v, enum setting_type t)
{
    if (t == SET_LIST)
        return json_is_object(v);
    if (t == SET_BOOL)
        return json_is_boolean(v);
    if (t == SET_INT || t == SET_BYTES || t == SET_DURATION || t == SET_PORT)
        return json_is_integer(v);
    return json_is_string(v);
}

const json_t *plan_get(const struct plan_builder *b, const char *key)
{
    const struct setting *s = catalog_find(key);
    const json_t *v = json_object_get(b->settings, key);

    if (s == NULL || (v != NULL && fits(v, s->value.type)))
        return s == NULL ? NULL : v;
    /* Merged settings have every key: reading all defaults took a quarter of a plan. */
    v = json_object_get(b->defaults, key);
    if (v == NULL && json_object_set_new(b->defaults, key, json_in_own(s->default_json)) == 0)
        v = json_object_get(b->defaults, key);
    return v;
}

const char *plan_str(const struct plan_builder *b, const char *key)
{
    const char *s = json_string_value(plan_get(b, key));

    return s == NULL ? "" : s;
}

int64_t plan_int(const struct plan_builder *b, const char *key)
{
    return json_integer_value(plan_get(b, key));
}

bool plan_bool(const struct plan_builder *b, const char *key)
{
    return json_is_true(plan_get(b, key));
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char **plan_rows(struct plan_builder *b, const char *key, size_t *ret_n)
{
    const json_t *list = plan_get(b, key);
    const char **keys = arena_alloc(b->a, (json_object_size(list) + 1) * sizeof *keys);
    const char *row;
    json_t *v;
    size_t n = 0;

    *ret_n = 0;
    if (keys == NULL) {
        b->oom = true;
        return NULL;
    }
    json_object_foreach((json_t *)(uintptr_t)list, row, v)
    {
        if (json_is_object(v))
            keys[n++] = row;
    }
    qsort(keys, n, sizeof *keys, by_text);
    *ret_n = n;
    return keys;
}

const char *plan_at(struct plan_builder *b, const char *key, const char *row)
{
    char at[192], *copy;

    json_pointer_add(at, sizeof at, "/settings", key);
    if (row != NULL) {
        char more[192];
        json_pointer_add(more, sizeof more, at, row);
        copy = arena_strdup(b->a, more);
    } else {
        copy = arena_strdup(b->a, at);
    }
    return copy == NULL ? "/settings" : copy;
}

static const char *format(struct plan_builder *b, const char *fmt, va_list ap)
{
    va_list again;
    int n;
    char *text;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    text = n < 0 ? NULL : arena_alloc(b->a, (size_t)n + 1);
    if (text == NULL) {
        b->oom = true;
        return NULL;
    }
    (void)vsnprintf(text, (size_t)n + 1, fmt, ap);
    return text;
}

void plan_param(struct plan_builder *b, const char *name, const char *fmt, ...)
{
    va_list ap;
    const char *value;

    va_start(ap, fmt);
    value = format(b, fmt, ap);
    va_end(ap);
    if (value == NULL || b->n_params == PLAN_PARAMS_MAX) {
        b->oom = true;
        return;
    }
    b->params[b->n_params++] = (struct plan_param){name, value};
}

struct plan_service *plan_service(struct plan_builder *b, const char *service, const char *type,
                                  const char *maxproc, const char *command)
{
    struct plan_param *options = arena_alloc(b->a, PLAN_OPTIONS_MAX * sizeof *options);
    struct plan_service *s = &b->services[b->n_services];

    if (options == NULL || b->n_services + 1 == PLAN_SERVICES_MAX || service == NULL ||
        maxproc == NULL) {
        b->oom = true;
        b->services[PLAN_SERVICES_MAX - 1] = (struct plan_service){0};
        return &b->services[PLAN_SERVICES_MAX - 1];
    }
    b->n_services++;
    *s = (struct plan_service){.service = service,
                               .type = type,
                               .priv = strcmp(type, "inet") == 0 ? "n" : "-",
                               .unpriv = "-",
                               .chroot = "n",
                               .wakeup = "-",
                               .maxproc = maxproc,
                               .command = command,
                               .options = options};
    return s;
}

void plan_option(struct plan_builder *b, struct plan_service *s, const char *name, const char *fmt,
                 ...)
{
    va_list ap;
    const char *value;

    va_start(ap, fmt);
    value = format(b, fmt, ap);
    va_end(ap);
    if (value == NULL || s->options == NULL || s->n_options == PLAN_OPTIONS_MAX) {
        b->oom = true;
        return;
    }
    ((struct plan_param *)(uintptr_t)s->options)[s->n_options++] = (struct plan_param){name, value};
}

const char *plan_table_ref(struct plan_builder *b, const char *name, const char *type)
{
    const char *ref = arena_printf(b->a, "%s:${config_directory}/%s/%s", type, b->dir, name);

    if (ref == NULL)
        b->oom = true;
    return ref == NULL ? "" : ref;
}

const char *plan_table(struct plan_builder *b, const char *name, const char *type,
                       const struct strbuf *content)
{
    char *copy = strbuf_ok(content) ? arena_slice_dup(b->a, strbuf_slice(content)) : NULL;

    if (copy == NULL || b->n_tables == PLAN_TABLES_MAX)
        b->oom = true;
    else
        b->tables[b->n_tables++] = (struct plan_table){name, type, copy, false};
    return plan_table_ref(b, name, type);
}

void plan_listener(struct plan_builder *b, const char *address, int64_t port, enum plan_role role)
{
    if (b->n_listeners == PLAN_LISTENERS_MAX)
        b->oom = true;
    else
        b->listeners[b->n_listeners++] = (struct plan_listener){address, port, role};
}
