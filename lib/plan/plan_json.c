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

json_t *plan_to_json(const struct plan *p)
{
    static const char *const roles[] = {[ROLE_PUBLIC] = "public",
                                        [ROLE_SUBMISSION] = "submission",
                                        [ROLE_REINJECT] = "reinject",
                                        [ROLE_PROBE] = "probe",
                                        [ROLE_DIGEST] = "digest"};
    json_t *services = json_array(), *tables = json_array(), *listeners = json_array(), *all;
    uint64_t failed = json_failures();

    for (size_t i = 0; i < p->n_services; i++)
        (void)json_array_append_new(services, service_json(&p->services[i]));
    for (size_t i = 0; i < p->n_tables; i++)
        (void)json_array_append_new(tables,
                                    json_pack("{s:s,s:s,s:s}", "name", p->tables[i].name, "type",
                                              p->tables[i].type, "content", p->tables[i].content));
    for (size_t i = 0; i < p->n_listeners; i++)
        (void)json_array_append_new(listeners,
                                    json_pack("{s:s,s:I,s:s}", "address", p->listeners[i].address,
                                              "port", (json_int_t)p->listeners[i].port, "role",
                                              roles[p->listeners[i].role]));
    all = json_pack("{s:s,s:o,s:o,s:o,s:o,s:s,s:s,s:I}", "mail_path", p->mail_path, "parameters",
                    pairs(p->params, p->n_params), "services", services, "tables", tables,
                    "listeners", listeners, "tables_dir", p->tables_dir, "probe_domain",
                    p->probe_domain, "sink_port", (json_int_t)p->sink_port);
    if (json_failures() == failed)
        return all;
    json_decref(all);
    return NULL;
}
