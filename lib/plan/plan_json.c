#include "plan/plan.h"

static json_t *pairs(const struct plan_param *v, size_t n)
{
    json_t *o = json_object();

    for (size_t i = 0; i < n; i++)
        (void)json_object_set_new(o, v[i].name, json_string(v[i].value));
    return o;
}

static json_t *service_json(const struct plan_service *s)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:b}", "service", s->service, "type",
                     s->type, "private", s->priv, "unprivileged", s->unpriv, "chroot", s->chroot,
                     "wakeup", s->wakeup, "process_limit", s->maxproc, "command", s->command,
                     "options", pairs(s->options, s->n_options), "replaces_smtp", s->replaces_smtp);
}

static json_t *listeners_json(const struct plan_listener *v, size_t n)
{
    static const char *const roles[] = {
        [ROLE_PUBLIC] = "public", [ROLE_SUBMISSION] = "submission", [ROLE_REINJECT] = "reinject",
        [ROLE_PROBE] = "probe",   [ROLE_DIGEST] = "digest",         [ROLE_FRONT] = "front"};
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(list,
                                    json_pack("{s:s,s:I,s:s}", "address", v[i].address, "port",
                                              (json_int_t)v[i].port, "role", roles[v[i].role]));
    return list;
}

json_t *plan_to_json(const struct plan *p)
{
    json_t *services = json_array(), *tables = json_array(), *all;
    uint64_t failed = json_failures();

    for (size_t i = 0; i < p->n_services; i++)
        (void)json_array_append_new(services, service_json(&p->services[i]));
    for (size_t i = 0; i < p->n_tables; i++)
        (void)json_array_append_new(tables,
                                    json_pack("{s:s,s:s,s:s}", "name", p->tables[i].name, "type",
                                              p->tables[i].type, "content", p->tables[i].content));
    all = json_pack("{s:s,s:o,s:o,s:o,s:o,s:s,s:s,s:I}", "mail_path", p->mail_path, "parameters",
                    pairs(p->params, p->n_params), "services", services, "tables", tables,
                    "listeners", listeners_json(p->listeners, p->n_listeners), "tables_dir",
                    p->tables_dir, "probe_domain", p->probe_domain, "sink_port",
                    (json_int_t)p->sink_port);
    if (p->foxproxy != NULL && all != NULL)
        (void)json_object_set_new(all, "foxproxy", json_string(p->foxproxy));
    if (json_failures() == failed)
        return all;
    json_decref(all);
    return NULL;
}
