#include "handlers/openapi.h"

extern const unsigned char openapi_yaml[]; /* generated from api/openapi.yaml */
extern const size_t openapi_yaml_n;

enum err_code openapi_get(struct req *rq, struct reply *rp, struct err *e)
{
    (void)rq;
    (void)e;
    rp->shared = (const char *)openapi_yaml;
    rp->shared_n = openapi_yaml_n;
    rp->content_type = "application/yaml";
    return ERR_OK;
}
