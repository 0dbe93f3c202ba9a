#include "targets/rendition.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>

bool digest_is_valid(const char *s)
{
    size_t n = s == NULL ? 0 : strspn(s, "0123456789abcdef");

    return n == 64 && s[n] == '\0';
}

static json_t *params_json(const struct plan_param *v, size_t n)
{
    json_t *a = json_array();

    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(a, json_pack("[s,s]", v[i].name, v[i].value));
    return a;
}

static json_t *words_json(const char *const *v, size_t n)
{
    json_t *a = json_array();

    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(a, json_string(v[i]));
    return a;
}

static json_t *services_json(const struct plan *p)
{
    json_t *a = json_array();

    for (size_t i = 0; i < p->n_services; i++) {
        const struct plan_service *s = &p->services[i];
        (void)json_array_append_new(
            a,
            json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:o}", "service", s->service, "type",
                      s->type, "priv", s->priv, "unpriv", s->unpriv, "chroot", s->chroot, "wakeup",
                      s->wakeup, "maxproc", s->maxproc, "command", s->command, "replaces_smtp",
                      s->replaces_smtp, "options", params_json(s->options, s->n_options)));
    }
    return a;
}

static json_t *plan_json(const struct plan *p)
{
    json_t *tables = json_array(), *listeners = json_array();

    for (size_t i = 0; i < p->n_tables; i++)
        (void)json_array_append_new(tables,
                                    json_pack("{s:s,s:s,s:s,s:b}", "name", p->tables[i].name,
                                              "type", p->tables[i].type, "content",
                                              p->tables[i].content, "secret", p->tables[i].secret));
    for (size_t i = 0; i < p->n_listeners; i++)
        (void)json_array_append_new(listeners,
                                    json_pack("{s:s,s:I,s:i}", "address", p->listeners[i].address,
                                              "port", (json_int_t)p->listeners[i].port, "role",
                                              (int)p->listeners[i].role));
    return json_pack(
        "{s:o,s:o,s:o,s:o,s:o,s:o,s:s,s:s,s:I,s:s,s:s}", "params",
        params_json(p->params, p->n_params), "owned", words_json(p->owned, p->n_owned), "services",
        services_json(p), "owned_services", words_json(p->owned_services, p->n_owned_services),
        "tables", tables, "listeners", listeners, "tables_dir",
        p->tables_dir == NULL ? "" : p->tables_dir, "mail_path",
        p->mail_path == NULL ? "" : p->mail_path, "sink_port", (json_int_t)p->sink_port,
        "probe_domain", p->probe_domain == NULL ? "" : p->probe_domain, "foxproxy",
        p->foxproxy == NULL ? "" : p->foxproxy);
}

const struct plan *rendition_wanted(const struct rendition *r)
{
    return r->whole != NULL ? r->whole : r->plan;
}

json_t *rendition_to_json(const struct rendition *r)
{
    uint64_t failed = json_failures();
    json_t *j = json_pack("{s:i,s:s,s:s,s:I,s:I,s:I,s:s,s:s,s:b,s:b,s:o}", "v", 1, "digest",
                          r->digest, "device_id", r->device_id, "epoch", (json_int_t)r->epoch,
                          "rev", (json_int_t)r->rev, "pub", (json_int_t)r->pub, "base_main",
                          r->base_main, "base_master", r->base_master, "restart", r->restart,
                          "validated", r->validated, "plan", plan_json(r->plan));

    if (j != NULL && r->whole != NULL)
        (void)json_object_set_new(j, "whole", plan_json(r->whole));
    if (json_failures() == failed)
        return j;
    json_decref(j);
    return NULL;
}

/* The manifest is ours and root's; what does not fit is damage, found once at the end as NULL
 * strings. */
static const char *text(const json_t *j, const char *name, struct arena *a)
{
    return arena_strdup(a, json_str(j, name, ""));
}

static const char *const *words(const json_t *j, size_t *n, struct arena *a)
{
    const char **v = arena_alloc(a, (json_array_size(j) + 1) * sizeof *v);

    *n = v == NULL ? 0 : json_array_size(j);
    for (size_t i = 0; i < *n; i++)
        v[i] = arena_strdup(a, json_string_value(json_array_get(j, i)));
    return v;
}

static const struct plan_param *params(const json_t *j, size_t *n, struct arena *a)
{
    struct plan_param *v = arena_alloc(a, (json_array_size(j) + 1) * sizeof *v);

    *n = v == NULL ? 0 : json_array_size(j);
    for (size_t i = 0; i < *n; i++) {
        const json_t *pair = json_array_get(j, i);
        const char *name = json_string_value(json_array_get(pair, 0));
        const char *value = json_string_value(json_array_get(pair, 1));
        v[i].name = arena_strdup(a, name == NULL ? "" : name);
        v[i].value = arena_strdup(a, value == NULL ? "" : value);
    }
    return v;
}

