#include "plan/plan_private.h"

#include <stdlib.h>

static bool is_hex(const char *s)
{
    return strlen(s) >= 16 && strspn(s, "0123456789abcdef") == strlen(s);
}

static bool is_uuid_text(const char *s)
{
    return s != NULL && s[0] != '\0' && strlen(s) <= 63 &&
           strspn(s, "0123456789abcdefghijklmnopqrstuvwxyz-") == strlen(s) && s[0] != '-' &&
           s[strlen(s) - 1] != '-';
}

static void release(void *p)
{
    json_decref(p);
}

static bool begin(struct plan_builder *b)
{
    const char *id = b->facts->device_id;

    b->defaults = json_object();
    if (b->defaults == NULL || !arena_defer(b->a, release, b->defaults))
        return false;
    b->plain = strcmp(plan_str(b, "path.mode"), "plain") == 0;
    b->front = strcmp(plan_str(b, "path.mode"), "front") == 0;
    b->mail_path = b->plain ? "plain" : b->front ? "front" : "direct";
    b->digest =
        is_hex(b->digest == NULL ? "" : b->digest) ? arena_strdup(b->a, b->digest) : "preview";
    b->dir = arena_printf(b->a, "inari/%.16s", b->digest == NULL ? "" : b->digest);
    b->probe_domain = is_uuid_text(id) ? arena_printf(b->a, "%s.inari.invalid", id) : "";
    return b->digest != NULL && b->dir != NULL && b->probe_domain != NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct plan_param *)a)->name, ((const struct plan_param *)b)->name);
}

static void *copy(struct arena *a, const void *from, size_t n)
{
    void *to = arena_alloc(a, n + 1);

    if (to != NULL && n > 0)
        memcpy(to, from, n);
    return to;
}

/* Everything with a fixed name, and the listeners of this very plan. */
static const char *const *owned_services(struct plan_builder *b, size_t *ret_n)
{
    const char **v = arena_alloc(b->a, (plan_n_owned_services + b->n_services + 1) * sizeof *v);
    size_t n = 0;

    for (size_t i = 0; v != NULL && i < plan_n_owned_services; i++)
        v[n++] = plan_owned_services[i];
    for (size_t i = 0; v != NULL && i < b->n_services; i++) {
        const struct plan_service *s = &b->services[i];
        if (strcmp(s->type, "inet") == 0 &&
            (v[n++] = arena_printf(b->a, "%s/inet", s->service)) == NULL)
            return NULL;
    }
    *ret_n = n;
    return v;
}

/* What is the site's own among the names that are ours on other devices. */
static const char *const *left(struct plan_builder *b, size_t *ret_n)
{
    const char **v = arena_alloc(b->a, PLAN_CHECKS * sizeof *v);
    size_t n = 0;

    for (size_t i = 0; v != NULL && i < PLAN_CHECKS; i++)
        if (plan_leaves_checks(b->facts, i))
            v[n++] = plan_checks_params[i];
    *ret_n = n;
    return v;
}

static struct plan *finish(struct plan_builder *b)
{
    struct plan *p = arena_alloc(b->a, sizeof *p);

    if (p == NULL)
        return NULL;
    qsort(b->params, b->n_params, sizeof *b->params, by_name);
    p->params = copy(b->a, b->params, b->n_params * sizeof *b->params);
    p->n_params = b->n_params;
    p->services = copy(b->a, b->services, b->n_services * sizeof *b->services);
    p->n_services = b->n_services;
    p->tables = copy(b->a, b->tables, b->n_tables * sizeof *b->tables);
    p->n_tables = b->n_tables;
    p->listeners = copy(b->a, b->listeners, b->n_listeners * sizeof *b->listeners);
    p->n_listeners = b->n_listeners;
    p->owned = plan_owned(b->a, plan_has_auth(b), plan_owned_checks(b), &p->n_owned);
    p->left = left(b, &p->n_left);
    p->owned_services = owned_services(b, &p->n_owned_services);
    p->tables_dir = b->dir;
    p->mail_path = b->mail_path;
    p->foxproxy = b->ini;
    p->sink_port = PLAN_PORT_SINK;
    p->probe_domain = b->probe_domain;
    if (p->params == NULL || p->services == NULL || p->tables == NULL || p->listeners == NULL ||
        p->owned == NULL || p->left == NULL || p->owned_services == NULL)
        return NULL;
    return p;
}

enum err_code plan_make(const json_t *settings, const struct plan_facts *facts, const char *digest,
                        struct arena *a, struct plan **ret, struct findings *f, struct err *e)
{
    struct plan_builder *b = arena_alloc(a, sizeof *b);
    uint64_t failed = json_failures();
    struct plan *p = NULL;

    *ret = NULL;
    if (b == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory while planning");
    *b = (struct plan_builder){
        .settings = settings, .facts = facts, .a = a, .f = f, .digest = digest};
    if (!begin(b))
        return err_set(e, ERR_NO_MEMORY, "out of memory while planning");
    plan_add_params(b);
    plan_add_tls(b);
    plan_add_tables(b);
    plan_add_services(b);
    plan_add_auth(b);
    plan_add_subject(b);
    plan_add_foxproxy(b);
    plan_check_relay(b);
    plan_check_ports(b);
    plan_check_loops(b);
    plan_check_tls(b);
    plan_check_limits(b);
    plan_check_version(b);
    plan_check_drift(b);
    plan_check_auth(b);
    plan_check_subject(b);
    plan_check_front(b);
    if (!b->oom)
        p = finish(b);
    if (b->oom || p == NULL || json_failures() != failed) /* a default may be missing */
        return err_set(e, ERR_NO_MEMORY, "out of memory while planning");
    plan_verify(p, f);
    if (findings_blocking(f) == 0)
        *ret = p;
    return ERR_OK;
}
