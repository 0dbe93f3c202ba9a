#include "apply/verbs.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

void verbs_put_findings(json_t *answer, const struct findings *f)
{
    json_t *list = json_array();

    for (size_t i = 0; i < f->n; i++) {
        const struct finding *x = &f->v[i];
        json_t *args = json_array();
        char en[1024], ja[1024];
        for (size_t j = 0; j < FINDING_ARGS && x->arg[j][0] != '\0'; j++)
            (void)json_array_append_new(args, json_string(x->arg[j]));
        finding_message(x, LANG_EN, en, sizeof en);
        finding_message(x, LANG_JA, ja, sizeof ja);
        (void)json_array_append_new(
            list, json_pack("{s:s,s:s,s:o,s:s,s:s,s:b,s:b}", "id", finding_texts[x->id].id,
                            "pointer", x->pointer, "args", args, "message_en", en, "message_ja", ja,
                            "warning", x->warning, "forceable", x->forceable));
    }
    (void)json_object_set_new(answer, "findings", list);
}

void verbs_put_clients(json_t *answer, const struct relay_clients *c)
{
    (void)json_object_set_new(answer, "relay_clients", json_pack("[s,s]", c->text[0], c->text[1]));
}

enum err_code verbs_digest(const json_t *request, const char **ret, struct err *e)
{
    struct {
        const char *digest;
    } v = {NULL};
    static const struct jdec_field fields[] = {
        {"digest", JD_KIND_STR, 0, JD_REQUIRED, 64, 64, NULL},
        JDEC_END,
    };
    AUTO(json_free) json_t *rest = json_copy((json_t *)(uintptr_t)request);
    enum err_code rc;

    (void)json_object_del(rest, "v");
    (void)json_object_del(rest, "verb");
    rc = jdec_object(rest, fields, JD_REFUSE_UNKNOWN, "", &v, e);
    if (rc == ERR_OK && !digest_is_valid(v.digest))
        return err_field(e, ERR_INVALID, "/digest", "\"digest\" must be 64 hexadecimal digits");
    if (rc == ERR_OK)
        *ret = v.digest;
    return rc;
}

enum err_code verbs_bare(const json_t *request, struct err *e)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)request, name, value)
    {
        if (strcmp(name, "v") != 0 && strcmp(name, "verb") != 0)
            return err_field(e, ERR_INVALID, name, "this verb takes no member \"%.64s\"", name);
    }
    return ERR_OK;
}

static const struct verb *find(const char *name)
{
    const struct verb *const tables[] = {verbs_change, verbs_look};

    for (size_t i = 0; i < COUNT_OF(tables); i++)
        for (const struct verb *v = tables[i]; v->name != NULL; v++)
            if (strcmp(v->name, name) == 0)
                return v;
    return NULL;
}

static enum err_code serve(struct helper *h, const json_t *request, json_t *answer, struct err *e)
{
    const char *name = json_str(request, "verb", "");
    const struct verb *v = find(name);

    if (json_int(request, "v", 0) != 1)
        return err_field(e, ERR_INVALID, "/v", "\"v\" must be 1");
    if (v == NULL)
        return err_field(e, ERR_INVALID, "/verb", "there is no verb \"%.64s\"", name);
    return v->fn(h, request, answer, e);
}

static void put_refusal(json_t *answer, const json_t *request, enum err_code rc,
                        const struct err *e)
{
    (void)json_object_set_new(answer, "error", json_string(err_word(rc)));
    (void)json_object_set_new(answer, "message", json_string(e->msg));
    if (e->pointer[0] != '\0')
        (void)json_object_set_new(answer, "pointer", json_string(e->pointer));
    if (json_object_get(answer, "findings") == NULL)
        (void)json_object_set_new(answer, "findings", json_array());
    log_event(LOG_LEVEL_WARN, "helper.refused", KV_STR("verb", json_str(request, "verb", "")),
              KV_STR("error", err_word(rc)), KV_STR("message", e->msg));
}

/* What was done is done, but whoever reads half an answer may take "no drift" or "no findings" from
 * it.  A refusal is said again, short; of what was done nothing is said, and the peer, whose
 * connection closes, asks how things are. */
static json_t *short_of_memory(enum err_code rc, const struct err *e)
{
    if (rc == ERR_OK)
        return NULL;
    return json_pack("{s:b,s:s,s:s,s:[]}", "ok", 0, "error", err_word(ERR_NO_MEMORY), "message",
                     rc == ERR_NO_MEMORY ? e->msg : "out of memory", "findings");
}

json_t *verbs_serve(struct helper *h, const json_t *request)
{
    uint64_t before = json_failures();
    AUTO(json_free) json_t *answer = json_object();
    struct err e = {0};
    enum err_code rc;

    if (answer == NULL)
        return NULL;
    h->output.n = 0;
    h->output.failed = h->output.no_memory = false;
    rc = serve(h, request, answer, &e);
    (void)json_object_set_new(answer, "ok", json_boolean(rc == ERR_OK));
    if (h->output.n > 0)
        (void)json_object_set_new(answer, "output", json_stringn_nocheck(h->output.p, h->output.n));
    if (rc != ERR_OK)
        put_refusal(answer, request, rc, &e);
    return json_failures() == before ? TAKE(answer) : short_of_memory(rc, &e);
}
