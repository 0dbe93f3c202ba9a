/* openapi.h - the API's own description, as it was built with this program. */
#pragma once

#include "http/request.h"

enum err_code openapi_get(struct req *rq, struct reply *rp, struct err *e);
