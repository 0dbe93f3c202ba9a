// libs: inari_plan inari_catalog inari_json inari_base
/* A layer as JSON -> check -> merge -> plan: an accepted layer gives a plan or findings, never anything else. */
#include "plan/plan_private.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(json_free) json_t *layer = NULL, *all = NULL, *explained = NULL;
    AUTO(arena_free) struct arena *a = NULL;
    struct catalog_layer l = {LAYER_DEVICE, "d", "d", NULL, 0};
    struct plan_facts facts = {0};
    struct findings f = {0}, again = {0};
    struct plan *p = NULL;
    struct err e;

    if (json_in_parse((struct slice){(const char *)data, size}, 64 * KIB, &layer, &e) != ERR_OK)
        return 0;
    a = arena_new(64 * MIB);
    catalog_check_layer(layer, LAYER_DEVICE, "/settings", &f);
    if (f.errors == 0) { /* a normal form is its own normal form */
        catalog_check_layer(layer, LAYER_DEVICE, "/settings", &again);
        if (again.errors != 0)
            abort();
    }
    l.settings = layer;
    if (json_is_object(layer)) {
        if (catalog_merge(&l, 1, &all, &e) != ERR_OK || plan_facts_from_json(layer, a, &facts, &e) != ERR_OK ||
            plan_make(all, &facts, "", a, &p, &f, &e) != ERR_OK)
            abort();
        explained = catalog_explain(catalog_find("smtp.relay_domains"), &l, 1);
    }
    if (p != NULL) {
        AUTO(json_free) json_t *out = plan_to_json(p);
        if (out == NULL)
            abort();
    }
    findings_clear(&f);
    findings_clear(&again);
    return 0;
}
