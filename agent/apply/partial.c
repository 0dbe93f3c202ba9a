#include "apply/partial.h"

#include "base/file.h"

#include <stdio.h>

void partial_name(const json_t *row, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%s:%s", json_str(row, "file", ""), json_str(row, "item", ""));
}

static bool is_row(const json_t *row, const char *file, const char *item)
{
    return strcmp(json_str(row, "file", ""), file) == 0 &&
           strcmp(json_str(row, "item", ""), item) == 0;
}

static bool named(const json_t *rows, const char *file, const char *item)
{
    size_t i;
    json_t *v;

    json_array_foreach(rows, i, v)
    {
        if (is_row(v, file, item))
            return true;
    }
    return false;
}

static void service_name(const struct plan_service *s, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%s/%s", s->service, s->type);
}

bool partial_may_stay(const json_t *row, const struct plan *plan)
{
    char digest[80], name[400];

    (void)snprintf(digest, sizeof digest, "127.0.0.1:%d/inet", PLAN_PORT_DIGEST);
    if (is_row(row, "main.cf", "inari_digest") || is_row(row, "master.cf", digest))
        return false;
    if (strcmp(json_str(row, "file", ""), "foxproxy.ini") == 0) /* it shows the digest as well */
        return false;
    if (strcmp(json_str(row, "file", ""), "table") == 0)
        return json_str(row, "found", NULL) != NULL;
    if (strcmp(json_str(row, "file", ""), "master.cf") != 0)
        return true;
    for (size_t i = 0; i < plan->n_services; i++) {
        service_name(&plan->services[i], name, sizeof name);
        if (is_row(row, "master.cf", name)) /* without its line the stock one would stay as well */
            return !plan->services[i].replaces_smtp || json_str(row, "found", NULL) != NULL;
    }
    return !is_row(row, "master.cf", "smtp/inet");
}

static bool leave_params(struct plan *p, const json_t *left, struct arena *a)
{
    struct plan_param *params = arena_alloc(a, (p->n_params + 1) * sizeof *params);
    const char **owned = arena_alloc(a, (p->n_owned + 1) * sizeof *owned);
    size_t n = 0, n_owned = 0;

    if (params == NULL || owned == NULL)
        return false;
    for (size_t i = 0; i < p->n_params; i++)
        if (!named(left, "main.cf", p->params[i].name))
            params[n++] = p->params[i];
    for (size_t i = 0; i < p->n_owned; i++)
        if (!named(left, "main.cf", p->owned[i]))
            owned[n_owned++] = p->owned[i];
    p->params = params;
    p->n_params = n;
    p->owned = owned;
    p->n_owned = n_owned;
    return true;
}

static bool leave_services(struct plan *p, const json_t *left, struct arena *a)
{
    struct plan_service *services = arena_alloc(a, (p->n_services + 1) * sizeof *services);
    const char **owned = arena_alloc(a, (p->n_owned_services + 1) * sizeof *owned);
    size_t n = 0, n_owned = 0;
    char name[400];

    if (services == NULL || owned == NULL)
        return false;
    for (size_t i = 0; i < p->n_services; i++) {
        service_name(&p->services[i], name, sizeof name);
        if (!named(left, "master.cf", name))
            services[n++] = p->services[i];
    }
    for (size_t i = 0; i < p->n_owned_services; i++)
        if (!named(left, "master.cf", p->owned_services[i]))
            owned[n_owned++] = p->owned_services[i];
    p->services = services;
    p->n_services = n;
    p->owned_services = owned;
    p->n_owned_services = n_owned;
    return true;
}

static bool leave_tables(const struct helper *h, struct plan *p, const json_t *left,
                         struct arena *a)
{
    struct plan_table *tables = arena_alloc(a, (p->n_tables + 1) * sizeof *tables);
    char item[400], path[4700];

    if (tables == NULL)
        return false;
    for (size_t i = 0; i < p->n_tables; i++) {
        AUTO_STR char *text = NULL;
        size_t n;
        tables[i] = p->tables[i];
        (void)snprintf(item, sizeof item, "%s/%s", p->tables_dir, p->tables[i].name);
        if (!named(left, "table", item) ||
            tables[i].secret) /* a secret is put back or stays the plan's */
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", h->s->postfix_config, item);
        if (file_read(path, REND_MANIFEST_MAX, &text, &n, NULL) != ERR_OK)
            return false;
        tables[i].content = arena_strdup(a, text);
    }
    p->tables = tables;
    return arena_ok(a);
}

struct plan *partial_plan(const struct helper *h, const struct plan *plan, const json_t *left,
                          struct arena *a)
{
    struct plan *p = arena_alloc(a, sizeof *p);

    if (p == NULL)
        return NULL;
    *p = *plan;
    return leave_params(p, left, a) && leave_services(p, left, a) && leave_tables(h, p, left, a)
               ? p
               : NULL;
}
