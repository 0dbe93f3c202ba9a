/* idempotent.h - Idempotency-Key around every POST of people and scripts (http.h: the post hook).
 */
#pragma once

#include "http/request.h"

enum err_code idempotent_post(handler_fn handler, struct req *rq, struct reply *rp, struct err *e);
