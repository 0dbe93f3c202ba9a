/*
 * common.h - what handlers share: the actor for the audit log, paging, ETags, times.
 */
#pragma once

#include "domain/audit.h"
#include "domain/page.h"
#include "http/request.h"

/* Who the audit log names; borrows from rq. */
struct actor req_actor(const struct req *rq);
/* ?limit= (1..500, 50) and ?cursor= ("" when absent). */
MUST_USE enum err_code req_page(const struct req *rq, int *ret_limit, const char **ret_cursor,
                                struct err *e);
/* {"items":[...],"next":cursor|null}; steals items; next "" or NULL: the end. */
enum err_code reply_items(struct reply *rp, json_t *items, const char *next, struct err *e);
/* A resource with its ETag; steals j. */
enum err_code reply_resource(struct reply *rp, int status, json_t *j, int64_t version,
                             struct err *e);
enum err_code reply_empty(struct reply *rp);
/* req_if_match() against a version. */
MUST_USE enum err_code req_if_version(const struct req *rq, int64_t version, struct err *e);
/* The value of the session cookie, copied into the request's arena; NULL: there is none. */
const char *req_session_cookie(const struct req *rq);
