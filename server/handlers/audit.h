/* audit.h - /api/v1/audit. */
#pragma once

#include "http/request.h"

enum err_code audit_list_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code audit_verify_get(struct req *rq, struct reply *rp, struct err *e);
