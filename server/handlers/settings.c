#include "handlers/settings.h"

#include "domain/override.h"
#include "domain/revision.h"
#include "domain/secret.h"
#include "catalog/preset.h"
#include "handlers/common.h"

enum err_code catalog_get(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *items = catalog_json(rq->lang);

    reply_header(rp, "Content-Language", "%s", rq->lang == LANG_JA ? "ja" : "en");
    return items == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                         : reply_items(rp, items, NULL, e);
}

enum err_code presets_get(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *items = preset_list(rq->lang);

    reply_header(rp, "Content-Language", "%s", rq->lang == LANG_JA ? "ja" : "en");
    return items == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                         : reply_items(rp, items, NULL, e);
}

enum err_code settings_layer_get(struct req *rq, struct reply *rp, struct err *e)
{
    const char *layer = req_query(rq, "layer");
    json_t *j = NULL;
    enum err_code rc = settings_layer(rq->db, layer == NULL ? "fleet" : layer, &j, e);

    return rc == ERR_OK ? reply_resource(rp, 200, j, json_int(j, "pub", 0), e) : rc;
}

static enum err_code effective(struct req *rq, struct reply *rp, const char *device, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc;

    if (device == NULL)
        return err_field(e, ERR_INVALID, "/query/device", "name the device");
    rc = settings_effective(rq->db, device, &j, e);
    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code settings_effective_get(struct req *rq, struct reply *rp, struct err *e)
{
    return effective(rq, rp, req_query(rq, "device"), e);
}

enum err_code device_explain_get(struct req *rq, struct reply *rp, struct err *e)
{
    const char *path = req_query(rq, "path");
    json_t *j = NULL;
    enum err_code rc;

    if (path == NULL)
        return err_field(e, ERR_INVALID, "/query/path", "name the setting");
    rc = settings_explain(rq->db, rq->param[0], path, rq->lang, &j, e);
    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code override_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = override_list(rq->db, rq->lang, &j, e);

    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code secret_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = secret_list(rq->db, NULL, &j, e);

    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code device_secrets_get(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = secret_list(rq->db, rq->param[0], &j, e);

    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code device_overrides_get(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = override_of_device(rq->db, rq->param[0], rq->lang, &j, e);

    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}