static const struct plan_service *services(const json_t *j, size_t *n, struct arena *a)
{
    struct plan_service *v = arena_alloc(a, (json_array_size(j) + 1) * sizeof *v);

    *n = v == NULL ? 0 : json_array_size(j);
    for (size_t i = 0; i < *n; i++) {
        const json_t *s = json_array_get(j, i);
        v[i] = (struct plan_service){.service = text(s, "service", a),
                                     .type = text(s, "type", a),
                                     .priv = text(s, "priv", a),
                                     .unpriv = text(s, "unpriv", a),
                                     .chroot = text(s, "chroot", a),
                                     .wakeup = text(s, "wakeup", a),
                                     .maxproc = text(s, "maxproc", a),
                                     .command = text(s, "command", a),
                                     .replaces_smtp = json_bool(s, "replaces_smtp", false)};
        v[i].options = params(json_object_get(s, "options"), &v[i].n_options, a);
    }
    return v;
}

static const struct plan_table *tables(const json_t *j, size_t *n, struct arena *a)
{
    struct plan_table *v = arena_alloc(a, (json_array_size(j) + 1) * sizeof *v);

    *n = v == NULL ? 0 : json_array_size(j);
    for (size_t i = 0; i < *n; i++) {
        const json_t *t = json_array_get(j, i);
        v[i] = (struct plan_table){text(t, "name", a), text(t, "type", a), text(t, "content", a),
                                   json_bool(t, "secret", false)};
    }
    return v;
}

static const struct plan_listener *listeners(const json_t *j, size_t *n, struct arena *a)
{
    struct plan_listener *v = arena_alloc(a, (json_array_size(j) + 1) * sizeof *v);

    *n = v == NULL ? 0 : json_array_size(j);
    for (size_t i = 0; i < *n; i++) {
        const json_t *l = json_array_get(j, i);
        v[i] = (struct plan_listener){text(l, "address", a), json_int(l, "port", 0),
                                      (enum plan_role)json_int(l, "role", 0)};
    }
    return v;
}

static struct plan *plan_of(const json_t *j, struct arena *a)
{
    struct plan *p = arena_alloc(a, sizeof *p);

    if (p == NULL || !json_is_object(j))
        return NULL;
    p->params = params(json_object_get(j, "params"), &p->n_params, a);
    p->owned = words(json_object_get(j, "owned"), &p->n_owned, a);
    p->services = services(json_object_get(j, "services"), &p->n_services, a);
    p->owned_services = words(json_object_get(j, "owned_services"), &p->n_owned_services, a);
    p->tables = tables(json_object_get(j, "tables"), &p->n_tables, a);
    p->listeners = listeners(json_object_get(j, "listeners"), &p->n_listeners, a);
    p->tables_dir = text(j, "tables_dir", a);
    p->mail_path = text(j, "mail_path", a);
    p->sink_port = json_int(j, "sink_port", 0);
    p->probe_domain = text(j, "probe_domain", a);
    p->foxproxy = text(j, "foxproxy", a); /* a rendering of before has none */
    return arena_ok(a) ? p : NULL;        /* a list that is too short is worse than none */
}

enum err_code rendition_from_json(const json_t *j, struct arena *a, struct rendition *ret,
                                  struct err *e)
{
    struct rendition r = {.epoch = json_int(j, "epoch", 0),
                          .rev = json_int(j, "rev", 0),
                          .pub = json_int(j, "pub", 0),
                          .restart = json_bool(j, "restart", false),
                          .validated = json_bool(j, "validated", false)};

    if (json_int(j, "v", 0) != 1 || !digest_is_valid(json_str(j, "digest", "")))
        return err_set(e, ERR_STORAGE, "damaged manifest");
    (void)snprintf(r.digest, sizeof r.digest, "%s", json_str(j, "digest", ""));
    (void)snprintf(r.device_id, sizeof r.device_id, "%s", json_str(j, "device_id", ""));
    (void)snprintf(r.base_main, sizeof r.base_main, "%s", json_str(j, "base_main", ""));
    (void)snprintf(r.base_master, sizeof r.base_master, "%s", json_str(j, "base_master", ""));
    r.plan = plan_of(json_object_get(j, "plan"), a);
    if (json_object_get(j, "whole") != NULL)
        r.whole = plan_of(json_object_get(j, "whole"), a);
    if (r.plan == NULL || (json_object_get(j, "whole") != NULL && r.whole == NULL))
        return err_set(e, ERR_STORAGE, "damaged manifest, or out of memory");
    *ret = r;
    return ERR_OK;
}

enum err_code rendition_save(const char *dir, const struct rendition *r, struct err *e)
{
    AUTO(json_free) json_t *j = rendition_to_json(r);
    AUTO_STR char *body = j == NULL ? NULL : json_text(j, JSON_COMPACT);
    char path[4096];

    if (body == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    (void)snprintf(path, sizeof path, "%s/manifest.json", dir);
    return file_write_atomic(path, slice_of(body), 0600, e);
}

enum err_code rendition_load(const char *dir, struct arena *a, struct rendition *ret, struct err *e)
{
    AUTO(json_free) json_t *j = NULL;
    AUTO_STR char *body = NULL;
    char path[4096];
    enum err_code rc;
    size_t n;

    (void)snprintf(path, sizeof path, "%s/manifest.json", dir);
    rc = file_read(path, REND_MANIFEST_MAX, &body, &n, e);
    if (rc == ERR_OK)
        rc = json_in_parse((struct slice){body, n}, REND_MANIFEST_MAX, &j, e);
    return rc != ERR_OK ? rc : rendition_from_json(j, a, ret, e);
}
