/* figure.h - /api/v1/figures: time series of a device or of the fleet. */
#pragma once

#include "http/request.h"

enum err_code figure_get(struct req *rq, struct reply *rp, struct err *e);
