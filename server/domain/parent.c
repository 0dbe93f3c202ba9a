#include "domain/parent.h"

#include "base/clock.h"
#include "store/parent_store.h"

static json_t *words(const char *const *v)
{
    json_t *list = json_array();

    for (; v != NULL && *v != NULL; v++)
        (void)json_array_append_new(list, json_string(*v));
    return list;
}

static json_t *at(int64_t ms)
{
    char text[CLOCK_TEXT_SIZE];

    if (ms == 0)
        return json_null();
    clock_format(ms, text);
    return json_string(text);
}

enum err_code parent_describe(struct db *db, const struct app *app, struct arena *a, json_t **ret,
                              struct err *e)
{
    struct parent_facts f;
    enum err_code rc = parent_store_facts(db, a, &f, e);
    int64_t end = app->certificate_end_ms == NULL ? 0 : app->certificate_end_ms();

    if (rc != ERR_OK)
        return rc;
    *ret = json_pack(
        "{s:s,s:s,s:I,s:s,s:o,s:o,s:I,s:I,s:b,s:b,s:{s:s,s:I,s:I},s:{s:o,s:o}}", "version",
        INARI_VERSION, "fleet", app->fleet_id, "epoch", (json_int_t)app->epoch, "issuer",
        app->issuer, "addresses", words(app->addresses), "time", at(clock_wall_ms()), "pub",
        (json_int_t)f.pub, "devices", (json_int_t)f.devices, "fenced", app->fenced, "lab", app->lab,
        "database", "version", f.server_version, "size_bytes", (json_int_t)f.size_bytes, "schema",
        (json_int_t)f.schema, "certificate", "pins", words(app->tls_pins), "not_after", at(end));
    return *ret == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}
