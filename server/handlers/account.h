/* account.h - /api/v1/accounts and /api/v1/api-tokens. */
#pragma once

#include "http/request.h"

enum err_code account_list_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code account_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code account_get_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code account_patch(struct req *rq, struct reply *rp, struct err *e);
enum err_code account_delete_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code api_token_list_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code api_token_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code api_token_delete(struct req *rq, struct reply *rp, struct err *e);
