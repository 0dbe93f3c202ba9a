/* /api/v1/config: the whole configuration as one document. */
#include "domain/config_doc.h"
#include "domain/secret.h"

#include "handlers/common.h"
#include "handlers/settings.h"

#include <stdio.h>

enum err_code config_export_get(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = config_export(rq->db, rq->lang, &j, e);

    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code config_import_post(struct req *rq, struct reply *rp, struct err *e)
{
    struct body {
        json_t *document, *parts;
        const char *title;
        int mode;
    } in = {.title = "import"};
    const struct jdec_field fields[] = {
        JDEC_OBJECT(struct body, document, JD_REQUIRED), JDEC_ARRAY(struct body, parts, 0, 3),
        JDEC_STR(struct body, title, 0, 0, 200), JDEC_ENUM(struct body, mode, 0, config_mode_names),
        JDEC_END};
    const struct actor by = req_actor(rq);
    json_t *draft = NULL;
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &in, e);

    if (rc == ERR_OK) {
        const struct config_import how = {.document = in.document,
                                          .parts = in.parts,
                                          .mode = (enum config_mode)in.mode,
                                          .title = in.title,
                                          .by = &by,
                                          .lang = rq->lang,
                                          .dry_run = rq->dry_run,
                                          .f = &rp->findings};
        rc = secret_take(rq->db, rq->app, json_object_get(in.document, "content"),
                         "/document/content", !rq->dry_run, &by, &rp->findings, e);
        if (rc == ERR_OK)
            rc = config_import(rq->db, &how, &draft, e);
    }
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(rp->location, sizeof rp->location, "/api/v1/drafts/%s",
                   json_str(draft, "id", ""));
    return reply_resource(rp, rq->dry_run ? 200 : 201, draft, json_int(draft, "version", 1), e);
}
