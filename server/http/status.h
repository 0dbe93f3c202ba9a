/*
 * status.h - /healthz, /readyz and /metrics: handlers that look at the listener itself (R_INLINE).
 */
#pragma once

#include "http/request.h"

enum err_code health_get(struct req *rq, struct reply *rp, struct err *e);  /* the process answers */
enum err_code ready_get(struct req *rq, struct reply *rp, struct err *e);   /* database and keys are there; else 503 */
enum err_code metrics_get(struct req *rq, struct reply *rp, struct err *e); /* Prometheus text */
