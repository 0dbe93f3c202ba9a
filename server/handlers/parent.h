/* parent.h - GET /api/v1/parent. */
#pragma once

#include "http/request.h"

enum err_code parent_get(struct req *rq, struct reply *rp, struct err *e);
