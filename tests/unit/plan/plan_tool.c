/* plan_tool: {"settings":{layer},"facts":{},"digest":"..."} on standard input -> plan or findings,
 * as JSON. Exit status: 0 a plan, 1 findings, 2 the input. */
#include "plan/plan.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>

static int findings_out(struct findings *f)
{
    json_t *all = json_array();
    int rc = findings_blocking(f) > 0 ? 1 : 0;

    for (size_t i = 0; i < f->n; i++) {
        char text[1024];
        finding_message(&f->v[i], LANG_EN, text, sizeof text);
        (void)json_array_append_new(all,
                                    json_pack("{s:s,s:s,s:s}", "id", finding_texts[f->v[i].id].id,
                                              "pointer", f->v[i].pointer, "message", text));
    }
    if (rc != 0)
        (void)json_dumpf(all, stdout, JSON_INDENT(1));
    json_decref(all);
    findings_clear(f);
    return rc;
}

int main(void)
{
    AUTO(json_free) json_t *in = json_loadf(stdin, JSON_REJECT_DUPLICATES, NULL);
    AUTO(json_free) json_t *all = NULL;
    AUTO(arena_free) struct arena *a = arena_new(256 * MIB);
    struct catalog_layer layer = {LAYER_DEVICE, "", "", json_object_get(in, "settings"), 0};
    struct plan_facts facts;
    struct findings f = {0};
    struct plan *p = NULL;
    struct err e = {0};

    if (in == NULL || a == NULL || !json_is_object(layer.settings))
        return 2;
    catalog_check_layer(json_object_get(in, "settings"), LAYER_DEVICE, "/settings", &f);
    if (f.errors > 0)
        return findings_out(&f);
    if (catalog_merge(&layer, 1, &all, &e) != ERR_OK ||
        plan_facts_from_json(json_object_get(in, "facts"), a, &facts, &e) != ERR_OK ||
        plan_make(all, &facts, json_str(in, "digest", ""), a, &p, &f, &e) != ERR_OK) {
        (void)fprintf(stderr, "%s\n", e.msg);
        return 2;
    }
    if (p != NULL) {
        AUTO(json_free) json_t *out = plan_to_json(p);
        (void)json_dumpf(out, stdout, JSON_INDENT(1));
    }
    return findings_out(&f);
}
