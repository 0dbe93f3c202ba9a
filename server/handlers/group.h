/* group.h - /api/v1/groups and their members. */
#pragma once

#include "http/request.h"

enum err_code group_list_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code group_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code group_get_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code group_patch(struct req *rq, struct reply *rp, struct err *e);
enum err_code group_delete_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code group_member_put(struct req *rq, struct reply *rp, struct err *e);
enum err_code group_member_delete(struct req *rq, struct reply *rp, struct err *e);
