/* event_stream.h - /api/v1/events/stream: server-sent events. */
#pragma once

#include "http/request.h"

enum err_code event_stream_get(struct req *rq, struct reply *rp, struct err *e);
