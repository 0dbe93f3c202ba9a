/* event_policy.h - what of the devices' events is kept. */
#pragma once

#include "http/request.h"

enum err_code event_policy_get_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code event_policy_patch_one(struct req *rq, struct reply *rp, struct err *e);
