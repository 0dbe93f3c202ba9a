/* command.h - tracked orders to devices, in the admin API (docs/internals/api.md). */
#pragma once

#include "http/request.h"

enum err_code device_command_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code command_list_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code command_get_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code command_output_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code command_cancel_post(struct req *rq, struct reply *rp, struct err *e);
