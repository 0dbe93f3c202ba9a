/* session.h - /api/v1/session: sign in, who am I, sign out, change the password. */
#pragma once

#include "http/request.h"

enum err_code session_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code session_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code session_delete(struct req *rq, struct reply *rp, struct err *e);
enum err_code session_password_put(struct req *rq, struct reply *rp, struct err *e);
enum err_code session_preferences_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code session_preferences_patch(struct req *rq, struct reply *rp, struct err *e);
