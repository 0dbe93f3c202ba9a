/* parent.h - GET /api/v1/parent, GET /api/v1/trust, GET /api/v1/recovery, POST /api/v1/recovery/continue, GET /api/v1/recovery/lost,
 * POST /api/v1/recovery/adopt. */
#pragma once

#include "http/request.h"

enum err_code parent_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code trust_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code recovery_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code recovery_lost_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code recovery_adopt_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code recovery_continue_post(struct req *rq, struct reply *rp, struct err *e);
