/* Settings of a request -> catalog check -> facts of this device -> plan.  The agent's word is
 * never taken for it. */
#include "apply/verbs.h"

#include "base/clock.h"
#include "targets/facts.h"

static enum err_code decode(const json_t *request, bool with_revision, struct planned *p,
                            json_t **settings, json_t **facts, struct err *e)
{
    struct {
        const char *digest, *device_id;
        int64_t epoch, rev, pub;
        json_t *settings, *facts;
    } v = {0};
    const unsigned rev = with_revision ? JD_REQUIRED : 0;
    const struct jdec_field fields[] = {
        {"digest", JD_KIND_STR, (size_t)((char *)&v.digest - (char *)&v), JD_REQUIRED, 64, 64,
         NULL},
        {"device_id", JD_KIND_UUID, (size_t)((char *)&v.device_id - (char *)&v), JD_REQUIRED, 0, 0,
         NULL},
        {"settings", JD_KIND_OBJECT, (size_t)((char *)&v.settings - (char *)&v), JD_REQUIRED, 0, 0,
         NULL},
        {"facts", JD_KIND_OBJECT, (size_t)((char *)&v.facts - (char *)&v), 0, 0, 0, NULL},
        {"epoch", JD_KIND_INT, (size_t)((char *)&v.epoch - (char *)&v), rev, 0, INT64_MAX, NULL},
        {"rev", JD_KIND_INT, (size_t)((char *)&v.rev - (char *)&v), rev, 0, INT64_MAX, NULL},
        {"pub", JD_KIND_INT, (size_t)((char *)&v.pub - (char *)&v), rev, 0, INT64_MAX, NULL},
        JDEC_END,
    };
    AUTO(json_free) json_t *rest = json_copy((json_t *)(uintptr_t)request);
    enum err_code rc;

    (void)json_object_del(rest, "v");
    (void)json_object_del(rest, "verb");
    rc = jdec_object(rest, fields, JD_REFUSE_UNKNOWN, "", &v, e);
    if (rc == ERR_OK && !digest_is_valid(v.digest))
        return err_field(e, ERR_INVALID, "/digest", "\"digest\" must be 64 hexadecimal digits");
    if (rc != ERR_OK)
        return rc;
    *p = (struct planned){v.digest, v.device_id, v.epoch, v.rev, v.pub, NULL};
    *settings = v.settings;
    *facts = v.facts;
    return ERR_OK;
}

/* Facts of this device; what the agent knows better (placement, device id) is taken from the
 * request. */
static enum err_code collect(struct helper *h, const json_t *settings, const json_t *given,
                             const char *device_id, json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *names = NULL;
    AUTO(json_free) json_t *domains = NULL;
    AUTO(json_free) json_t *files = NULL;
    enum err_code rc;

    plan_wanted(settings, &names, &domains, &files);
    rc = facts_collect(&h->pf, h->fox.version, names, domains, files, ret, e);
    if (rc != ERR_OK)
        return rc;
    (void)json_object_set_new(*ret, "device_id", json_string(device_id));
    if (json_str(given, "placement", NULL) != NULL)
        (void)json_object_set_new(*ret, "placement", json_string(json_str(given, "placement", "")));
    return ERR_OK;
}

static enum err_code checked(json_t *settings, const json_t *facts, struct arena *a,
                             struct planned *ret, struct findings *f, struct err *e)
{
    struct plan_facts pf;
    enum err_code rc;

    catalog_check_layer(settings, (enum layer_kind)(LAYER_FLEET | LAYER_GROUP | LAYER_DEVICE),
                        "/settings", f);
    if (findings_blocking(f) > 0)
        return err_set(e, ERR_REFUSED, "the settings do not pass the catalog");
    rc = plan_facts_from_json(facts, a, &pf, e);
    pf.device_id = ret->device_id;
    pf.now_ms = clock_wall_ms();
    if (rc == ERR_OK)
        rc = plan_make(settings, &pf, ret->digest, a, &ret->plan, f, e);
    if (rc == ERR_OK && ret->plan == NULL)
        return err_set(e, ERR_REFUSED, "the settings break an invariant on this device");
    return rc;
}

enum err_code verbs_plan(struct helper *h, const json_t *request, bool with_revision,
                         struct arena *a, struct planned *ret, json_t *answer, struct err *e)
{
    AUTO(json_free) json_t *facts = NULL;
    json_t *settings, *given, *copy;
    struct findings f = {0};
    enum err_code rc = decode(request, with_revision, ret, &settings, &given, e);

    if (rc != ERR_OK)
        return rc;
    copy = json_deep_copy(settings); /* the check normalises in place */
    if (copy == NULL || !arena_defer(a, (void (*)(void *))json_decref, copy))
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = collect(h, copy, given, ret->device_id, &facts, e);
    if (rc == ERR_OK)
        rc = checked(copy, facts, a, ret, &f, e);
    verbs_put_findings(answer, &f);
    findings_clear(&f);
    return rc;
}
